"""Active tests of the device's own verifiers: what is genuine is accepted, and everything else is refused.

Runs only with `--active`. The trials are the trials room's; what came of them is turned into records here. A trial that
was not made never looks like a refusal: it is a record that says why.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from checker.description.model import Description
from checker.errors import InputError
from checker.model.evidence import Evidence, Expectation, Origin, Value
from checker.model.terms import Party, Reason
from checker.probes._records import expect, fact, gap, path_of
from checker.probes._verifiers import IMAGE, Job, NoJob, Place, jobs, places
from checker.probes.contract import Context, Probe
from checker.trials.bench import Bench
from checker.trials.commands import Ready, ready
from checker.trials.contract import Answer
from checker.trials.plan import Tried, tests, trials
from checker.trials.runner import Limits

_PROBE: Final = "verifier"
_KIND: Final = "verifier_trial"
# The tests of criteria.md section 7 that a verifier can answer. T27 and T34 are static; T28, T37 and T40 ask others.
_TESTS: Final = (
    *(f"T{number:02}" for number in range(27)),
    *("T29", "T30", "T30b", "T31", "T32", "T33", "T35", "T36", "T38", "T39"),
)
_INSTALLED: Final = frozenset({"T13", "T14", "T19", "T23", "T24", "T29", "T30", "T30b", "T31", "T33", "T35"})


def _expects(description: Description) -> Iterator[Expectation]:
    for place in places(description):
        reason = Reason.NOT_RUN if place.command else Reason.NOT_DECLARED
        text = place.text or "nothing prepares this test in this release"
        for test in _asked(place, description):
            subject = place.subject(description, test)
            yield expect(_KIND, subject, values=_values(place, test), reason=reason, explanation=text)


def _asked(place: Place, description: Description) -> tuple[str, ...]:
    """Return the tests that a place owes. What needs an installed update is asked where something is installed.

    Whose a file is (T18) is asked of deliverables: one image may be for a whole model inside them.
    """
    if place.scope == IMAGE:
        return tuple(test for test in _TESTS if test != "T18")
    if len(description.device.targets) <= 1:
        return _TESTS
    installs = place.command is not None and place.command.state is not None
    return _TESTS if installs else tuple(test for test in _TESTS if test not in _INSTALLED)


def _values(place: Place, test: str) -> dict[str, Value]:
    return {"test": test, "scope": place.scope, **({"target": place.target} if place.target else {})}


def _run(context: Context) -> Iterator[Evidence]:
    for place in places(context.description):
        if place.command is not None:
            yield from _at(place, context)


def _at(place: Place, context: Context) -> Iterator[Evidence]:
    """Yield the records of one verifier, or one reason for all of its tests."""
    assert place.command is not None  # noqa: S101 - the caller has looked
    try:
        verifier: Ready | str = ready(place.command, context.files)
    except InputError as error:
        verifier = str(error)
    if isinstance(verifier, str):
        yield from _all(place, context, Reason.NOT_RUN, verifier)
        return
    found = jobs(place, context.description, context.opened, context.files)
    if isinstance(found, NoJob):
        yield from _all(place, context, found.reason, found.text)
        return
    for job in found:
        yield from _tried(place, context, verifier, job)


def _all(place: Place, context: Context, reason: Reason, text: str) -> Iterator[Evidence]:
    for test in _asked(place, context.description):
        yield gap(_PROBE, _KIND, place.subject(context.description, test), reason, text, values=_values(place, test))


def _tried(place: Place, context: Context, verifier: Ready, job: Job) -> Iterator[Evidence]:
    reads, kind = verifier.adapter.formats, job.genuine.artifact.format
    if reads and kind not in reads:
        text = f"{verifier.adapter.id} reads {', '.join(sorted(reads))}; {job.genuine.id} is {kind}"
        yield from _all(place, context, Reason.UNSUPPORTED_FORMAT, text)
        return
    bench = Bench(
        command=verifier.command,
        adapter=verifier.adapter,
        genuine=job.genuine,
        pool=job.pool,
        base=verifier.base,
        state=verifier.state,
        settings=verifier.settings,
        limits=Limits(time=context.trial_seconds),
    )
    context.note(f"{place.target or 'the update'}: offering {job.genuine.id} to {verifier.adapter.id}")
    asked = _asked(place, context.description)
    for tried in trials(bench, asked):
        yield _record(place, context, job, tried)
    for test in sorted(set(asked) - tests()):
        text = "nothing prepares this test in this release"
        values = _values(place, test)
        yield gap(_PROBE, _KIND, place.subject(context.description, test), Reason.NOT_RUN, text, values=values)


def _record(place: Place, context: Context, job: Job, tried: Tried) -> Evidence:
    subject = place.subject(context.description, tried.test)
    where = f"{tried.test}, {tried.variant}"
    origin = Origin(file=path_of(job.ref.file), sha256=job.genuine.artifact.sha256, pointer=where)
    values = _values(place, tried.test)
    if tried.reason is not None or tried.answer is None:
        text = f"{tried.variant}: {tried.text}"
        return gap(_PROBE, _KIND, subject, tried.reason or Reason.NOT_RUN, text, values=values, origin=origin)
    return fact(_PROBE, _KIND, subject, values | _judged(tried, tried.answer), party=Party.SECOND, origin=origin)


def _judged(tried: Tried, answer: Answer) -> dict[str, Value]:
    return {
        "outcome": answer.outcome.value,
        "expected": tried.expected.value,
        "as_expected": tried.as_expected,
        "masked": tried.masked,
        "state_unchanged": tried.state_unchanged,
        "logged": tried.logged,
    }


PROBE = Probe(
    id=_PROBE,
    title="The device's own verifiers, tried with genuine and changed updates",
    kinds=(_KIND,),
    expects=_expects,
    run=_run,
    requires="active",
)
