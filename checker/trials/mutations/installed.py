"""T30 and T35: what lies installed is changed before it is started. No anatomy is needed.

A genuine update is accepted first. Then its file in the device's state is changed, and the boot must not start it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import cache
from typing import Final

from checker.errors import FormatError
from checker.model.artifact import Source, Span
from checker.trials.checksum_repair import patch
from checker.trials.contract import Body, Cause, Content, Genuine, Mutation, Offer

_NOTICED: Final = frozenset({Cause.DIGEST, Cause.SIGNATURE})


def _offers(_genuine: Genuine, _body: Body) -> Iterator[Offer]:
    for words, place in (("first", _first), ("middle", _middle), ("last", _last)):
        yield Offer(test="T30", variant=f"a bit of the {words} byte", causes=_NOTICED, spoil=_flipped(place))
    yield Offer(test="T30", variant="its last byte missing", causes=_NOTICED | {Cause.SIZE}, spoil=_cut)
    yield Offer(test="T35", variant="bytes in the middle, every CRC repaired", causes=_NOTICED, spoil=_unnoticed)


def _first(_size: int) -> int:
    return 0


def _middle(size: int) -> int:
    return size // 2


def _last(size: int) -> int:
    return size - 1


def _flipped(place: Callable[[int], int]) -> Callable[[Source], Content]:
    def flipped(installed: Source) -> Content:
        at = place(_size(installed, 1))
        return Content.patched(installed.size, at, bytes((installed.read(at, 1)[0] ^ 1,)))

    return flipped


def _cut(installed: Source) -> Content:
    return Content(pieces=(Span(0, _size(installed, 2) - 1),))


def _unnoticed(installed: Source) -> Content:
    """Change bytes so that no CRC of the catalogue notices it, over whatever range that has them all."""
    change = _patch()
    at = (_size(installed, len(change)) - len(change)) // 2
    old = installed.read(at, len(change))
    return Content.patched(installed.size, at, bytes(a ^ b for a, b in zip(old, change, strict=True)))


@cache
def _patch() -> bytes:
    return patch()


def _size(installed: Source, least: int) -> int:
    if installed.size < least:
        raise FormatError(f"the installed file has {installed.size} bytes, too few to be changed so", field="installed")
    return installed.size


MUTATION = Mutation(id="installed", title="changed after it was installed", tests=("T30", "T35"), offers=_offers)
