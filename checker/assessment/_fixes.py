"""What to do next: the requirements that must change for a row's next tier, and the few fixes that lift the most."""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction
from typing import Final

from checker.assessment.gate import blocking
from checker.assessment.tiers import Sheet, Standing
from checker.model.assessment import Fix, Row
from checker.model.requirement import Requirement
from checker.model.terms import CELL_TIERS, Reason, Step, Tier, Verdict

MOST: Final = 3  # fixes on the first page
_CLAIMED: Final = (
    "A statement alone proves nothing: show it by a test, a signed log, or a document with a quoted clause."
)


def next_tier(standing: Standing) -> Tier | None:
    """Return the next tier that the row can reach; None at its ceiling, or where the row does not apply."""
    if standing.not_applicable:
        return None
    higher = [tier for tier in CELL_TIERS if standing.tier.rank < tier.rank <= standing.ceiling.rank]
    return higher[0] if higher else None


def fixes(standing: Standing, rows: Mapping[Step, Standing], sheet: Sheet) -> tuple[Fix, ...]:
    """Return the shortest list: exactly the requirements that keep the row from its next tier, easiest first."""
    wanted = next_tier(standing)
    if wanted is None:
        return ()
    known = {item.id: item for item in sheet.rules.requirements}
    found = [_fix(known[name], sheet) for name in blocking(standing.step, wanted, rows, sheet) if name in known]
    return tuple(sorted(found, key=lambda item: (item.effort, item.step.number, item.requirement)))


def _fix(requirement: Requirement, sheet: Sheet) -> Fix:
    verdict = sheet.verdict(requirement.id)
    shown = Verdict.FAIL if verdict is Verdict.FAIL else Verdict.UNKNOWN
    claimed = verdict is Verdict.PASS
    text = _CLAIMED if claimed else requirement.fix.get(str(shown), "")
    later = _later(requirement.id, sheet)
    return Fix(
        requirement=requirement.id,
        step=requirement.step,
        verdict=shown,
        text=f"{text} {later}" if later else text,
        effort=requirement.effort,
        later=bool(later),
    )


def _later(requirement: str, sheet: Sheet) -> str:
    """Return what else has to happen where the author can do nothing by himself; nothing where he can."""
    reason, words = sheet.reason(requirement), sheet.words(requirement)
    if reason is Reason.NOT_PERMITTED:
        return f"(It needs your permission: `otaudit check {'--active' if '--active' in words else '--live'}`.)"
    return f"(Not run: {words}.)" if reason is Reason.NOT_RUN else ""


def next_fixes(rows: tuple[Row, ...], standing: Mapping[Step, Standing]) -> tuple[Fix, ...]:
    """Return at most `MOST` fixes, those first that lift the most for the least effort.

    Every fix carries an equal share of each row that it helps to lift; a row that holds the overall tier down counts
    double. Fixes with the same text are one fix. What is known to be wrong comes before what is only not shown, and
    what this release cannot check yet comes last.
    """
    low = min((standing[row.step].counts_as.rank for row in rows if not row.not_applicable), default=0)
    gain: dict[str, Fraction] = {}
    first: dict[str, Fix] = {}
    for row in rows:
        weight = 2 if standing[row.step].counts_as.rank == low else 1
        for fix in row.fixes:
            gain[fix.text] = gain.get(fix.text, Fraction(0)) + Fraction(weight, len(row.fixes))
            first.setdefault(fix.text, fix)
    order = sorted(
        first.values(),
        key=lambda fix: (
            fix.later,
            fix.verdict is not Verdict.FAIL,
            -gain[fix.text] / fix.effort,
            fix.effort,
            fix.step.number,
            fix.requirement,
        ),
    )
    return tuple(order[:MOST])
