"""Findings → assessment: the tiers of the rows, what blocks the next one, the overall tier, and the gate."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

from checker.assessment._fixes import fixes, next_fixes, next_tier
from checker.assessment.gate import Demands, judge_gate
from checker.assessment.tiers import EXCLUDED, Sheet, Standing, lowest, standings, target_tiers
from checker.model.artifact import Artifact
from checker.model.assessment import Assessment, Counts, Identity, Observation, Row
from checker.model.evidence import EvidenceSet
from checker.model.finding import Finding
from checker.model.requirement import RuleSet
from checker.model.terms import Grade, Reading, Step, Tier, Verdict

_LETTER = "-LETTER"  # an advisory requirement with this ending fails where a tier is met by its words alone (R8)


@dataclass(frozen=True, kw_only=True)
class Request:
    """What the caller wants to know, beside the facts. `as_of` is RFC 3339 in UTC."""

    as_of: str
    tool_version: str
    reading: Reading | None = None  # None: the rule set's own
    claims: Mapping[Step, Tier] = field(default_factory=dict)
    demands: Demands = field(default_factory=Demands)
    send_endpoint: str = "device"


@dataclass(frozen=True, kw_only=True)
class _Run:
    """What all rows share: the findings, and the standings under every grade and reading."""

    rules: RuleSet
    evidence: EvidenceSet
    findings: tuple[Finding, ...]
    reading: Reading
    claims: Mapping[Step, Tier]
    sheet: Sheet  # proved, in the chosen reading
    all: Mapping[tuple[Grade, Reading], Mapping[Step, Standing]]

    @property
    def shown(self) -> Mapping[Step, Standing]:
        return self.all[Grade.PROVED, self.reading]

    def of(self, step: Step) -> list[Finding]:
        return [item for item in self.findings if item.requirement.step is step]


def assess(
    rules: RuleSet,
    evidence: EvidenceSet,
    findings: tuple[Finding, ...],
    observations: tuple[Observation, ...],
    identity: Identity,
    request: Request,
    artifacts: tuple[Artifact, ...] = (),
) -> Assessment:
    """Return the assessment of one run. It does no I/O and reads no clock."""
    run = _start(rules, evidence, findings, request)
    rows = tuple(_row(run, step) for step in Step if step in rules.rows)
    gate = judge_gate(rules, findings, observations, request.demands, reading=run.reading, as_of=request.as_of)
    return Assessment(
        identity=identity,
        as_of=request.as_of,
        reading=run.reading,
        tool_version=request.tool_version,
        rules=rules,
        rows=rows,
        findings=findings,
        observations=observations,
        overall=overall(run.shown.values()),
        overall_security=overall(item for item in run.shown.values() if rules.rows[item.step].security),
        counts=_counts(findings, run.reading),
        gate=gate,
        evidence=evidence,
        artifacts=artifacts,
        excluded=tuple(step for step, item in run.shown.items() if item.not_applicable == EXCLUDED),
        next_fixes=next_fixes(rows, run.shown),
        send_endpoint=request.send_endpoint,
    )


def _start(rules: RuleSet, evidence: EvidenceSet, findings: tuple[Finding, ...], request: Request) -> _Run:
    reading = request.reading or rules.default_reading
    sheets = {(grade, each): Sheet.of(rules, findings, grade, each) for grade in Grade for each in Reading}
    return _Run(
        rules=rules,
        evidence=evidence,
        findings=findings,
        reading=reading,
        claims=request.claims,
        sheet=sheets[Grade.PROVED, reading],
        all={key: standings(sheet) for key, sheet in sheets.items()},
    )


def overall(rows: Iterable[Standing]) -> Tier:
    """Return the weakest link over the rows that apply; rows at their ceiling count as +3 (R4)."""
    return lowest([item.counts_as for item in rows if item.not_applicable != EXCLUDED])


def _row(run: _Run, step: Step) -> Row:
    standing = run.shown[step]
    wanted = next_tier(standing)
    return Row(
        step=step,
        tiers={key: rows[step].tier for key, rows in run.all.items()},
        claimed=run.claims.get(step),
        ceiling=standing.ceiling,
        not_applicable=_why_not(run, step) if standing.not_applicable else "",
        next_tier=wanted,
        blocked_by=standing.blockers(wanted) if wanted else (),
        capped_by=tuple(item.id for item in standing.caps_at(wanted)) if wanted else (),
        fixes=fixes(standing, run.shown, run.sheet),
        per_target=target_tiers(run.rules, run.findings, run.all[Grade.PROVED, Reading.LETTER][step]),
        contradiction=_contradiction(run, step),
        letter_only=any(_letter_only(item, run.reading) for item in run.of(step)),
    )


def _letter_only(finding: Finding, reading: Reading) -> bool:
    ends = finding.requirement.id.endswith(_LETTER) and not finding.requirement.blocking
    return ends and finding.judgement(Grade.PROVED, reading).verdict is Verdict.FAIL


def _why_not(run: _Run, step: Step) -> str:
    """Return the written reason for leaving a step out, else what made its requirements not applicable."""
    for record in run.evidence.of("step_description"):
        reason = record.values.get("reason")
        if record.values.get("step") == step and isinstance(reason, str) and reason:
            return reason
    said = [item.fix or item.judgement().explanation for item in run.of(step) if item.requirement.blocking]
    return next(filter(None, said), "none of its requirements applies")


def _contradiction(run: _Run, step: Step) -> str:
    """Return which claim the evidence refutes: a requirement at or below the claimed tier that failed."""
    claimed = run.claims.get(step)
    if claimed is None:
        return ""
    for item in run.of(step):
        judgement = item.judgement(Grade.PROVED, run.reading)
        within = item.requirement.tier.rank <= claimed.rank
        if item.requirement.blocking and within and judgement.verdict is Verdict.FAIL:
            what = f"{item.requirement.id} fails ({item.requirement.title})"
            return f"{claimed.label} is claimed, but {what}: {judgement.explanation}"
    return ""


def _counts(findings: tuple[Finding, ...], reading: Reading) -> Counts:
    """Return the counts of what the tiers need, with those of the advisory requirements apart (R9)."""
    needed = _count((item for item in findings if item.requirement.blocking), reading)
    return replace(needed, advisory=_count((item for item in findings if not item.requirement.blocking), reading))


def _count(findings: Iterable[Finding], reading: Reading) -> Counts:
    verdicts = [item.judgement(Grade.PROVED, reading).verdict for item in findings]
    return Counts(
        passed=verdicts.count(Verdict.PASS),
        failed=verdicts.count(Verdict.FAIL),
        unknown=verdicts.count(Verdict.UNKNOWN),
        not_applicable=verdicts.count(Verdict.NOT_APPLICABLE),
    )
