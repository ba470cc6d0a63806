"""tar archives with members changed: size and checksum of the header are made right, all else is kept (POSIX ustar)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from checker.formats._tar import BLOCK, Member
from checker.model.artifact import Source, Span
from checker.trials.contract import Content

_SIZE, _SUM = slice(124, 136), slice(148, 156)
SIZE_PLACE: Final = 124  # of the size in a header


def heads(members: Sequence[Member]) -> dict[str, Span]:
    """Return where the header of each member lies, extended headers before it included."""
    found, at = {}, 0
    for member in members:
        found[member.name] = Span(at, member.span.start)
        at = member.span.end + -member.span.end % BLOCK
    return found


def with_members(source: Source, members: Sequence[Member], new: Mapping[str, bytes | None]) -> Content:
    """Return the archive with other bytes for some members, or without them (None)."""
    places = heads(members)
    pieces: list[Span | bytes] = []
    at = 0
    for member in members:
        if member.name not in new:
            continue
        head, data = places[member.name], new[member.name]
        pieces.append(Span(at, head.start))
        at = min(member.span.end + -member.span.end % BLOCK, source.size)
        if data is not None:
            old = source.read(head.start, head.size)
            pieces += [old[:-BLOCK] + resized(old[-BLOCK:], len(data)), data, bytes(-len(data) % BLOCK)]
    pieces.append(Span(at, source.size))
    return Content(pieces=tuple(item for item in pieces if (item.size if isinstance(item, Span) else len(item)) > 0))


def resized(head: bytes, size: int) -> bytes:
    """Return a header of 512 bytes that states another size, with its checksum."""
    new = bytearray(head)
    new[_SIZE] = b"%011o\0" % size
    new[_SUM] = b" " * 8
    new[_SUM] = b"%06o\0 " % sum(new)
    return bytes(new)
