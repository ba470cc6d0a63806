"""T03 and T04: files that are cut short, and files with something behind their end. No anatomy is needed."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from checker.model.artifact import Span
from checker.trials.contract import ARTIFACT, Body, Cause, Content, Genuine, Mutation, Offer

# What is cut short breaks its own structure as well as its size and its digest; all three notice it as such.
_CUT: Final = frozenset({Cause.SIZE, Cause.DIGEST, Cause.FORMAT})
_MORE: Final = frozenset({Cause.SIZE, Cause.DIGEST, Cause.FORMAT})
_APPENDED: Final = 4096  # bytes
_PADDING: Final = 64 * 1024  # bytes of zeros at the end of a file that are taken for padding


def _offers(genuine: Genuine, body: Body) -> Iterator[Offer]:
    size = genuine.source.size
    also = {Cause.SIGNATURE} if body.direct or _signed_whole(genuine) else set()
    last = _last(genuine)
    for length, words in ((0, "empty"), (last // 2, "the first half"), (last, "without its last byte")):
        if 0 <= length < size:
            content = Content(pieces=(Span(0, length),) if length else ())
            yield Offer(test="T03", variant=words, causes=_CUT | also, changed={ARTIFACT: content})
    # Not of zeros: they are padding by the rules of many formats, and say nothing.
    for data, words in ((b"\1", "one byte"), (genuine.random(_APPENDED), f"{_APPENDED} random bytes")):
        content = Content(pieces=(Span(0, size), data))
        yield Offer(test="T04", variant=f"{words} behind the end", causes=_MORE | also, changed={ARTIFACT: content})


def _last(genuine: Genuine) -> int:
    """Return where the last byte lies that is not zero: zeros at the end are padding in many formats."""
    source = genuine.source
    start = max(0, source.size - _PADDING)
    return max(start + len(source.read(start, _PADDING).rstrip(b"\0")) - 1, 0)


def _signed_whole(genuine: Genuine) -> bool:
    """Return whether a signature is over the very file, as a detached one is: then any other length is a wrong one."""
    whole = Span(0, genuine.source.size)
    return any(whole in signature.covers for signature in genuine.artifact.signatures)


MUTATION = Mutation(id="size", title="cut short and drawn out", tests=("T03", "T04"), offers=_offers)
