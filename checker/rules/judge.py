"""Evidence → findings: every requirement of a rule set, under each grade and each reading.

A finding is decided in this order (docs/rules.md, Evaluator):

1. `applies_when` is known to be false: not applicable.
2. `contradicted_by` is known to be true: fail. If it is unknown because a record was lost on the way: unknown.
3. The check, once per group, at the method that the grade asks for.
4. A document with a found quote answers what is still unknown; never a fail.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, replace
from enum import Enum
from typing import Final

from checker.model.evidence import Evidence, EvidenceSet, Value
from checker.model.finding import Finding, Judgement, Observed
from checker.model.requirement import Requirement, RuleSet
from checker.model.terms import Grade, Method, Reading, Reason, Verdict
from checker.rules._checks import Outcome, Scope, conjunction, evaluate
from checker.rules._conditions import MISSING, Inputs, Setting, Truth, holds, look_up

__all__ = ["Inputs", "judge", "judge_one"]

# A record that was there and got lost may have held the contradiction; one that was never made may not.
LOST: Final = frozenset({Reason.MISSING_RECORD, Reason.PROBE_FAILED, Reason.TIMEOUT, Reason.UNREADABLE})
_NOT_ASKED: Final = Outcome(
    verdict=Verdict.UNKNOWN,
    reason=Reason.NOT_DECLARED,
    explanation="only a document can answer this, and none was given",
)


_Answered = tuple[Outcome, tuple[Observed, ...]]  # an answer, and the documents that it rests on


@dataclass(frozen=True)
class _Group:
    """The records that one evaluation is about."""

    field: str
    value: str
    known: bool = True  # False: it is not known whether the group exists
    only: bool = False  # it is the only target of the device

    def has(self, record: Evidence, kinds: AbstractSet[str]) -> Truth:
        """Return whether a record belongs here. `kinds` are those that have the group's field at all."""
        if record.kind not in kinds:
            return True
        value = look_up(record, self.field)
        if value is MISSING:
            return True if self.only and record.unavailable is None else None
        if value == "" and self.field == "target":
            return True if self.only else None
        return value == self.value


@dataclass(frozen=True)
class _Run:
    """One rule set and one evidence set."""

    rules: RuleSet
    setting: Setting
    records: Mapping[str, Sequence[Evidence]]

    def scope(self, needed: Method = Method.DECLARED, max_age: int | None = None) -> Scope:
        return Scope(records=self.records, setting=self.setting, needed=needed, max_age_days=max_age)


def judge(rules: RuleSet, evidence: EvidenceSet, inputs: Inputs) -> tuple[Finding, ...]:
    """Return one finding per requirement, in the rule set's order. It does no I/O and reads no clock."""
    run = _start(rules, evidence, inputs)
    return tuple(_finding(requirement, run) for requirement in rules.requirements)


def judge_one(rules: RuleSet, requirement: Requirement, evidence: EvidenceSet, inputs: Inputs) -> Finding:
    """Return the finding of one requirement."""
    return _finding(requirement, _start(rules, evidence, inputs))


def _start(rules: RuleSet, evidence: EvidenceSet, inputs: Inputs) -> _Run:
    records: dict[str, list[Evidence]] = {}
    for record in evidence.records:
        records.setdefault(record.kind, []).append(record)
    return _Run(rules, Setting(tables=rules.tables, inputs=inputs), records)


def _finding(requirement: Requirement, run: _Run) -> Finding:
    answers = _answers(requirement, run)
    shown, documents = answers[Grade.PROVED, Reading.LETTER]
    return Finding(
        requirement=requirement,
        judgements={key: _judgement(outcome, used) for key, (outcome, used) in answers.items()},
        observed=shown.observed + documents,
        expected=shown.expected,
        fix=requirement.fix.get(str(shown.verdict), ""),
        per_target=_per_target(requirement, run) if requirement.for_each == "target" else {},
    )


def _answers(requirement: Requirement, run: _Run) -> dict[tuple[Grade, Reading], _Answered]:
    """Return the answers under each grade and reading; equal questions are asked once."""
    asked: dict[tuple[Method, _Documents, bool], _Answered] = {}
    found = {}
    for grade in Grade:
        for reading in Reading:
            modern = reading is Reading.MODERN and requirement.modern is not None
            key = (needed_method(requirement, grade), _documents(requirement, grade), modern)
            if key not in asked:
                asked[key] = _answer(requirement, run, *key)
            found[grade, reading] = asked[key]
    return found


def _judgement(outcome: Outcome, documents: tuple[Observed, ...]) -> Judgement:
    passed = outcome.verdict is Verdict.PASS
    return Judgement(
        verdict=outcome.verdict,
        reason=None if passed else outcome.reason,
        explanation=outcome.explanation,
        method=outcome.method if passed else None,
        by_document=passed and bool(documents),
    )


class _Documents(Enum):
    """Which documents may answer a requirement."""

    NONE = "none"
    BY_ID = "those that name the requirement by its own id"
    ANY = "those that name its family too"


def _documents(requirement: Requirement, grade: Grade) -> _Documents:
    if grade is Grade.DOCUMENTED:
        return _Documents.ANY
    return _Documents.BY_ID if requirement.by_document else _Documents.NONE


def needed_method(requirement: Requirement, grade: Grade) -> Method:
    """Return the least method that counts: what the requirement needs, in the grade documented at most `examined`."""
    if grade is Grade.PROVED:
        return requirement.method
    return min(requirement.method, Method.EXAMINED, key=lambda item: item.rank)


def _answer(
    requirement: Requirement,
    run: _Run,
    needed: Method,
    documents: _Documents,
    modern: bool,  # noqa: FBT001 - a fact of the reading, not a switch
) -> _Answered:
    """Return the answer, and the documents that it rests on. `documents` and `modern` say what may answer."""
    early = _without_check(requirement, run)
    if early is not None:
        return early, ()
    check = requirement.modern if modern else requirement.check
    scope = run.scope(needed, requirement.max_age_days)
    outcome = _NOT_ASKED if check is None else _grouped(requirement, check, scope, run)
    used: tuple[Observed, ...] = ()
    if documents is not _Documents.NONE:
        outcome, used = _with_document(requirement, run, outcome, exact=documents is _Documents.BY_ID)
    return _unless_lost(requirement, run, outcome), used


def _without_check(requirement: Requirement, run: _Run) -> Outcome | None:
    """Return the answer where the check need not be asked: not applicable, or contradicted."""
    if requirement.applies_when is not None:
        applies = evaluate(requirement.applies_when, run.scope())
        if applies.verdict is Verdict.FAIL:
            return replace(applies, verdict=Verdict.NOT_APPLICABLE, reason=Reason.CONDITION_FALSE)
    if requirement.contradicted_by is not None:
        found = evaluate(requirement.contradicted_by, run.scope())
        if found.verdict is Verdict.PASS:
            return _contradiction(found)
    return None


def _contradiction(found: Outcome) -> Outcome:
    observed = tuple(replace(item, verdict=Verdict.FAIL, expected=f"not ({item.expected})") for item in found.observed)
    worst = observed[0] if observed else None
    said = f"{worst.subject}: {worst.field} is {worst.value}" if worst else "the evidence says the opposite"
    return Outcome(
        verdict=Verdict.FAIL,
        reason=Reason.CONTRADICTED,
        explanation=f"contradicted by {said}",
        expected=f"not ({found.expected})",
        observed=observed,
    )


def _unless_lost(requirement: Requirement, run: _Run, outcome: Outcome) -> Outcome:
    """Return the outcome, but unknown where a lost record may have held the contradiction."""
    if outcome.verdict is not Verdict.PASS or requirement.contradicted_by is None:
        return outcome
    found = evaluate(requirement.contradicted_by, run.scope())
    lost = sorted(found.reasons & LOST)
    if found.verdict is not Verdict.UNKNOWN or not lost:
        return outcome
    said = f"a record that could contradict this was lost: {found.explanation}"
    return replace(found, reason=lost[0], explanation=said, expected=outcome.expected)


def _grouped(requirement: Requirement, check: Mapping[str, Value], scope: Scope, run: _Run) -> Outcome:
    groups = _groups(requirement, run)
    if groups is None:
        return evaluate(check, scope)
    outcomes = [_in_group(group, check, scope, run) for group in groups]
    if not any(group.known for group in groups):
        what = requirement.for_each or str((requirement.grouping or {}).get("kind"))
        said = f"there is no {what} that the question is about"
        nothing = Outcome(
            verdict=Verdict.UNKNOWN,
            reason=Reason.MISSING_RECORD,
            explanation=said,
        )
        outcomes = [*[item for item in outcomes if item.verdict is Verdict.UNKNOWN], nothing]
    return conjunction(outcomes)


def _in_group(group: _Group, check: Mapping[str, Value], scope: Scope, run: _Run) -> Outcome:
    fields = run.rules.grouped_kinds.get(group.field, frozenset())
    outcome = evaluate(check, replace(scope, belongs=lambda record: group.has(record, fields)))
    if group.known or outcome.verdict is Verdict.PASS:
        return outcome
    said = f"it is not known whether the question is about {group.value or 'one of the records'}"
    reasons = outcome.reasons or frozenset({Reason.MISSING_FIELD})
    reason = outcome.reason if outcome.verdict is Verdict.UNKNOWN else Reason.MISSING_FIELD
    explanation = outcome.explanation if outcome.verdict is Verdict.UNKNOWN else said
    return replace(outcome, verdict=Verdict.UNKNOWN, reason=reason, explanation=explanation, reasons=reasons)


def _groups(requirement: Requirement, run: _Run) -> list[_Group] | None:
    """Return the groups of a requirement; None when it is asked once."""
    if requirement.for_each == "target":
        kind, where, field = "hardware_target", None, "target"
    elif requirement.grouping is not None:
        kind = field = str(requirement.grouping["kind"])
        where = requirement.grouping.get("where")
    else:
        return None
    found: dict[str, bool] = {}
    for record in run.records.get(kind, ()):
        inside = holds(where, record, run.setting).truth if isinstance(where, Mapping) else True
        value = look_up(record, field)
        if inside is not False:
            name = "" if value is MISSING else str(value)
            found[name] = found.get(name, False) or (inside is True and value is not MISSING)
    only = field == "target" and len(found) == 1
    return [_Group(field, name, found[name], only) for name in sorted(found)]


def _per_target(requirement: Requirement, run: _Run) -> dict[str, Judgement]:
    """Return the proved judgement by the letter of every hardware target (DEP6)."""
    documents = _documents(requirement, Grade.PROVED)
    whole, used = _answer(requirement, run, requirement.method, documents, modern=False)
    groups = [group for group in _groups(requirement, run) or () if group.known]
    same = whole.verdict is Verdict.NOT_APPLICABLE or used or requirement.check is None
    if same:
        return {group.value: _judgement(whole, used) for group in groups}
    return {group.value: _judgement(_of_target(requirement, group, run), ()) for group in groups}


def _of_target(requirement: Requirement, group: _Group, run: _Run) -> Outcome:
    fields = run.rules.grouped_kinds.get(group.field, frozenset())
    scope = replace(run.scope(), belongs=lambda record: group.has(record, fields))
    if requirement.contradicted_by is not None:
        found = evaluate(requirement.contradicted_by, scope)
        if found.verdict is Verdict.PASS:
            return _contradiction(found)
    scope = replace(scope, needed=requirement.method, max_age_days=requirement.max_age_days)
    outcome = evaluate(requirement.check or {}, scope)
    return _unless_lost(requirement, run, outcome)


def _with_document(requirement: Requirement, run: _Run, outcome: Outcome, *, exact: bool) -> _Answered:
    """Return a document's answer where only a claim answers, or nothing; never over a lost record."""
    claimed = outcome.verdict is Verdict.PASS and outcome.method is Method.DECLARED
    is_open = outcome.verdict is Verdict.UNKNOWN and not outcome.reasons & LOST
    if not (is_open or claimed):
        return outcome, ()
    found = [record for record in run.records.get("document", ()) if answers(record, requirement.id, exact=exact)]
    if not found:
        return outcome, ()
    observed = tuple(_quoted(record) for record in found[:1])
    said = f"{look_up(found[0], 'document')}, clause {look_up(found[0], 'clause')}"
    return (
        Outcome(verdict=Verdict.PASS, explanation=said, expected=outcome.expected, method=found[0].method),
        observed,
    )


def answers(record: Evidence, requirement: str, *, exact: bool = False) -> bool:
    """Return whether a document's quoted clause answers a requirement: it names it, the quote and digest are right.

    With `exact`, only the requirement's own id names it: one sentence for a whole family proves nothing in particular.
    """
    proves = look_up(record, "proves")
    names = proves if isinstance(proves, Sequence) and not isinstance(proves, str) else ()
    return (
        record.unavailable is None
        and record.method.rank >= Method.EXAMINED.rank
        and all(look_up(record, name) is True for name in ("quote_found", "digest_ok", "current"))
        and all(isinstance(look_up(record, name), str) and look_up(record, name) for name in ("clause", "quote"))
        and any(str(name) == requirement or (not exact and _names(str(name), requirement)) for name in names)
    )


def _names(pattern: str, requirement: str) -> bool:
    """Return whether a word of `proves` names a requirement by its family and row, such as `SIGN-U*`."""
    return pattern.endswith("*") and "-" in pattern and requirement.startswith(pattern[:-1])


def _quoted(record: Evidence) -> Observed:
    return Observed(
        kind=record.kind,
        subject=str(record.subject),
        field="quote",
        value=record.values.get("quote"),
        expected="the quoted words stand in the document",
        method=record.method,
        party=record.party,
        origin=record.origin,
        verdict=Verdict.PASS,
    )
