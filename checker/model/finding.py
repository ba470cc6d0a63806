"""A finding: one requirement met with evidence."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from checker.model.evidence import Origin, Value
from checker.model.requirement import Requirement
from checker.model.terms import Grade, Method, Party, Reading, Reason, Verdict


@dataclass(frozen=True, kw_only=True)
class Observed:
    """One record's contribution: what was seen, where, and how it is known."""

    kind: str
    subject: str
    field: str
    value: Value
    expected: str
    method: Method
    party: Party
    origin: Origin
    verdict: Verdict


@dataclass(frozen=True, kw_only=True)
class Judgement:
    """The verdict of one requirement under one grade and one reading."""

    verdict: Verdict
    reason: Reason | None = None
    explanation: str = ""
    method: Method | None = None  # of the weakest link that a pass rests on
    by_document: bool = False


@dataclass(frozen=True, kw_only=True)
class Finding:
    """All judgements of one requirement, and what they rest on.

    `judgements` has an entry for every grade and reading. `observed` holds what decided (counter-examples first).
    `per_target` holds the proved, letter judgement per hardware target where the requirement is judged per target.
    """

    requirement: Requirement
    judgements: Mapping[tuple[Grade, Reading], Judgement]
    observed: tuple[Observed, ...] = ()
    expected: str = ""
    fix: str = ""
    per_target: Mapping[str, Judgement] = field(default_factory=dict)

    def judgement(self, grade: Grade = Grade.PROVED, reading: Reading = Reading.LETTER) -> Judgement:
        """Return the judgement under a grade and a reading."""
        return self.judgements[grade, reading]
