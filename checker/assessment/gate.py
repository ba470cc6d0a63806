"""The gate: are the tiers reached that somebody demands? Waivers and `fail_on_findings` count here and nowhere else."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from checker.assessment.tiers import EXCLUDED, Sheet, Standing, standings
from checker.description.model import Waiver
from checker.errors import ExitStatus
from checker.model.assessment import GateItem, GateResult, Observation
from checker.model.finding import Finding
from checker.model.requirement import RuleSet
from checker.model.terms import Grade, Reading, Severity, Step, Tier, Verdict
from checker.rules.times import is_date, moment

_SHOWN: Final = 5  # requirement ids that a reason spells out
_STATUS: Final = {
    Verdict.PASS: ExitStatus.GATE_MET,
    Verdict.FAIL: ExitStatus.GATE_NOT_MET,
    Verdict.UNKNOWN: ExitStatus.UNDECIDED,
    Verdict.NOT_APPLICABLE: ExitStatus.UNDECIDED,
}


@dataclass(frozen=True, kw_only=True)
class Demands:
    """What is demanded: tiers per step (None: Basic of every row), dated exceptions, and how bad a finding may be."""

    tiers: Mapping[Step, Tier] | None = None
    named: frozenset[Step] = frozenset()  # steps that were demanded by name, and not only as one of all
    waivers: tuple[Waiver, ...] = ()
    fail_on_findings: Severity | None = None


def exit_status(gate: GateResult) -> ExitStatus:
    """Return 0 for met, 1 for not met, 3 for undecided."""
    return _STATUS[gate.verdict]


def judge_gate(
    rules: RuleSet,
    findings: tuple[Finding, ...],
    observations: tuple[Observation, ...],
    demands: Demands,
    *,
    reading: Reading,
    as_of: str,
) -> GateResult:
    """Return whether the gate is met. With nothing evaluated it is unknown, never met."""
    known = {item.id for item in rules.requirements}
    waived = {item.requirement: item for item in demands.waivers if not refused(item, known, as_of)}
    sheet = Sheet.of(rules, findings, Grade.PROVED, reading, frozenset(waived))
    rows = standings(sheet)
    wanted = demands.tiers if demands.tiers is not None else dict.fromkeys(rows, Tier.BASIC)
    notes = _Notes(waived, tuple(_refusals(demands.waivers, known, as_of)), demands.named)
    items = tuple(_item(rows[step], wanted[step], rows, sheet, notes) for step in Step if step in wanted)
    blocking = tuple(item for item in observations if _blocks(item, demands.fail_on_findings))
    return GateResult(verdict=_verdict(items, blocking), items=items, blocking_observations=blocking)


def _blocks(observation: Observation, least: Severity | None) -> bool:
    return least is not None and observation.severity.rank >= least.rank


def _verdict(items: tuple[GateItem, ...], blocking: tuple[Observation, ...]) -> Verdict:
    verdicts = [item.verdict for item in items]
    if blocking or Verdict.FAIL in verdicts:
        return Verdict.FAIL
    if Verdict.UNKNOWN in verdicts or Verdict.PASS not in verdicts:
        return Verdict.UNKNOWN
    return Verdict.PASS


@dataclass(frozen=True)
class _Notes:
    """The waivers that apply, and why others do not, by requirement id."""

    waived: Mapping[str, Waiver]
    refused: tuple[tuple[str, str], ...]
    named: frozenset[Step]

    def on(self, ids: Iterable[str]) -> list[str]:
        found = set(ids)
        said = [
            f"{name} waived until {item.expires} by {item.owner}: {item.reason}"
            for name, item in sorted(self.waived.items())
            if name in found
        ]
        return said + [f"waiver of {name} not applied: {why}" for name, why in self.refused if name in found]


def _item(standing: Standing, tier: Tier, rows: Mapping[Step, Standing], sheet: Sheet, notes: _Notes) -> GateItem:
    ids = [item.id for item in sheet.rules.requirements if item.step is standing.step and item.tier.rank <= tier.rank]
    if standing.not_applicable == EXCLUDED and standing.step in notes.named:
        said = "the description declares the step not applicable, but it was demanded by name"
        return GateItem(step=standing.step, tier=tier, verdict=Verdict.UNKNOWN, reason=said)
    if standing.not_applicable:
        return GateItem(
            step=standing.step, tier=tier, verdict=Verdict.NOT_APPLICABLE, reason="the step is not applicable"
        )
    if standing.counts_as.rank >= tier.rank:
        return GateItem(step=standing.step, tier=tier, verdict=Verdict.PASS, reason="; ".join(notes.on(ids)))
    blockers = blocking(standing.step, tier, rows, sheet)
    failed = [name for name in blockers if sheet.verdict(name) is Verdict.FAIL]
    verdict = Verdict.FAIL if failed else Verdict.UNKNOWN
    said = _said(failed, "not met") if failed else _said(list(blockers), "not shown")
    caps = ", ".join(item.id for item in standing.caps_at(tier))
    reason = "; ".join(part for part in (said, caps and f"capped by {caps}", *notes.on(ids)) if part)
    return GateItem(step=standing.step, tier=tier, verdict=verdict, reason=reason)


def _said(ids: list[str], what: str) -> str:
    more = f" and {len(ids) - _SHOWN} more" if len(ids) > _SHOWN else ""
    return f"{what}: {', '.join(ids[:_SHOWN])}{more}" if ids else ""


def blocking(
    step: Step, tier: Tier, rows: Mapping[Step, Standing], sheet: Sheet, seen: frozenset[Step] = frozenset()
) -> tuple[str, ...]:
    """Return the ids of all requirements that keep a row from a tier: its own, and those behind its caps."""
    standing = rows[step]
    found = [*standing.blockers(tier)]
    for cap in standing.caps_at(tier):
        if cap.needs_requirement:
            found.append(cap.needs_requirement)
        elif cap.needs_step is not None and cap.needs_tier is not None and cap.needs_step not in seen | {step}:
            found += blocking(cap.needs_step, cap.needs_tier, rows, sheet, seen | {step})
    return tuple(dict.fromkeys(found))


# --- Waivers ----------------------------------------------------------------------------------------------------------


def refused(waiver: Waiver, known: Iterable[str], as_of: str) -> str:
    """Return why a waiver does not apply; empty when it does. It is valid through its last day, in UTC."""
    if waiver.requirement not in set(known):
        return "there is no such requirement"
    for name in ("owner", "reason", "expires"):
        if not str(getattr(waiver, name)).strip():
            return f"it has no {name}"
    end, now = moment(waiver.expires), moment(as_of)
    if end is None or now is None:
        return f"its expiry {waiver.expires!r} is not a date"
    over = now.date() > end.date() if is_date(waiver.expires) else now > end
    return f"it expired on {waiver.expires}" if over else ""


def _refusals(waivers: tuple[Waiver, ...], known: Iterable[str], as_of: str) -> Iterable[tuple[str, str]]:
    names = set(known)
    for item in waivers:
        why = refused(item, names, as_of)
        if why:
            yield item.requirement, why
