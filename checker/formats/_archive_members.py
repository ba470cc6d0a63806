"""Zip and tar archives as one: their members, how to read each, and what is odd about the container.

A compressed tar has no places of its own for its members: each lies in the whole file. How much may be decompressed is
shared by all archives inside one another (`Room`), so that neither nesting nor re-reading multiplies the work.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

from checker.errors import FormatError, LimitError
from checker.formats import _tar, _zip
from checker.formats._inflate import MAX_INFLATED, Inflated, compression
from checker.io.limits import CHUNK, MAX_MEMBERS
from checker.io.sources import Window
from checker.model.artifact import Source, Span, Weakness

MAX_OPENED: Final = 64  # members of one archive, and of all archives inside it together, that are looked into
MAX_ROOM: Final = 2 * 1024**3  # bytes that are decompressed for what lies inside an archive's members, some 20 s
_BZIP2: Final = b"BZh"
_HEAD: Final = 6  # bytes that tell a compression
_WHY: Final = {"link": "is a link", "device": "is a device file"}
_TEXT: Final = 200  # characters of a name in a message


@dataclass
class Room:
    """What may still be read of compressed archives below one artifact: decompressed bytes, and members looked into."""

    left: int = MAX_ROOM
    opened: int = 0

    def take(self, size: int) -> bool:
        """Return whether one more member of `size` decompressed bytes may be looked into, and count it."""
        if self.opened >= MAX_OPENED or size > self.left:
            return False
        self.opened += 1
        self.left -= size
        return True


@dataclass(frozen=True)
class Inner:
    """A member's content that remembers how much room there is for what lies inside it."""

    source: Source = field(repr=False)
    room: Room = field(repr=False, compare=False)
    compressed: bool

    @property
    def name(self) -> str:
        """Return the member's name."""
        return self.source.name

    @property
    def size(self) -> int:
        """Return the stated size in bytes."""
        return self.source.size

    def read(self, offset: int, length: int) -> bytes:
        """Return `length` bytes from `offset`, fewer only at the end.

        Raises:
            FormatError: the compressed data are damaged or cut short.
        """
        return self.source.read(offset, length)


@dataclass(frozen=True, kw_only=True)
class Entry:
    """A member. `span` is where it lies in the archive; `cost` what reading it again decompresses, in bytes.

    `header` is what stands before its content, at least in part; that of a compressed tar is the whole file.
    `content` is None where it cannot be had, and `why` says why. `crc32` is the zip's, None elsewhere.
    """

    name: str
    kind: str
    size: int
    span: Span
    header: Span
    content: Source | None = field(repr=False)
    why: str = ""
    crc32: int | None = None
    cost: int = 0
    member: _zip.Member | None = field(default=None, repr=False)


@dataclass(frozen=True, kw_only=True)
class Container:
    """An archive's files in the order of their bytes; `form` is `zip`, `tar`, `tar.gz` and so on."""

    form: str
    files: tuple[Entry, ...]
    oddities: tuple[Weakness, ...]
    sequential: bool  # one stream: reading backwards starts again
    zip: _zip.Archive | None = None

    def find(self, name: str) -> tuple[Entry, ...]:
        """Return the files of a name; `./` before it means nothing."""
        return tuple(entry for entry in self.files if plain(entry.name) == plain(name))

    def check_end(self, entry: Entry) -> None:
        """Raise where more comes out of a member than is stated; its content has been read before.

        Raises:
            FormatError: more comes out.
        """
        if self.zip is not None and entry.member is not None:
            self.zip.check_end(entry.member)


def plain(name: str) -> str:
    """Return a name with one kind of slash, and without the parts that mean nothing: `./a//b` is `a/b`."""
    return "/".join(part for part in name.replace("\\", "/").split("/") if part not in {"", "."})


def tar_compression(source: Source) -> str:
    """Return `gzip`, `xz`, `bzip2` or `zstd` by the first bytes, or nothing."""
    head = source.read(0, _HEAD)
    return compression(head) or ("bzip2" if head.startswith(_BZIP2) else "")


def inflated(source: Source, kind: str, limit: int = MAX_INFLATED) -> Source:
    """Return the decompressed form of a whole file."""
    return Inflated(source, Span(0, source.size), kind, size=limit)


def read_container(source: Source) -> Container:
    """Return the archive that a file is.

    Raises:
        LimitError: it has too many members, or more comes out than there is room for.
        FormatError: it is damaged, says two things at once, or leads out of itself.
    """
    room = source.room if isinstance(source, Inner) else Room()
    kind = tar_compression(source)
    if not kind and not _tar.looks_like(source):
        return _read_zip(source, room)
    limit = room.left if isinstance(source, Inner) else MAX_INFLATED
    return _read_tar(source, kind, limit)


def _read_zip(source: Source, room: Room) -> Container:
    archive = _zip.read(source, _zip.MODERN)
    total = sum(member.size for member in archive.members if member.inflated)
    if isinstance(source, Inner) and not room.take(total):
        raise LimitError(f"there is no room to decompress {total} more bytes inside archives", field="zip")
    files = tuple(_zip_entry(archive, member) for member in archive.members if member.kind != "folder")
    oddities = tuple(Weakness(code=doubt.code, message=doubt.message, where=doubt.where) for doubt in archive.doubts)
    return Container(form="zip", files=files, oddities=oddities, sequential=False, zip=archive)


def _zip_entry(archive: _zip.Archive, member: _zip.Member) -> Entry:
    return Entry(
        name=member.name,
        kind=member.kind,
        size=member.size,
        span=member.span,
        header=Span(member.extent.start, member.span.start),
        content=archive.open(member) if member.readable else None,
        why=member.why,
        crc32=member.crc32 if member.readable else None,
        cost=member.size if member.inflated else 0,
        member=member if member.readable else None,
    )


def _read_tar(source: Source, kind: str, limit: int) -> Container:
    content = inflated(source, kind, limit) if kind else source
    form = {"gzip": "tar.gz", "xz": "tar.xz", "bzip2": "tar.bz2", "zstd": "tar.zst"}.get(kind, "tar")
    files: list[Entry] = []
    oddities: list[Weakness] = []
    end = 0
    for member in _tar.entries(content):
        whole = Span(0, source.size)
        if not kind and member.span.end > source.size:
            raise FormatError("ends behind the archive", offset=member.span.start, field=member.name[:_TEXT])
        end = member.span.end
        head = whole if kind else Span(member.span.start - _tar.BLOCK, member.span.start)
        if member.kind == "file":
            window = Window(content, member.name, member.span.start, member.span.size)
            span, cost = (whole, end) if kind else (member.span, 0)
            files.append(
                Entry(
                    name=member.name, kind="file", size=window.size, span=span, header=head, content=window, cost=cost
                )
            )
        elif member.kind != "folder":
            why = _WHY[member.kind]
            files.append(
                Entry(name=member.name, kind=member.kind, size=0, span=head, header=head, content=None, why=why)
            )
            oddities.append(_special(member))
        if len(files) > MAX_MEMBERS:
            raise LimitError(f"more than MAX_MEMBERS ({MAX_MEMBERS}) files", field="tar")
    if kind and end and content.read(end - 1, 1) == b"":
        raise FormatError("ends inside its last member", offset=source.size, field=form)
    oddities += _duplicates(files)
    oddities += _tail(content, end)
    return Container(form=form, files=tuple(files), oddities=tuple(oddities), sequential=bool(kind))


def _special(member: _tar.Member) -> Weakness:
    name = member.name[:_TEXT]
    if member.kind == "link":
        text = f"{name!r} is a link: what is unpacked behind it may land elsewhere"
        return Weakness(code="link-member", message=text, where=name)
    return Weakness(code="malformed", message=f"{name!r} is a device file", where=name)


def _duplicates(files: list[Entry]) -> Iterator[Weakness]:
    counts = Counter(plain(entry.name) for entry in files)
    for name, count in counts.items():
        if count > 1:
            text = f"{name[:_TEXT]!r} occurs {count} times: readers differ about which one counts"
            yield Weakness(code="duplicate-member", message=text, where=name[:_TEXT])


def _tail(content: Source, end: int) -> Iterator[Weakness]:
    """Tell what follows the two empty blocks that end an archive."""
    at = -(-end // _tar.BLOCK) * _tar.BLOCK
    while data := content.read(at, CHUNK):
        if data.strip(b"\x00"):
            place = at + len(data) - len(data.lstrip(b"\x00"))
            text = f"bytes follow the archive at {place:#x} of its tar"
            yield Weakness(code="trailing-data", message=text, where=f"{place:#x}")
            return
        at += len(data)
