"""All trials of one verifier: what is offered in which order, and what each answer is worth.

T00, the positive control, comes before and after every group of tests; a refusal without it proves nothing (harness
rule 1). A refusal for another reason than the tested one is masked (rule 2). A crash or a hang is no refusal (rule 4).
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Container, Iterable, Iterator
from dataclasses import dataclass, field, replace
from typing import Final

from checker.discovery import discover, find, module_names
from checker.errors import FormatError, OtauditError
from checker.model.terms import Reason
from checker.trials.bench import Bench, NotTriedError, Seen
from checker.trials.contract import Anatomy, Answer, Body, Cause, Genuine, Mutation, Offer, Outcome

CONTROL: Final = "T00"
MAX_TIMEOUTS: Final = 5  # of one verifier; then the rest is not tried, so that a run ends
MAX_OFFERS: Final = 2_000  # of one group of tests
_ANATOMIES: Final = "checker.trials.anatomies"
_MUTATIONS: Final = "checker.trials.mutations"
_FIELDS: Final = ("payload", "metadata", "signatures", "cipher", "stripped", "with_value", "signed_by")


@dataclass(frozen=True, kw_only=True)
class Tried:
    """One offer and what it is worth, or why it was not made (`reason` and `text`)."""

    test: str
    variant: str
    expected: Outcome = Outcome.REFUSED
    answer: Answer | None = None
    as_expected: bool = False
    masked: bool = False
    state_unchanged: bool | None = None
    logged: bool | None = None
    reason: Reason | None = None
    text: str = ""


def mutations() -> tuple[Mutation, ...]:
    """Return all groups of tests, by their first test."""
    return tuple(sorted(discover(_MUTATIONS, "MUTATION", Mutation), key=lambda item: (item.tests, item.id)))


def anatomies() -> tuple[Anatomy, ...]:
    """Return all anatomies, sorted by id."""
    return discover(_ANATOMIES, "ANATOMY", Anatomy)


def tests() -> frozenset[str]:
    """Return every test that some mutation prepares, and the control."""
    return frozenset({CONTROL, *(test for item in mutations() for test in item.tests)})


def seeded(seed: bytes) -> Callable[[int], bytes]:
    """Return a source of bytes that depend on the seed and on the calls before, and on nothing else."""
    count = 0

    def more(length: int) -> bytes:
        nonlocal count
        count += 1
        return hashlib.shake_256(seed + count.to_bytes(8, "big")).digest(length)

    return more


def trials(bench: Bench, asked: Container[str] | None = None) -> Iterator[Tried]:
    """Make every offer that can be made to one verifier, one after the other, and yield what each is worth.

    `asked` are the tests that are wanted, all of them unless said; the control is always made.

    Never raises for what a verifier, an artifact or a plug-in does: what fails is one `Tried` with a reason.
    """
    found = _body(bench.genuine)
    session = _Session(bench)
    before = session.control("before everything")
    yield before
    for group in mutations():
        wanted = replace(group, tests=tuple(test for test in group.tests if asked is None or test in asked))
        offers, untried = _prepared(wanted, bench, found) if wanted.tests else ([], [])
        yield from untried
        if not offers:
            continue
        made = [session.make(offer) for offer in offers]
        after = session.control(f"after {', '.join(wanted.tests)}")
        yield after
        holds = before.as_expected and after.as_expected
        yield from _all_worth(offers, made, holds=holds)
        before = after


@dataclass(frozen=True)
class _Found:
    """The parts of an artifact; with `fault`, why they are not known."""

    body: Body
    fault: str = ""


def _body(genuine: Genuine) -> _Found:
    name = genuine.artifact.format
    if name.replace("-", "_") not in module_names(_ANATOMIES):
        return _blank(f"no anatomy for the format {name}")
    try:
        return _Found(find(_ANATOMIES, name, "ANATOMY", Anatomy).read(genuine))
    except Exception as error:  # noqa: BLE001 - a plug-in must not stop the trials that need no anatomy
        said = error if isinstance(error, FormatError) else type(error).__name__
        return _blank(f"the anatomy of {name} cannot read it: {said}")


def _blank(fault: str) -> _Found:
    return _Found(Body(notes=dict.fromkeys(_FIELDS, fault)), fault)


def _prepared(group: Mutation, bench: Bench, found: _Found) -> tuple[list[Offer], list[Tried]]:
    """Return the offers of a group that can be made, and those that cannot with the reason."""
    try:
        offers = [item for item in _bounded(group.offers(bench.genuine, found.body)) if item.test in group.tests]
    except Exception as error:  # noqa: BLE001 - a plug-in must not stop the others
        said = error if isinstance(error, OtauditError) else type(error).__name__
        text = f"the tests could not be prepared: {said}"
        return [], [_untried(test, "all", Reason.PROBE_FAILED, text) for test in group.tests]
    ready, untried = [], []
    for offer in offers:
        lacking = _lacking(offer, bench, found)
        if lacking is None:
            ready.append(offer)
        else:
            untried.append(_untried(offer.test, offer.variant, *lacking))
    named = {offer.test for offer in offers}
    untried += [
        _untried(test, "all", Reason.NOT_RUN, "nothing was prepared for it")
        for test in group.tests
        if test not in named
    ]
    return ready, untried


def _bounded(offers: Iterable[Offer]) -> list[Offer]:
    found: list[Offer] = []
    for offer in offers:
        if len(found) == MAX_OFFERS:
            raise FormatError(f"more than {MAX_OFFERS} offers in one group", field="offers")
        found.append(offer)
    return found


def _lacking(offer: Offer, bench: Bench, found: _Found) -> tuple[Reason, str] | None:
    if offer.needs:
        return Reason.UNSUPPORTED_FORMAT if found.fault and found.fault in offer.needs else Reason.NOT_RUN, offer.needs
    if lacking := bench.lacks(offer):
        return Reason.NOT_DECLARED if bench.adapter.installs else Reason.NOT_RUN, f"needs {lacking}"
    unknown = {offer.instead, offer.after} - {"", *bench.pool}
    return (Reason.MISSING_ARTIFACT, f"there is no artifact {min(unknown)}") if unknown else None


def _untried(test: str, variant: str, reason: Reason, text: str) -> Tried:
    return Tried(test=test, variant=variant, reason=reason, text=text)


_Made = Seen | tuple[Reason, str]


@dataclass
class _Session:
    """The trials of one verifier, in order: it stops offering when the verifier hung too often."""

    bench: Bench
    timeouts: int = field(default=0)

    def make(self, offer: Offer) -> _Made:
        """Make one offer; whatever goes wrong in it stays in it."""
        if self.timeouts >= MAX_TIMEOUTS:
            return Reason.TIMEOUT, f"not tried any more: the verifier did not end in time {self.timeouts} times"
        try:
            seen = self.bench.offer(offer)
        except NotTriedError as error:
            return Reason.NOT_RUN, str(error)
        except Exception as error:  # noqa: BLE001 - one trial must not lose the others
            said = str(error) if isinstance(error, OtauditError) else type(error).__name__
            return Reason.PROBE_FAILED, f"the trial failed: {said}"
        self.timeouts += seen.answer.outcome is Outcome.TIMEOUT
        return seen

    def control(self, variant: str) -> Tried:
        """Offer what is genuine."""
        if self.timeouts >= MAX_TIMEOUTS:
            text = f"not tried any more: the verifier did not end in time {self.timeouts} times"
            return _untried(CONTROL, variant, Reason.TIMEOUT, text)
        try:
            answer = self.bench.control()
        except Exception as error:  # noqa: BLE001 - one trial must not lose the others
            said = str(error) if isinstance(error, OtauditError) else type(error).__name__
            return _untried(CONTROL, variant, Reason.PROBE_FAILED, f"the trial failed: {said}")
        self.timeouts += answer.outcome is Outcome.TIMEOUT
        good = answer.outcome is Outcome.ACCEPTED
        return Tried(test=CONTROL, variant=variant, expected=Outcome.ACCEPTED, answer=answer, as_expected=good)


def _all_worth(offers: Iterable[Offer], made: Iterable[_Made], *, holds: bool) -> Iterator[Tried]:
    """Yield what each offer of a group is worth.

    A control of the group (a staging key is trusted) is no test: it would be an accepted offer where refusals are
    asked for. If it fails, that is told, and what follows it up to the next control proves nothing.
    """
    trusted = True
    for offer, seen in zip(offers, made, strict=True):
        if not offer.control:
            yield _worth(offer, seen, holds=holds and trusted)
            continue
        words = seen.answer.words or seen.answer.outcome.value if isinstance(seen, Seen) else seen[1]
        trusted = isinstance(seen, Seen) and seen.answer.outcome is Outcome.ACCEPTED
        if not trusted:
            yield _untried(offer.test, offer.variant, Reason.NOT_RUN, f"it had to be accepted: {words}")


def _worth(offer: Offer, made: _Made, *, holds: bool) -> Tried:
    """Return what an answer is worth. `holds`: the positive control passed before and after."""
    if not isinstance(made, Seen):
        return _untried(offer.test, offer.variant, *made)
    answer = made.answer
    told = Tried(test=offer.test, variant=offer.variant, expected=offer.expected, answer=answer, logged=made.logged)
    if offer.expected is Outcome.ACCEPTED:
        return replace(told, as_expected=answer.outcome is Outcome.ACCEPTED and holds)
    if answer.outcome is Outcome.ACCEPTED:
        nothing = offer.or_nothing and made.unchanged is True
        return replace(told, as_expected=nothing and holds, masked=nothing and not holds)
    refused = answer.outcome is Outcome.REFUSED
    right = answer.cause in offer.causes - {Cause.UNSAID}
    return replace(
        told,
        as_expected=refused and right and holds,
        masked=not holds or (refused and not right),
        state_unchanged=made.unchanged,
    )
