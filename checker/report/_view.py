"""What the readable outputs show of an assessment: one state per cell of the table, and orders that put failures first.

Nothing is judged here. A state only puts into one word what rows and findings already say; in doubt it is the weaker
word, so that no cell looks better than the row's own tier.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

from checker.model.assessment import Assessment, Row
from checker.model.finding import Finding, Judgement
from checker.model.requirement import Cell
from checker.model.terms import CELL_TIERS, Grade, Method, Reading, Step, Tier, Verdict
from checker.report import _words as words


class State(StrEnum):
    """What a report says of one cell."""

    REACHED = "reached"  # proved, by test or by document
    DESCRIBED = "described"  # reached on the vendor's word, where the table assumes nothing (criteria.md R5)
    MET = "met"  # nothing in it applies to this device
    DOCUMENTED = "documented"  # evidence exists, but not of the class that proves
    FAILED = "failed"
    UNKNOWN = "unknown"
    CAPPED = "capped"  # its own requirements are met; a lower cell or a dependency holds it back
    REFERENCE = "reference"  # by reference, and what it refers to is not reached
    EXCLUDED = "excluded"


STATE_WORDS = {
    State.REACHED: "reached",
    State.DESCRIBED: "described",
    State.MET: "nothing applies",
    State.DOCUMENTED: "documented only",
    State.FAILED: "not reached",
    State.UNKNOWN: "not proven",
    State.CAPPED: "held back",
    State.REFERENCE: "by reference",
    State.EXCLUDED: "not applicable",
}


@dataclass(frozen=True, kw_only=True)
class CellView:
    """One cell as shown: `method` is that of its weakest pass, `refers_to` the tier that a cell by reference names."""

    cell: Cell
    state: State
    method: Method | None
    passed: int
    required: int
    refers_to: Tier | None = None


@dataclass(frozen=True, kw_only=True)
class RowView:
    """One row as shown."""

    row: Row
    title: str
    description: str
    proved: Tier
    documented: Tier
    other_reading: Tier | None  # the proved tier under the other reading, where it differs
    cells: tuple[CellView, ...]
    findings: tuple[Finding, ...]

    @property
    def step(self) -> Step:
        """Return the step."""
        return self.row.step

    @property
    def shows_proof(self) -> bool:
        """Return whether anything in this row is proved by more than the vendor's word."""
        return any(cell.state is State.REACHED for cell in self.cells)


def judgement(assessment: Assessment, finding: Finding, grade: Grade = Grade.PROVED) -> Judgement:
    """Return the judgement that decides under the chosen reading."""
    return finding.judgement(grade, assessment.reading)


def other(reading: Reading) -> Reading:
    """Return the reading that does not decide."""
    return Reading.MODERN if reading is Reading.LETTER else Reading.LETTER


def views(assessment: Assessment) -> tuple[RowView, ...]:
    """Return every row in the order of the table."""
    return tuple(_row_view(assessment, row) for row in sorted(assessment.rows, key=lambda row: row.step.number))


def worst_first(assessment: Assessment, findings: Iterable[Finding]) -> tuple[Finding, ...]:
    """Return findings with failures first, then what is not proven; within a verdict by tier, then in rule order."""
    order = [Verdict.FAIL, Verdict.UNKNOWN, Verdict.NOT_APPLICABLE, Verdict.PASS]
    return tuple(
        sorted(
            findings,
            key=lambda item: (order.index(judgement(assessment, item).verdict), item.requirement.tier.rank),
        )
    )


def anything_proved(assessment: Assessment) -> bool:
    """Return whether any row shows proof; without it no output may look like success (design.md, idea 3)."""
    return any(view.shows_proof for view in views(assessment))


def _row_view(assessment: Assessment, row: Row) -> RowView:
    about = assessment.rules.rows.get(row.step)
    findings = tuple(item for item in assessment.findings if item.requirement.step is row.step)
    proved = words.printed(row, Grade.PROVED, assessment.reading)
    beside = words.printed(row, Grade.PROVED, other(assessment.reading))
    return RowView(
        row=row,
        title=about.title if about else row.step.value.capitalize(),
        description=about.description if about else "",
        proved=proved,
        documented=words.printed(row, Grade.DOCUMENTED, assessment.reading),
        other_reading=None if beside is proved else beside,
        cells=tuple(_cell_view(assessment, row, findings, tier) for tier in CELL_TIERS),
        findings=worst_first(assessment, findings),
    )


def _cell_view(assessment: Assessment, row: Row, findings: tuple[Finding, ...], tier: Tier) -> CellView:
    named = {cell.tier: cell for cell in assessment.rules.cells if cell.step is row.step}
    blank = Cell(step=row.step, tier=tier, table="", slide="", by_reference=tier.rank > words.ceiling(row).rank)
    cell = named.get(tier, blank)
    home = words.capped(row, tier) if cell.by_reference else tier
    own = [item for item in findings if item.requirement.tier is home and item.requirement.blocking]
    verdicts = [judgement(assessment, item) for item in own]
    passes = [item for item in verdicts if item.verdict is Verdict.PASS]
    state = _state(assessment, row, home, verdicts)
    if cell.by_reference and state in {State.FAILED, State.UNKNOWN, State.DOCUMENTED, State.CAPPED}:
        state = State.REFERENCE
    return CellView(
        cell=cell,
        state=state,
        method=_weakest(passes) if state in {State.REACHED, State.DESCRIBED} else None,
        passed=len(passes),
        required=sum(item.verdict is not Verdict.NOT_APPLICABLE for item in verdicts),
        refers_to=home if cell.by_reference else None,
    )


def _state(assessment: Assessment, row: Row, tier: Tier, verdicts: list[Judgement]) -> State:
    if row.not_applicable:
        return State.EXCLUDED
    found = {item.verdict for item in verdicts}
    if row.tier(Grade.PROVED, assessment.reading).rank >= tier.rank:
        return _reached([item for item in verdicts if item.verdict is Verdict.PASS])
    if Verdict.FAIL in found or (tier is Tier.BASIC and row.tier(Grade.PROVED, assessment.reading) is Tier.BELOW_BASIC):
        return State.FAILED
    if row.tier(Grade.DOCUMENTED, assessment.reading).rank >= tier.rank:
        return State.DOCUMENTED
    return State.CAPPED if found and Verdict.UNKNOWN not in found else State.UNKNOWN


def _reached(passes: list[Judgement]) -> State:
    if not passes:
        return State.MET
    return State.DESCRIBED if _weakest(passes) is Method.DECLARED else State.REACHED


def _weakest(passes: list[Judgement]) -> Method:
    """Return the weakest method; a pass that does not say how it is known counts as declared."""
    return min((item.method or Method.DECLARED for item in passes), key=lambda method: method.rank)
