"""Squashfs 4.0 images, as far as update bundles need them: the plain files of the root folder, read block by block.

Source: Linux Documentation/filesystems/squashfs.rst and fs/squashfs/squashfs_fs.h; lz4 Block Format description
(lz4/doc/lz4_Block_format.md). Metadata lie in compressed blocks of 8 KiB, files in blocks of the image's block size,
file tails together in fragments. Compressed by gzip (zlib), lzma, xz, lz4 and zstd; lzo is named and not read.
"""

from __future__ import annotations

import lzma
import struct
import zlib
from array import array
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import accumulate
from typing import Any, Final

from checker.errors import FormatError, LimitError, UnsupportedAlgorithmError
from checker.formats import _zstd
from checker.io.reader import Reader
from checker.model.artifact import Source

MAGIC: Final = b"hsqs"
MAX_BLOCK: Final = 1024 * 1024  # bytes: the largest block size that the kernel knows
MIN_BLOCK: Final = 4096
MAX_FOLDER: Final = 1024 * 1024  # bytes of one folder's listing: some 100,000 names
MAX_BLOCKS: Final = 1_000_000  # blocks of one file; with the usual 128 KiB some 120 GiB
XZ_MEMORY: Final = 32 * 1024 * 1024  # bytes: the dictionary is at most as large as a block
COMPRESSORS: Final = {1: "gzip", 2: "lzma", 3: "lzo", 4: "xz", 5: "lz4", 6: "zstd"}
_SUPERBLOCK: Final = struct.Struct("<4sIIIIHHHHHHQQQQQQQQ")
_VERSION: Final = (4, 0)
_METADATA: Final = 8192  # bytes of one metadata block in clear
_METADATA_PLAIN: Final = 0x8000
_PLAIN: Final = 1 << 24  # in a block's stored size: it is not compressed
_NO_FRAGMENT: Final = 0xFFFF_FFFF
_FRAGMENTS_PER_BLOCK: Final = _METADATA // 16
_FOLDERS: Final = {1: struct.Struct("<IIHHI"), 8: struct.Struct("<IIIIHHI")}
_FILES: Final = {2: struct.Struct("<IIII"), 9: struct.Struct("<QQQIIII")}
_HEAD: Final = 16  # bytes that every inode begins with
_CACHED: Final = 64  # metadata blocks that are kept


def _lz4(data: bytes, limit: int) -> bytes:
    """Return an LZ4 block in clear: literals, then a copy of earlier output, again and again."""
    out = bytearray()
    at, end = 0, len(data)
    while at < end:
        token = data[at]
        literals, at = _lz4_length(data, at + 1, token >> 4)
        out += data[at : at + literals]
        at += literals
        if at >= end:
            break
        distance = int.from_bytes(data[at : at + 2], "little")
        length, at = _lz4_length(data, at + 2, token & 15)
        length += 4
        if not 0 < distance <= len(out) or len(out) + length > limit:
            raise ValueError("a match leads out of the block")
        start = len(out) - distance
        piece = bytes(out[start : start + length])
        out += (piece * -(-length // len(piece)))[:length]
    if at != end or len(out) > limit:
        raise ValueError("the block ends inside of its literals")
    return bytes(out)


def _lz4_length(data: bytes, at: int, length: int) -> tuple[int, int]:
    if length == 15:  # noqa: PLR2004 - more bytes follow
        while True:
            more = data[at]
            length, at = length + more, at + 1
            if more != 255:  # noqa: PLR2004 - the last of them
                break
    return length, at


def _running(kind: str) -> Any:  # noqa: ANN401 - zlib's and lzma's objects have no common type
    if kind == "gzip":
        return zlib.decompressobj()
    form = lzma.FORMAT_XZ if kind == "xz" else lzma.FORMAT_ALONE
    return lzma.LZMADecompressor(form, memlimit=XZ_MEMORY)


def _decompress(kind: str, data: bytes, limit: int) -> bytes:
    if kind == "lz4":
        return _lz4(data, limit)
    if kind == "zstd":
        return _zstd.decompress(data, limit, MAX_BLOCK)
    found: bytes = _running(kind).decompress(data, limit + 1)
    return found


@dataclass(frozen=True, kw_only=True)
class _Super:
    """The superblock's fields that reading needs; tables are offsets in bytes."""

    block: int
    compressor: str
    root: int
    used: int
    inodes: int
    folders: int
    fragments: int
    fragment_count: int


def _read_super(source: Source) -> _Super:
    fields = _SUPERBLOCK.unpack(Reader(source).take(_SUPERBLOCK.size, "squashfs superblock"))
    magic, _, _, block, fragment_count, kind, log, _, _, major, minor, root, used = fields[:13]
    if magic != MAGIC or (major, minor) != _VERSION:
        raise FormatError("no squashfs of version 4.0", field="squashfs superblock")
    if not MIN_BLOCK <= block <= MAX_BLOCK or block != 1 << log:
        raise FormatError(f"a block size of {block} bytes", offset=12, field="squashfs superblock")
    name = COMPRESSORS.get(kind, f"number {kind}")
    if name not in COMPRESSORS.values() or name == "lzo":
        raise UnsupportedAlgorithmError(f"a squashfs compressed by {name} is not read here")
    if used > source.size:
        raise FormatError(f"{used} bytes are stated, {source.size} are there", offset=40, field="squashfs superblock")
    return _Super(
        block=block,
        compressor=name,
        root=root,
        used=used,
        inodes=fields[15],
        folders=fields[16],
        fragments=fields[17],
        fragment_count=fragment_count,
    )


@dataclass(frozen=True, eq=False)
class SquashFs:
    """One image: the names in its root folder, and its plain files as sources."""

    source: Source = field(repr=False)
    head: _Super
    entries: Mapping[str, int] = field(repr=False)  # name → reference of the inode
    _cache: dict[int, tuple[bytes, int]] = field(default_factory=dict, repr=False)

    @classmethod
    def open(cls, source: Source) -> SquashFs:
        """Read the superblock and the root folder.

        Raises:
            UnsupportedAlgorithmError: it is compressed by something that is not read here.
            LimitError: the root folder is larger than `MAX_FOLDER`.
            FormatError: it is no squashfs 4.0, or damaged.
        """
        image = cls(source, _read_super(source), {})
        return cls(source, image.head, _unique(image._root()))

    @property
    def names(self) -> tuple[str, ...]:
        """Return the names in the root folder, in the order of the listing, which is sorted."""
        return tuple(self.entries)

    def file(self, name: str) -> File:
        """Return a plain file of the root folder.

        Raises:
            LimitError: it has more than `MAX_BLOCKS` blocks.
            FormatError: there is none of this name, or it is damaged.
        """
        if name not in self.entries:
            raise FormatError(f"the squashfs has no {name[:200]!r} in its root folder", field="squashfs")
        kind, cursor = self._inode(self.entries[name])
        if kind not in _FILES:
            raise FormatError(f"{name[:200]!r} is no plain file", field="squashfs")
        layout = _FILES[kind]
        values = layout.unpack(cursor.take(layout.size))
        if kind == 2:  # noqa: PLR2004 - a basic file
            start, fragment, within, size = values
        else:
            start, size, _, _, fragment, within, _ = values
        whole = fragment == _NO_FRAGMENT
        count = -(-size // self.head.block) if whole else size // self.head.block
        if count > MAX_BLOCKS:
            raise LimitError(f"{name[:200]!r} has {count} blocks, at most {MAX_BLOCKS} are read", field="squashfs")
        sizes = array("I", struct.unpack(f"<{count}I", cursor.take(4 * count)))
        tail = None if whole else self._fragment(fragment, within, size % self.head.block)
        return File(self, name, size, start, sizes, tail)

    def block(self, start: int, stored: int, limit: int) -> bytes:
        """Return a block of data in clear.

        Raises:
            FormatError: it lies outside of the image, or is damaged.
        """
        size = stored & (_PLAIN - 1)
        data = Reader(self.source, start, self.head.used).take(size, "squashfs block", limit=MAX_BLOCK)
        return data[:limit] if stored & _PLAIN else self._clear(data, start, limit)

    def _clear(self, data: bytes, offset: int, limit: int) -> bytes:
        try:
            found = _decompress(self.head.compressor, data, limit)
        except (zlib.error, lzma.LZMAError, EOFError, MemoryError, ValueError, IndexError) as error:
            text = f"is damaged: {error}"
            raise FormatError(text, offset=offset, field=f"{self.head.compressor} block of the squashfs") from error
        if len(found) > limit:
            raise LimitError(f"more than {limit} bytes come out of one block", offset=offset, field="squashfs")
        return found

    def metadata(self, offset: int) -> tuple[bytes, int]:
        """Return a metadata block in clear, and where the next one lies.

        Raises:
            FormatError: it lies outside of the image, or is damaged.
        """
        if offset not in self._cache:
            reader = Reader(self.source, min(offset, self.head.used), self.head.used)
            word = reader.integer(2, "squashfs metadata")
            data = reader.take(word & (_METADATA_PLAIN - 1), "squashfs metadata", limit=_METADATA)
            clear = data if word & _METADATA_PLAIN else self._clear(data, offset, _METADATA)
            if len(self._cache) >= _CACHED:
                self._cache.clear()
            self._cache[offset] = clear, reader.offset
        return self._cache[offset]

    def _inode(self, reference: int) -> tuple[int, _Cursor]:
        """Return an inode's type, and a cursor behind what all inodes begin with."""
        cursor = _Cursor(self, self.head.inodes + (reference >> 16), reference & 0xFFFF)
        return int.from_bytes(cursor.take(_HEAD)[:2], "little"), cursor

    def _root(self) -> Iterator[tuple[str, int]]:
        kind, cursor = self._inode(self.head.root)
        if kind not in _FOLDERS:
            raise FormatError("the root is no folder", field="squashfs")
        values = _FOLDERS[kind].unpack(cursor.take(_FOLDERS[kind].size))
        block, size, within = (values[0], values[2], values[3]) if kind == 1 else (values[2], values[1], values[5])
        if size > MAX_FOLDER:
            raise LimitError(f"the root folder has {size} bytes, at most {MAX_FOLDER} are read", field="squashfs")
        listing = _Cursor(self, self.head.folders + block, within)
        left = size - 3  # the two entries that every folder has count three bytes and are not stored
        while left > 0:
            count, start, _ = struct.unpack("<III", listing.take(12))
            left -= 12
            for _ in range(min(count + 1, 256)):
                offset, _, _, length = struct.unpack("<HhHH", listing.take(8))
                name = listing.take(length + 1).decode("utf-8", "backslashreplace")
                yield name, start << 16 | offset
                left -= 9 + length

    def _fragment(self, index: int, within: int, size: int) -> _Tail:
        if index >= self.head.fragment_count:
            raise FormatError(f"fragment {index} of {self.head.fragment_count}", field="squashfs")
        table = Reader(self.source, self.head.fragments + index // _FRAGMENTS_PER_BLOCK * 8, self.head.used)
        cursor = _Cursor(self, table.integer(8, "squashfs fragment table"), index % _FRAGMENTS_PER_BLOCK * 16)
        start, stored = struct.unpack("<QI4x", cursor.take(16))
        return _Tail(start, stored, within, size)


def _unique(pairs: Iterable[tuple[str, int]]) -> dict[str, int]:
    found: dict[str, int] = {}
    for name, reference in pairs:
        if name in found:
            raise FormatError(f"the name {name[:200]!r} occurs twice in the root folder", field="squashfs")
        found[name] = reference
    return found


@dataclass
class _Cursor:
    """Reads on through metadata blocks."""

    image: SquashFs
    offset: int  # of the metadata block in the image
    within: int  # in that block in clear

    def take(self, length: int) -> bytes:
        """Return the next bytes. Every block that others follow is full, so each one read brings 8 KiB or an error."""
        parts = []
        while length:
            data, after = self.image.metadata(self.offset)
            piece = data[self.within : self.within + length]
            parts.append(piece)
            length -= len(piece)
            self.within += len(piece)
            if self.within >= _METADATA:
                self.offset, self.within = after, 0
            elif length:
                raise FormatError("ends inside of an entry", offset=self.offset, field="squashfs metadata")
        return b"".join(parts)


@dataclass(frozen=True)
class _Tail:
    """The last bytes of a file, inside of a fragment."""

    start: int
    stored: int
    within: int
    size: int


@dataclass(frozen=True, eq=False)
class File:
    """A plain file as a source; one block is kept, so that small reads going forward cost one pass."""

    image: SquashFs = field(repr=False)
    name: str
    size: int
    start: int
    sizes: array[int] = field(repr=False)
    tail: _Tail | None
    _kept: list[tuple[int, bytes]] = field(default_factory=list, repr=False)
    _starts: list[array[int]] = field(default_factory=list, repr=False)

    def read(self, offset: int, length: int) -> bytes:
        """Return `length` bytes from `offset`, fewer only at the end.

        Raises:
            FormatError: a block is damaged, or has another size than it must have.
        """
        end = min(offset + max(length, 0), self.size)
        if offset < 0 or offset >= end:
            return b""
        size = self.image.head.block
        first = offset // size
        data = b"".join(self._block(number) for number in range(first, -(-end // size)))
        return data[offset - first * size : end - first * size]

    def _block(self, number: int) -> bytes:
        kept = self._kept[0] if self._kept else (-1, b"")
        if kept[0] != number:
            kept = number, self._load(number)
            self._kept[:] = [kept]
        return kept[1]

    def _load(self, number: int) -> bytes:
        block = self.image.head.block
        wanted = min(block, self.size - number * block)
        if number < len(self.sizes):
            data = self._stored(number, wanted)
        else:
            tail = self.tail or _Tail(0, 0, 0, 0)
            data = self.image.block(tail.start, tail.stored, block)[tail.within : tail.within + tail.size]
        if len(data) != wanted:
            text = f"block {number} of {self.name[:200]!r} has {len(data)} bytes, not {wanted}"
            raise FormatError(text, offset=self.start, field="squashfs")
        return data

    def _stored(self, number: int, wanted: int) -> bytes:
        if self.sizes[number] == 0:
            return bytes(wanted)  # a hole
        if not self._starts:
            held = (size & (_PLAIN - 1) for size in self.sizes)
            self._starts.append(array("Q", accumulate(held, initial=self.start)))
        return self.image.block(self._starts[0][number], self.sizes[number], self.image.head.block)
