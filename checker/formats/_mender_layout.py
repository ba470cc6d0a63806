"""The layout of a Mender artifact: the members in their places, the header, and the files inside the data archives.

Source: mendersoftware/mender-artifact Documentation/artifact-format-v2.md and -v3.md.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final

from checker.errors import FormatError, LimitError
from checker.formats import _tar
from checker.formats._inflate import MAX_INFLATED, Inflated, compression, inflate
from checker.formats._mender_header import Header, read_header, read_manifest, read_version
from checker.io.limits import MAX_HEADER, MAX_MEMBERS
from checker.io.reader import Reader
from checker.io.sources import BytesSource, Window
from checker.model.artifact import Source, Span

VERSION, MANIFEST, SIGNATURE, AUGMENT = "version", "manifest", "manifest.sig", "manifest-augment"
_ARCHIVE: Final = r"\.tar(?:\.gz|\.xz|\.zst)?"
# The order that installers demand; every member has its place.
_ORDER: Final = tuple(
    re.compile(pattern)
    for pattern in (
        re.escape(VERSION),
        re.escape(MANIFEST),
        re.escape(SIGNATURE),
        re.escape(AUGMENT),
        "header" + _ARCHIVE,
        "header-augment" + _ARCHIVE,
        "data/([0-9]{4})" + _ARCHIVE,
    )
)
AT_VERSION, AT_MANIFEST, AT_SIGNATURE, AT_AUGMENT, AT_HEADER, AT_HEADER_AUGMENT, AT_DATA = range(7)
_ONCE: Final = range(AT_DATA)
FOLDER: Final = len("data/0000")
MAX_FILES: Final = MAX_MEMBERS


@dataclass(frozen=True, kw_only=True)
class File:
    """One payload file. `span` is its content in the artifact, or its whole data archive where that is compressed."""

    name: str  # as in the manifest: data/0000/rootfs.img
    number: int  # of the payload
    source: Source = field(repr=False)
    span: Span
    end: int = 0  # in the decompressed archive
    compressed: bool = False


@dataclass(frozen=True, kw_only=True)
class Layout:
    """The members by place, what the manifests say, and the files inside the data archives."""

    version: int
    manifest: _tar.Member
    places: Mapping[int, tuple[_tar.Member, ...]]
    stated: Mapping[str, str]
    augmented: Mapping[str, str]
    header: Header
    files: tuple[File, ...]
    end: int  # of the last member

    def one(self, place: int) -> _tar.Member | None:
        """Return the only member of a place."""
        return next(iter(self.places.get(place, ())), None)

    @property
    def archives(self) -> tuple[_tar.Member, ...]:
        """Return the data archives."""
        return self.places.get(AT_DATA, ())


def read_layout(source: Source) -> Layout:
    """Return where everything lies, and what the texts say.

    Raises:
        LimitError: a header or payload is larger, or there are more files, than the limits allow.
        FormatError: a member is damaged, missing, or out of its place.
    """
    places, end = _places(source)
    texts = {}
    for place, member in (
        (place, found[0]) for place, found in places.items() if place in {AT_VERSION, AT_MANIFEST, AT_AUGMENT}
    ):
        texts[place] = Reader(source, member.span.start, member.span.end).take(member.span.size, member.name)
    if AT_VERSION not in texts or AT_MANIFEST not in texts:
        raise FormatError("there is no version or no manifest", field="tar")
    header = _read_header(source, next(iter(places.get(AT_HEADER, ())), None))
    return Layout(
        version=read_version(texts[AT_VERSION]),
        manifest=places[AT_MANIFEST][0],
        places=places,
        stated=read_manifest(texts[AT_MANIFEST], MANIFEST),
        augmented=read_manifest(texts[AT_AUGMENT], AUGMENT) if AT_AUGMENT in texts else {},
        header=header,
        files=_files(source, places.get(AT_DATA, ())),
        end=end,
    )


def _places(source: Source) -> tuple[dict[int, tuple[_tar.Member, ...]], int]:
    """Return the members by their place in the order, and where the last one ends."""
    places: dict[int, tuple[_tar.Member, ...]] = {}
    before, end = 0, 0
    for member in _tar.members(source):
        if member.span.end > source.size:
            raise FormatError("ends behind the file", offset=member.span.start, field=member.name[:200])
        place = next((place for place, pattern in enumerate(_ORDER) if pattern.fullmatch(member.name)), None)
        if place is None or place < before or (place in _ONCE and place in places):
            text = f"{member.name[:200]!r} has no place here; the order is version, manifest, header, data"
            raise FormatError(text, offset=member.span.start, field="tar")
        places[place] = (*places.get(place, ()), member)
        before, end = place, member.span.end
    return places, end


def _read_header(source: Source, member: _tar.Member | None) -> Header:
    """Return what the header archive says."""
    if member is None:
        raise FormatError("there is no header archive", field="tar")
    kind = compression(source.read(member.span.start, 8))
    if kind:
        return read_header(BytesSource(member.name, inflate(source, member.span, kind)))
    if member.span.size > MAX_HEADER:
        raise LimitError(f"more than MAX_HEADER ({MAX_HEADER}) bytes", offset=member.span.start, field=member.name)
    return read_header(Window(source, member.name, member.span.start, member.span.size))


def _files(source: Source, archives: Iterable[_tar.Member]) -> tuple[File, ...]:
    """Return the files of all data archives."""
    files: list[File] = []
    room = MAX_INFLATED
    for archive in archives:
        kind = compression(source.read(archive.span.start, 8))
        found = list(_inside(source, archive, kind, room))
        room -= max((file.end for file in found), default=0) if kind else 0
        files += found
        if len(files) > MAX_FILES:
            raise LimitError(f"more than {MAX_FILES} payload files", offset=archive.span.start, field=archive.name)
    return tuple(files)


def _inside(source: Source, archive: _tar.Member, kind: str, room: int) -> Iterator[File]:
    """Yield the files of a data archive; decompressed, it may take at most `room` bytes."""
    plain = Window(source, archive.name, archive.span.start, archive.span.size)
    content = Inflated(source, archive.span, kind) if kind else plain
    folder = archive.name[:FOLDER]
    for member in _tar.members(content):
        start = archive.span.start + member.span.start
        span = archive.span if kind else Span(start, start + member.span.size)
        if not kind and span.end > archive.span.end:
            raise FormatError(f"{member.name[:200]!r} ends behind its archive", offset=start, field=archive.name)
        if kind and member.span.end > room:
            text = f"payloads of more than MAX_INFLATED ({MAX_INFLATED}) bytes"
            raise LimitError(text, offset=archive.span.start, field=archive.name)
        name = f"{folder}/{member.name}"
        yield File(
            name=name,
            number=int(folder[-4:]),
            source=Window(content, name, member.span.start, member.span.size),
            span=span,
            end=member.span.end,
            compressed=bool(kind),
        )


def contents(source: Source, layout: Layout) -> Iterator[tuple[str, Source, Span]]:
    """Yield what a manifest may name, with its content and where it lies."""
    for place in (AT_VERSION, AT_HEADER, AT_HEADER_AUGMENT):
        member = layout.one(place)
        if member is not None:
            yield member.name, Window(source, member.name, member.span.start, member.span.size), member.span
    for file in layout.files:
        yield file.name, file.source, file.span
