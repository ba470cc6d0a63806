"""A whole file as CMS EnvelopedData or AuthEnvelopedData (RFC 5652, RFC 5083): who can open it, and what is inside."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from typing import Final

from checker.crypto.cms import EnvelopedMessage, looks_like_envelope
from checker.crypto.keyring import KeyRing
from checker.errors import CryptoError, LimitError
from checker.formats import _common as common
from checker.io.limits import MAX_HEADER
from checker.io.sources import BytesSource
from checker.model.artifact import Encryption, Recipient, Source, Span, Weakness

WEAKNESSES: Final = (
    "digest-mismatch",
    "weak-key-transport",
    "unauthenticated-encryption",  # the caller leaves it out where a signature reaches the content
    "repeated-blocks",
    "biased-ciphertext",
    common.PRE_STANDARD_KEM,
)
UNAUTHENTICATED: Final = "unauthenticated-encryption"
TRAILING: Final = "trailing-data"
_TRANSPORT: Final = "rsa-pkcs1v15-transport"
_BEGINNING: Final = 32  # bytes: enough to tell the kind of a CMS message


@dataclass(frozen=True, kw_only=True)
class Envelope:
    """An encrypted message. `clear` is what it holds, where a given key opens it; else `note` says why not."""

    encryption: Encryption
    recipients: tuple[Recipient, ...]
    span: Span  # of the ciphertext in the file
    clear: Source | None = None
    note: str = ""
    weaknesses: tuple[Weakness, ...] = ()


def read_envelope(source: Source, ring: KeyRing, plaintext_sha256: str = "") -> Envelope | None:
    """Return the envelope that a file is, or None where it is something else.

    Args:
        source: the file.
        ring: keys to open it with.
        plaintext_sha256: what the description says of the plaintext, hex; CBC has no tag that could show it.

    Raises:
        FormatError: it begins like CMS and is damaged.
        LimitError: it has more than `MAX_HEADER` bytes: CMS is held in memory as a whole.
    """
    if not looks_like_envelope(source.read(0, _BEGINNING)):
        return None
    data = whole(source)
    return _opened(EnvelopedMessage.parse(data), data, ring, plaintext_sha256)


def whole(source: Source) -> bytes:
    """Return all bytes of a CMS file.

    Raises:
        LimitError: it has more than `MAX_HEADER`.
    """
    if source.size > MAX_HEADER:
        raise LimitError(f"{source.size} bytes of CMS, at most MAX_HEADER ({MAX_HEADER}) are read", field="CMS")
    return source.read(0, source.size)


def trailing(data: bytes) -> tuple[Weakness, ...]:
    """Return a weakness where bytes follow a message of definite length: a reader may take them for something."""
    octets = data[1] & 0x7F if data[1] & 0x80 else 0
    if data[1] == 0x80:  # noqa: PLR2004 - X.690 8.1.3.6: indefinite, the end is inside
        return ()
    length = int.from_bytes(data[2 : 2 + octets], "big") if octets else data[1]
    end = 2 + octets + length
    if len(data) <= end:
        return ()
    text = f"{len(data) - end} bytes follow the message, and nothing protects them"
    return (Weakness(code=TRAILING, message=text, where=str(Span(end, len(data)))),)


def place(data: bytes, content: bytes | None) -> Span:
    """Return where content lies in a message; the whole message where BER has cut it into pieces."""
    start = data.find(content) if content else -1
    return Span(start, start + len(content)) if content and start >= 0 else Span(0, len(data))


def _opened(message: EnvelopedMessage, data: bytes, ring: KeyRing, plaintext_sha256: str) -> Envelope:
    span = place(data, message.ciphertext)
    closed = Envelope(
        encryption=message.encryption,
        recipients=message.recipients,
        span=span,
        weaknesses=_weak(message, data, span),
    )
    try:
        found = message.open(ring)
    except CryptoError as error:
        return replace(closed, note=str(error))
    opened = replace(
        closed, encryption=found.encryption, recipients=found.recipients, clear=BytesSource("content", found.content)
    )
    return _compared(opened, found.content, plaintext_sha256.lower()) if plaintext_sha256 else opened


def _compared(envelope: Envelope, content: bytes, wanted: str) -> Envelope:
    """Return the envelope with its plaintext held against the declared digest."""
    if hashlib.sha256(content).hexdigest() == wanted:
        return replace(envelope, encryption=replace(envelope.encryption, decrypted=True))
    text = "the decrypted content does not have the SHA-256 that the description states"
    weakness = Weakness(code="digest-mismatch", message=text, where="content")
    return replace(
        envelope,
        encryption=replace(envelope.encryption, decrypted=False, note=text),
        weaknesses=(*envelope.weaknesses, weakness),
    )


def _weak(message: EnvelopedMessage, data: bytes, span: Span) -> tuple[Weakness, ...]:
    found = list(common.ciphertext_doubts(BytesSource("message", data), span, "ciphertext"))
    if any(item.algorithm == _TRANSPORT for item in message.recipients):
        text = "the content key is wrapped by RSA PKCS#1 v1.5, which leaks it to whoever can ask for decryptions"
        found.append(Weakness(code="weak-key-transport", message=text, where="recipients"))
    if not message.mac:
        text = f"{message.cipher} has no tag: a changed ciphertext decrypts to something, unless a signature covers it"
        found.append(Weakness(code=UNAUTHENTICATED, message=text, where="ciphertext"))
    return (*found, *common.recipient_weaknesses(message.recipients))
