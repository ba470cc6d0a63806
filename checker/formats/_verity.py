"""The dm-verity hash tree (version 1, SHA-256, blocks of 4096 bytes), recomputed in one streaming pass.

Source: Linux Documentation/admin-guide/device-mapper/verity.rst: each block is hashed with the salt before it; the
hashes of 128 blocks fill a block of the level above, padded with zeros; the levels are stored top first.

A level is a source of its own whose bytes are computed as they are read, so that the memory does not grow with the
image, and one digest request over the topmost level reads every data block exactly once.
"""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

from checker.io.digests import DigestRequest, Literal, Piece
from checker.io.limits import CHUNK
from checker.io.sources import Window
from checker.model.artifact import Source, Span

BLOCK: Final = 4096  # bytes
HASH: Final = 32  # bytes
FANOUT: Final = BLOCK // HASH


@dataclass(frozen=True)
class Level:
    """The hashes of a parent's blocks, in blocks that are padded with zeros; computed on reading."""

    parent: Source = field(repr=False)
    salt: bytes = field(repr=False)

    @property
    def name(self) -> str:
        """Return the parent's name."""
        return self.parent.name

    @property
    def blocks(self) -> int:
        """Return the number of blocks that are hashed."""
        return -(-self.parent.size // BLOCK)

    @property
    def size(self) -> int:
        """Return the length in bytes, a multiple of the block size."""
        return -(-self.blocks // FANOUT) * BLOCK

    def read(self, offset: int, length: int) -> bytes:
        """Return `length` bytes of hashes from `offset`, fewer only at the end."""
        end = min(offset + max(length, 0), self.size)
        if offset < 0 or offset >= end:
            return b""
        first = offset // HASH
        hashes = b"".join(self._hashes(first, min(-(-end // HASH), self.blocks)))
        start = first * HASH
        return hashes.ljust(end - start, b"\x00")[offset - start : end - start]

    def _hashes(self, first: int, last: int) -> Iterator[bytes]:
        salted = hashlib.sha256(self.salt)
        for start in range(first * BLOCK, last * BLOCK, CHUNK):
            data = self.parent.read(start, min(CHUNK, last * BLOCK - start))
            for at in range(0, len(data), BLOCK):
                running = salted.copy()
                running.update(data[at : at + BLOCK])
                yield running.digest()


@dataclass(frozen=True, kw_only=True)
class Tree:
    """What to hash for one image: its true root, and whether the stored tree leads to the same one.

    `root` is over the data. `stored` are pairs of requests whose answers must be equal, each a level of the stored tree
    and what the level below it asks for; `stored_root` must equal the root. Where the data have the stated root, these
    together say that the stored tree is the tree of the data: two trees of one root differ only by a hash collision.
    """

    root: DigestRequest
    stored_root: DigestRequest
    stored: tuple[tuple[DigestRequest, DigestRequest], ...]
    size: int  # bytes of the stored tree

    @property
    def requests(self) -> tuple[DigestRequest, ...]:
        """Return everything that has to be computed."""
        return (self.root, self.stored_root, *(request for pair in self.stored for request in pair))


def _sizes(blocks: int) -> list[int]:
    """Return the number of blocks of each level, lowest first; none where one data block is the whole image."""
    found = []
    while blocks > 1:
        blocks = -(-blocks // FANOUT)
        found.append(blocks)
    return found


def tree_size(data_size: int) -> int:
    """Return how many bytes the tree of so many data bytes takes."""
    return sum(_sizes(-(-data_size // BLOCK))) * BLOCK


def plan(source: Source, data: Span, salt: bytes) -> Tree:
    """Return what to compute for the image in `data`, whole blocks, with its tree stored directly behind it."""
    image = Window(source, source.name, data.start, data.size)
    levels = _sizes(data.size // BLOCK)
    top: Source = image
    for _ in levels:
        top = Level(top, salt)
    stored = _stored(source, data.end, levels)
    lower = itertools.pairwise(stored)
    return Tree(
        root=_salted(top, salt),
        stored_root=_salted(stored[-1] if stored else image, salt),
        stored=tuple((_plain(Level(below, salt)), _plain(above)) for below, above in lower),
        size=sum(levels) * BLOCK,
    )


def _stored(source: Source, start: int, levels: list[int]) -> list[Source]:
    """Return the levels of the stored tree, lowest first."""
    windows: list[Source] = []
    end = start + sum(levels) * BLOCK
    for blocks in levels:
        end -= blocks * BLOCK
        windows.append(Window(source, source.name, end, blocks * BLOCK))
    return windows


def _salted(source: Source, salt: bytes) -> DigestRequest:
    return DigestRequest("sha-256", (Literal(salt), Piece(source, Span(0, source.size))))


def _plain(source: Source) -> DigestRequest:
    return DigestRequest.over("sha-256", source)
