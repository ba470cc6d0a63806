"""T25: more data than is declared, and declared sizes that nobody can hold.

Which refusals count: `size`; `format`, where the surplus breaks a structure; `digest` and `signature`, where it is
covered. Nothing is held in memory: the surplus is one block, offered many times.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Final

from checker.model.artifact import Span
from checker.trials.contract import ARTIFACT, Body, Cause, Change, Content, Genuine, Mutation, Offer
from checker.trials.mutations._common import made

TEST: Final = "T25"
BLOCK: Final = 1024 * 1024  # bytes
BLOCKS: Final = 64
_CAUSES: Final = frozenset({Cause.SIZE, Cause.FORMAT, Cause.DIGEST, Cause.SIGNATURE})


def _offers(genuine: Genuine, body: Body) -> Iterator[Offer]:
    yield made(TEST, f"{BLOCKS} MiB behind the end of the file", _CAUSES, partial(_appended, genuine))
    for words, change in body.oversized.items():
        yield made(TEST, words, _CAUSES, partial(_same, change))


def _appended(genuine: Genuine) -> Change:
    block = genuine.random(BLOCK)
    content = Content(pieces=(Span(0, genuine.source.size), *(block for _ in range(BLOCKS))))
    return Change(changed={ARTIFACT: content})


def _same(change: Change) -> Change:
    return change


MUTATION: Final = Mutation(id="oversized", title="more than declared", tests=(TEST,), offers=_offers)
