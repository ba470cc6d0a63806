"""Lamport's one-time signature over SHA-256 or SHA3-256 (L. Lamport, SRI CSL-98, 1979).

No standard fixes a file form. What is read here is the plain one that the literature describes:

* public key: 512 hash values of 32 bytes, for each of the 256 bits of the digest (the most significant bit of its first
  byte first) the value for 0 and then the value for 1: 16,384 bytes;
* signature: for each bit, in the same order, the secret value whose hash is the public one: 8,192 bytes.

The same hash makes the message's digest and the public values. The bytes do not name it, so both hashes are tried.
"""

from __future__ import annotations

import hashlib
import hmac
from dataclasses import dataclass, field
from typing import Final

from checker.crypto.hash_based._parts import Bytes, Prehash, digits
from checker.errors import FormatError, InvalidSignatureError, UnsupportedAlgorithmError
from checker.model.artifact import OneTimeKey

HASHES: Final = {"sha-256": hashlib.sha256, "sha3-256": hashlib.sha3_256}
_SIZE: Final = 32  # bytes of a hash value
_BITS: Final = _SIZE * 8
KEY_SIZE: Final = 2 * _BITS * _SIZE
SIGNATURE_SIZE: Final = _BITS * _SIZE


@dataclass(frozen=True)
class Key:
    """A public key: for each bit the values for 0 and 1, one after the other."""

    values: bytes = field(repr=False)


def public_key(raw: bytes) -> Key:
    """Return the public key of its bytes.

    Raises:
        FormatError: it has another length.
    """
    if len(raw) != KEY_SIZE:
        raise FormatError(f"has {KEY_SIZE} bytes, here are {len(raw)}", field="Lamport public key")
    return Key(raw)


def prehash(key: Key, signature: bytes, hash_name: str) -> Prehash:  # noqa: ARG001 - the shape of the other schemes
    """Return the hash, over the message alone."""
    return Prehash(hash_name)


def verify(key: Key, signature: bytes, digest: bytes, hash_name: str) -> None:
    """Verify a signature over a digest.

    Raises:
        InvalidSignatureError: it does not verify.
        UnsupportedAlgorithmError: the hash is neither SHA-256 nor SHA3-256.
    """
    if hash_name not in HASHES:
        raise UnsupportedAlgorithmError(f"Lamport signatures over {hash_name or 'no hash'!r} are not verified here")
    hashed = HASHES[hash_name]
    data = Bytes(signature, "Lamport")
    secrets = data.blocks(_BITS, _SIZE)
    data.end()
    if len(digest) != _SIZE:
        raise InvalidSignatureError(f"a {hash_name} digest has {_SIZE} bytes, here are {len(digest)}")
    places = (2 * place + bit for place, bit in enumerate(digits(digest, 1, _BITS)))
    wanted = b"".join(key.values[place * _SIZE : (place + 1) * _SIZE] for place in places)
    if not hmac.compare_digest(b"".join(hashed(secret).digest() for secret in secrets), wanted):
        raise InvalidSignatureError("the signature does not verify")


def one_time(key: Key, signature: bytes) -> tuple[OneTimeKey, ...]:
    """Return the one key that there is."""
    used = hashlib.sha256(signature).hexdigest()
    return (OneTimeKey(scheme="lamport", owner=hashlib.sha256(key.values).hexdigest(), index=0, used=used),)


def fits(key: Key, size: int) -> bool:  # noqa: ARG001 - the shape of the other schemes
    """Return whether a signature of this key can have this size in bytes."""
    return size == SIGNATURE_SIZE
