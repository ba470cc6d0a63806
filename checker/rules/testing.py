"""Runs the cases of a rule set, and mutates them: what a rule reads must matter, and nothing lost may help.

Each passing case is broken in three ways, one at a time: a field is deleted, a record's method is weakened, a record is
dropped through the grid. A mutation that still passes is a fault, unless what was broken does not matter, which has to
be shown: the requirement's check does not read that field of that kind, or the case passes although the record was
never expected. No mutation of any other case may pass, but for what the language ignores on purpose (`_Excuses`).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from importlib.resources.abc import Traversable
from typing import Any, Final

from checker.errors import RuleError
from checker.model.evidence import Evidence, EvidenceSet, Origin, Value
from checker.model.requirement import Requirement, RuleSet
from checker.model.subject import Subject, SubjectKind
from checker.model.terms import Grade, Method, Party, Reading, Reason, Verdict
from checker.rules._files import read_cases
from checker.rules._kinds import COMMON, Kinds
from checker.rules._validate import did_you_mean
from checker.rules.judge import Inputs, answers, judge_one
from checker.rules.load import Entry, Loaded, fill, load_with_entries

AS_OF: Final = "2026-11-01T00:00:00Z"
NEEDED: Final = (Verdict.PASS, Verdict.FAIL, Verdict.UNKNOWN)
_PASS: Final = Verdict.PASS


@dataclass(frozen=True, kw_only=True)
class CaseResult:
    """One case, or one mutation of it. `problem` is empty when it is as it should be."""

    requirement: str
    name: str
    verdict: Verdict | None = None
    problem: str = ""


@dataclass(frozen=True, kw_only=True)
class Case:
    """One case of a requirement, ready to be judged."""

    name: str
    verdict: Verdict
    records: tuple[Evidence, ...]
    inputs: Inputs
    grade: Grade = Grade.PROVED
    reading: Reading = Reading.LETTER
    reason: str = ""


def run(folder: Traversable, only: str = "") -> tuple[CaseResult, ...]:
    """Return the result of every case, of every mutation that failed, and of the completeness of the cases.

    `only` restricts the run to requirement ids that begin with it.

    Raises:
        RuleError: the rule set itself is not valid.
    """
    loaded = load_with_entries(folder)
    kinds = Kinds.load()
    found: list[CaseResult] = []
    for entry, requirement in zip(loaded.entries, loaded.rules.requirements, strict=True):
        if requirement.id.startswith(only):
            found += _requirement(folder, loaded, entry, requirement, kinds)
    return tuple(found)


def _requirement(
    folder: Traversable, loaded: Loaded, entry: Entry, requirement: Requirement, kinds: Kinds
) -> Iterator[CaseResult]:
    try:
        document = read_cases(folder, requirement.id)
        if document is None and entry.family:
            document = read_cases(folder, entry.family)
        if document is None:
            yield _bad(requirement, "cases", f"there is no file tests/{requirement.id}.yaml")
            return
        data = fill(document.data, entry.values)
        if data["requirement"] not in (requirement.id, entry.family):
            yield _bad(requirement, "cases", f"the file says that it is for {data['requirement']}")
            return
        cases = [_case(item) for item in data["cases"]]
    except (RuleError, ValueError) as error:
        yield _bad(requirement, "cases", str(error))
        return
    yield from _complete(requirement, cases)
    for case in cases:
        yield from _one(loaded.rules, requirement, case, kinds)


def _bad(requirement: Requirement, name: str, problem: str) -> CaseResult:
    return CaseResult(requirement=requirement.id, name=name, problem=problem)


def _complete(requirement: Requirement, cases: Sequence[Case]) -> Iterator[CaseResult]:
    for verdict in NEEDED:
        can = verdict is not Verdict.FAIL or requirement.check is not None or requirement.contradicted_by is not None
        if can and not any(case.verdict is verdict for case in cases):
            yield _bad(requirement, "completeness", f"no case for {verdict}")
    names = [case.name for case in cases]
    for name in sorted({name for name in names if names.count(name) > 1}):
        yield _bad(requirement, name, "two cases have this name")


# --- One case ---------------------------------------------------------------------------------------------------------


def _case(item: Mapping[str, Any]) -> Case:
    inputs = item.get("inputs", {})
    return Case(
        name=item["name"],
        verdict=Verdict(item["verdict"]),
        records=tuple(_record(record, index) for index, record in enumerate(item["records"])),
        inputs=Inputs(
            as_of=inputs.get("as_of", AS_OF),
            support_until=inputs.get("support_until", ""),
            send_endpoint=inputs.get("send_endpoint", "device"),
        ),
        grade=Grade(item.get("grade", Grade.PROVED)),
        reading=Reading(item.get("reading", Reading.LETTER)),
        reason=item.get("reason", ""),
    )


def _record(item: Mapping[str, Any], index: int) -> Evidence:
    reason = Reason(item["unavailable"]) if "unavailable" in item else None
    return Evidence(
        kind=item["kind"],
        subject=Subject(kind=SubjectKind.UPDATE, id=item.get("subject", f"record-{index + 1}")),
        probe="case",
        method=Method(item.get("method", Method.TESTED)),
        values=item.get("values", {}),
        party=Party(item.get("party", Party.FIRST)),
        origin=Origin(time=item.get("time", AS_OF)),
        unavailable=reason,
        explanation=f"the case says: {reason}" if reason else "",
    )


def _one(rules: RuleSet, requirement: Requirement, case: Case, kinds: Kinds) -> Iterator[CaseResult]:
    faults = [fault for record in case.records for fault in record_faults(record, kinds)]
    if faults:
        yield _bad(requirement, case.name, "; ".join(faults))
        return
    evidence = EvidenceSet.complete((), case.records)
    verdict, reason, said = _judged(rules, requirement, case, evidence)
    problem = "" if verdict is case.verdict else f"is {verdict} ({said}), not {case.verdict}"
    if not problem and case.reason and reason != case.reason:
        problem = f"the reason is {reason}, not {case.reason}"
    yield CaseResult(requirement=requirement.id, name=case.name, verdict=verdict, problem=problem)
    if not problem:
        yield from _mutations(rules, requirement, case, evidence)


def _judged(
    rules: RuleSet, requirement: Requirement, case: Case, evidence: EvidenceSet
) -> tuple[Verdict, Reason | None, str]:
    finding = judge_one(rules, requirement, evidence, case.inputs)
    judgement = finding.judgement(case.grade, case.reading)
    return judgement.verdict, judgement.reason, judgement.explanation


def record_faults(record: Evidence, kinds: Kinds) -> Iterator[str]:
    """Yield what keeps a case's record from being evidence: kind, fields, types."""
    if record.kind not in kinds.fields:
        yield f"there is no evidence kind {record.kind!r}{did_you_mean(record.kind, kinds.fields)}"
        return
    fields = kinds.fields[record.kind]
    for path, value in _leaves(record.values, ""):
        if path not in fields or path in COMMON:
            yield f"{record.kind} has no field {path!r}{did_you_mean(path, fields)}"
            continue
        wanted = fields[path]
        python = {"string": str, "integer": int, "boolean": bool, "array": list}[wanted.type]
        if value is not None and (type(value) is not python):
            yield f"{record.kind}.{path} is {value!r}, not of type {wanted.type}"
        elif wanted.enum and value is not None and value not in wanted.enum:
            yield f"{record.kind}.{path} is {value!r}, not one of {', '.join(wanted.enum)}"


def _leaves(values: Mapping[str, Value], prefix: str) -> Iterator[tuple[str, Value]]:
    for name, value in values.items():
        if isinstance(value, Mapping):
            yield from _leaves(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", value


# --- Mutations --------------------------------------------------------------------------------------------------------


def _mutations(rules: RuleSet, requirement: Requirement, case: Case, evidence: EvidenceSet) -> Iterator[CaseResult]:
    """Yield every mutation that passes and must not."""
    for name, mutant, excused in _mutants(rules, requirement, case, evidence):
        verdict, _, _ = _judged(rules, requirement, case, mutant)
        if verdict is _PASS and not excused:
            yield CaseResult(requirement=requirement.id, name=f"{case.name}: {name}", verdict=verdict, problem="passes")


def _mutants(
    rules: RuleSet, requirement: Requirement, case: Case, evidence: EvidenceSet
) -> Iterator[tuple[str, EvidenceSet, bool]]:
    """Yield each mutation with a name, and whether it may pass."""
    excuse = _Excuses(requirement, case)
    for index, record in enumerate(evidence.records):
        needless = excuse.passes and _needless(rules, requirement, case, evidence, index)
        name = record.subject.id
        yield f"without {name} ({record.kind})", evidence.without(index), needless or excuse.dropped(record)
        if record.unavailable is None and record.method is not Method.DECLARED:
            weaker = _with(evidence, index, replace(record, method=Method.DECLARED))
            yield f"{name} only declared", weaker, needless or excuse.weakened(record)
        for path, _ in _leaves(record.values, ""):
            mutant = _with(evidence, index, replace(record, values=_without(record.values, path)))
            yield f"{name} without {path}", mutant, needless or excuse.deleted(record, path)


class _Excuses:
    """Which mutations may pass, by docs/rules.md: what the requirement does not read, and what it ignores."""

    def __init__(self, requirement: Requirement, case: Case) -> None:
        self.requirement = requirement
        self.passes = case.verdict is _PASS
        self.exempt = case.verdict is Verdict.NOT_APPLICABLE  # not applicable counts as met, so a pass is no gain
        self.read = paths_of(requirement, case.reading)
        self.kinds = {kind for kind, _ in self.read}
        self.against = set(_paths(requirement.contradicted_by))
        self.applies = set(_paths(requirement.applies_when))
        # An open question is what a document is for, whoever left it open (docs/adr/0002).
        self.document = any(answers(record, requirement.id) for record in case.records)

    def dropped(self, record: Evidence) -> bool:
        """Return whether losing a record may leave a pass."""
        return self.exempt and record.kind in {kind for kind, _ in self.applies}

    def weakened(self, record: Evidence) -> bool:
        """Return whether a record may be no more than declared."""
        free = self.requirement.method is Method.DECLARED and record.kind != "document"
        return self.passes and (free or record.kind not in self.kinds)

    def deleted(self, record: Evidence, path: str) -> bool:
        """Return whether a field may go."""
        if self.passes:
            return (record.kind, path) not in self.read
        ignored = (record.kind, path) in self.against or (self.exempt and (record.kind, path) in self.applies)
        return ignored or self.document


def _with(evidence: EvidenceSet, index: int, record: Evidence) -> EvidenceSet:
    records = [*evidence.records[:index], record, *evidence.records[index + 1 :]]
    return EvidenceSet.complete(evidence.expectations, records)


def _without(values: Mapping[str, Value], path: str) -> dict[str, Value]:
    head, _, rest = path.partition(".")
    inner = values.get(head)
    if rest and isinstance(inner, Mapping):
        return {**values, head: _without(inner, rest)}
    return {key: value for key, value in values.items() if key != head}


def _needless(rules: RuleSet, requirement: Requirement, case: Case, evidence: EvidenceSet, index: int) -> bool:
    """Return whether a passing case passes just as well if the record had never been expected."""
    rest = evidence.records[:index] + evidence.records[index + 1 :]
    return _judged(rules, requirement, case, EvidenceSet.complete((), rest))[0] is _PASS


def paths_of(requirement: Requirement, reading: Reading = Reading.LETTER) -> set[tuple[str, str]]:
    """Return the (kind, field) pairs on which a pass of the requirement may rest, the document rule included."""
    modern = reading is Reading.MODERN and requirement.modern is not None
    found = set(_paths(requirement.modern if modern else requirement.check))
    names = ("proves", "clause", "quote", "quote_found", "digest_ok", "current")
    found |= {("document", name) for name in names}
    return found


def _paths(check: Value) -> Iterator[tuple[str, str]]:
    if not isinstance(check, Mapping):
        return
    for form in ("every", "some", "none"):
        if form in check:
            kind = str(check[form])
            for part in (check.get("where"), check.get("that")):
                yield from ((kind, path) for path in fields_of(part))
    for form in ("all", "any"):
        parts = check.get(form)
        for part in parts if isinstance(parts, list) else ():
            yield from _paths(part)


def fields_of(condition: Value) -> Iterator[str]:
    """Yield every field that a condition reads."""
    if not isinstance(condition, Mapping):
        return
    for key, part in condition.items():
        if key == "not":
            yield from fields_of(part)
        elif key in ("all", "any"):
            for item in part if isinstance(part, list) else ():
                yield from fields_of(item)
        else:
            yield key
            for given in part.values() if isinstance(part, Mapping) else ():
                if isinstance(given, Mapping):
                    yield from (str(given[name]) for name in ("by", "field") if name in given)
