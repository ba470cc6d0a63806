"""Small edits of genuine files: bits flipped in place, pieces read or hashed without being held, parts grouped."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from checker.errors import FormatError
from checker.io import digests
from checker.io.limits import CHUNK
from checker.model.artifact import Source, Span
from checker.trials.contract import Body, Change, Content, Genuine, Part


def groups(parts: Iterable[Part]) -> dict[str, tuple[Part, ...]]:
    """Return parts by name: those of one name are changed together."""
    found: dict[str, tuple[Part, ...]] = {}
    for part in parts:
        found[part.name] = (*found.get(part.name, ()), part)
    return found


def patched(size: int, patches: Iterable[tuple[int, bytes]]) -> Content:
    """Return a file of `size` bytes with bytes in place of others, at several places that do not overlap."""
    pieces: list[Span | bytes] = []
    at = 0
    for start, new in sorted(patches):
        pieces += [Span(at, start), new]
        at = start + len(new)
    pieces.append(Span(at, size))
    return Content(pieces=tuple(item for item in pieces if (item.size if isinstance(item, Span) else len(item)) > 0))


def flipped(genuine: Genuine, body: Body, parts: Sequence[Part], at: int) -> Change:
    """Return the artifact with the lowest bit flipped of byte `at` of each of the parts (-1: its last byte).

    Sums of the container that no key protects are made right again, so that the intended reason is met.

    Raises:
        FormatError: a part is empty, lies behind the end of its file, or is encoded and cannot be written anew.
    """
    changed: dict[str, list[tuple[int, bytes]]] = {}
    for part in parts:
        if part.value:
            return _flipped_value(body, part, at)
        source = genuine.files[part.file]
        place = part.span.start + (at if at >= 0 else part.span.size + at)
        old = source.read(place, 1)
        if not old or not part.span.start <= place < part.span.end:
            raise FormatError("the part does not reach that far", offset=place, field=part.name)
        changed.setdefault(part.file, []).append((place, bytes([old[0] ^ 1])))
    new = Change(changed={name: patched(genuine.files[name].size, found) for name, found in changed.items()})
    return new if body.repaired is None else body.repaired(new)


def _flipped_value(body: Body, part: Part, at: int) -> Change:
    value = bytearray(part.value)
    value[at] ^= 1
    if body.with_value is None:
        raise FormatError("is encoded, and cannot be written anew", field=part.name)
    return body.with_value(part, bytes(value))


def pieces(content: Content, genuine: Source) -> tuple[digests.Piece | digests.Literal, ...]:
    """Return a changed file as what the digest engine reads."""
    return tuple(
        digests.Piece(genuine, item) if isinstance(item, Span) else digests.Literal(item) for item in content.pieces
    )


def whole(source: Source) -> tuple[digests.Piece, ...]:
    """Return a whole file as what the digest engine reads."""
    return (digests.Piece(source, Span(0, source.size)),)


def chunks(content: Content, genuine: Source) -> Iterator[bytes]:
    """Yield a changed file piece by piece, never more than `CHUNK` bytes of the genuine one at a time."""
    for item in content.pieces:
        if isinstance(item, bytes):
            yield item
            continue
        for start in range(item.start, item.end, CHUNK):
            yield genuine.read(start, min(CHUNK, item.end - start))


@dataclass(frozen=True)
class Edited:
    """A changed file as a source of its own: pieces of the genuine one and new bytes, none of it copied."""

    name: str
    content: Content
    genuine: Source

    @property
    def size(self) -> int:
        """Return the length in bytes."""
        return sum(item.size if isinstance(item, Span) else len(item) for item in self.content.pieces)

    def read(self, offset: int, length: int) -> bytes:
        """Return `length` bytes from `offset`, fewer only at the end."""
        found, at = [], 0
        for item in self.content.pieces:
            size = item.size if isinstance(item, Span) else len(item)
            start, end = max(offset - at, 0), min(offset + length - at, size)
            if start < end:
                found.append(
                    item[start:end] if isinstance(item, bytes) else self.genuine.read(item.start + start, end - start)
                )
            at += size
        return b"".join(found)


def changed_source(genuine: Genuine, name: str, change: Change) -> Source:
    """Return one file of a changed artifact, or the genuine one where it was not changed."""
    source = genuine.files[name]
    return Edited(source.name, change.changed[name], source) if name in change.changed else source


def composed(outer: Content, inner: Content) -> Content:
    """Return a file that was changed twice as pieces of the genuine one: `outer` is made of what `inner` gives."""
    found: list[Span | bytes] = []
    for item in outer.pieces:
        if isinstance(item, bytes):
            found.append(item)
        else:
            found += _cut(inner, item)
    return Content(pieces=tuple(found))


def _cut(content: Content, span: Span) -> Iterator[Span | bytes]:
    at = 0
    for item in content.pieces:
        size = item.size if isinstance(item, Span) else len(item)
        start, end = max(span.start - at, 0), min(span.end - at, size)
        if start < end:
            yield item[start:end] if isinstance(item, bytes) else Span(item.start + start, item.start + end)
        at += size


def then(first: Change, second: Change) -> Change:
    """Return both changes, where the second was made of the files that the first gives."""
    changed = dict(first.changed)
    for name, content in second.changed.items():
        changed[name] = composed(content, first.changed[name]) if name in first.changed else content
    return Change(changed=changed, without=first.without | second.without)
