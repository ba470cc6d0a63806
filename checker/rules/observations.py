"""What lies beyond the table (criteria.md R9): weaknesses in the evidence, and advisory requirements that failed."""

from __future__ import annotations

from collections.abc import Iterator

from checker.model.assessment import Observation
from checker.model.evidence import Evidence, EvidenceSet, Origin
from checker.model.finding import Finding
from checker.model.requirement import ObservationRule, RuleSet
from checker.model.terms import Severity, Step, Verdict


def observe(rules: RuleSet, findings: tuple[Finding, ...], evidence: EvidenceSet) -> tuple[Observation, ...]:
    """Return the observations, the worst first, then in the order of the steps. Duplicates are said once."""
    found = [*_weaknesses(rules, evidence), *_advisories(rules, findings)]
    unique = list(dict.fromkeys(found))
    return tuple(sorted(unique, key=lambda item: (-item.severity.rank, item.step.number, item.code, item.subject)))


def _weaknesses(rules: RuleSet, evidence: EvidenceSet) -> Iterator[Observation]:
    for record in evidence.of("weakness"):
        code = record.values.get("code")
        if record.unavailable is None and isinstance(code, str):
            yield _weakness(rules, record, code)


def _weakness(rules: RuleSet, record: Evidence, code: str) -> Observation:
    rule = rules.observations.get(code) or ObservationRule(step=Step.SIGN, severity=Severity.INFO, title=code)
    said = record.values.get("message")
    return Observation(
        code=code,
        severity=rule.severity,
        step=rule.step,
        message=f"{rule.title}: {said}" if said else rule.title,
        subject=str(record.subject),
        origin=record.origin,
        fix=rule.fix,
    )


def _advisories(rules: RuleSet, findings: tuple[Finding, ...]) -> Iterator[Observation]:
    for finding in findings:
        judgement = finding.judgement()
        if finding.requirement.blocking or judgement.verdict is not Verdict.FAIL:
            continue
        rule = rules.observations.get(finding.requirement.id)
        worst = finding.observed[0] if finding.observed else None
        title = rule.title if rule else f"Not met: {finding.requirement.title}"
        yield Observation(
            code=finding.requirement.id,
            severity=rule.severity if rule else finding.requirement.severity,
            step=finding.requirement.step,
            message=f"{title}: {judgement.explanation}" if judgement.explanation else title,
            subject=worst.subject if worst else "",
            origin=worst.origin if worst else Origin(),
            requirement=finding.requirement.id,
            fix=(rule.fix if rule else "") or finding.fix,
        )
