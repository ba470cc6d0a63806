"""SLH-DSA (FIPS 205): verification of all twelve parameter sets, pure and pre-hash, with a context.

Only signing needs the message twice; verification hashes it once, so that a file of any size is verified from a digest.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final

from checker.crypto.hash_based._parts import Bytes, Prehash, digits
from checker.errors import FormatError, InvalidSignatureError

_WIDTH, _LAST = 4, 15  # lg_w of every set (FIPS 205 table 2), and the largest digit
_WOTS_HASH, _WOTS_PK, _TREE, _FORS_TREE, _FORS_ROOTS = 0, 1, 2, 3, 4  # FIPS 205 table 1: types of addresses
_CATEGORY_1: Final = 16  # bytes: larger values of n use SHA-512 beside SHA-256 (FIPS 205 11.2.2)


@dataclass(frozen=True)
class Parameters:
    """A line of FIPS 205 table 2."""

    hash: str  # sha2 or shake
    n: int
    height: int  # h
    layers: int  # d
    fors_height: int  # a
    fors_trees: int  # k
    digest: int  # m, in bytes

    @property
    def low(self) -> int:
        """Return the height of one tree, h'."""
        return self.height // self.layers

    @property
    def count(self) -> int:
        """Return the number of one-time chains, `len`."""
        return 2 * self.n + 3

    @property
    def size(self) -> int:
        """Return the bytes of a signature."""
        return self.n * (1 + self.fors_trees * (1 + self.fors_height) + self.height + self.layers * self.count)

    @property
    def message_hash(self) -> str:
        """Return the hash over the message, an id of the algorithm table."""
        if self.hash == "shake":
            return "shake256"
        return "sha-256" if self.n == _CATEGORY_1 else "sha-512"


_SHAPES: Final = {
    "128s": (16, 63, 7, 12, 14, 30),
    "128f": (16, 66, 22, 6, 33, 34),
    "192s": (24, 63, 7, 14, 17, 39),
    "192f": (24, 66, 22, 8, 33, 42),
    "256s": (32, 64, 8, 14, 22, 47),
    "256f": (32, 68, 17, 9, 35, 49),
}
SETS: Final = {
    f"slh-dsa-{hash_name}-{name}": Parameters(hash_name, *shape)
    for hash_name in ("sha2", "shake")
    for name, shape in _SHAPES.items()
}


@dataclass(frozen=True)
class Key:
    """A public key: PK.seed and PK.root (FIPS 205 figure 15)."""

    parameters: Parameters
    seed: bytes = field(repr=False)
    root: bytes = field(repr=False)


def public_key(name: str, raw: bytes) -> Key:
    """Return the public key of its bytes; `name` is the set, `slh-dsa-sha2-128s` and so on.

    Raises:
        FormatError: its length is not that of the set.
    """
    parameters = SETS[name]
    if len(raw) != 2 * parameters.n:
        raise FormatError(f"has {2 * parameters.n} bytes, here are {len(raw)}", field=f"{name} public key")
    return Key(parameters, raw[: parameters.n], raw[parameters.n :])


def _parse(key: Key, signature: bytes) -> tuple[bytes, Bytes]:
    size = key.parameters.size
    if len(signature) != size:
        raise InvalidSignatureError(f"the signature has {size} bytes, here are {len(signature)}")
    data = Bytes(signature, "SLH-DSA")
    return data.take(key.parameters.n), data


def prehash(key: Key, signature: bytes) -> Prehash:
    """Return the inner hash of H_msg: `R || PK.seed || PK.root` before M' (FIPS 205 11.1 and 11.2).

    Raises:
        InvalidSignatureError: the signature does not have the set's length.
    """
    randomizer, _ = _parse(key, signature)
    return Prehash(key.parameters.message_hash, randomizer + key.seed + key.root)


def _message_digest(key: Key, randomizer: bytes, digest: bytes) -> bytes:
    """Return H_msg, m bytes, from the digest that `prehash` names."""
    parameters = key.parameters
    if parameters.hash == "shake":
        return digest[: parameters.digest]
    hashed = hashlib.sha256 if parameters.message_hash == "sha-256" else hashlib.sha512
    seed, made = randomizer + key.seed + digest, b""
    for counter in range(-(-parameters.digest // len(digest))):  # MGF1 (RFC 8017 B.2.1)
        made += hashed(seed + counter.to_bytes(4, "big")).digest()
    return made[: parameters.digest]


class _Functions:
    """F, H and T_l under one public seed (FIPS 205 11.1 and 11.2). Addresses have 32 bytes, compressed 22."""

    def __init__(self, key: Key) -> None:
        n = key.parameters.n
        self.compressed = key.parameters.hash == "sha2"
        self.short: Callable[[bytes], bytes]
        self.long: Callable[[bytes], bytes]
        if self.compressed:
            small, large = hashlib.sha256(key.seed.ljust(64, b"\0")), hashlib.sha512(key.seed.ljust(128, b"\0"))
            self.short = _started(small, n)
            self.long = self.short if n == _CATEGORY_1 else _started(large, n)
        else:
            seed = key.seed
            self.short = self.long = lambda data: hashlib.shake_256(seed + data).digest(n)

    def address(self, layer: int, tree: int, kind: int, pair: int) -> bytes:
        """Return the beginning of an address: everything but its last two words (FIPS 205 4.2 and 11.2)."""
        if self.compressed:
            return bytes([layer]) + tree.to_bytes(8, "big") + bytes([kind]) + pair.to_bytes(4, "big")
        return layer.to_bytes(4, "big") + tree.to_bytes(12, "big") + kind.to_bytes(4, "big") + pair.to_bytes(4, "big")


def _started(begun: hashlib._Hash, size: int) -> Callable[[bytes], bytes]:
    def hashed(data: bytes) -> bytes:
        running = begun.copy()
        running.update(data)
        return running.digest()[:size]

    return hashed


def _words(first: int, second: int) -> bytes:
    return first.to_bytes(4, "big") + second.to_bytes(4, "big")


def verify(key: Key, signature: bytes, digest: bytes) -> None:
    """Verify a signature (FIPS 205 algorithm 20) by the digest that `prehash` names.

    Raises:
        InvalidSignatureError: it does not verify.
    """
    parameters, functions = key.parameters, _Functions(key)
    randomizer, data = _parse(key, signature)
    hashed = _message_digest(key, randomizer, digest)
    split = -(-parameters.fors_height * parameters.fors_trees // 8)
    above, low = parameters.height - parameters.low, parameters.low
    tree_size, leaf_size = -(-above // 8), -(-low // 8)
    tree = int.from_bytes(hashed[split : split + tree_size], "big") & (1 << above) - 1
    leaf = int.from_bytes(hashed[split + tree_size : split + tree_size + leaf_size], "big") & (1 << low) - 1
    node = _fors(parameters, functions, data, hashed[:split], (tree, leaf))
    for layer in range(parameters.layers):
        node = _tree(parameters, functions, data, node, (layer, tree, leaf))
        leaf, tree = tree & (1 << low) - 1, tree >> low
    if not hmac.compare_digest(node, key.root):
        raise InvalidSignatureError("the signature does not verify")


def _fors(parameters: Parameters, functions: _Functions, data: Bytes, digest: bytes, place: tuple[int, int]) -> bytes:
    """Return the FORS public key (FIPS 205 algorithm 17)."""
    tree, leaf = place
    head, height = functions.address(0, tree, _FORS_TREE, leaf), parameters.fors_height
    roots = []
    for number, index in enumerate(digits(digest, height, parameters.fors_trees)):
        at = (number << height) + index
        node = functions.short(head + _words(0, at) + data.take(parameters.n))
        roots.append(_climb(functions, head, node, at, data.blocks(height, parameters.n)))
    return functions.long(functions.address(0, tree, _FORS_ROOTS, leaf) + _words(0, 0) + b"".join(roots))


def _climb(functions: _Functions, head: bytes, node: bytes, at: int, path: Sequence[bytes]) -> bytes:
    for height, beside in enumerate(path, start=1):
        pair = beside + node if at & 1 else node + beside
        at >>= 1
        node = functions.long(head + _words(height, at) + pair)
    return node


def _tree(
    parameters: Parameters, functions: _Functions, data: Bytes, message: bytes, place: tuple[int, int, int]
) -> bytes:
    """Return the root of one XMSS tree (FIPS 205 algorithms 8 and 11)."""
    layer, tree, leaf = place
    n, count = parameters.n, parameters.count
    head = functions.address(layer, tree, _WOTS_HASH, leaf)
    ends = []
    for chain, (digit, value) in enumerate(zip(_digits(message), data.blocks(count, n), strict=True)):
        for step in range(digit, _LAST):
            value = functions.short(head + _words(chain, step) + value)  # noqa: PLW2901 - the walk along one chain
        ends.append(value)
    node = functions.long(functions.address(layer, tree, _WOTS_PK, leaf) + _words(0, 0) + b"".join(ends))
    return _climb(functions, functions.address(layer, tree, _TREE, 0), node, leaf, data.blocks(parameters.low, n))


def _digits(message: bytes) -> list[int]:
    found = digits(message, _WIDTH, 2 * len(message))
    checksum = sum(_LAST - digit for digit in found) << _WIDTH
    return found + digits(checksum.to_bytes(2, "big"), _WIDTH, 3)
