"""Microsoft cabinets: header, folders, files and data blocks, with every length checked.

Source: [MS-CAB] Cabinet File Format, sections 2.1 to 2.4 and 3.1 (checksum). A cabinet that continues in another one is
refused. A block whose checksum is wrong is refused too, as every reader does (gcab, cabextract, fwupd).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

from checker.errors import FormatError, LimitError
from checker.io.reader import Reader
from checker.model.artifact import Source, Span

MAGIC: Final = b"MSCF"
MAX_BLOCKS: Final = 131_072  # of one cabinet: 4 GiB in blocks of at most 32 KiB
MAX_FILES: Final = 4096  # of one cabinet; firmware has a handful, drivers some hundreds
MAX_NAME: Final = 256  # bytes with the NUL, [MS-CAB] 2.3
BLOCK: Final = 32_768  # bytes of one block when decompressed, [MS-CAB] 2.4
MAX_EXPANDED: Final = BLOCK + 6144  # bytes of a compressed block, [MS-CAB] 2.4
COMPRESSIONS: Final = {0: "none", 1: "MSZIP", 2: "Quantum", 3: "LZX"}
_PREVIOUS, _NEXT, _RESERVED = 1, 2, 4
_UTF8_NAME: Final = 0x80
_CONTINUED: Final = 0xFFFD  # and above: [MS-CAB] 2.3 iFolder
_SIGNATURE_AREA: Final = 20  # bytes of reserved area with which a header points to an Authenticode signature


@dataclass(frozen=True)
class Block:
    """One CFDATA: where its data lie in the cabinet, and where their plain form begins in the folder."""

    data: Span
    start: int
    size: int


@dataclass(frozen=True)
class Folder:
    """A run of blocks that are compressed together."""

    compression: str
    blocks: tuple[Block, ...] = field(repr=False)

    @property
    def size(self) -> int:
        """Return the length of the plain form in bytes."""
        return self.blocks[-1].start + self.blocks[-1].size if self.blocks else 0


@dataclass(frozen=True)
class File:
    """One CFFILE: its name, and where it lies in its folder's plain form."""

    name: str
    folder: int
    start: int
    size: int


@dataclass(frozen=True)
class Cabinet:
    """A whole cabinet. `authenticode` says that its header points to a signature behind it."""

    size: int
    folders: tuple[Folder, ...]
    files: tuple[File, ...]
    authenticode: bool


def read_cabinet(source: Source) -> Cabinet:
    """Return the structure of a cabinet.

    Raises:
        FormatError: it is damaged, or part of a set.
        LimitError: it has more files than `MAX_FILES`, or more blocks than `MAX_BLOCKS`.
    """
    reader = Reader(source)
    if reader.take(4, "signature") != MAGIC:
        raise FormatError("is not MSCF", field="signature")
    reader.skip(4, "reserved1")
    size = reader.integer(4, "cbCabinet")
    if size > source.size:
        raise FormatError(f"{size} bytes are stated, the file has {source.size}", offset=8, field="cbCabinet")
    reader.skip(4, "reserved2")
    first_file = reader.integer(4, "coffFiles")
    reader.skip(4, "reserved3")
    minor, major = reader.integer(1, "versionMinor"), reader.integer(1, "versionMajor")
    if (major, minor) != (1, 3):
        raise FormatError(f"version {major}.{minor} is not 1.3", offset=24, field="version")
    folders, files, flags = (reader.integer(2, name) for name in ("cFolders", "cFiles", "flags"))
    reader.skip(4, "setID")
    if flags & (_PREVIOUS | _NEXT):
        raise FormatError("the cabinet is part of a set, and continues in another file", offset=30, field="flags")
    if files > MAX_FILES:
        raise LimitError(f"{files} files, at most MAX_FILES ({MAX_FILES})", offset=28, field="cFiles")
    header, per_folder, per_block = 0, 0, 0
    if flags & _RESERVED:
        header, per_folder, per_block = (reader.integer(width, "reserved sizes") for width in (2, 1, 1))
        reader.skip(header, "abReserve")
    places = [_folder_entry(reader, per_folder) for _ in range(folders)]
    found = tuple(_folders(source, places, per_block, size))
    return Cabinet(size, found, _files(Reader(source, first_file, size), files, found), header == _SIGNATURE_AREA)


def _folder_entry(reader: Reader, reserved: int) -> tuple[int, int, int]:
    entry = reader.integer(4, "coffCabStart"), reader.integer(2, "cCFData"), reader.integer(2, "typeCompress")
    reader.skip(reserved, "abReserve")
    return entry


def _folders(source: Source, places: list[tuple[int, int, int]], reserved: int, size: int) -> Iterator[Folder]:
    if sum(blocks for _, blocks, _ in places) > MAX_BLOCKS:
        raise LimitError(f"more than MAX_BLOCKS ({MAX_BLOCKS}) data blocks", field="cCFData")
    for offset, count, kind in places:
        compression = COMPRESSIONS.get(kind & 0x0F)
        if compression is None:
            raise FormatError(f"compression {kind:#06x} is not known", field="typeCompress")
        yield Folder(compression, tuple(_blocks(Reader(source, offset, size), count, reserved, compression)))


def _blocks(reader: Reader, count: int, reserved: int, compression: str) -> Iterator[Block]:
    start = 0
    for _ in range(count):
        offset = reader.offset
        checksum = reader.integer(4, "csum")
        sizes = reader.take(4, "cbData")
        packed, plain = int.from_bytes(sizes[:2], "little"), int.from_bytes(sizes[2:], "little")
        reader.skip(reserved, "abReserve")
        if plain > BLOCK or not plain or (compression == "none" and packed != plain):
            raise FormatError(f"{packed} bytes stand for {plain}", offset=offset, field="cbUncomp")
        place = reader.offset
        data = reader.take(packed, "ab", limit=MAX_EXPANDED)
        if checksum and checksum != _checksum(sizes, _checksum(data, 0)):
            raise FormatError("the checksum of a data block is wrong", offset=offset, field="csum")
        yield Block(Span(place, place + packed), start, plain)
        start += plain


def _checksum(data: bytes, seed: int) -> int:
    """Return the exclusive or of little-endian words; the last, shorter one counts big-endian ([MS-CAB] 3.1)."""
    whole = len(data) & ~3
    value = int.from_bytes(data[:whole], "little")
    words = whole // 4
    while words > 1:
        half = (words + 1) // 2
        value = (value >> 32 * half) ^ (value & ((1 << 32 * half) - 1))
        words = half
    return seed ^ value ^ int.from_bytes(data[whole:], "big")


def _files(reader: Reader, count: int, folders: tuple[Folder, ...]) -> tuple[File, ...]:
    found = []
    ends: dict[int, int] = {}
    for _ in range(count):
        offset = reader.offset
        size, start, folder = (
            reader.integer(4, "cbFile"),
            reader.integer(4, "uoffFolderStart"),
            reader.integer(2, "iFolder"),
        )
        reader.skip(4, "date")
        name = _name(reader, reader.integer(2, "attribs"))
        if folder >= _CONTINUED:
            raise FormatError(f"{name!r} is part of a set of cabinets", offset=offset, field="iFolder")
        if folder >= len(folders) or start + size > folders[folder].size:
            raise FormatError(f"{name!r} lies outside its folder", offset=offset, field="uoffFolderStart")
        if start < ends.get(folder, 0):
            raise FormatError(f"{name!r} overlaps another file", offset=offset, field="uoffFolderStart")
        ends[folder] = start + size
        found.append(File(name, folder, start, size))
    return tuple(found)


def _name(reader: Reader, attributes: int) -> str:
    raw = reader.source.read(reader.offset, min(MAX_NAME, max(reader.left, 0)))
    end = raw.find(b"\0")
    if end < 1:
        raise FormatError(f"has no end within {MAX_NAME} bytes, or is empty", offset=reader.offset, field="szName")
    reader.skip(end + 1, "szName")
    encoding = "utf-8" if attributes & _UTF8_NAME else "latin-1"
    return raw[:end].decode(encoding, errors="replace")
