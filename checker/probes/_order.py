"""The order of events in an update log (criteria.md DEP8 and SEND-U4, CHECK-B5, ANN-B1, STAGE-B2, ACT-B2).

The order is that of the lines; times must not contradict it. What a log does not record is unknown, not a breach of
order: only an event that stands on the wrong side, or that failed, says that the order does not hold.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from checker.probes._events import Event


@dataclass(frozen=True)
class Pair:
    """`before` (or one of `instead`) must have happened before every `after`; again after each `since`, if set."""

    before: str
    after: str
    since: str = ""
    passed: bool = False  # `before` is a check: it must say success
    instead: tuple[str, ...] = ()

    @property
    def earlier(self) -> frozenset[str]:
        """Return the events that may stand before."""
        return frozenset({self.before, *self.instead})


_FAILED: Final = ("refused", "rolled_back")  # clean-up comes after activation, or after failure
PAIRS: Final = (
    Pair("announced", "applied"),
    Pair("approved", "applied", passed=True),
    Pair("precondition_checked", "applied", passed=True),
    Pair("endpoint_verified", "downloaded", passed=True),
    Pair("downloaded", "signature_checked"),
    Pair("signature_checked", "applied", passed=True),
    Pair("signature_checked", "distributed", passed=True),
    Pair("applied", "reverified"),
    Pair("reverified", "activated", since="applied", passed=True),
    Pair("activated", "cleaned_up", instead=_FAILED),
    Pair("activated", "reported", instead=_FAILED),
    Pair("activated", "notified", instead=_FAILED),
)
TARGETED: Final = frozenset({"distributed", "applied", "reverified", "activated"})


@dataclass(frozen=True, kw_only=True)
class Step:
    """An event at its place, with the hardware target that it is about (empty: the whole device)."""

    event: Event
    target: str


def holds(pair: Pair, steps: Sequence[Step], target: str, *, alone: bool) -> bool | None:
    """Return whether the pair's order holds for a target; None where the log does not say.

    Args:
        pair: the two events.
        steps: the events of one update, in the order of the lines.
        target: the hardware target; empty for a log that names none.
        alone: the device has one target only, so that an event without a target is about it.
    """
    mine = [step for step in steps if _concerns(step, target, alone=alone, pair=pair)]
    places = [place for place, step in enumerate(mine) if step.event.name == pair.after and _happened(step, pair)]
    if not places or not any(step.event.name in pair.earlier for step in mine):
        return None
    answers = [_one(pair, mine, place) for place in places]
    if False in answers:
        return False
    return None if None in answers else True


def _happened(step: Step, pair: Pair) -> bool:
    """Return whether the later event counts: an apply or activation that was deferred did not take place."""
    return step.event.result != "deferred" or pair.after == "reverified"


def _concerns(step: Step, target: str, *, alone: bool, pair: Pair) -> bool:
    if step.target == target:
        return True
    if step.target:
        return False
    # Without a target: about every target, except a re-verification, which must say what it was that it verified.
    return alone or step.event.name != "reverified" or pair.before != "reverified"


def _one(pair: Pair, steps: Sequence[Step], place: int) -> bool | None:
    """Return whether the order holds for the later event at `place`."""
    start = 0
    for at in range(place - 1, -1, -1):
        if pair.since and steps[at].event.name == pair.since:
            start = at
            break
    earlier = [step.event for step in steps[start:place] if step.event.name in pair.earlier]
    if not earlier or any(event.time > steps[place].event.time for event in earlier[-1:]):
        return False
    return _passed(earlier) if pair.passed else True


def _passed(events: Sequence[Event]) -> bool | None:
    """Return whether the last event of every name succeeded; None where one does not say."""
    last = {event.text("name"): event.result for event in events}
    if any(result in {"failure", "deferred"} for result in last.values()):
        return False
    return True if all(result == "success" for result in last.values()) else None
