"""Key schedule and record protection of TLS 1.3 (RFC 9846 sections 5.2 and 7), checked against RFC 8448's traces."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESCCM, AESGCM, ChaCha20Poly1305

from checker.crypto.tls.records import DATA, MAX_RECORD, Record
from checker.errors import DecryptionError, FormatError

_NONCE: Final = 12
_PLAIN_LIMIT: Final = 0x4000


@dataclass(frozen=True)
class Suite:
    """A TLS 1.3 suite: its hash, its key size in bytes and its AEAD."""

    hash: str
    key_size: int
    aead: Callable[[bytes], Any]

    @property
    def size(self) -> int:
        """Return the hash's length in bytes."""
        return hashlib.new(self.hash).digest_size

    def digest(self, data: bytes) -> bytes:
        """Return the hash of a transcript."""
        return hashlib.new(self.hash, data).digest()


SUITES: Final[Mapping[int, Suite]] = MappingProxyType(
    {
        0x1301: Suite("sha256", 16, AESGCM),
        0x1302: Suite("sha384", 32, AESGCM),
        0x1303: Suite("sha256", 32, ChaCha20Poly1305),
        0x1304: Suite("sha256", 16, AESCCM),
        0x1305: Suite("sha256", 16, lambda key: AESCCM(key, tag_length=8)),
    }
)


def extract(suite: Suite, salt: bytes, secret: bytes) -> bytes:
    """Return HKDF-Extract (RFC 5869 2.2); an empty secret stands for one of zeros (RFC 9846 7.1)."""
    return hmac.digest(salt or bytes(suite.size), secret or bytes(suite.size), suite.hash)


def expand_label(suite: Suite, secret: bytes, label: str, context: bytes, size: int) -> bytes:
    """Return HKDF-Expand-Label (RFC 9846 7.1)."""
    name = b"tls13 " + label.encode()
    info = size.to_bytes(2) + len(name).to_bytes(1) + name + len(context).to_bytes(1) + context
    found, block = b"", b""
    while len(found) < size:
        block = hmac.digest(secret, block + info + bytes([len(found) // suite.size + 1]), suite.hash)
        found += block
    return found[:size]


def derive(suite: Suite, secret: bytes, label: str, transcript: bytes) -> bytes:
    """Return Derive-Secret over a transcript (RFC 9846 7.1)."""
    return expand_label(suite, secret, label, suite.digest(transcript), suite.size)


def finished(suite: Suite, secret: bytes, transcript: bytes) -> bytes:
    """Return the verify_data of a Finished message (RFC 9846 4.4.4)."""
    key = expand_label(suite, secret, "finished", b"", suite.size)
    return hmac.digest(key, suite.digest(transcript), suite.hash)


def binder(suite: Suite, psk: bytes, truncated: bytes) -> bytes:
    """Return the binder of an external PSK over a transcript that ends before it (RFC 9846 4.2.11.2)."""
    return finished(suite, derive(suite, extract(suite, b"", psk), "ext binder", b""), truncated)


@dataclass(frozen=True)
class Secrets:
    """The traffic secrets of one stage: the client's, the server's, and the secret that the next stage starts from."""

    client: bytes
    server: bytes
    next: bytes


def handshake_secrets(suite: Suite, shared: bytes, transcript: bytes, psk: bytes = b"") -> Secrets:
    """Return the handshake traffic secrets after ServerHello, without a PSK unless one is given."""
    early = extract(suite, b"", psk)
    secret = extract(suite, derive(suite, early, "derived", b""), shared)
    client = derive(suite, secret, "c hs traffic", transcript)
    return Secrets(client, derive(suite, secret, "s hs traffic", transcript), derive(suite, secret, "derived", b""))


def application_secrets(suite: Suite, salt: bytes, transcript: bytes) -> Secrets:
    """Return the application traffic secrets after the server's Finished, and the master secret."""
    master = extract(suite, salt, b"")
    client = derive(suite, master, "c ap traffic", transcript)
    return Secrets(client, derive(suite, master, "s ap traffic", transcript), master)


class Protection:
    """Protects or opens the records of one direction under one traffic secret (RFC 9846 5.2 and 5.3)."""

    def __init__(self, suite: Suite, secret: bytes) -> None:
        self._suite = suite
        self._secret = secret
        self._aead = suite.aead(expand_label(suite, secret, "key", b"", suite.key_size))
        self._iv = int.from_bytes(expand_label(suite, secret, "iv", b"", _NONCE))
        self._sequence = 0
        self._overhead = len(self._aead.encrypt(bytes(_NONCE), b"", None)) + 1  # the tag, and the inner type

    def _nonce(self) -> bytes:
        self._sequence += 1
        return (self._iv ^ (self._sequence - 1)).to_bytes(_NONCE)

    def seal(self, kind: int, payload: bytes) -> bytes:
        """Return protected records of a payload."""
        parts = [payload[at : at + _PLAIN_LIMIT] for at in range(0, len(payload), _PLAIN_LIMIT)] or [b""]
        return b"".join(self._seal(kind, part) for part in parts)

    def _seal(self, kind: int, part: bytes) -> bytes:
        header = bytes([DATA]) + b"\x03\x03" + (len(part) + self._overhead).to_bytes(2)
        sealed: bytes = self._aead.encrypt(self._nonce(), part + bytes([kind]), header)
        return header + sealed

    def open(self, record: Record) -> tuple[int, bytes]:
        """Return the inner type and content of a protected record.

        Raises:
            DecryptionError: its tag does not verify.
            FormatError: it holds nothing but padding, or is longer than TLS allows.
        """
        size = len(record.payload)
        header = bytes([record.kind]) + record.version.to_bytes(2) + size.to_bytes(2)
        if size > MAX_RECORD:
            raise FormatError("a protected record is too long", field="record length")
        try:
            inner: bytes = self._aead.decrypt(self._nonce(), record.payload, header)
        except (InvalidTag, ValueError):
            raise DecryptionError("a protected record does not verify under the handshake's keys") from None
        content = inner.rstrip(b"\0")
        if not content:
            raise FormatError("a protected record holds nothing but padding", field="record")
        return content[-1], content[:-1]

    def updated(self) -> Protection:
        """Return the protection after a KeyUpdate (RFC 9846 7.2)."""
        return Protection(self._suite, expand_label(self._suite, self._secret, "traffic upd", b"", self._suite.size))
