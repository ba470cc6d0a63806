"""T13, T14, T17 and T18: genuine files at the wrong time or for the wrong device. No anatomy is needed."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from checker.trials.contract import Body, Cause, Genuine, Mutation, Offer, Other

_CURRENT: Final = "current"
_OLDER: Final = "previous"
_VERSION: Final = frozenset({Cause.VERSION})
_FOREIGN: Final = frozenset({Cause.DECRYPT, Cause.COMPATIBILITY})


def _offers(genuine: Genuine, _body: Body) -> Iterator[Offer]:
    yield from _older(genuine)
    yield Offer(
        test="T14", variant="the same once more", causes=_VERSION, instead=genuine.id, after=genuine.id, or_nothing=True
    )
    yield Offer(
        test="T17",
        variant="a genuine deliverable of another model",
        needs="needs a deliverable of another model, and a description is of one model",
    )
    yield from _foreign(genuine)


def _older(genuine: Genuine) -> Iterator[Offer]:
    older = [item for item in genuine.others if item.release == _OLDER and item.device == genuine.device]
    for item in older:
        variant = f"{_named(item)} after the current release"
        yield Offer(test="T13", variant=variant, causes=_VERSION, instead=item.id, after=genuine.id)
    if not older:
        text = f"needs an older release for this device (release: {_OLDER})"
        yield Offer(test="T13", variant="an older release", needs=text)


def _foreign(genuine: Genuine) -> Iterator[Offer]:
    known = genuine.device != ""
    found = [item for item in genuine.others if known and item.device not in {"", genuine.device}]
    current = [item for item in found if item.release == _CURRENT]
    for item in current:
        yield Offer(test="T18", variant=f"{_named(item)} of device {item.device}", causes=_FOREIGN, instead=item.id)
    if not current:
        text = "needs the current release for a second device (`device` of each artifact)"
        yield Offer(test="T18", variant="the deliverable of another device", needs=text)


def _named(item: Other) -> str:
    return f"{item.id} ({item.version})" if item.version else item.id


MUTATION = Mutation(
    id="others", title="genuine, but not now or not here", tests=("T13", "T14", "T17", "T18"), offers=_offers
)
