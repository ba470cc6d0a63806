"""A small TLS 1.2 and DTLS 1.2 client for pre-shared keys, bytes in and bytes out (RFC 4279, 5487, 5489, 6655, 7905).

pyOpenSSL's public interface has no pre-shared keys, and no other library in reach offers them to a client. AEAD suites
are offered first, then CBC. The server's Finished is verified: whoever sends it holds the same key.
"""

from __future__ import annotations

import hashlib
import hmac
import itertools
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any, Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.ciphers.aead import AESCCM, AESGCM, ChaCha20Poly1305

from checker.crypto.tls import messages, names, records
from checker.crypto.tls.client13 import OwnClient
from checker.crypto.tls.identity import PreSharedKey
from checker.crypto.tls.messages import Cursor, Hello
from checker.crypto.tls.records import Message, Record
from checker.crypto.tls.session import HandshakeError, Session
from checker.crypto.tls.shares import SUPPORTED, Share
from checker.errors import DecryptionError, FormatError

DTLS12: Final = 0xFEFD
_CLIENT_KEY_EXCHANGE: Final = 16
_MASTER: Final = 48  # bytes (RFC 5246 8.1)
_BLOCK: Final = 16  # bytes of AES
_VERIFY: Final = 12  # bytes of verify_data (RFC 5246 7.4.9)
_GROUPS: Final = (0x001D, 0x0017, 0x0018)  # for ECDHE_PSK
_KEPT_LATE: Final = 16  # protected records that may come before their keys (DTLS has no order)
_NEXT: Final = {  # which message may follow which (RFC 4279 2)
    0: {messages.SERVER_HELLO, messages.HELLO_VERIFY},
    messages.HELLO_VERIFY: {messages.SERVER_HELLO},
    messages.SERVER_HELLO: {messages.KEY_EXCHANGE, messages.HELLO_DONE},
    messages.KEY_EXCHANGE: {messages.HELLO_DONE},
    messages.HELLO_DONE: {messages.NEW_TICKET, messages.FINISHED},
    messages.NEW_TICKET: {messages.FINISHED},
}


@dataclass(frozen=True)
class Suite:
    """One suite: its hash, its key size in bytes, its AEAD, and whether its nonce travels with each record.

    A CBC suite has the hash of its HMAC, `mac`, in place of an AEAD.
    """

    hash: str
    key_size: int
    aead: Callable[[bytes], Any] = AESGCM
    explicit: bool = True  # RFC 5288 3: four secret bytes and eight that are sent; ChaCha20 has twelve (RFC 7905 2)
    mac: str = ""

    @property
    def iv_size(self) -> int:
        """Return how many bytes of nonce come from the key block."""
        if self.mac:
            return 0
        return 4 if self.explicit else 12

    @property
    def mac_size(self) -> int:
        """Return the size of a MAC key in bytes, 0 for an AEAD."""
        return hashlib.new(self.mac).digest_size if self.mac else 0


def _ccm8(key: bytes) -> AESCCM:
    return AESCCM(key, tag_length=8)


_CHACHA: Final = Suite("sha256", 32, ChaCha20Poly1305, explicit=False)
SUITES: Final[Mapping[int, Suite]] = MappingProxyType(
    {
        0xC0A8: Suite("sha256", 16, _ccm8),
        0x00A8: Suite("sha256", 16, AESGCM),
        0x00A9: Suite("sha384", 32, AESGCM),
        0xC0A4: Suite("sha256", 16, AESCCM),
        0xC0A5: Suite("sha256", 32, AESCCM),
        0xC0A9: Suite("sha256", 32, _ccm8),
        0xCCAB: _CHACHA,
        0xD001: Suite("sha256", 16, AESGCM),
        0xD002: Suite("sha384", 32, AESGCM),
        0xD005: Suite("sha256", 16, AESCCM),
        0xD003: Suite("sha256", 16, _ccm8),
        0xCCAC: _CHACHA,
        0x00AE: Suite("sha256", 16, mac="sha256"),
        0x00AF: Suite("sha384", 32, mac="sha384"),
        0xC037: Suite("sha256", 16, mac="sha256"),
        0xC038: Suite("sha384", 32, mac="sha384"),
        0x008C: Suite("sha256", 16, mac="sha1"),
        0x008D: Suite("sha256", 32, mac="sha1"),
        0xC035: Suite("sha256", 16, mac="sha1"),
        0xC036: Suite("sha256", 32, mac="sha1"),
    }
)


def prf(digest: str, secret: bytes, label: bytes, seed: bytes, size: int) -> bytes:
    """Return TLS 1.2's pseudorandom function (RFC 5246 5)."""
    found, block = b"", label + seed
    while len(found) < size:
        block = hmac.digest(secret, block, digest)
        found += hmac.digest(secret, block + label + seed, digest)
    return found[:size]


def premaster(psk: bytes, other: bytes) -> bytes:
    """Return the premaster secret: `other` is the ECDH secret, or zeros as long as the key (RFC 4279 2, RFC 5489 2)."""
    return len(other).to_bytes(2) + other + len(psk).to_bytes(2) + psk


class Protection:
    """Protects or opens the records of one direction (RFC 5246 6.2.3.3, RFC 6347 4.1.2.1)."""

    def __init__(self, suite: Suite, key: bytes, iv: bytes) -> None:
        self._suite = suite
        self._aead = suite.aead(key)
        self._iv = iv

    def _nonce(self, number: bytes) -> bytes:
        if self._suite.explicit:
            return self._iv + number
        return (int.from_bytes(self._iv) ^ int.from_bytes(number)).to_bytes(12)

    def seal(self, kind: int, payload: bytes, version: int, number: bytes) -> bytes:
        """Return the protected payload of a record; `number` is its epoch and sequence number, eight bytes."""
        head = number + bytes([kind]) + version.to_bytes(2) + len(payload).to_bytes(2)
        sealed: bytes = self._aead.encrypt(self._nonce(number), payload, head)
        return (number if self._suite.explicit else b"") + sealed

    def open(self, record: Record, number: bytes) -> bytes:
        """Return the content of a protected record.

        Raises:
            DecryptionError: its tag does not verify.
        """
        data, nonce = record.payload, number
        if self._suite.explicit:
            nonce, data = data[:8], data[8:]
        size = max(0, len(data) - len(self._aead.encrypt(self._nonce(bytes(8)), b"", None)))
        head = number + bytes([record.kind]) + record.version.to_bytes(2) + size.to_bytes(2)
        try:
            found: bytes = self._aead.decrypt(self._nonce(nonce.rjust(8, b"\0")), data, head)
        except (InvalidTag, ValueError):
            raise DecryptionError("a protected record does not verify under the handshake's keys") from None
        return found


class CbcProtection:
    """The same for CBC (RFC 5246 6.2.3.2): the MAC inside what is encrypted, or over it (RFC 7366)."""

    def __init__(self, mac: tuple[str, bytes], key: bytes, random: Callable[[int], bytes], *, over: bool) -> None:
        self._digest, self._mac_key = mac
        self._size = hashlib.new(self._digest).digest_size
        self._key = key
        self._random = random
        self._over = over

    def _mac(self, head: bytes, data: bytes) -> bytes:
        return hmac.digest(self._mac_key, head + len(data).to_bytes(2) + data, self._digest)

    def _cipher(self, iv: bytes) -> Cipher[modes.CBC]:
        return Cipher(algorithms.AES(self._key), modes.CBC(iv))

    def seal(self, kind: int, payload: bytes, version: int, number: bytes) -> bytes:
        """Return the protected payload of a record."""
        head = number + bytes([kind]) + version.to_bytes(2)
        plain = payload if self._over else payload + self._mac(head, payload)
        fill = _BLOCK - 1 - len(plain) % _BLOCK
        iv = self._random(_BLOCK)
        encryptor = self._cipher(iv).encryptor()
        sealed = iv + encryptor.update(plain + bytes([fill]) * (fill + 1)) + encryptor.finalize()
        return sealed + self._mac(head, sealed) if self._over else sealed

    def open(self, record: Record, number: bytes) -> bytes:
        """Return the content of a protected record.

        Raises:
            DecryptionError: its MAC or its padding does not verify.
        """
        head, data = number + bytes([record.kind]) + record.version.to_bytes(2), record.payload
        if self._over:
            data, tag = data[: -self._size], data[-self._size :]
            _equal(tag, self._mac(head, data))
        if len(data) < 2 * _BLOCK or len(data) % _BLOCK:
            raise DecryptionError("a protected record has no whole blocks")
        decryptor = self._cipher(data[:_BLOCK]).decryptor()
        plain = decryptor.update(data[_BLOCK:]) + decryptor.finalize()
        fill = plain[-1]
        content, padding = plain[: -fill - 1], plain[-fill - 1 :]
        _equal(padding, bytes([fill]) * (fill + 1))
        if self._over:
            return content
        content, tag = content[: -self._size], content[-self._size :]
        _equal(tag, self._mac(head, content))
        return content


def _equal(one: bytes, other: bytes) -> None:
    if not hmac.compare_digest(one, other):
        raise DecryptionError("a protected record does not verify under the handshake's keys")


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """What to ask for: the key with its identity, and what the hello says beside it."""

    psk: PreSharedKey
    datagram: bool = False
    server_name: str = ""
    alpn: tuple[str, ...] = ()
    suites: tuple[int, ...] = tuple(SUITES)


class PskClient(OwnClient):
    """One handshake. `start` gives the first bytes, `feed` takes the server's (a datagram at a time) and gives ours."""

    def __init__(self, wanted: Wanted, random: Callable[[int], bytes]) -> None:
        super().__init__()
        self._wanted = wanted
        self._random = random
        self._datagram = wanted.datagram
        self._version = DTLS12 if wanted.datagram else messages.TLS12
        self._hello = Hello(
            versions=(self._version,),
            suites=(*wanted.suites, names.RENEGOTIATION_SCSV),
            random=random(32),
            groups=_GROUPS,
            schemes=tuple(names.MODERN_SCHEMES),
            server_name=wanted.server_name,
            alpn=wanted.alpn,
        )
        self._records = records.RecordReader()
        self._messages = records.DatagramMessageReader() if wanted.datagram else records.MessageReader()
        self._transcript = b""
        self._last = self._taken = self._made = 0  # the last message's kind; messages read and made
        self._sent = [0, 0]  # records of each epoch that were sent
        self._opened = 0  # protected records of a stream that were read
        self._changed = False  # the server's change_cipher_spec came (streams)
        self._flight: list[tuple[int, bytes, int]] = []  # kind, payload and epoch of each record
        self._late: list[Record] = []
        self._share: tuple[int, bytes] | None = None
        self._suite = SUITES[0x00A8]
        self._master = b""
        self._seal: Protection | CbcProtection | None = None
        self._open: Protection | CbcProtection | None = None

    def start(self) -> bytes:
        """Return the ClientHello."""
        return self._send([self._message(messages.CLIENT_HELLO, messages.client_hello(self._hello))])

    def retransmit(self) -> bytes:
        """Return DTLS's last flight again: its records get new numbers, so that none is taken for a replay."""
        return b"" if self.completed or not self._datagram else self._send(self._flight)

    def send(self, data: bytes) -> bytes:
        """Return application data as a record.

        Raises:
            HandshakeError: the handshake is not complete.
        """
        if not self.completed:
            raise HandshakeError("the handshake is not complete", ours=True)
        return self._record(records.DATA, data, 1)

    def close(self) -> bytes:
        """Return a close_notify, or before the handshake's end an alert that gives it up: one-session servers wait."""
        if self.completed:
            return self._record(records.ALERT, b"\1\0", 1)
        return self._record(records.ALERT, records.FATAL_CLOSE, 0)

    def _send(self, flight: list[tuple[int, bytes, int]]) -> bytes:
        self._flight = flight
        return b"".join(self._record(*item) for item in flight)

    def feed(self, data: bytes) -> bytes:
        """Take what the server sent; return what to send to it.

        Raises:
            FormatError: a record or message is damaged.
            CryptoError: a tag does not verify, or the server refused (`HandshakeError` with its alert).
        """
        read = records.read_datagram(data) if self._datagram else self._records.feed(data)
        return b"".join(self._take(record) for record in read)

    def _take(self, record: Record) -> bytes:
        if record.kind == records.CHANGE_CIPHER:
            self._changed = True
            return b""
        protected = record.epoch > 0 if self._datagram else self._changed
        if not protected:
            return self._content(record.kind, record.payload)
        if self._open is None:
            self._late = [*self._late, record][:_KEPT_LATE]
            return b""
        number = self._number(record)
        try:
            payload = self._open.open(record, number)
        except DecryptionError:
            if self._datagram:
                return b""  # DTLS drops what does not verify (RFC 6347 4.1.2.7)
            raise
        return self._content(record.kind, payload)

    def _number(self, record: Record) -> bytes:
        if self._datagram:
            return record.epoch.to_bytes(2) + record.sequence.to_bytes(6)
        self._opened += 1
        return (self._opened - 1).to_bytes(8)

    def _handshake(self, payload: bytes) -> bytes:
        return b"".join(self._handle(item) for item in self._messages.feed(payload))

    def _alert(self, payload: bytes) -> bytes:
        fatal, number = messages.alert(payload)
        if number == 0 and self.completed:
            self.closed = True
        elif fatal or number == 0:
            self.closed = True
            raise HandshakeError(f"the server answers {names.alert_name(number)}", alert=number)
        return b""

    def _handle(self, message: Message) -> bytes:
        self._taken += 1
        if self.completed:
            return b""  # HelloRequest: renegotiation is never done
        if message.kind not in _NEXT.get(self._last, set()):
            raise FormatError(f"message {message.kind} does not follow message {self._last}", field="handshake message")
        self._last = message.kind
        if message.kind == messages.HELLO_VERIFY:
            return self._again(messages.cookie(message.body))
        before = self._transcript
        self._transcript += self._raw(message.kind, message.body, self._taken - 1)
        self.session.take(message)
        if message.kind == messages.SERVER_HELLO:
            self._chosen()
        elif message.kind == messages.KEY_EXCHANGE:
            self._share = _ecdh(message.body, self.session)
        elif message.kind == messages.HELLO_DONE:
            return self._answer()
        elif message.kind == messages.FINISHED:
            self._finish(message.body, before)
        return b""

    def _again(self, cookie: bytes) -> bytes:
        """Return the hello with the cookie: the first one and the request are no part of the transcript."""
        self._hello = replace(self._hello, cookie=cookie)
        self._transcript = b""
        return self.start()

    def _chosen(self) -> None:
        hello = self.session.hello
        if hello is None or hello.version != self._version or hello.suite not in self._wanted.suites:
            raise HandshakeError("the server chooses another version or suite than those that were offered")
        self._suite = SUITES[hello.suite]

    def _answer(self) -> bytes:
        """Return our second flight: the identity (and our share), change_cipher_spec, Finished."""
        psk, hello = self._wanted.psk, self.session.hello
        if hello is None:
            raise FormatError("ServerHelloDone before ServerHello", field="handshake message")
        ephemeral = "_ECDHE_PSK_" in names.suite_name(hello.suite)
        if ephemeral is (self._share is None):
            raise FormatError("the server's key exchange does not fit its suite", field="ServerKeyExchange")
        name = psk.identity.encode()
        body, other = len(name).to_bytes(2) + name, bytes(len(psk.key))
        if self._share is not None:
            share = Share(self._share[0], self._random)
            other = share.secret(self._share[1])
            body += len(share.public).to_bytes(1) + share.public
        exchange = self._message(_CLIENT_KEY_EXCHANGE, body)
        self._keys(premaster(psk.key, other), hello)
        verify = self._verify_data(b"client finished", self._transcript)
        finished = self._message(messages.FINISHED, verify, epoch=1)
        flight = self._send([exchange, (records.CHANGE_CIPHER, b"\1", 0), finished])
        late, self._late = self._late, []
        return flight + b"".join(self._take(record) for record in late)

    def _keys(self, secret: bytes, hello: messages.ServerHello) -> None:
        suite, digest = self._suite, self._suite.hash
        if messages.EMS in hello.extensions:  # RFC 7627 4
            seed = hashlib.new(digest, self._transcript).digest()
            self._master = prf(digest, secret, b"extended master secret", seed, _MASTER)
        else:
            self._master = prf(digest, secret, b"master secret", self._hello.random + hello.random, _MASTER)
        sizes = [size for size in (suite.mac_size, suite.key_size, suite.iv_size) for _ in "cs"]
        block = prf(digest, self._master, b"key expansion", hello.random + self._hello.random, sum(sizes))
        parts = [block[at - size : at] for at, size in zip(itertools.accumulate(sizes), sizes, strict=True)]
        if suite.mac:  # of each kind the client's part comes first (RFC 5246 6.3)
            over = messages.ETM in hello.extensions
            self._seal = CbcProtection((suite.mac, parts[0]), parts[2], self._random, over=over)
            self._open = CbcProtection((suite.mac, parts[1]), parts[3], self._random, over=over)
        else:
            self._seal, self._open = Protection(suite, parts[2], parts[4]), Protection(suite, parts[3], parts[5])

    def _verify_data(self, label: bytes, transcript: bytes) -> bytes:
        digest = self._suite.hash
        return prf(digest, self._master, label, hashlib.new(digest, transcript).digest(), _VERIFY)

    def _finish(self, verify_data: bytes, before: bytes) -> None:
        if not hmac.compare_digest(verify_data, self._verify_data(b"server finished", before)):
            raise HandshakeError("the server's Finished does not verify")
        self.completed = True

    def _raw(self, kind: int, body: bytes, number: int) -> bytes:
        """Return a message as the transcript takes it: DTLS's has a number, and no fragments (RFC 6347 4.2.6)."""
        return records.datagram_message(kind, body, number) if self._datagram else records.message(kind, body)

    def _message(self, kind: int, body: bytes, *, epoch: int = 0) -> tuple[int, bytes, int]:
        raw = self._raw(kind, body, self._made)
        self._made += 1
        self._transcript += raw
        return records.HANDSHAKE, raw, epoch

    def _record(self, kind: int, payload: bytes, epoch: int) -> bytes:
        number = epoch.to_bytes(2) + self._sent[epoch].to_bytes(6) if self._datagram else self._sent[epoch].to_bytes(8)
        self._sent[epoch] += 1
        if epoch and self._seal is not None:
            payload = self._seal.seal(kind, payload, self._version, number)
        head = bytes([kind]) + self._version.to_bytes(2) + (number if self._datagram else b"")
        return head + len(payload).to_bytes(2) + payload


def _ecdh(body: bytes, session: Session) -> tuple[int, bytes] | None:
    """Return group and point of an ECDHE_PSK key exchange; None for plain PSK, whose message is the hint alone."""
    cursor = Cursor(body, "ServerKeyExchange")
    cursor.vector(2, "psk_identity_hint")
    if session.group is None:
        cursor.end()
        return None
    cursor.take(3, "curve")
    point = cursor.vector(1, "point")
    cursor.end()
    if session.group not in SUPPORTED:
        raise HandshakeError(f"the server's group {names.group_name(session.group)} was not offered")
    return session.group, point
