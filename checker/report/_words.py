"""The words of every output, in one place: what a verdict, a tier, a reason and an exit status are called."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from checker.errors import ExitStatus
from checker.model.assessment import Assessment, Counts, Row
from checker.model.terms import Grade, Method, Outcome, Party, Reading, Reason, Tier, Verdict

SCALE: Final = "tiers of the July 2017 NTIA Capabilities working-group table"

VERDICTS: Final[Mapping[Verdict, str]] = {
    Verdict.PASS: "passed",
    Verdict.FAIL: "failed",
    Verdict.UNKNOWN: "not proven",
    Verdict.NOT_APPLICABLE: "not applicable",
}

DESCRIBED: Final = "described only (○), nothing shown"

LETTER_ONLY: Final = (
    "the table's words for a higher tier are met, but what they stand for is not: a quantum computer could still break "
    "what protects the update, so that tier is refused"
)

FIXES: Final[Mapping[str, str]] = {
    "fail": "If it fails",
    "unknown": "If it is not proven",
    "not_applicable": "Where it does not apply",
}

REASONS: Final[Mapping[Reason, str]] = {
    Reason.CONTRADICTED: "the evidence says the opposite",
    Reason.MISSING_FIELD: "the evidence does not say",
    Reason.MISSING_ARTIFACT: "the file was not given",
    Reason.MISSING_RECORD: "evidence that was expected is not there",
    Reason.NOT_DECLARED: "the description is silent",
    Reason.NOT_RUN: "this was not looked at",
    Reason.NOT_PERMITTED: "this was not allowed to be looked at",
    Reason.NO_KEY: "a key that is needed was not given",
    Reason.TOO_WEAK: "known, but not by a method strong enough",
    Reason.STALE: "the evidence is too old",
    Reason.UNREADABLE: "the file could not be read",
    Reason.UNSUPPORTED_FORMAT: "the format is not supported",
    Reason.UNSUPPORTED_ALGORITHM: "the algorithm is not supported",
    Reason.TIMEOUT: "it took too long",
    Reason.PROBE_FAILED: "the probe itself failed",
    Reason.TOO_FEW: "the sample is too small",
    Reason.INEXPRESSIBLE: "the format has no way to say it",
    Reason.CONDITION_FALSE: "the condition for it does not hold",
}

PARTIES: Final[Mapping[Party, str]] = {
    Party.FIRST: "first party (the vendor)",
    Party.SECOND: "second party (the buyer)",
    Party.THIRD: "third party (a laboratory)",
}

METHODS: Final[Mapping[Method, str]] = {
    Method.DECLARED: "declared: the vendor says so",
    Method.EXAMINED: "examined: a document, a log or a configuration was read",
    Method.TESTED: "tested: otaudit recomputed it or saw it happen",
}

OUTCOMES: Final[Mapping[Outcome, str]] = {
    Outcome.VALID: "valid",
    Outcome.INVALID: "invalid",
    Outcome.KEY_UNKNOWN: "not checked: no key was given for it",
    Outcome.UNDECIDABLE: "not decidable without the decryption key",
    Outcome.ABSENT: "absent",
}

_EXITS: Final[Mapping[Verdict, tuple[ExitStatus, str]]] = {
    Verdict.PASS: (ExitStatus.GATE_MET, "gate met"),
    Verdict.FAIL: (ExitStatus.GATE_NOT_MET, "gate not met"),
    Verdict.UNKNOWN: (ExitStatus.UNDECIDED, "undecided"),
    Verdict.NOT_APPLICABLE: (ExitStatus.UNDECIDED, "undecided"),  # a gate that asks for nothing decides nothing
}

_GATES: Final[Mapping[Verdict, str]] = {
    Verdict.PASS: "The gate is met.",
    Verdict.FAIL: "The gate is not met.",
    Verdict.UNKNOWN: "The gate is undecided: nothing that it demands failed, but not all of it is proved.",
    Verdict.NOT_APPLICABLE: "The gate is undecided: it demands nothing that applies here.",
}


def exit_status(assessment: Assessment) -> tuple[ExitStatus, str]:
    """Return the exit status of the gate and its words (design.md section 8)."""
    return _EXITS[assessment.gate.verdict]


def gate_sentence(assessment: Assessment) -> str:
    """Return what came of the gate as one sentence."""
    return _GATES[assessment.gate.verdict]


def gate_scope(assessment: Assessment) -> str:
    """Return of which steps the gate demands nothing; empty where it asks for a tier of every step that applies."""
    asked = {item.step for item in assessment.gate.items}
    free = [row.step for row in assessment.rows if row.step not in asked and not row.not_applicable]
    titles = [assessment.rules.rows[step].title if step in assessment.rules.rows else step.value for step in free]
    return f"It demands nothing of: {', '.join(titles)}." if titles else ""


def counts_sentence(assessment: Assessment) -> str:
    """Return `n required: p passed, f failed, u not proven, a not applicable`, of what the tiers need."""
    counts = assessment.counts
    return f"{counts.asked} required: {_verdicts(counts)}, {counts.not_applicable} not applicable"


def advisory_sentence(assessment: Assessment) -> str:
    """Return `and m advisory questions: …`, which hold back no tier; empty where the rule set asks none."""
    counts = assessment.counts.advisory
    if counts is None or not counts.asked:
        return ""
    return f"and {counts.asked} advisory questions: {_verdicts(counts)}, {counts.not_applicable} not applicable"


def _verdicts(counts: Counts) -> str:
    return f"{counts.passed} passed, {counts.failed} failed, {counts.unknown} not proven"


def ceiling(row: Row) -> Tier:
    """Return the highest tier that is ever printed for a row: its last cell with words of its own (criteria.md R4)."""
    return row.ceiling if row.ceiling.rank else Tier.BASIC


def printed(row: Row, grade: Grade = Grade.PROVED, reading: Reading = Reading.LETTER) -> Tier:
    """Return the tier to print: never above the ceiling, so that nobody reads "Announce: Quantum" (criteria.md R4)."""
    return capped(row, row.tier(grade, reading))


def capped(row: Row, tier: Tier) -> Tier:
    """Return the tier, or the row's ceiling where that is lower."""
    return min(tier, ceiling(row), key=lambda item: item.rank)


def at_ceiling(row: Row, tier: Tier) -> bool:
    """Return whether the tier is the highest that the row defines."""
    return tier.rank >= ceiling(row).rank


def tier_words(row: Row, tier: Tier) -> str:
    """Return a tier with its ceiling, where the table asks for nothing higher."""
    words = capped(row, tier).label
    if at_ceiling(row, tier) and ceiling(row) is not Tier.QUANTUM:
        return f"{words} = no higher requirement defined"
    return words
