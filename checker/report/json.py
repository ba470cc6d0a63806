"""report.json: everything of an assessment in one versioned shape, the source to check every other output with.

The shape is written down in `schemas/report.schema.json` and here, apart from the model's types, so that a renamed
field of the model never changes a published report. Bytes are canonical (RFC 8785), so that two laboratories can
compare their reports with `cmp`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import rfc8785

from checker.model.assessment import Assessment, Counts, Fix, GateResult, Identity, Observation, Row
from checker.model.evidence import Evidence, Expectation, Origin
from checker.model.finding import Finding, Judgement, Observed
from checker.model.requirement import Cell, CrosswalkEntry, Dependency, Reference, Requirement, RuleSet
from checker.model.subject import Subject
from checker.model.terms import Grade, Reading
from checker.report import _words as words
from checker.report._artifact_data import artifact_data
from checker.report._values import Json, clean, integer, plain
from checker.report.contract import Renderer

SCHEMA: Final = "urn:otaudit:report:1"
SCHEMA_VERSION: Final = "1.0"


def render(assessment: Assessment) -> bytes:
    """Return report.json as canonical bytes."""
    return rfc8785.dumps(document(assessment))


def document(assessment: Assessment) -> dict[str, Json]:
    """Return the report as JSON's own types, in the shape of `schemas/report.schema.json`."""
    rules = assessment.rules
    return {
        "schema": SCHEMA,
        "schema_version": SCHEMA_VERSION,
        "tool": {"name": "otaudit", "version": clean(assessment.tool_version)},
        "as_of": clean(assessment.as_of),
        "reading": assessment.reading.value,
        "send_endpoint": clean(assessment.send_endpoint),
        "rules": _rules(rules),
        "identity": _identity(assessment.identity),
        "result": _result(assessment),
        "rows": [_row(row, rules) for row in assessment.rows],
        "findings": [_finding(finding) for finding in assessment.findings],
        "observations": [_observation(item) for item in assessment.observations],
        "artifacts": [artifact_data(artifact) for artifact in assessment.artifacts],
        "evidence": {
            "expected": [_expectation(item) for item in assessment.evidence.expectations],
            "records": [_record(item) for item in assessment.evidence.records],
        },
        "cells": [_cell(cell) for cell in rules.cells],
        "dependencies": [_dependency(item) for item in rules.dependencies],
        "supports": [_crosswalk(entry) for entry in rules.crosswalk],
    }


def _rules(rules: RuleSet) -> dict[str, Json]:
    return {
        "id": clean(rules.id),
        "title": clean(rules.title),
        "version": clean(rules.version),
        "digest": clean(rules.digest),
        "default_reading": rules.default_reading.value,
    }


def _identity(identity: Identity) -> dict[str, Json]:
    return {
        "vendor": clean(identity.vendor),
        "model": clean(identity.model),
        "update": clean(identity.update),
        "version": clean(identity.version),
        "device_id": clean(identity.device_id),
        "support_until": clean(identity.support_until),
        "artifacts": [
            {"file": clean(file), "format": clean(form), "size": integer(size), "sha256": clean(sha256)}
            for file, form, size, sha256 in identity.artifacts
        ],
    }


def _result(assessment: Assessment) -> dict[str, Json]:
    status, word = words.exit_status(assessment)
    return {
        "scale": words.SCALE,
        "overall": assessment.overall.value,
        "overall_security": assessment.overall_security.value,
        "excluded": [step.value for step in assessment.excluded],
        "counts": _counts(assessment.counts),
        "next_fixes": [_fix(fix) for fix in assessment.next_fixes],
        "gate": _gate(assessment.gate),
        "exit_status": {"code": int(status), "word": word},
    }


def _counts(counts: Counts) -> dict[str, Json]:
    advisory = counts.advisory or Counts(passed=0, failed=0, unknown=0, not_applicable=0)
    return {
        "required": counts.asked,
        **_verdicts(counts),
        "advisory": {"asked": advisory.asked, **_verdicts(advisory)},
    }


def _verdicts(counts: Counts) -> dict[str, Json]:
    return {
        "passed": counts.passed,
        "failed": counts.failed,
        "unknown": counts.unknown,
        "not_applicable": counts.not_applicable,
    }


def _fix(fix: Fix) -> dict[str, Json]:
    return {
        "requirement": clean(fix.requirement),
        "step": fix.step.value,
        "verdict": fix.verdict.value,
        "text": clean(fix.text),
        "effort": fix.effort,
        "later": fix.later,
    }


def _gate(gate: GateResult) -> dict[str, Json]:
    return {
        "verdict": gate.verdict.value,
        "items": [
            {
                "step": item.step.value,
                "tier": item.tier.value,
                "verdict": item.verdict.value,
                "reason": clean(item.reason),
            }
            for item in gate.items
        ],
        "blocking_observations": [_observation(item) for item in gate.blocking_observations],
    }


def _row(row: Row, rules: RuleSet) -> dict[str, Json]:
    about = rules.rows.get(row.step)
    return {
        "number": row.step.number,
        "step": row.step.value,
        "title": clean(about.title if about else row.step.value),
        "description": clean(about.description if about else ""),
        "security": bool(about and about.security),
        "tiers": _by_grade({key: tier.value for key, tier in row.tiers.items()}),
        "claimed": None if row.claimed is None else row.claimed.value,
        "ceiling": row.ceiling.value,
        "not_applicable": clean(row.not_applicable),
        "next_tier": None if row.next_tier is None else row.next_tier.value,
        "blocked_by": _texts(row.blocked_by),
        "capped_by": _texts(row.capped_by),
        "fixes": [_fix(fix) for fix in row.fixes],
        "per_target": {clean(target): tier.value for target, tier in row.per_target.items()},
        "contradiction": clean(row.contradiction),
        "letter_only": row.letter_only,
    }


def _by_grade(values: Mapping[tuple[Grade, Reading], Json]) -> dict[str, Json]:
    return {grade.value: {reading.value: values[grade, reading] for reading in Reading} for grade in Grade}


def _finding(finding: Finding) -> dict[str, Json]:
    judgements: dict[tuple[Grade, Reading], Json] = {key: _judgement(item) for key, item in finding.judgements.items()}
    return {
        "requirement": _requirement(finding.requirement),
        "judgements": _by_grade(judgements),
        "observed": [_observed(item) for item in finding.observed],
        "expected": clean(finding.expected),
        "fix": clean(finding.fix),
        "per_target": {clean(target): _judgement(item) for target, item in finding.per_target.items()},
    }


def _requirement(item: Requirement) -> dict[str, Json]:
    return {
        "id": clean(item.id),
        "step": item.step.value,
        "tier": item.tier.value,
        "title": clean(item.title),
        "reading": clean(item.reading),
        "basis": clean(item.basis),
        "method": item.method.value,
        "by_document": item.by_document,
        "blocking": item.blocking,
        "below_basic": item.below_basic,
        "severity": item.severity.value,
        "for_each": clean(item.for_each),
        "replaces": _texts(item.replaces),
        "effort": item.effort,
        "references": [_reference(reference) for reference in item.references],
    }


def _reference(item: Reference) -> dict[str, Json]:
    return {"document": clean(item.document), "section": clean(item.checked_section), "status": clean(item.status)}


def _judgement(item: Judgement) -> dict[str, Json]:
    return {
        "verdict": item.verdict.value,
        "reason": None if item.reason is None else item.reason.value,
        "explanation": clean(item.explanation),
        "method": None if item.method is None else item.method.value,
        "by_document": item.by_document,
    }


def _observed(item: Observed) -> dict[str, Json]:
    return {
        "kind": clean(item.kind),
        "subject": clean(item.subject),
        "field": clean(item.field),
        "value": plain(item.value),
        "expected": clean(item.expected),
        "method": item.method.value,
        "party": item.party.value,
        "origin": _origin(item.origin),
        "verdict": item.verdict.value,
    }


def _origin(origin: Origin) -> dict[str, Json]:
    return {
        "file": clean(origin.file),
        "sha256": clean(origin.sha256),
        "pointer": clean(origin.pointer),
        "time": clean(origin.time),
    }


def _observation(item: Observation) -> dict[str, Json]:
    return {
        "code": clean(item.code),
        "severity": item.severity.value,
        "step": item.step.value,
        "message": clean(item.message),
        "subject": clean(item.subject),
        "origin": _origin(item.origin),
        "requirement": clean(item.requirement),
        "fix": clean(item.fix),
    }


def _subject(subject: Subject) -> dict[str, Json]:
    return {"kind": subject.kind.value, "id": clean(subject.id), "sha256": clean(subject.sha256)}


def _expectation(item: Expectation) -> dict[str, Json]:
    return {
        "kind": clean(item.slot.kind),
        "subject": _subject(item.slot.subject),
        "count": item.count,
        "values": plain(item.values),
        "reason": item.reason.value,
        "explanation": clean(item.explanation),
    }


def _record(item: Evidence) -> dict[str, Json]:
    return {
        "kind": clean(item.kind),
        "subject": _subject(item.subject),
        "probe": clean(item.probe),
        "method": item.method.value,
        "party": item.party.value,
        "values": plain(item.values),
        "origin": _origin(item.origin),
        "unavailable": None if item.unavailable is None else item.unavailable.value,
        "explanation": clean(item.explanation),
    }


def _cell(cell: Cell) -> dict[str, Json]:
    return {
        "step": cell.step.value,
        "tier": cell.tier.value,
        "table": clean(cell.table),
        "slide": clean(cell.slide),
        "by_reference": cell.by_reference,
        "conflict": clean(cell.conflict),
        "ruling": clean(cell.ruling),
    }


def _dependency(item: Dependency) -> dict[str, Json]:
    return {
        "id": clean(item.id),
        "why": clean(item.why),
        "step": None if item.step is None else item.step.value,
        "tier": None if item.tier is None else item.tier.value,
    }


def _crosswalk(entry: CrosswalkEntry) -> dict[str, Json]:
    return {
        "step": entry.step.value,
        "tiers": [tier.value for tier in entry.tiers],
        "references": [_reference(reference) for reference in entry.references],
    }


def _texts(items: tuple[str, ...]) -> list[Json]:
    return [clean(item) for item in items]


RENDERER = Renderer(id="json", title="report.json: everything, canonical, schema 1.0", suffix=".json", render=render)
