"""Findings → tiers: what each row reaches under one grade and one reading (criteria.md sections 2 and 5).

A row reaches a tier when every requirement of that cell and of the lower ones is met, but for those that a stronger one
replaces (R2). Arrows and blanks inherit (R3). A proved tier rests on at least one requirement that was tested or
answered by a document: claims alone prove nothing (docs/adr/0004). Dependencies between rows then cap, as a fixpoint
that only ever lowers.
"""

from __future__ import annotations

from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from typing import Final

from checker.model.finding import Finding, Judgement
from checker.model.requirement import Dependency, Requirement, RuleSet
from checker.model.terms import CELL_TIERS, Grade, Method, Reading, Reason, Step, Tier, Verdict

EXCLUDED: Final = "excluded"
MET: Final = "met"
_OK: Final = (Verdict.PASS, Verdict.NOT_APPLICABLE)


@dataclass(frozen=True, kw_only=True)
class Standing:
    """One row under one grade and reading.

    `unmet` has, for each tier up to the ceiling, the ids of the requirements that keep the row from it (none: it is
    met, before caps). `caps` are the dependencies that hold it down. `not_applicable` is empty, `excluded` or `met`.
    """

    step: Step
    ceiling: Tier
    below: tuple[str, ...] = ()  # the ids that put the row below Basic (R1)
    unmet: Mapping[Tier, tuple[str, ...]] = field(default_factory=dict)
    caps: tuple[Dependency, ...] = ()
    not_applicable: str = ""

    @property
    def tier(self) -> Tier:
        """Return the tier that the row reaches: none where nothing applies, since nothing was shown either."""
        if self.not_applicable:
            return Tier.NONE
        if self.below:
            return Tier.BELOW_BASIC
        free = [tier for tier, ids in self.unmet.items() if not ids and not self.caps_at(tier)]
        return max(free, key=lambda tier: tier.rank, default=Tier.NONE)

    def caps_at(self, tier: Tier) -> tuple[Dependency, ...]:
        """Return the dependencies that keep the row from a tier."""
        return tuple(item for item in self.caps if item.tier is not None and item.tier.rank <= tier.rank)

    @property
    def counts_as(self) -> Tier:
        """Return what the row counts as in a minimum: a row at its ceiling, or with nothing to meet, as +3 (R4)."""
        return Tier.QUANTUM if self.not_applicable == MET else _counts(self.tier, self.ceiling)

    def blockers(self, tier: Tier) -> tuple[str, ...]:
        """Return the ids of the requirements that keep the row itself from a tier, without its caps."""
        own = min(tier, self.ceiling, key=lambda item: item.rank)
        return tuple(dict.fromkeys((*self.below, *self.unmet.get(own, ()))))


def _counts(tier: Tier, ceiling: Tier) -> Tier:
    return Tier.QUANTUM if tier.rank >= ceiling.rank > 0 else tier


@dataclass(frozen=True, kw_only=True)
class Sheet:
    """The judgements of one grade and reading, by requirement id. `waived` ids count as met, for the gate only."""

    rules: RuleSet
    judgements: Mapping[str, Judgement]
    grade: Grade
    waived: AbstractSet[str] = frozenset()

    @classmethod
    def of(
        cls,
        rules: RuleSet,
        findings: tuple[Finding, ...],
        grade: Grade,
        reading: Reading,
        waived: AbstractSet[str] = frozenset(),
    ) -> Sheet:
        """Return the sheet of some findings."""
        judgements = {item.requirement.id: item.judgement(grade, reading) for item in findings}
        return cls(rules=rules, judgements=judgements, grade=grade, waived=waived)

    def verdict(self, requirement: str) -> Verdict:
        """Return a verdict; a requirement that nobody judged is unknown."""
        found = self.judgements.get(requirement)
        return Verdict.UNKNOWN if found is None else found.verdict

    def reason(self, requirement: str) -> Reason | None:
        """Return why a requirement did not pass, if it was judged and did not."""
        found = self.judgements.get(requirement)
        return None if found is None else found.reason

    def words(self, requirement: str) -> str:
        """Return in words why a requirement did not pass; nothing where nobody judged it."""
        found = self.judgements.get(requirement)
        return "" if found is None else found.explanation

    def met(self, requirement: str) -> bool:
        """Return whether a requirement does not stand in the way."""
        return requirement in self.waived or self.verdict(requirement) in _OK

    def supports(self, requirement: Requirement) -> bool:
        """Return whether a requirement passed in a way that a tier of this grade can rest on."""
        found = self.judgements.get(requirement.id)
        if found is None or found.verdict is not Verdict.PASS:
            return False
        if self.grade is Grade.DOCUMENTED or found.by_document or found.method is Method.TESTED:
            return True
        return requirement.by_document and found.method is Method.EXAMINED


def standings(sheet: Sheet) -> dict[Step, Standing]:
    """Return every row's standing, with the caps of the dependencies between rows."""
    found = {step: row_standing(sheet, step) for step in Step if step in sheet.rules.rows}
    applied: list[Dependency] = []
    while True:
        fresh = [item for item in sheet.rules.dependencies if item not in applied and _caps(item, found, sheet)]
        if not fresh:
            return found
        applied += fresh
        found = {step: _capped(standing, applied) for step, standing in found.items()}


def _capped(standing: Standing, applied: list[Dependency]) -> Standing:
    return Standing(
        step=standing.step,
        ceiling=standing.ceiling,
        below=standing.below,
        unmet=standing.unmet,
        caps=tuple(item for item in applied if item.step is standing.step),
        not_applicable=standing.not_applicable,
    )


def _caps(dependency: Dependency, found: Mapping[Step, Standing], sheet: Sheet) -> bool:
    """Return whether a dependency is broken, so that its row is capped."""
    if dependency.step is None or dependency.tier is None:
        return False
    if dependency.needs_requirement:
        return not sheet.met(dependency.needs_requirement)
    if dependency.needs_step is None or dependency.needs_tier is None:
        return False
    needed = found[dependency.needs_step]
    if needed.not_applicable:
        return not (dependency.or_not_applicable or needed.not_applicable == MET)
    return needed.counts_as.rank < dependency.needs_tier.rank


def row_standing(sheet: Sheet, step: Step) -> Standing:
    """Return one row's standing, without caps."""
    rules = sheet.rules
    own = [item for item in rules.requirements if item.step is step]
    row = rules.rows[step]
    if row.not_applicable in (EXCLUDED, MET) and not_applicable(sheet, own):
        return Standing(step=step, ceiling=row.ceiling, not_applicable=row.not_applicable)
    below = tuple(
        item.id
        for item in own
        if item.below_basic and sheet.verdict(item.id) is Verdict.FAIL and item.id not in sheet.waived
    )
    unmet = {tier: _unmet(sheet, own, step, tier) for tier in CELL_TIERS if tier.rank <= row.ceiling.rank}
    return Standing(step=step, ceiling=row.ceiling, below=below, unmet=unmet)


def not_applicable(sheet: Sheet, own: list[Requirement]) -> bool:
    """Return whether none of a row's requirements applies."""
    blocking = [item for item in own if item.blocking]
    return bool(blocking) and all(sheet.verdict(item.id) is Verdict.NOT_APPLICABLE for item in blocking)


def _unmet(sheet: Sheet, own: list[Requirement], step: Step, tier: Tier) -> tuple[str, ...]:
    tier = _filled(sheet.rules, step, tier)
    needed = kept(sheet, own, tier)
    missing = tuple(item.id for item in needed if not sheet.met(item.id))
    if missing or any(sheet.supports(item) for item in needed):
        return missing
    claimed = tuple(item.id for item in needed if sheet.verdict(item.id) is Verdict.PASS)
    return claimed or tuple(item.id for item in needed) or (str(step),)  # nothing empty is ever met


def _filled(rules: RuleSet, step: Step, tier: Tier) -> Tier:
    """Return the cell that a cell inherits from: itself, or the nearest filled one on its left (R3)."""
    own = {cell.tier for cell in rules.cells if cell.step is step and not cell.by_reference}
    left = [item for item in CELL_TIERS if item.rank <= tier.rank and item in own]
    return left[-1] if left else tier


def kept(sheet: Sheet, own: list[Requirement], tier: Tier) -> list[Requirement]:
    """Return what a tier needs: its own and all lower requirements, but for those that are replaced there (R2).

    A requirement that does not apply replaces nothing.
    """
    needed = [item for item in own if item.blocking and item.tier.rank <= tier.rank]
    replaced = {
        name
        for item in needed
        for name in item.replaces
        if sheet.verdict(item.id) is not Verdict.NOT_APPLICABLE and item.id not in sheet.waived
    }
    return [item for item in needed if item.id not in replaced]


def target_tiers(
    rules: RuleSet, findings: tuple[Finding, ...], standing: Standing, reading: Reading = Reading.LETTER
) -> dict[str, Tier]:
    """Return what a row reaches on each hardware target (proved), under the row's own caps (DEP6)."""
    own = [item for item in findings if item.requirement.step is standing.step]
    targets = sorted({target for item in own for target in item.per_target})
    found = {}
    for target in targets:
        judgements = {
            item.requirement.id: item.per_target.get(target, item.judgement(Grade.PROVED, reading)) for item in own
        }
        sheet = Sheet(rules=rules, judgements=judgements, grade=Grade.PROVED)
        found[target] = _capped(row_standing(sheet, standing.step), list(standing.caps)).tier
    return found


def lowest(tiers: list[Tier]) -> Tier:
    """Return the weakest link: `below-basic` before `none`; `none` where there is nothing."""
    if Tier.BELOW_BASIC in tiers:
        return Tier.BELOW_BASIC
    return min(tiers, key=lambda tier: tier.rank, default=Tier.NONE)
