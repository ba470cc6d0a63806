"""Ciphertext that a COSE_Encrypt or COSE_Encrypt0 is about: its recipients, its content key, its plaintext."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Final

from checker.crypto import cose_encryption as encryption
from checker.crypto.cose import Message
from checker.crypto.keyring import KeyRing
from checker.errors import CryptoError, FormatError
from checker.io.digests import digest
from checker.io.limits import MAX_HEADER
from checker.model.artifact import Encryption, KeyFacts, Recipient, Source, Span

SUIT_CONTEXT: Final = b"SUIT Payload Encryption"  # SuppPubInfo.other, draft-ietf-suit-firmware-encryption-26, 6.1.2


@dataclass(frozen=True)
class Opened:
    """What is known of a ciphertext. `plaintext` is None where it could not be reached.

    `refused`: the content key is certain, since a key wrap said so, and the ciphertext is not one of that key.
    """

    encryption: Encryption
    recipients: tuple[Recipient, ...]
    plaintext: Source | None = field(default=None, repr=False)
    refused: bool = False


def open_ciphertext(message: Message, ciphertext: Source | None, ring: KeyRing) -> Opened:
    """Return what a message says of a ciphertext (None: it lies elsewhere), decrypted where a declared key opens it."""
    facts = _facts(message)
    try:
        wanted = encryption.wanted_key(message)
    except (CryptoError, FormatError) as error:
        return Opened(replace(facts, note=str(error)), ())
    keys, recipients = _keys(message, wanted, ring)
    if ciphertext is None:
        return Opened(_known(facts, keys[0] if len(keys) == 1 else None), recipients)
    return _decrypted(message, ciphertext, facts, keys, recipients)


def _facts(message: Message) -> Encryption:
    try:
        algorithm = encryption.content_algorithm(message)
        iv = encryption.nonce(message).hex()
    except (CryptoError, FormatError) as error:
        return Encryption(encrypted=True, note=str(error))
    return Encryption(
        encrypted=True,
        cipher=algorithm.cipher,
        mode=algorithm.mode,
        key_bits=algorithm.bits,
        nonce=iv,
        tag_bits=algorithm.tag * 8 or None,
        authenticated=True if algorithm.authenticated else None,
    )


def _known(facts: Encryption, key: bytes | None) -> Encryption:
    return facts if key is None else replace(facts, content_key_digest=digest("sha-256", key).hex())


def _keys(
    message: Message, wanted: encryption.Wanted, ring: KeyRing
) -> tuple[tuple[bytes, ...], tuple[Recipient, ...]]:
    """Return the content keys to try and the recipients; COSE_Encrypt0 has a key that both sides hold already."""
    if message.kind == "Encrypt0":
        keys = tuple(key.secret for key in ring.secrets if len(key.secret) * 8 == wanted.bits)
        bits = wanted.bits
        return keys, (
            Recipient(algorithm="pre-shared", key=KeyFacts(id=message.headers.key_id, algorithm="aes", bits=bits)),
        )
    opened = [
        encryption.open_recipient(recipient, wanted, ring, (SUIT_CONTEXT, None)) for recipient in message.recipients
    ]
    return tuple(key for keys, _ in opened for key in keys), tuple(recipient for _, recipient in opened)


def _decrypted(
    message: Message, ciphertext: Source, facts: Encryption, keys: tuple[bytes, ...], recipients: tuple[Recipient, ...]
) -> Opened:
    note = "" if keys else "encrypted: needs the decryption key"
    for key in keys:
        try:
            plaintext = encryption.decrypt(message, key, ciphertext, Span(0, ciphertext.size))
        except (CryptoError, FormatError) as error:
            note = str(error)
            continue
        checked = tuple(replace(each, unwrapped=True) if len(recipients) == 1 else each for each in recipients)
        proved = True if facts.authenticated and ciphertext.size <= MAX_HEADER else None  # by the tag
        return Opened(replace(_known(facts, key), decrypted=proved), checked, plaintext)
    certain = any(recipient.unwrapped for recipient in recipients)
    return Opened(replace(facts, decrypted=False if keys else None, note=note), recipients, refused=certain)
