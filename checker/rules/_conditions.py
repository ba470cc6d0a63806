"""Conditions over one record, in strong Kleene logic: true, false, or None for unknown (docs/rules.md, Conditions).

An unknown answer always carries its reason. Lists of conditions keep the answer that decided: the first false one,
else the first unknown one, else the first.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

from checker.model.evidence import Evidence, Value
from checker.model.terms import Reason
from checker.rules.times import is_date, moment

Truth = bool | None


class _MissingType:
    """A field that a record does not have; null counts as missing."""

    def __repr__(self) -> str:
        return "MISSING"


MISSING: Final = _MissingType()


@dataclass(frozen=True, kw_only=True)
class Inputs:
    """What a run was told, beside the evidence. Times are RFC 3339 in UTC, dates ISO 8601; empty is unknown."""

    as_of: str
    support_until: str = ""
    send_endpoint: str = "device"

    def get(self, name: str) -> Value | _MissingType:
        """Return an input by its name in a rule."""
        found = {"as_of": self.as_of, "support_until": self.support_until, "send_endpoint": self.send_endpoint}
        return found.get(name) or MISSING


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What a condition says of a record, and the field that decided; `offending` names the items that made it fail."""

    truth: Truth
    reason: Reason | None = None
    field: str = ""
    value: Value = None
    offending: tuple[Value, ...] = ()
    expected: str = ""
    explanation: str = ""


@dataclass(frozen=True, kw_only=True)
class Setting:
    """What a condition may look up beside the record: the rule set's tables and the inputs."""

    tables: Mapping[str, Value]
    inputs: Inputs


YES: Final = Answer(truth=True)


def both(answers: Iterable[Answer]) -> Answer:
    """Return the conjunction; true when there are none."""
    return _decide(tuple(answers), (False, None, True))


def either(answers: Iterable[Answer]) -> Answer:
    """Return the disjunction; false when there are none."""
    found = tuple(answers)
    if not found:
        return Answer(truth=False)
    best = _decide(found, (True, None, False))
    if best.truth is True:
        return best
    expected = " or ".join(dict.fromkeys(item.expected for item in found if item.expected))
    return replace(best, expected=expected)


def negate(answer: Answer) -> Answer:
    """Return the negation: unknown stays unknown."""
    turned = None if answer.truth is None else not answer.truth
    return replace(answer, truth=turned, expected=f"not ({answer.expected})")


def _decide(answers: tuple[Answer, ...], order: tuple[Truth, ...]) -> Answer:
    for truth in order:
        for answer in answers:
            if answer.truth is truth:
                return answer
    return YES


def look_up(record: Evidence, path: str) -> Value | _MissingType:
    """Return the value of a field by its dotted path, or `MISSING`."""
    if path in ("method", "party"):
        return str(getattr(record, path))
    if path == "subject.id":
        return record.subject.id
    value: Value = dict(record.values)
    for part in path.split("."):
        if not isinstance(value, Mapping) or part not in value:
            return MISSING
        value = value[part]
    return MISSING if value is None else value


def holds(condition: Mapping[str, Value], record: Evidence, setting: Setting) -> Answer:
    """Return whether a record meets a condition."""
    return both(_part(key, part, record, setting) for key, part in condition.items())


def inputs_hold(tests: Mapping[str, Value], setting: Setting) -> Answer:
    """Return whether the inputs meet the tests of an `input:` check."""
    return both(_test(name, test, setting.inputs.get(name), None, setting) for name, test in tests.items())


def _part(key: str, part: Value, record: Evidence, setting: Setting) -> Answer:
    match key:
        case "all":
            return both(holds(item, record, setting) for item in _mappings(part))
        case "any":
            return either(holds(item, record, setting) for item in _mappings(part))
        case "not":
            return negate(both(holds(item, record, setting) for item in _mappings([part])))
        case _:
            return _test(key, part, look_up(record, key), record, setting)


def _mappings(part: Value) -> list[Mapping[str, Value]]:
    items = part if isinstance(part, Sequence) and not isinstance(part, str) else ()
    return [item for item in items if isinstance(item, Mapping)]


def tests_of(test: Value) -> Mapping[str, Value]:
    """Return a test in its long form: a plain scalar means equals."""
    return test if isinstance(test, Mapping) else {"equals": test}


def _test(path: str, test: Value, value: Value | _MissingType, record: Evidence | None, setting: Setting) -> Answer:
    return both(_operator(path, name, given, value, record, setting) for name, given in tests_of(test).items())


def _operator(
    path: str,
    name: str,
    given: Value,
    value: Value | _MissingType,
    record: Evidence | None,
    setting: Setting,
) -> Answer:
    wanted = operand(given, record, setting)
    expected = f"{path} {phrase(name, given if isinstance(wanted, _MissingType) else wanted)}"
    if isinstance(value, _MissingType):
        return _missing(path, record, expected)
    if isinstance(wanted, _MissingType):
        said = f"nothing to compare {path} with: {_operand_text(given)} is not known"
        return Answer(
            truth=None, reason=Reason.MISSING_FIELD, field=path, value=value, expected=expected, explanation=said
        )
    truth = OPERATORS[name](value, wanted)
    if truth is None:
        said = f"{path} is {shown(value)}, which cannot be compared"
        return Answer(
            truth=None, reason=Reason.MISSING_FIELD, field=path, value=value, expected=expected, explanation=said
        )
    offending = _offending(name, value, wanted) if truth is False else ()
    return Answer(truth=truth, field=path, value=value, offending=offending, expected=expected)


def _offending(name: str, value: Value, wanted: Value) -> tuple[Value, ...]:
    """Return the items of a list that must not be there, by name: what a reader has to switch off."""
    if name not in _NAMING:
        return ()
    return tuple(item for item in _list(value) or () if _in(item, wanted) is (name == "none_of"))


def _missing(path: str, record: Evidence | None, expected: str) -> Answer:
    if record is not None and record.unavailable is not None:
        reason, said = record.unavailable, record.explanation
    elif record is None:
        reason, said = Reason.NOT_DECLARED, f"{path} is not stated"
    else:
        reason, said = Reason.MISSING_FIELD, f"{path} of {record.subject} is not known"
    return Answer(truth=None, reason=reason, field=path, expected=expected, explanation=said)


def operand(given: Value, record: Evidence | None, setting: Setting) -> Value | _MissingType:
    """Return what a test compares with: a literal, or a value of a table, an input or another field."""
    if not isinstance(given, Mapping):
        return given
    if "input" in given:
        return setting.inputs.get(str(given["input"]))
    if "field" in given:
        return look_up(record, str(given["field"])) if record is not None else MISSING
    table = setting.tables.get(str(given.get("table")))
    if "by" not in given:
        return MISSING if table is None else table
    key = look_up(record, str(given["by"])) if record is not None else MISSING
    if isinstance(table, Mapping) and isinstance(key, str) and key in table:
        return table[key]
    return MISSING


def _same(left: Value, right: Value) -> bool:
    """Return whether two values are equal and of one type: true is not 1. An enumeration's member is its text."""
    return isinstance(left, bool) is isinstance(right, bool) and left == right


def _in(value: Value, wanted: Value) -> Truth:
    items = _list(wanted)
    return None if items is None else any(_same(value, item) for item in items)


def _list(value: Value) -> list[Value] | None:
    return list(value) if isinstance(value, Sequence) and not isinstance(value, str) else None


def _not(truth: Truth) -> Truth:
    return None if truth is None else not truth


def _compare(value: Value, wanted: Value) -> int | None:
    """Return -1, 0 or 1; None where the two have no order. A date and a time are compared by their days in UTC."""
    if isinstance(value, bool) or isinstance(wanted, bool):
        return None
    if isinstance(value, int) and isinstance(wanted, int):
        return (value > wanted) - (value < wanted)
    left, right = moment(value), moment(wanted)
    if left is None or right is None:
        return None
    if is_date(str(value)) or is_date(str(wanted)):
        return (left.date() > right.date()) - (left.date() < right.date())
    return (left > right) - (left < right)


def _at_least(value: Value, wanted: Value) -> Truth:
    order = _compare(value, wanted)
    return None if order is None else order >= 0


def _at_most(value: Value, wanted: Value) -> Truth:
    order = _compare(value, wanted)
    return None if order is None else order <= 0


def _contains(value: Value, wanted: Value) -> Truth:
    items = _list(value)
    return None if items is None else _in(wanted, items)


def _any_of(value: Value, wanted: Value) -> Truth:
    items = _list(value)
    return None if items is None or _list(wanted) is None else any(_in(item, wanted) for item in items)


def _within(value: Value, wanted: Value) -> Truth:
    items = _list(value)
    if not items or _list(wanted) is None:  # nothing empty passes: an empty list says nothing of its items
        return None
    return all(_in(item, wanted) for item in items)


def _not_empty(value: Value, wanted: Value) -> Truth:
    if not isinstance(value, str) and _list(value) is None:
        return None
    return (len(value) > 0) is wanted  # type: ignore[arg-type]


OPERATORS: Final[dict[str, Callable[[Value, Value], Truth]]] = {
    "equals": _same,
    "in": _in,
    "not_in": lambda value, wanted: _not(_in(value, wanted)),
    "at_least": _at_least,
    "at_most": _at_most,
    "contains": _contains,
    "excludes": lambda value, wanted: _not(_contains(value, wanted)),
    "any_of": _any_of,
    "none_of": lambda value, wanted: _not(_any_of(value, wanted)),
    "within": _within,
    "not_empty": _not_empty,
}
_NAMING: Final = frozenset({"within", "none_of"})  # operators that can name what offends
_PHRASES: Final = {
    "equals": "is",
    "in": "is one of",
    "not_in": "is none of",
    "at_least": "is at least",
    "at_most": "is at most",
    "contains": "contains",
    "excludes": "does not contain",
    "any_of": "has one of",
    "none_of": "has none of",
    "within": "has only",
}
_MANY: Final = 8  # items of a list that an expectation spells out


def phrase(name: str, wanted: Value) -> str:
    """Return a test in words: `is at least 128`."""
    if name == "not_empty":
        return "is not empty" if wanted is True else "is empty"
    return f"{_PHRASES[name]} {_operand_text(wanted)}"


def _operand_text(wanted: Value) -> str:
    if isinstance(wanted, Mapping):
        return " ".join(f"{key} {item}" for key, item in wanted.items())
    return shown(wanted)


def shown(value: Value) -> str:
    """Return a value as a reader would write it."""
    if value is None:
        return "nothing"
    if isinstance(value, bool):
        return "true" if value else "false"
    items = _list(value)
    if items is not None:
        more = f" and {len(items) - _MANY} more" if len(items) > _MANY else ""
        return ", ".join(shown(item) for item in items[:_MANY]) + more or "nothing"
    return str(value) if value != "" else "empty"
