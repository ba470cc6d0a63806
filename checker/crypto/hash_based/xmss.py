"""XMSS and XMSS^MT (RFC 8391, SP 800-208): verification of every registered parameter set."""

from __future__ import annotations

import hashlib
import hmac
from dataclasses import dataclass, field
from typing import Final

from checker.crypto.hash_based import wots
from checker.crypto.hash_based._parts import Bytes, Prehash
from checker.crypto.hash_based.wots import Address, Functions, Parameters
from checker.errors import FormatError, InvalidSignatureError
from checker.model.artifact import OneTimeKey

_TREE_TYPE, _HASH_TYPE = 1, 2  # RFC 8391 2.5: L-tree address and hash tree address
_TREE_HEIGHTS: Final = ((10, 1), (16, 1), (20, 1))
_FOREST_HEIGHTS: Final = ((20, 2), (20, 4), (40, 2), (40, 4), (40, 8), (60, 3), (60, 6), (60, 12))
_FAMILIES: Final = (wots.SHA2_256, wots.SHA2_512, wots.SHAKE_256, wots.SHAKE_512)  # RFC 8391 8.2 and 8.3
_LATER: Final = (wots.SHA2_192, wots.SHAKE256_256, wots.SHAKE256_192)  # SP 800-208 5.2 to 5.4


def _numbered(shapes: tuple[tuple[int, int], ...]) -> dict[int, tuple[Parameters, int, int]]:
    every = [(parameters, *shape) for parameters in (*_FAMILIES, *_LATER) for shape in shapes]
    return dict(enumerate(every, start=1))


_TREES: Final = _numbered(_TREE_HEIGHTS)  # 0x01 to 0x15
_FORESTS: Final = _numbered(_FOREST_HEIGHTS)  # 0x01 to 0x38


@dataclass(frozen=True)
class Key:
    """A public key; `height` is that of all `layers` together (1 for XMSS)."""

    parameters: Parameters
    height: int
    layers: int
    root: bytes = field(repr=False)
    seed: bytes = field(repr=False)
    many: bool  # XMSS^MT

    @property
    def hash(self) -> str:
        """Return the hash, an id of the algorithm table."""
        return self.parameters.hash

    @property
    def index_size(self) -> int:
        """Return the bytes of a signature's index (RFC 8391 4.1.8 and 4.2.3)."""
        return -(-self.height // 8) if self.many else 4

    @property
    def low(self) -> int:
        """Return the height of one tree."""
        return self.height // self.layers


@dataclass(frozen=True)
class _Signature:
    index: int
    randomizer: bytes
    layers: list[tuple[list[bytes], list[bytes]]]  # chains and authentication path, from the lowest tree up


def public_key(raw: bytes) -> Key:
    """Return the XMSS public key of its bytes, `OID || root || SEED` (RFC 8391 4.1.7).

    Raises:
        FormatError: it is none.
    """
    return _key(raw, _TREES, "XMSS public key", many=False)


def forest_key(raw: bytes) -> Key:
    """Return the XMSS^MT public key of its bytes, of the same form under other OIDs (RFC 8391 4.2.2).

    Raises:
        FormatError: it is none.
    """
    return _key(raw, _FORESTS, "XMSS^MT public key", many=True)


def _key(raw: bytes, sets: dict[int, tuple[Parameters, int, int]], what: str, *, many: bool) -> Key:
    number = int.from_bytes(raw[:4], "big")
    if len(raw) < 4 or number not in sets:  # noqa: PLR2004 - the OID's own size
        raise FormatError(f"unknown parameter set {raw[:4].hex()}", field=what)
    parameters, height, layers = sets[number]
    size = parameters.size
    if len(raw) != 4 + 2 * size:
        raise FormatError(f"has {4 + 2 * size} bytes, here are {len(raw)}", field=what)
    return Key(parameters, height, layers, raw[4 : 4 + size], raw[4 + size :], many)


def _parse(key: Key, signature: bytes) -> _Signature:
    data = Bytes(signature, "XMSS")
    size, count = key.parameters.size, key.parameters.count
    index = int.from_bytes(data.take(key.index_size), "big")
    if index >> key.height:
        raise InvalidSignatureError(f"the signature's index {index} is of no leaf of the tree")
    randomizer = data.take(size)
    layers = [(data.blocks(count, size), data.blocks(key.low, size)) for _ in range(key.layers)]
    data.end()
    return _Signature(index, randomizer, layers)


def prehash(key: Key, signature: bytes) -> Prehash:
    """Return what is hashed first: `toByte(2) || r || root || idx` before the message (RFC 8391 algorithm 9, H_msg).

    Raises:
        InvalidSignatureError: the signature is not of this key's form.
    """
    parsed, parameters = _parse(key, signature), key.parameters
    index = parsed.index.to_bytes(parameters.size, "big")
    return Prehash(key.hash, b"\2".rjust(parameters.padding, b"\0") + parsed.randomizer + key.root + index)


def verify(key: Key, signature: bytes, digest: bytes) -> None:
    """Verify a signature (RFC 8391 algorithms 14 and 17) by the digest that `prehash` names.

    Raises:
        InvalidSignatureError: it does not verify.
    """
    parsed = _parse(key, signature)
    functions = Functions(key.parameters, key.seed)
    node, index = digest[: key.parameters.size], parsed.index
    for layer, (chains, path) in enumerate(parsed.layers):
        leaf, index = index & (1 << key.low) - 1, index >> key.low
        node = _tree(functions, node, (layer, index, leaf), chains, path)
    if not hmac.compare_digest(node, key.root):
        raise InvalidSignatureError("the signature does not verify")


def _tree(
    functions: Functions, digest: bytes, place: tuple[int, int, int], chains: list[bytes], path: list[bytes]
) -> bytes:
    """Return the root of one tree (RFC 8391 algorithm 13); `place` is its layer, its number and the leaf in it."""
    layer, tree, leaf = place
    address = _address(layer, tree, 0)
    address[16:20] = leaf.to_bytes(4, "big")
    ends = functions.ends(digest, chains, address)
    node = _compress(functions, ends, _address(layer, tree, _TREE_TYPE), leaf)
    address = _address(layer, tree, _HASH_TYPE)
    for height, beside in enumerate(path):
        address[20:24] = height.to_bytes(4, "big")
        address[24:28] = (leaf >> 1).to_bytes(4, "big")
        node = functions.pair(beside, node, address) if leaf & 1 else functions.pair(node, beside, address)
        leaf >>= 1
    return node


def _address(layer: int, tree: int, kind: int) -> Address:
    head = layer.to_bytes(4, "big") + tree.to_bytes(8, "big") + kind.to_bytes(4, "big")
    return Address(head.ljust(wots.ADDRESS, b"\0"))


def _compress(functions: Functions, nodes: list[bytes], address: Address, leaf: int) -> bytes:
    """Return the root of the unbalanced tree over a one-time public key (RFC 8391 algorithm 8, ltree)."""
    address[16:20] = leaf.to_bytes(4, "big")
    height = 0
    while len(nodes) > 1:
        address[20:24] = height.to_bytes(4, "big")
        above = []
        for place in range(len(nodes) // 2):
            address[24:28] = place.to_bytes(4, "big")
            above.append(functions.pair(nodes[2 * place], nodes[2 * place + 1], address))
        nodes = above + nodes[len(nodes) // 2 * 2 :]
        height += 1
    return nodes[0]


def one_time(key: Key, signature: bytes) -> tuple[OneTimeKey, ...]:
    """Return the one-time keys that a verified signature used, that over the message last.

    Raises:
        InvalidSignatureError: the signature is not of this key's form.
    """
    parsed = _parse(key, signature)
    found = []
    for layer, (chains, _) in enumerate(parsed.layers):
        salt = b"" if layer else parsed.randomizer
        found.append(
            OneTimeKey(
                scheme="xmss-mt" if key.many else "xmss",
                owner=key.root.hex() + (f" layer {layer}" if layer else ""),
                index=parsed.index >> key.low * layer,
                used=hashlib.sha256(salt + b"".join(chains)).hexdigest(),
            )
        )
    return tuple(reversed(found))


def fits(key: Key, size: int) -> bool:
    """Return whether a signature of this key can have this size in bytes."""
    blocks = 1 + key.layers * key.parameters.count + key.height
    return size == key.index_size + blocks * key.parameters.size
