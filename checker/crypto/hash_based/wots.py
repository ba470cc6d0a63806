"""WOTS+, the one-time scheme of RFC 8391 section 3 with the sets of SP 800-208; the Winternitz parameter w is 16.

XMSS is built on it. For a bare WOTS+ signature the RFC has no file form, so this is what is read here:

* public key: the OID of the set as four bytes (RFC 8391 8.1, SP 800-208 5), SEED (n bytes), then the `len` chain ends;
* signature: the `len` chain values (RFC 8391 3.1.5), under an address of zeros;
* the message is hashed with the set's own hash, cut to n bytes.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final

from checker.crypto.hash_based._parts import Bytes, Prehash, digits
from checker.errors import FormatError, InvalidSignatureError
from checker.model.artifact import OneTimeKey

ADDRESS: Final = 32  # bytes of an address (RFC 8391 2.5)
_WIDTH, _LAST = 4, 15  # bits of a digit for w = 16, and its largest value
Address = bytearray


@dataclass(frozen=True)
class Parameters:
    """A hash function with its output in bytes, and how wide the numbers are that keep its uses apart (`padding`)."""

    hash: str
    size: int
    padding: int

    @property
    def count(self) -> int:
        """Return the number of chains, `len` (RFC 8391 3.1.1): digits of the digest, and three of the checksum."""
        return self.size * 2 + 3

    def hasher(self) -> Callable[[bytes], bytes]:
        """Return the hash function, cut to `size` bytes."""
        size = self.size
        if self.hash == "shake128":
            return lambda data: hashlib.shake_128(data).digest(size)
        if self.hash == "shake256":
            return lambda data: hashlib.shake_256(data).digest(size)
        if self.hash == "sha-512":
            return lambda data: hashlib.sha512(data).digest()
        return lambda data: hashlib.sha256(data).digest()[:size]


SHA2_256: Final = Parameters("sha-256", 32, 32)
SHA2_512: Final = Parameters("sha-512", 64, 64)
SHAKE_256: Final = Parameters("shake128", 32, 32)  # RFC 8391 names it after its output, not after SHAKE128
SHAKE_512: Final = Parameters("shake256", 64, 64)
SHA2_192: Final = Parameters("sha-256", 24, 4)
SHAKE256_256: Final = Parameters("shake256", 32, 32)
SHAKE256_192: Final = Parameters("shake256", 24, 4)
_SETS: Final = dict(
    enumerate((SHA2_256, SHA2_512, SHAKE_256, SHAKE_512, SHA2_192, SHAKE256_256, SHAKE256_192), start=1)
)


class Functions:
    """The keyed hash functions of RFC 8391 5.1 and SP 800-208 5.2 to 5.4 under one public seed."""

    def __init__(self, parameters: Parameters, seed: bytes) -> None:
        self.parameters = parameters
        self.hash = parameters.hasher()
        pad = parameters.padding
        self._f, self._h, self._prf = (
            b"\0".rjust(pad, b"\0"),
            b"\1".rjust(pad, b"\0"),
            b"\3".rjust(pad, b"\0") + seed,
        )

    def _key(self, address: Address, use: int) -> bytes:
        address[31] = use  # keyAndMask
        return self.hash(self._prf + address)

    def chain(self, value: bytes, start: int, steps: int, address: Address) -> bytes:
        """Return a chain's value some steps on (RFC 8391 algorithm 2)."""
        for step in range(start, start + steps):
            address[27] = step  # the hash address: w is 16, so that its low byte holds it
            key = self._key(address, 0)
            value = self.hash(self._f + key + _xor(value, self._key(address, 1)))
        return value

    def pair(self, left: bytes, right: bytes, address: Address) -> bytes:
        """Return the randomised hash of two nodes (RFC 8391 algorithm 7, RAND_HASH)."""
        key = self._key(address, 0)
        masked = _xor(left + right, self._key(address, 1) + self._key(address, 2))
        return self.hash(self._h + key + masked)

    def ends(self, digest: bytes, chains: Sequence[bytes], address: Address) -> list[bytes]:
        """Return the public key's chain ends that a signature over a digest leads to (RFC 8391 algorithm 6)."""
        ends = []
        for place, (digit, value) in enumerate(zip(message_digits(digest), chains, strict=True)):
            address[20:24] = place.to_bytes(4, "big")
            ends.append(self.chain(value, digit, _LAST - digit, address))
        return ends


def _xor(one: bytes, two: bytes) -> bytes:
    return (int.from_bytes(one, "big") ^ int.from_bytes(two, "big")).to_bytes(len(one), "big")


def message_digits(digest: bytes) -> list[int]:
    """Return the digits of a digest and of its checksum (RFC 8391 algorithm 5)."""
    found = digits(digest, _WIDTH, len(digest) * 2)
    checksum = sum(_LAST - digit for digit in found) << _WIDTH  # three digits, moved to the top of two bytes
    return found + digits(checksum.to_bytes(2, "big"), _WIDTH, 3)


@dataclass(frozen=True)
class Key:
    """A bare WOTS+ public key."""

    parameters: Parameters
    seed: bytes = field(repr=False)
    ends: bytes = field(repr=False)

    @property
    def hash(self) -> str:
        """Return the hash, an id of the algorithm table."""
        return self.parameters.hash


def public_key(raw: bytes) -> Key:
    """Return the public key of its bytes.

    Raises:
        FormatError: the set is unknown or the length is not that of the set.
    """
    parameters = _SETS.get(int.from_bytes(raw[:4], "big"))
    if parameters is None:
        raise FormatError(f"unknown parameter set {raw[:4].hex()}", field="WOTS+ public key")
    size, count = parameters.size, parameters.count
    if len(raw) != 4 + size * (1 + count):
        raise FormatError(f"has {4 + size * (1 + count)} bytes, here are {len(raw)}", field="WOTS+ public key")
    return Key(parameters, raw[4 : 4 + size], raw[4 + size :])


def prehash(key: Key, signature: bytes) -> Prehash:  # noqa: ARG001 - the same shape as the other schemes
    """Return the hash of the set, over the message alone."""
    return Prehash(key.hash)


def verify(key: Key, signature: bytes, digest: bytes) -> None:
    """Verify a bare WOTS+ signature over a digest.

    Raises:
        InvalidSignatureError: it does not verify.
    """
    size, count = key.parameters.size, key.parameters.count
    data = Bytes(signature, "WOTS+")
    chains = data.blocks(count, size)
    data.end()
    found = Functions(key.parameters, key.seed).ends(digest[:size], chains, Address(ADDRESS))
    if not hmac.compare_digest(b"".join(found), key.ends):
        raise InvalidSignatureError("the signature does not verify")


def one_time(key: Key, signature: bytes) -> tuple[OneTimeKey, ...]:
    """Return the one key that there is."""
    owner = hashlib.sha256(key.seed + key.ends).hexdigest()
    return (OneTimeKey(scheme="wots", owner=owner, index=0, used=hashlib.sha256(signature).hexdigest()),)


def fits(key: Key, size: int) -> bool:
    """Return whether a signature of this key can have this size in bytes."""
    return size == key.parameters.size * key.parameters.count
