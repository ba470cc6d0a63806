"""Semantic checks of CHECK and CONDITION trees: forms, kinds, fields, operators and types, with "did you mean"."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from checker.model.evidence import Value
from checker.rules._checks import QUANTIFIERS
from checker.rules._conditions import OPERATORS
from checker.rules._kinds import FieldType, Kinds
from checker.rules._yaml import Path
from checker.rules.times import moment

Found = tuple[Path, str]  # a path below the tree, and what is wrong there

FORMS: Final = (*QUANTIFIERS, "all", "any", "input")
INPUTS: Final = {
    "as_of": FieldType(type="string"),
    "support_until": FieldType(type="string"),
    "send_endpoint": FieldType(type="string", enum=("device", "mutual", "either")),
}
_LISTS: Final = frozenset({"in", "not_in", "any_of", "none_of", "within"})
_ON_ARRAYS: Final = frozenset({"contains", "excludes", "any_of", "none_of", "within", "not_empty"})
_ON_SCALARS: Final = frozenset({"equals", "in", "not_in", "at_least", "at_most", "not_empty"})
_REFERENCES: Final = ("table", "input", "field")
_PYTHON: Final = {"string": str, "integer": int, "boolean": bool}


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """Return a hint for a misspelt word, empty where nothing is close."""
    close = difflib.get_close_matches(word, sorted(known), n=1, cutoff=0.6)
    return f"; did you mean {close[0]!r}?" if close else ""


@dataclass(frozen=True)
class Trees:
    """Checks trees against the evidence kinds and the rule set's tables."""

    kinds: Kinds
    tables: Mapping[str, Value]

    def check(self, tree: Value, path: Path = ()) -> Iterator[Found]:
        """Yield every fault of a CHECK."""
        if not isinstance(tree, Mapping):
            yield path, "a check is a mapping"
            return
        forms = [name for name in FORMS if name in tree]
        if len(forms) != 1:
            given = ", ".join(tree) or "nothing"
            hint = "".join(did_you_mean(key, FORMS) for key in tree if not forms)
            yield path, f"a check has exactly one of {', '.join(FORMS)}, not {given}{hint}"
        elif forms[0] in QUANTIFIERS:
            yield from self._quantifier(forms[0], tree, path)
        else:
            yield from _only(tree, {forms[0]}, path)
            yield from self._nested(forms[0], tree, path)

    def _nested(self, form: str, tree: Mapping[str, Value], path: Path) -> Iterator[Found]:
        if form == "input":
            yield from self._inputs(tree["input"], (*path, "input"))
            return
        parts = tree[form]
        if not isinstance(parts, list) or not parts:
            yield (*path, form), f"`{form}` takes a list of at least one check"
            return
        for index, part in enumerate(parts):
            yield from self.check(part, (*path, form, index))

    def _quantifier(self, form: str, tree: Mapping[str, Value], path: Path) -> Iterator[Found]:
        yield from _only(tree, {form, "where", "that", "at_least", "says"}, path)
        kind = tree[form]
        if not isinstance(kind, str) or kind not in self.kinds.fields:
            hint = did_you_mean(str(kind), self.kinds.fields)
            yield (*path, form), f"there is no evidence kind {kind!r}{hint}"
            return
        least = tree.get("at_least", 1)
        if not isinstance(least, int) or isinstance(least, bool) or least < 1:
            yield (*path, "at_least"), "`at_least` is a whole number of 1 or more"
        if "that" not in tree:
            yield path, f"`{form}` needs `that`"
        if not isinstance(tree.get("says", ""), str):
            yield (*path, "says"), "`says` is a text: the expectation in words"
        for name in ("where", "that"):
            if name in tree:
                yield from self.condition(tree[name], kind, (*path, name))

    def condition(self, tree: Value, kind: str, path: Path) -> Iterator[Found]:
        """Yield every fault of a CONDITION over records of a kind."""
        if not isinstance(tree, Mapping) or not tree:
            yield path, "a condition is a mapping from fields to tests, and is not empty"
            return
        for key, part in tree.items():
            where = (*path, key)
            if key in ("all", "any"):
                yield from self._conditions(part, kind, where)
            elif key == "not":
                yield from self.condition(part, kind, where)
            else:
                yield from self._field(key, part, kind, where)

    def _conditions(self, parts: Value, kind: str, path: Path) -> Iterator[Found]:
        if not isinstance(parts, list) or not parts:
            yield path, "a list of at least one condition is needed here"
            return
        for index, part in enumerate(parts):
            yield from self.condition(part, kind, (*path, index))

    def _field(self, name: str, test: Value, kind: str, path: Path) -> Iterator[Found]:
        fields = self.kinds.fields[kind]
        if name not in fields:
            yield path, f"{kind} has no field {name!r}{did_you_mean(name, fields)}"
            return
        yield from self._test(test, fields[name], kind, path)

    def _inputs(self, tests: Value, path: Path) -> Iterator[Found]:
        if not isinstance(tests, Mapping) or not tests:
            yield path, "`input` takes a mapping from inputs to tests"
            return
        for name, test in tests.items():
            if name not in INPUTS:
                yield (*path, name), f"there is no input {name!r}{did_you_mean(name, INPUTS)}"
            else:
                yield from self._test(test, INPUTS[name], "", (*path, name))

    def _test(self, test: Value, kind_of: FieldType, kind: str, path: Path) -> Iterator[Found]:
        if not isinstance(test, Mapping):
            yield from self._operator("equals", test, kind_of, kind, path)
            return
        if not test:
            yield path, "a test is a value, or a mapping with an operator"
        for name, given in test.items():
            if name not in OPERATORS:
                yield (*path, name), f"there is no operator {name!r}{did_you_mean(name, OPERATORS)}"
            else:
                yield from self._operator(name, given, kind_of, kind, (*path, name))

    def _operator(self, name: str, given: Value, kind_of: FieldType, kind: str, path: Path) -> Iterator[Found]:
        fits = _ON_ARRAYS if kind_of.type == "array" else _ON_SCALARS
        if name not in fits or (name == "not_empty" and kind_of.type not in ("string", "array")):
            yield path, f"`{name}` does not fit a field of type {kind_of.type}"
            return
        if name in ("at_least", "at_most") and kind_of.type == "boolean":
            yield path, f"`{name}` does not fit a field of type boolean"
            return
        if isinstance(given, Mapping):
            yield from self._reference(name, given, kind_of, kind, path)
        else:
            for fault in operand_faults(name, given, kind_of):
                yield path, fault

    def _reference(
        self, name: str, given: Mapping[str, Value], kind_of: FieldType, kind: str, path: Path
    ) -> Iterator[Found]:
        forms = [form for form in _REFERENCES if form in given]
        if len(forms) != 1:
            yield path, "a value is a literal, or has one of table, input, field"
            return
        target = str(given[forms[0]])
        if forms[0] == "table":
            yield from self._table(name, given, kind_of, kind, path)
        elif forms[0] == "input":
            yield from _only(given, {"input"}, path)
            if target not in INPUTS:
                yield path, f"there is no input {target!r}{did_you_mean(target, INPUTS)}"
        else:
            yield from _only(given, {"field"}, path)
            if not self.kinds.has(kind, target):
                fields = self.kinds.fields.get(kind, {})
                yield path, f"{kind or 'an input'} has no field {target!r}{did_you_mean(target, fields)}"

    def _table(
        self, name: str, given: Mapping[str, Value], kind_of: FieldType, kind: str, path: Path
    ) -> Iterator[Found]:
        yield from _only(given, {"table", "by"}, path)
        title = str(given["table"])
        if title not in self.tables:
            yield path, f"there is no table {title!r}{did_you_mean(title, self.tables)}"
            return
        table = self.tables[title]
        if "by" not in given:
            for fault in operand_faults(name, table, kind_of, literal=False):
                yield path, f"table {title}: {fault}"
            return
        by = str(given["by"])
        if not self.kinds.has(kind, by):
            yield path, f"{kind or 'an input'} has no field {by!r}{did_you_mean(by, self.kinds.fields.get(kind, {}))}"
        if not isinstance(table, Mapping):
            yield path, f"table {title} is looked up by {by}, so it must be a mapping"
            return
        for entry in table.values():
            for fault in operand_faults(name, entry, kind_of, literal=False):
                yield path, f"table {title}: {fault}"


def _only(tree: Mapping[str, Value], allowed: set[str], path: Path) -> Iterator[Found]:
    for key in tree:
        if key not in allowed:
            yield (*path, key), f"{key!r} does not belong here{did_you_mean(key, allowed)}"


def operand_faults(name: str, given: Value, kind_of: FieldType, *, literal: bool = True) -> Iterator[str]:
    """Yield why a value does not fit an operator on a field. Values of a table may go beyond the field's own list."""
    if name == "not_empty":
        if not isinstance(given, bool):
            yield "`not_empty` takes true or false"
        return
    if name in _LISTS:
        if not isinstance(given, list) or not given:
            yield f"`{name}` takes a list that is not empty"
            return
        items = given
    else:
        items = [given]
    if name in ("at_least", "at_most"):
        if not (_is(given, "integer") if kind_of.type == "integer" else moment(given)):
            yield f"`{name}` takes a number for a number and an ISO date for a text"
        return
    type_ = kind_of.items if kind_of.type == "array" else kind_of.type
    for item in items:
        if not _is(item, type_):
            yield f"{item!r} is not of type {type_}"
        elif literal and kind_of.enum and item not in kind_of.enum and item != "":
            yield f"{item!r} is none of {', '.join(kind_of.enum)}{did_you_mean(str(item), kind_of.enum)}"


def _is(value: Value, type_: str) -> bool:
    wanted = _PYTHON.get(type_, str)
    return isinstance(value, wanted) and (type_ == "boolean" or not isinstance(value, bool))
