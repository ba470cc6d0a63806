from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from checker.assessment.assess import Request, assess
from checker.model.assessment import Assessment, Identity
from checker.model.evidence import Evidence, EvidenceSet, Origin
from checker.model.finding import Finding, Judgement
from checker.model.requirement import RuleSet
from checker.model.subject import Subject, SubjectKind
from checker.model.terms import Grade, Method, Reading, Reason, Verdict
from checker.rules.judge import Inputs, judge
from checker.rules.load import load
from checker.rules.observations import observe

NOW = "2026-11-01T12:00:00Z"
SMALL = Path(__file__).parents[1] / "rules" / "data" / "small"


@pytest.fixture(scope="session")
def small() -> RuleSet:
    return load(SMALL)


@pytest.fixture(scope="session")
def judged(small: RuleSet) -> Callable[..., tuple[Finding, ...]]:
    """Return findings with given verdicts; `+` marks a pass by a claim, `d` one by document; all else is unknown."""

    def make(verdicts: Mapping[str, str]) -> tuple[Finding, ...]:
        return tuple(_finding(item, verdicts.get(item.id, "unknown")) for item in small.requirements)

    return make


def _finding(requirement: Any, word: str) -> Finding:
    methods = {"pass": Method.TESTED, "pass+": Method.DECLARED, "pass d": Method.EXAMINED}
    verdict = Verdict(word.split("+", maxsplit=1)[0].split(maxsplit=1)[0])
    judgement = Judgement(
        verdict=verdict,
        reason=None if verdict is Verdict.PASS else Reason.MISSING_RECORD,
        explanation="so it is",
        method=methods.get(word),
        by_document=word.endswith("d"),
    )
    return Finding(
        requirement=requirement, judgements={(grade, each): judgement for grade in Grade for each in Reading}
    )


@pytest.fixture(scope="session")
def run(small: RuleSet) -> Callable[..., Assessment]:
    """Return the assessment of some records, given as (kind, method, values)."""

    def make(*records: tuple[str, str, dict[str, Any]], **request: Any) -> Assessment:
        evidence = EvidenceSet.complete((), (_record(index, *item) for index, item in enumerate(records)))
        findings = judge(small, evidence, Inputs(as_of=NOW, support_until="2032-01-01"))
        identity = Identity(vendor="Acme", model="M", update="u", version="1")
        wanted = Request(as_of=NOW, tool_version="0.0", **request)
        return assess(small, evidence, findings, observe(small, findings, evidence), identity, wanted)

    return make


def _record(index: int, kind: str, method: str, values: dict[str, Any]) -> Evidence:
    subject = Subject(kind=SubjectKind.UPDATE, id=f"r{index}")
    origin = Origin(time=NOW)
    return Evidence(kind=kind, subject=subject, probe="test", method=Method(method), values=values, origin=origin)
