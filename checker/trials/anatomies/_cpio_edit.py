"""cpio archives (070701, 070702) with members changed: sizes, sums and padding are made right, all else is kept.

Source: cpio(5) "New ASCII Format" and "New CRC Format".
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

from checker.errors import FormatError
from checker.formats._cpio import Archive, Member
from checker.model.artifact import Source, Span
from checker.trials._edits import patched
from checker.trials.contract import Content

_HEADER: Final = 110  # bytes
_ALIGNMENT: Final = 4
_SIZE, _CHECK = 6, 12  # indices of fields of 8 hexadecimal digits behind the magic
_DIGITS: Final = 8


def heads(archive: Archive) -> dict[str, Span]:
    """Return where the header of each member lies: fields, name and padding."""
    found, at = {}, 0
    for member in archive.members:
        found[member.name] = Span(at, member.span.start)
        at = member.span.end + -member.span.end % _ALIGNMENT
    return found


def field_of(archive: Archive, name: str, number: int) -> Span:
    """Return where a field of a member's header lies."""
    start = heads(archive)[name].start + 6 + _DIGITS * number
    return Span(start, start + _DIGITS)


def size_field(archive: Archive, name: str) -> Span:
    """Return where the size of a member is stated."""
    return field_of(archive, name, _SIZE)


def with_members(source: Source, archive: Archive, new: Mapping[str, bytes | None]) -> Content:
    """Return the archive with other bytes for some members, or without them (None)."""
    places = heads(archive)
    pieces: list[Span | bytes] = []
    at = 0
    for member in archive.members:
        if member.name not in new:
            continue
        head, data = places[member.name], new[member.name]
        pieces.append(Span(at, head.start))
        at = min(member.span.end + -member.span.end % _ALIGNMENT, source.size)
        if data is not None:
            fields = _head(source.read(head.start, head.size), member, data)
            pieces += [fields, data, bytes(-len(data) % _ALIGNMENT)]
    pieces.append(Span(at, source.size))
    return Content(pieces=tuple(item for item in pieces if (item.size if isinstance(item, Span) else len(item)) > 0))


def _head(old: bytes, member: Member, data: bytes) -> bytes:
    new = bytearray(old)
    _write(new, _SIZE, len(data))
    if member.checksum is not None:
        _write(new, _CHECK, sum(data) & 0xFFFFFFFF)
    return bytes(new)


def _write(head: bytearray, number: int, value: int) -> None:
    start = 6 + _DIGITS * number
    head[start : start + _DIGITS] = b"%08X" % value


def with_sums(source: Source, archive: Archive, content: Content) -> Content:
    """Return an archive that was patched in place, with the sums of the changed members right again.

    Raises:
        FormatError: the content is not of the archive's size.
    """
    patches = tuple(_patches(content))
    if sum(item.size if isinstance(item, Span) else len(item) for item in content.pieces) != source.size:
        raise FormatError("bytes were added or taken away, not patched", field="cpio")
    sums = {}
    for member in archive.members:
        inside = [(at, new) for at, new in patches if member.span.start <= at < member.span.end]
        if inside and member.checksum is not None:
            change = sum(sum(new) - sum(source.read(at, len(new))) for at, new in inside)
            sums[field_of(archive, member.name, _CHECK).start] = b"%08X" % ((member.checksum + change) & 0xFFFFFFFF)
    return patched(source.size, (*patches, *sums.items()))


def _patches(content: Content) -> Iterable[tuple[int, bytes]]:
    at = 0
    for item in content.pieces:
        if isinstance(item, bytes):
            yield at, item
        at += item.size if isinstance(item, Span) else len(item)
