"""The tiers that the vendor claims. A claim never proves anything; it is shown beside what was proved."""

from __future__ import annotations

from collections.abc import Iterator

from checker.description.model import Description
from checker.model.evidence import Evidence, Expectation
from checker.model.subject import Subject, SubjectKind
from checker.model.terms import Method, Step
from checker.probes._records import expect, fact, undeclared
from checker.probes.contract import Context, Probe


def _subject(step: Step) -> Subject:
    return Subject(kind=SubjectKind.STEP, id=step.value)


def _expects(description: Description) -> Iterator[Expectation]:
    for step, tier in description.claims.items():
        yield expect("claim", _subject(step), values={"step": step.value, "tier": tier.value})
    if not description.claims:
        yield undeclared("claim", description, "claimed tier")


def _run(context: Context) -> Iterator[Evidence]:
    for step, tier in context.description.claims.items():
        values = {"step": step.value, "tier": tier.value}
        yield fact("claims", "claim", _subject(step), values, method=Method.DECLARED)


PROBE = Probe(id="claims", title="Claimed tiers", kinds=("claim",), expects=_expects, run=_run)
