"""LMS and its hierarchy HSS (RFC 8554, SP 800-208): verification over SHA-256 and SHAKE256, 32 and 24 bytes.

A key whose tree and one-time signatures use different hashes is not read: SP 800-208 section 4 demands the same.
"""

from __future__ import annotations

import hashlib
import hmac
import itertools
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from checker.crypto.hash_based._parts import Bytes, Prehash, digits
from checker.errors import FormatError, InvalidSignatureError
from checker.model.artifact import OneTimeKey

MAX_LEVELS: Final = 8  # RFC 8554 section 6
_ID: Final = 16  # bytes of I
_BLOCK, _MESSAGE, _LEAF, _INNER = b"\x80\x80", b"\x81\x81", b"\x82\x82", b"\x83\x83"  # RFC 8554 3.1.2: D_PBLK ...
_STEPS: Final = tuple(bytes([step]) for step in range(256))  # u8str of a chain's step, made once
_HEIGHTS: Final = (5, 10, 15, 20, 25)
# (hash, bytes of output) in the order in which SP 800-208 section 4 numbers them, from 5 (LMS) and 1 (LM-OTS) on.
_FAMILIES: Final = (("sha-256", 32), ("sha-256", 24), ("shake256", 32), ("shake256", 24))
_TREES: Final = {
    5 + place * 5 + step: (hash_name, size, height)
    for place, (hash_name, size) in enumerate(_FAMILIES)
    for step, height in enumerate(_HEIGHTS)
}
_ONE_TIME: Final = {
    1 + place * 4 + step: (hash_name, size, width)
    for place, (hash_name, size) in enumerate(_FAMILIES)
    for step, width in enumerate((1, 2, 4, 8))
}
# RFC 8554 table 1 and SP 800-208 tables 3 to 8: (n, w) -> (number of chains p, left shift of the checksum ls).
_CHAINS: Final = {
    (32, 1): (265, 7),
    (32, 2): (133, 6),
    (32, 4): (67, 4),
    (32, 8): (34, 0),
    (24, 1): (200, 8),
    (24, 2): (101, 6),
    (24, 4): (51, 4),
    (24, 8): (26, 0),
}


@dataclass(frozen=True)
class Key:
    """An LMS public key (RFC 8554 5.3); `levels` is HSS's number of trees, 0 for a bare LMS key."""

    tree: int
    one_time: int
    identifier: bytes
    root: bytes = field(repr=False)
    levels: int = 0

    @property
    def hash(self) -> str:
        """Return the hash, an id of the algorithm table."""
        return _TREES[self.tree][0]

    @property
    def size(self) -> int:
        """Return the bytes of a hash value, m and n."""
        return _TREES[self.tree][1]

    @property
    def height(self) -> int:
        """Return the tree's height h."""
        return _TREES[self.tree][2]

    @property
    def width(self) -> int:
        """Return the Winternitz parameter w in bits."""
        return _ONE_TIME[self.one_time][2]


@dataclass(frozen=True)
class _Signature:
    """One LMS signature (RFC 8554 5.4) under a key; `raw` is the one-time signature inside."""

    key: Key
    index: int
    randomizer: bytes
    chains: list[bytes]
    path: list[bytes]
    raw: bytes

    @property
    def prefix(self) -> bytes:
        return self.key.identifier + self.index.to_bytes(4, "big") + _MESSAGE + self.randomizer


def public_key(raw: bytes) -> Key:
    """Return the HSS public key of its bytes, `u32str(L) || LMS public key` (RFC 8554 section 6.1).

    Raises:
        FormatError: it is none.
    """
    levels = int.from_bytes(raw[:4], "big")
    if not 1 <= levels <= MAX_LEVELS:
        raise FormatError(f"{levels} levels, HSS has 1 to {MAX_LEVELS}", field="HSS public key")
    return tree_key(raw[4:], levels)


def tree_key(raw: bytes, levels: int = 0) -> Key:
    """Return the LMS public key of its bytes, `type || otstype || I || T[1]` (RFC 8554 section 5.3).

    Raises:
        FormatError: it is none, or its two hashes differ.
    """
    tree, one_time = int.from_bytes(raw[:4], "big"), int.from_bytes(raw[4:8], "big")
    if tree not in _TREES or one_time not in _ONE_TIME:
        raise FormatError(f"unknown parameter sets {tree:#x} and {one_time:#x}", field="LMS public key")
    if _TREES[tree][:2] != _ONE_TIME[one_time][:2]:
        raise FormatError("tree and one-time signature use different hashes", field="LMS public key")
    size = _TREES[tree][1]
    if len(raw) != 8 + _ID + size:
        raise FormatError(f"has {8 + _ID + size} bytes, here are {len(raw)}", field="LMS public key")
    return Key(tree, one_time, raw[8 : 8 + _ID], raw[8 + _ID :], levels)


def _signatures(key: Key, signature: bytes) -> list[_Signature]:
    """Return the signatures from the top tree down; each but the last signs the next one's public key."""
    data = Bytes(signature, "HSS" if key.levels else "LMS")
    below = data.number() if key.levels else 0
    if key.levels and below != key.levels - 1:
        raise InvalidSignatureError(f"the signature is of {below + 1} levels, the key of {key.levels}")
    found = []
    for _ in range(below):
        found.append(_one(key, data))
        key = _child(data)
    found.append(_one(key, data))
    data.end()
    return found


def _one(key: Key, data: Bytes) -> _Signature:
    index = data.number()
    kind, randomizer = data.number(), data.take(key.size)
    if kind != key.one_time:
        raise InvalidSignatureError(f"the one-time signature is of type {kind:#x}, the key of {key.one_time:#x}")
    count = _CHAINS[key.size, key.width][0]
    chains = data.blocks(count, key.size)
    tree = data.number()
    if tree != key.tree or index >> key.height:
        raise InvalidSignatureError(
            "the signature is of another kind of tree, or of a leaf that the tree does not have"
        )
    raw = randomizer + b"".join(chains)
    return _Signature(key, index, randomizer, chains, data.blocks(key.height, key.size), raw)


def _child(data: Bytes) -> Key:
    head = data.take(8 + _ID)
    tree = _TREES.get(int.from_bytes(head[:4], "big"))
    try:
        return tree_key(head + data.take(tree[1] if tree else 0))
    except FormatError as error:
        raise InvalidSignatureError(f"a tree below the first: {error}") from error


def _encoded(key: Key) -> bytes:
    return key.tree.to_bytes(4, "big") + key.one_time.to_bytes(4, "big") + key.identifier + key.root


def _hasher(key: Key) -> Callable[[bytes], bytes]:
    size = key.size
    if key.hash == "shake256":
        return lambda data: hashlib.shake_256(data).digest(size)
    if size == hashlib.sha256().digest_size:
        return lambda data: hashlib.sha256(data).digest()
    return lambda data: hashlib.sha256(data).digest()[:size]


def prehash(key: Key, signature: bytes) -> Prehash:
    """Return what the last tree's one-time signature hashes: `I || q || D_MESG || C` before the message (4.5).

    Raises:
        InvalidSignatureError: the signature is not of this key's form.
    """
    last = _signatures(key, signature)[-1]
    return Prehash(last.key.hash, last.prefix)


def verify(key: Key, signature: bytes, digest: bytes) -> None:
    """Verify an LMS or HSS signature (RFC 8554 algorithms 6a and 4b, section 6.3) by the digest that `prehash` names.

    Raises:
        InvalidSignatureError: it does not verify.
    """
    found = _signatures(key, signature)
    for above, below in itertools.pairwise(found):
        _verify(above, _hasher(above.key)(above.prefix + _encoded(below.key)))
    _verify(found[-1], digest[: found[-1].key.size])


def _verify(signature: _Signature, digest: bytes) -> None:
    if not hmac.compare_digest(_root(signature, _one_time_key(signature, digest)), signature.key.root):
        raise InvalidSignatureError("the signature does not verify")


def _one_time_key(signature: _Signature, digest: bytes) -> bytes:
    """Return the one-time public key that a signature over this digest is of (RFC 8554 algorithm 4b)."""
    key, hashed = signature.key, _hasher(signature.key)
    width, (count, shift) = key.width, _CHAINS[key.size, key.width]
    last = (1 << width) - 1
    checksum = sum(last - digit for digit in digits(digest, width, key.size * 8 // width))
    whole = digest + (checksum << shift).to_bytes(2, "big")
    start = key.identifier + signature.index.to_bytes(4, "big")
    ends = []
    for place, (digit, value) in enumerate(zip(digits(whole, width, count), signature.chains, strict=True)):
        head = start + place.to_bytes(2, "big")
        for step in range(digit, last):
            value = hashed(head + _STEPS[step] + value)  # noqa: PLW2901 - the walk along one chain
        ends.append(value)
    return hashed(start + _BLOCK + b"".join(ends))


def _root(signature: _Signature, one_time_key: bytes) -> bytes:
    key, hashed = signature.key, _hasher(signature.key)
    node = (1 << key.height) + signature.index
    value = hashed(key.identifier + node.to_bytes(4, "big") + _LEAF + one_time_key)
    for beside in signature.path:
        pair = beside + value if node & 1 else value + beside
        node >>= 1
        value = hashed(key.identifier + node.to_bytes(4, "big") + _INNER + pair)
    return value


def one_time(key: Key, signature: bytes) -> tuple[OneTimeKey, ...]:
    """Return the one-time keys that a verified signature used, the one over the message last.

    Raises:
        InvalidSignatureError: the signature is not of this key's form.
    """
    return tuple(
        OneTimeKey(
            scheme="lms",
            owner=each.key.identifier.hex(),
            index=each.index,
            used=hashlib.sha256(each.raw).hexdigest(),
        )
        for each in _signatures(key, signature)
    )


def fits(key: Key, size: int) -> bool:
    """Return whether a signature of this key can have this size in bytes; below the first tree any set is possible."""
    own = 12 + key.size * (1 + _CHAINS[key.size, key.width][0] + key.height)
    return size == own if not key.levels else size == own + 4 if key.levels == 1 else size > own
