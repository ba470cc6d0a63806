"""Zip archives, read without unpacking (PKWARE APPNOTE.TXT 6.3.10; AES: WinZip AE-1 and AE-2).

A zip says everything twice, in its central directory and before each member, and readers believe one or the other.
What the two disagree about is refused, and so are members that overlap, names that lead outside or occur twice with
different content in mind, and sizes that cannot be. What readers merely treat differently is told as a `Doubt`: bytes
before or behind the archive, a second end record, data that no member claims, links and encrypted members.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Final

from checker.errors import FormatError, LimitError
from checker.formats._inflate import MAX_INFLATED, Inflated
from checker.formats._zip_directory import (
    END,
    END_SIZE,
    EXTRA64,
    EXTRA_AES,
    TEXT,
    End,
    Entry,
    directory_at,
    ends,
    extra_fields,
    large,
    read_entries,
    tail_of,
    words,
)
from checker.io.reader import Reader
from checker.io.sources import Window
from checker.model.artifact import Source, Span

LOCAL, _DESCRIPTOR = b"PK\x03\x04", b"PK\x07\x08"
_LOCAL_SIZE: Final = 30  # bytes, APPNOTE 4.3.7
STORED, DEFLATED, ZSTD, _AES = 0, 8, 93, 99
_METHODS: Final = {9: "deflate64", 12: "bzip2", 14: "LZMA", ZSTD: "zstd", 95: "xz", _AES: "AES"}
COMMON: Final = frozenset({STORED, DEFLATED})  # what every reader takes
MODERN: Final = COMMON | {ZSTD}
_INFLATED: Final = {DEFLATED: "deflate", ZSTD: "zstd"}
_ENCRYPTED, _STREAMED, _STRONG = 0x1, 0x8, 0x40  # general purpose flags, APPNOTE 4.4.4
_AES_BITS: Final = {1: "128", 2: "192", 3: "256"}
MAX_RATIO: Final = {DEFLATED: 1040, ZSTD: 33_000}  # deflate makes at most 1032 bytes of one, zstd 128 KiB of four
_RATIO_ROOM: Final = 1024  # bytes that an almost empty stream may claim
_OPEN_AT_ONCE: Final = 4  # inflated members with their read positions, some 600 KB each


@dataclass(frozen=True)
class Doubt:
    """Something that readers treat differently. `code` is a weakness code."""

    code: str
    message: str
    where: str = ""


@dataclass(frozen=True, kw_only=True)
class Member:
    """One entry. `span` is its stored form in the archive, `extent` that with its local header and descriptor.

    `kind` is `file`, `folder` or `link`; `encryption` names the scheme or is empty; `crc32` is of the plain content.
    """

    name: str
    kind: str
    method: int
    size: int
    span: Span
    extent: Span
    crc32: int
    known: bool  # the method is one of those that the caller wants to be read
    encryption: str = ""
    aes_version: int = 0  # AE-2 leaves the CRC-32 out

    @property
    def readable(self) -> bool:
        """Return whether the content can be had here: by a known method, and not encrypted."""
        return not self.encryption and self.known

    @property
    def inflated(self) -> bool:
        """Return whether the content is decompressed as it is read."""
        return self.readable and self.method in _INFLATED

    @property
    def why(self) -> str:
        """Return why the content cannot be had, or nothing."""
        if self.encryption:
            return f"is encrypted ({self.encryption})"
        return "" if self.readable else f"is compressed by {_METHODS.get(self.method, f'method {self.method}')}"


@dataclass(frozen=True)
class Archive:
    """A whole zip: its members in the order of their bytes, the comment, and what readers may disagree about."""

    source: Source = field(repr=False)
    members: tuple[Member, ...]
    start: int  # of the first byte that belongs to the zip; bytes before it are prepended
    directory: Span
    end: int  # behind the end record's fixed part
    comment: bytes
    doubts: tuple[Doubt, ...]
    end_records: tuple[int, ...]  # all that a reader may take for one, the one that counts included
    _inflating: _Inflating = field(repr=False, compare=False)

    def find(self, name: str) -> Member | None:
        """Return the file of a name."""
        return next((member for member in self.members if member.name == name and member.kind == "file"), None)

    def open(self, member: Member) -> Source:
        """Return the plain content; its size is the stated one.

        Raises:
            FormatError: it is encrypted, or compressed by a method that is not read here.
        """
        if not member.readable:
            raise FormatError(f"{member.name[:TEXT]!r} {member.why}", offset=member.span.start, field="zip member")
        if member.method == STORED:
            return Window(self.source, member.name, member.span.start, member.span.size)
        return Deflated(member.name, member.size, member.span, _INFLATED[member.method], self._inflating)

    def check_end(self, member: Member) -> None:
        """Raise where more comes out of a compressed member than is stated; its content has been read before.

        Raises:
            FormatError: more comes out.
        """
        if member.inflated and self._inflating.read(member.span, _INFLATED[member.method], member.size, 1):
            message = f"more than the stated {member.size} bytes come out of {member.name[:TEXT]!r}"
            raise FormatError(message, offset=member.span.start, field="zip member")


@dataclass
class _Inflating:
    """The inflated members of one archive that were read last; others begin again when they are read again."""

    source: Source
    _open: OrderedDict[Span, Inflated] = field(default_factory=OrderedDict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def read(self, span: Span, kind: str, offset: int, length: int) -> bytes:
        with self._lock:
            found = self._open.pop(span, None) or Inflated(self.source, span, kind)
            self._open[span] = found
            while len(self._open) > _OPEN_AT_ONCE:
                self._open.popitem(last=False)
        return found.read(offset, length)


@dataclass(frozen=True)
class Deflated:
    """A compressed member's plain content."""

    name: str
    size: int
    span: Span
    kind: str  # as for `Inflated`
    _inflating: _Inflating = field(repr=False, compare=False)

    def read(self, offset: int, length: int) -> bytes:
        """Return `length` bytes from `offset`, fewer only at the stated end.

        Raises:
            FormatError: the data are damaged or cut short.
        """
        room = max(0, min(length, self.size - offset))
        return self._inflating.read(self.span, self.kind, offset, room) if room else b""


def looks_like(source: Source) -> bool:
    """Return whether a file is a zip by its first or its last bytes; bounded, and never raises."""
    if source.read(0, 4) in {LOCAL, END}:
        return True
    tail = tail_of(source)
    return any(directory_at(source, offset) for offset in ends(source, *tail))


def read(source: Source, methods: Collection[int] = COMMON) -> Archive:
    """Return the archive, both of its descriptions compared. Content is read where `methods` have its compression.

    Raises:
        LimitError: more than `MAX_MEMBERS` members, a directory of more than `MAX_HEADER` bytes, or content of more
            than `MAX_INFLATED` bytes.
        FormatError: it is damaged, cut short, or says two things at once.
    """
    tail = tail_of(source)
    offsets = tuple(ends(source, *tail))
    if not offsets:
        raise FormatError("there is no end record: the file is cut short or no zip", offset=tail[0], field="zip end")
    end = End.read(source, offsets[-1])
    entries = tuple(read_entries(source, end))
    members = tuple(
        sorted((_member(source, entry, end, methods) for entry in entries), key=lambda member: member.extent)
    )
    _check_names(members)
    _check_extents(members, end)
    total = sum(member.size for member in members if member.readable)
    if total > MAX_INFLATED:
        message = f"{total} bytes come out, at most MAX_INFLATED ({MAX_INFLATED}) are read"
        raise LimitError(message, offset=end.directory.start, field="zip directory")
    start = min((member.extent.start for member in members), default=end.directory.start)
    records = tuple(at for at in offsets if not any(m.span.start <= at < m.span.end for m in members))
    return Archive(
        source=source,
        members=members,
        start=start,
        directory=end.directory,
        end=end.offset + END_SIZE,
        comment=end.comment,
        doubts=tuple(_doubts(source, members, end, start, records)),
        end_records=records,
        _inflating=_Inflating(source),
    )


# The members


def _member(source: Source, entry: Entry, end: End, methods: Collection[int]) -> Member:
    """Return a member whose two descriptions agree."""
    reader = Reader(source, entry.local, end.directory.start)
    head = reader.take(_LOCAL_SIZE, "zip local header")
    word = words(head)
    if head[:4] != LOCAL:
        raise _differs(entry, "there is no local header where the directory says")
    if reader.take(word(26, 2), "zip name") != entry.raw_name:
        raise _differs(entry, "has another name in its local header")
    extra = extra_fields(reader.take(word(28, 2), "zip extra"), entry.local)
    streamed = bool(word(6, 2) & _STREAMED)
    _compare(entry, word, extra, streamed=streamed)
    span = Span(reader.offset, reader.offset + entry.packed)
    reader.skip(entry.packed, "zip member")
    last = _descriptor(source, entry, span.end, end.directory.start) if streamed else span.end
    encryption, method, version = _encryption(entry)
    member = Member(
        name=entry.name,
        kind="link" if entry.link else "folder" if entry.name.endswith("/") else "file",
        method=method,
        size=entry.size,
        span=span,
        extent=Span(entry.local, last),
        crc32=entry.crc32,
        known=method in methods,
        encryption=encryption,
        aes_version=version,
    )
    _check_size(member)
    return member


def _differs(entry: Entry, message: str) -> FormatError:
    return FormatError(f"{entry.name[:TEXT]!r} {message}", offset=entry.local, field="zip local header")


def _compare(entry: Entry, word: words, extra: dict[int, bytes], *, streamed: bool) -> None:
    mask = _ENCRYPTED | _STREAMED | _STRONG
    if word(6, 2) & mask != entry.flags & mask:
        raise _differs(entry, "has other flags in its local header")
    if word(8, 2) != entry.method:
        raise _differs(entry, "has another compression method in its local header")
    if streamed and not any((word(14, 4), word(18, 4), word(22, 4))):
        return
    size, packed, _ = large(extra.get(EXTRA64, b""), (word(22, 4), word(18, 4), 0), entry.local)
    if streamed and {size, packed} == {0}:
        return
    if (word(14, 4), packed, size) != (entry.crc32, entry.packed, entry.size):
        raise _differs(entry, "has another size or CRC-32 in its local header")


def _descriptor(source: Source, entry: Entry, at: int, limit: int) -> int:
    """Return where the data descriptor ends, in whichever of its four forms it is written (4.3.9)."""
    data = source.read(at, min(24, max(0, limit - at)))
    for mark in (_DESCRIPTOR, b""):
        for width in (4, 8):
            numbers = ((entry.crc32, 4), (entry.packed, width), (entry.size, width))
            if any(number >> 8 * size for number, size in numbers):
                continue
            form = mark + b"".join(number.to_bytes(size, "little") for number, size in numbers)
            if data.startswith(form):
                return at + len(form)
    raise _differs(entry, "has another size or CRC-32 in its data descriptor, or none")


def _encryption(entry: Entry) -> tuple[str, int, int]:
    """Return the scheme, the true compression method, and WinZip's AES version."""
    if not entry.flags & _ENCRYPTED:
        return "", entry.method, 0
    aes = entry.extra.get(EXTRA_AES, b"")
    if entry.method == _AES and len(aes) >= 7:  # noqa: PLR2004 - version, vendor, strength, method
        version = int.from_bytes(aes[:2], "little")
        return f"AES-{_AES_BITS.get(aes[4], '?')}", int.from_bytes(aes[5:7], "little"), version
    return ("strong encryption" if entry.flags & _STRONG else "ZipCrypto"), entry.method, 0


def _check_size(member: Member) -> None:
    if member.encryption:
        return
    packed = member.span.size
    wrong = member.method == STORED and packed != member.size
    bomb = member.method in MAX_RATIO and member.size > packed * MAX_RATIO[member.method] + _RATIO_ROOM
    if wrong or bomb:
        message = f"{member.size} bytes cannot come out of {packed} of {member.name[:TEXT]!r}"
        raise FormatError(message, offset=member.span.start, field="zip member")


def _check_names(members: Iterable[Member]) -> None:
    """Refuse two members of one name; backslashes and parts that mean nothing (`./a//b/`) make no difference."""
    seen: set[str] = set()
    for member in members:
        name = "/".join(part for part in member.name.replace("\\", "/").split("/") if part not in {"", "."})
        if name in seen:
            message = f"{member.name[:TEXT]!r} occurs twice: readers differ about which one counts"
            raise FormatError(message, offset=member.extent.start, field="zip name")
        seen.add(name)


def _check_extents(members: Iterable[Member], end: End) -> None:
    """Refuse members that share bytes (Fifield, "A better zip bomb", 2019)."""
    before = 0
    for member in members:
        if member.extent.start < before:
            message = f"{member.name[:TEXT]!r} overlaps another member"
            raise FormatError(message, offset=member.extent.start, field="zip member")
        before = member.extent.end
    if before > end.directory.start:
        raise FormatError("a member overlaps the directory", offset=before, field="zip member")


# What readers treat differently


def _doubts(
    source: Source, members: tuple[Member, ...], end: End, start: int, records: tuple[int, ...]
) -> Iterator[Doubt]:
    if start:
        text = f"{start} bytes lie before the archive: a reader by magic sees another file"
        yield Doubt("hidden-data", text, str(Span(0, start)))
    last = end.offset + END_SIZE + len(end.comment)
    if last < source.size:
        yield Doubt("trailing-data", f"{source.size - last} bytes follow the archive", str(Span(last, source.size)))
    if len(records) > 1:
        places = ", ".join(f"{at:#x}" for at in records[:5])
        yield Doubt("second-end-record", f"{len(records)} end records: {places}", places)
    for gap in _gaps(members, end.directory.start):
        yield Doubt("hidden-data", f"{gap.size} bytes between the members belong to none", str(gap))
    for member in members:
        yield from _member_doubts(member)


def _gaps(members: tuple[Member, ...], directory: int) -> Iterator[Span]:
    before = members[0].extent.start if members else directory
    for member in members:
        if member.extent.start > before:
            yield Span(before, member.extent.start)
        before = member.extent.end
    if before < directory:
        yield Span(before, directory)


def _member_doubts(member: Member) -> Iterator[Doubt]:
    name = member.name[:TEXT]
    if member.kind == "link":
        yield Doubt("link-member", f"{name!r} is a symbolic link: what is unpacked behind it may land elsewhere", name)
    if member.kind == "folder" and member.size:
        yield Doubt("malformed", f"{name!r} is a folder with content", name)
    if "\\" in name:
        yield Doubt("malformed", f"{name!r} has a backslash: systems differ about folders", name)
    if member.encryption == "ZipCrypto":
        text = f"{name!r} is encrypted by ZipCrypto, which some known plain bytes break"
        yield Doubt("weak-cipher", text, name)
