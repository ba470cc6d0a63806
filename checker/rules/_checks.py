"""Checks over many records: pass, fail or unknown, in strong Kleene logic (docs/rules.md, Checks).

Two things never make a check pass: a record that is unavailable, and a record whose method is weaker than asked for.
Both may make it fail. Which records a check is about (`where`) may be known by any method.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

from checker.model.evidence import Evidence, Value
from checker.model.finding import Observed
from checker.model.terms import Method, Reason, Verdict
from checker.rules._conditions import (
    MISSING,
    YES,
    Answer,
    Setting,
    Truth,
    both,
    holds,
    inputs_hold,
    look_up,
    negate,
    shown,
)
from checker.rules.times import moment

QUANTIFIERS: Final = ("every", "some", "none")
MAX_SHOWN: Final = 8  # records that a finding shows, counter-examples first
_ORDER: Final = {Verdict.FAIL: 0, Verdict.UNKNOWN: 1, Verdict.PASS: 2}


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """The answer of a check.

    `method` is that of the weakest record that a pass rests on, None where it rests on inputs alone. `reasons` are
    those of every record that leaves something unknown.
    """

    verdict: Verdict
    reason: Reason | None = None
    explanation: str = ""
    expected: str = ""
    observed: tuple[Observed, ...] = ()
    method: Method | None = None
    reasons: frozenset[Reason] = frozenset()


@dataclass(frozen=True, kw_only=True)
class Scope:
    """What a check looks at: the records by kind, what counts, and which of the records belong to the group at hand."""

    records: Mapping[str, Sequence[Evidence]]
    setting: Setting
    needed: Method = Method.DECLARED
    max_age_days: int | None = None
    belongs: Callable[[Evidence], Truth] = field(default=lambda _: True)

    def of(self, kind: str) -> list[Evidence]:
        """Return the records of a kind that may belong to the group."""
        return [record for record in self.records.get(kind, ()) if self.belongs(record) is not False]


@dataclass(frozen=True, kw_only=True)
class _Seen:
    """One record under one quantifier."""

    record: Evidence
    where: Truth
    that: Truth
    weak: Reason | None  # why the record cannot make the check pass, though it would
    answer: Answer

    @property
    def match(self) -> Truth:
        if self.where is False or self.that is False:
            return False
        return True if self.where and self.that else None


def evaluate(check: Mapping[str, Value], scope: Scope) -> Outcome:
    """Return the answer of a check that `_validate` has found sound."""
    for name in QUANTIFIERS:
        if name in check:
            return _quantify(name, check, scope)
    if "input" in check:
        return _input(check, scope)
    name = "all" if "all" in check else "any"
    parts = check[name]
    found = parts if isinstance(parts, Sequence) and not isinstance(parts, str) else ()
    outcomes = [evaluate(part, scope) for part in found if isinstance(part, Mapping)]
    return conjunction(outcomes) if name == "all" else disjunction(outcomes)


def conjunction(outcomes: Iterable[Outcome]) -> Outcome:
    """Return `all`: fail if one fails, else unknown if one is, else pass; unknown over nothing."""
    found = list(outcomes)
    if not found:
        return Outcome(verdict=Verdict.UNKNOWN, reason=Reason.MISSING_RECORD, explanation="there is nothing to judge")
    deciding = min(found, key=lambda item: _ORDER[item.verdict])
    methods = [item.method for item in found if item.method is not None]
    weakest = min(methods, key=lambda item: item.rank, default=None) if deciding.verdict is Verdict.PASS else None
    expected = "; ".join(dict.fromkeys(item.expected for item in found if item.expected))
    return _joined(deciding, found, weakest, expected)


def disjunction(outcomes: Iterable[Outcome]) -> Outcome:
    """Return `any`: pass if one passes (the best proved one counts), else unknown if one is, else fail."""
    found = list(outcomes)
    passed = [item for item in found if item.verdict is Verdict.PASS]
    expected = " or ".join(dict.fromkeys(item.expected for item in found if item.expected))
    if passed:
        best = max(passed, key=lambda item: -1 if item.method is None else item.method.rank)
        return replace(best, expected=expected)
    if not found:
        return conjunction(())
    # Of several open ways, the one that has records says more than the one that has none.
    unknown = [item for item in found if item.verdict is Verdict.UNKNOWN]
    deciding = next((item for item in unknown if item.observed), (unknown or found)[0])
    return _joined(deciding, found, None, expected)


def _joined(deciding: Outcome, found: list[Outcome], method: Method | None, expected: str) -> Outcome:
    observed = [item for outcome in found for item in outcome.observed]
    reasons = frozenset[Reason]().union(*(item.reasons for item in found))
    return replace(
        deciding,
        observed=first(observed, deciding.verdict),
        method=method,
        reasons=reasons if deciding.verdict is Verdict.UNKNOWN else frozenset(),
        expected=expected,
    )


def first(observed: Iterable[Observed], verdict: Verdict) -> tuple[Observed, ...]:
    """Return what decided, at most `MAX_SHOWN`: the records of the verdict's own kind come first."""
    unique: list[Observed] = []
    for item in observed:
        if item not in unique:
            unique.append(item)
    unique.sort(key=lambda item: (item.verdict is not verdict, _ORDER[item.verdict]))
    return tuple(unique[:MAX_SHOWN])


def _input(check: Mapping[str, Value], scope: Scope) -> Outcome:
    tests = check["input"]
    answer = inputs_hold(tests, scope.setting) if isinstance(tests, Mapping) else YES
    if answer.truth is None:
        reason = answer.reason or Reason.NOT_DECLARED
        return Outcome(
            verdict=Verdict.UNKNOWN,
            reason=reason,
            explanation=answer.explanation,
            expected=answer.expected,
            reasons=frozenset({reason}),
        )
    if answer.truth:
        return Outcome(verdict=Verdict.PASS, expected=answer.expected)
    said = f"{answer.field} is {answer.value}"
    return Outcome(verdict=Verdict.FAIL, reason=Reason.CONTRADICTED, explanation=said, expected=answer.expected)


def _quantify(name: str, check: Mapping[str, Value], scope: Scope) -> Outcome:
    kind = str(check[name])
    seen = [_look(record, check, scope) for record in scope.of(kind)]
    least = check.get("at_least", 1)
    count = least if isinstance(least, int) else 1
    if not seen:
        return _nothing(f"there is no {kind} record")
    outcome = {"every": _every, "some": _some, "none": _none}[name](kind, seen, count)
    return replace(outcome, expected=_expected(name, kind, seen, count))


def _expected(name: str, kind: str, seen: list[_Seen], count: int) -> str:
    what = next((item.answer.expected for item in seen if item.answer.expected), "")
    amount = f"at least {count} {kind} records: " if count > 1 else f"{name} {kind}: "
    return amount + what


def _look(record: Evidence, check: Mapping[str, Value], scope: Scope) -> _Seen:
    where, that = check.get("where"), check.get("that")
    member = scope.belongs(record)
    inside = holds(where, record, scope.setting) if isinstance(where, Mapping) else YES
    if member is None:
        unsure = Answer(truth=None, reason=Reason.MISSING_FIELD, explanation=f"{record.subject} may belong elsewhere")
        inside = both((inside, unsure))
    answer = holds(that, record, scope.setting) if isinstance(that, Mapping) else YES
    told = answer if inside.truth else replace(inside, expected=answer.expected or inside.expected)
    if says := check.get("says"):
        told = replace(told, expected=str(says))
    return _Seen(record=record, where=inside.truth, that=answer.truth, weak=_weakness(record, scope), answer=told)


def _weakness(record: Evidence, scope: Scope) -> Reason | None:
    if record.unavailable is not None:
        return record.unavailable
    if record.method.rank < scope.needed.rank:
        return Reason.TOO_WEAK
    if scope.max_age_days is not None and not _fresh(record, scope.max_age_days, scope.setting.inputs.as_of):
        return Reason.STALE
    return None


def _fresh(record: Evidence, days: int, as_of: str) -> bool:
    seen, now = moment(record.origin.time), moment(as_of)
    return seen is not None and now is not None and 0 <= (now - seen).total_seconds() <= days * 86_400


def _nothing(explanation: str) -> Outcome:
    return Outcome(
        verdict=Verdict.UNKNOWN,
        reason=Reason.MISSING_RECORD,
        explanation=explanation,
    )


def _every(kind: str, seen: list[_Seen], least: int) -> Outcome:
    bad = [item for item in seen if item.where is True and item.that is False]
    good = [item for item in seen if item.where is True and item.that is True and item.weak is None]
    open_ = [item for item in seen if item.match is not False and not (item.that is True and item.weak is None)]
    open_ += [item for item in seen if item.where is None and item.that is False]
    if bad:
        return _fail(kind, bad, len(bad) + len(good) + len(open_))
    if open_:
        return _unknown(kind, open_, good)
    return _enough(kind, good, least, seen)


def _enough(kind: str, good: list[_Seen], least: int, seen: list[_Seen]) -> Outcome:
    if not good:
        return _nothing(f"there is no {kind} record of the kind that the question is about{_left_out(seen)}")
    if len(good) < least:
        said = f"{len(good)} {kind} records, at least {least} are needed"
        few = frozenset({Reason.TOO_FEW})
        return Outcome(verdict=Verdict.UNKNOWN, reason=Reason.TOO_FEW, explanation=said, reasons=few)
    return _pass(kind, good)


def _some(kind: str, seen: list[_Seen], least: int) -> Outcome:
    good = [item for item in seen if item.match is True and item.weak is None]
    open_ = [item for item in seen if item.match is None or (item.match is True and item.weak is not None)]
    if len(good) >= least:
        return _pass(kind, good)
    if len(good) + len(open_) < least:
        bad = [item for item in seen if item.match is False]
        said = f"{len(good)} of {len(seen)} {kind} records match"
        return replace(_fail(kind, bad, len(seen)), explanation=said)
    return _unknown(kind, open_, good)


def _none(kind: str, seen: list[_Seen], least: int) -> Outcome:
    bad = [item for item in seen if item.match is True]
    good = [item for item in seen if item.where is True and item.that is False and item.weak is None]
    open_ = [item for item in seen if item.match is None]
    open_ += [item for item in seen if item.where is not False and item.that is False and item.weak is not None]
    if bad:
        return _fail(kind, _negated(bad), len(seen))
    if open_:
        return _unknown(kind, _negated(open_), _negated(good))
    return _enough(kind, _negated(good), least, seen)


def _negated(items: list[_Seen]) -> list[_Seen]:
    """Return the records with what `none` expects of them: the opposite of the condition."""
    return [replace(item, answer=negate(item.answer)) for item in items]


def _left_out(seen: list[_Seen]) -> str:
    """Return the first record that does not count for its own words: it says no where a yes is asked for, and why."""
    for item in seen:
        note = look_up(item.record, "note")
        if item.where is False and item.answer.value is False and isinstance(note, str):
            return f"; {item.record.subject}: {item.answer.field} is false ({note})"
    return ""


def _pass(kind: str, good: list[_Seen]) -> Outcome:
    method = min((item.record.method for item in good), key=lambda item: item.rank)
    return Outcome(
        verdict=Verdict.PASS,
        explanation=f"{len(good)} {kind} record{'s' if len(good) > 1 else ''}",
        method=method,
        observed=tuple(_observed(kind, item, Verdict.PASS) for item in good[:MAX_SHOWN]),
    )


def _fail(kind: str, bad: list[_Seen], total: int) -> Outcome:
    worst = bad[0].answer if bad else YES
    seen = f"has {shown(worst.offending)}" if worst.offending else f"is {shown(worst.value)}"
    said = f"{len(bad)} of {total} {kind} records: {worst.field} {seen}, expected {worst.expected}"
    return Outcome(
        verdict=Verdict.FAIL,
        reason=Reason.CONTRADICTED,
        explanation=said,
        observed=tuple(_observed(kind, item, Verdict.FAIL) for item in bad[:MAX_SHOWN]),
    )


def _why(item: _Seen) -> tuple[Reason, str]:
    if item.answer.truth is None and item.answer.reason is not None:
        return item.answer.reason, item.answer.explanation
    reason = item.weak or Reason.MISSING_FIELD
    if item.record.unavailable is not None:
        return reason, item.record.explanation
    if reason is Reason.TOO_WEAK:
        return reason, f"{item.record.subject} is known only as {item.record.method}"
    if reason is Reason.STALE:
        return reason, f"{item.record.subject} was seen at {item.record.origin.time or 'an unknown time'}"
    return reason, item.answer.explanation


def _unknown(kind: str, open_: list[_Seen], good: list[_Seen]) -> Outcome:
    reasons = [_why(item) for item in open_]
    reason, said = reasons[0]
    told = [_observed(kind, item, Verdict.UNKNOWN) for item in open_[:MAX_SHOWN]]
    told += [_observed(kind, item, Verdict.PASS) for item in good[:MAX_SHOWN]]
    return Outcome(
        verdict=Verdict.UNKNOWN,
        reason=reason,
        explanation=said,
        observed=tuple(told[:MAX_SHOWN]),
        reasons=frozenset(item for item, _ in reasons),
    )


def _observed(kind: str, item: _Seen, verdict: Verdict) -> Observed:
    value = look_up(item.record, item.answer.field) if item.answer.field else item.answer.value
    if item.answer.offending and verdict is Verdict.FAIL:
        value = item.answer.offending
    return Observed(
        kind=kind,
        subject=str(item.record.subject),
        field=item.answer.field,
        value=None if value is MISSING else value,  # type: ignore[arg-type]
        expected=item.answer.expected,
        method=item.record.method,
        party=item.record.party,
        origin=item.record.origin,
        verdict=verdict,
    )
