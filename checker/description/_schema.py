"""Checks a tree against `schemas/*.schema.json` and says every fault in plain words, with its place.

The schemas are ordinary JSON Schema 2020-12. What is special is what counts as text, number and truth value (the field
decides, see `_yaml`), and that no reference is ever fetched: the registry holds our schemas and nothing else.
"""

from __future__ import annotations

import datetime as dt
import difflib
import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import cache
from itertools import islice
from typing import Any, Final

from jsonschema import Draft202012Validator, FormatChecker, TypeChecker, ValidationError
from jsonschema.protocols import Validator
from jsonschema.validators import extend
from referencing import Registry, Resource

from checker import resources
from checker.description._yaml import Items, Map, Mark, Node, Text, shown
from checker.errors import Problem

SCHEMAS: Final = ("device", "update", "key-inventory")
MAX_PROBLEMS: Final = 200  # of one file; who has more mends the first ones and asks again
_TIME: Final = re.compile(r"\d{4}-\d{2}-\d{2}(T\d{2}:\d{2}:\d{2}Z)?")
_GUESSABLE: Final = 64  # characters; longer words are not looked up among the known ones
_NAMES: Final = {"object": "a mapping (key: value)", "array": "a list", "integer": "a whole number"}
_NAMES_OF_TEXT: Final = {"string": "text", "number": "text", "boolean": "true or false", "null": "nothing"}

_SORTS: Final = {
    "device": "a device description",
    "update": "an update description",
    "key-inventory": "a key inventory",
}

_Path = tuple[str | int, ...]


def check(tree: Node, schema: str, name: str, at: _Path = ()) -> tuple[Problem, ...]:
    """Return every fault of a tree, sorted; at most `MAX_PROBLEMS`.

    `schema` is one of `SCHEMAS`, `name` the file for the messages, `at` the path of the tree within that file.
    """
    found: list[Problem] = []
    for error in islice(_validator(schema).iter_errors(tree), MAX_PROBLEMS):
        found += _explain(error, tree, name, at)
    unique = sorted(set(found))
    if len(unique) <= MAX_PROBLEMS:
        return tuple(unique)
    first = unique[MAX_PROBLEMS]
    more = Problem(first.file, first.line, first.column, "$", "further problems follow; mend these first")
    return (*unique[:MAX_PROBLEMS], more)


def load_schema(name: str) -> dict[str, Any]:
    """Return one schema as data.

    Raises:
        MissingDataError: it is not installed.
    """
    loaded: dict[str, Any] = json.loads(resources.read("schemas", f"{name}.schema.json"))
    return loaded


def registry() -> Registry[Any]:
    """Return the schemas by their URN. Whatever else is referred to stays unresolved; nothing is fetched."""
    documents = [load_schema(name) for name in SCHEMAS]
    return Registry().with_resources((item["$id"], Resource.from_contents(item)) for item in documents)


def is_date(text: str) -> bool:
    """Return whether a text is a date that exists: `2026-02-30` is none."""
    return len(text) == len("2026-10-01") and is_moment(text)


def is_moment(text: str) -> bool:
    """Return whether a text is such a date, or a time of one in UTC (RFC 3339, whole seconds)."""
    try:
        return bool(_TIME.fullmatch(text)) and bool(dt.datetime.fromisoformat(text))
    except ValueError:
        return False


@cache
def _validator(schema: str) -> Validator:
    kind: type[Validator] = extend(  # type: ignore[no-untyped-call]
        Draft202012Validator, validators={"minimum": _minimum, "pattern": _pattern}, type_checker=_types()
    )
    return kind(load_schema(schema), registry=registry(), format_checker=formats())


def formats() -> FormatChecker:
    """Return the two formats that the schemas use."""
    checker = FormatChecker(formats=())
    for name, test in (("date", is_date), ("date-or-time", is_moment)):
        checker.checks(name)(_on_text(test))
    return checker


def _on_text(test: Callable[[str], bool]) -> Callable[[object], bool]:
    return lambda value: not _is_text(value) or test(str(value))


def _is_text(value: object) -> bool:
    return isinstance(value, Text) and not value.null and value.truth is None


def _types() -> TypeChecker:
    def text(_: TypeChecker, value: object) -> bool:
        return _is_text(value)

    def number(_: TypeChecker, value: object) -> bool:
        return isinstance(value, Text) and value.number

    def integer(_: TypeChecker, value: object) -> bool:
        return isinstance(value, Text) and value.integer is not None

    def boolean(_: TypeChecker, value: object) -> bool:
        return isinstance(value, Text) and value.truth is not None

    def null(_: TypeChecker, value: object) -> bool:
        return isinstance(value, Text) and value.null

    own = {"string": text, "number": number, "integer": integer, "boolean": boolean, "null": null}
    checker: TypeChecker = Draft202012Validator.TYPE_CHECKER.redefine_many(own)
    return checker


def _minimum(_: Validator, least: int, value: object, __: object) -> Iterator[ValidationError]:
    if isinstance(value, Text) and value.integer is not None and value.integer < least:
        yield ValidationError("too small")


def _pattern(_: Validator, pattern: str, value: object, __: object) -> Iterator[ValidationError]:
    """Unlike Python, JSON Schema (ECMA-262) lets `$` match only at the very end, never before a last line break."""
    strict = re.sub(r"\$$", r"\\Z", pattern)
    if _is_text(value) and not re.search(strict, str(value)):
        yield ValidationError("does not match")


def _explain(error: ValidationError, tree: Node, name: str, at: _Path) -> Iterator[Problem]:
    path = tuple(error.absolute_path)
    node, mark = locate(tree, path)
    where = pointer((*at, *path))
    said = _SAYINGS.get(str(error.validator), _unlisted)
    for message, place in said(error, node):
        yield Problem(name, (place or mark).line, (place or mark).column, where, message)


def locate(tree: Node, path: Iterable[str | int]) -> tuple[Node, Mark]:
    """Return the node at a path, or the deepest one above it that exists, and its place."""
    node = tree
    for part in path:
        if isinstance(node, Map) and part in node:
            node = node[str(part)]
        elif isinstance(node, Items) and isinstance(part, int) and part < len(node):
            node = node[part]
    return node, node.mark


def pointer(path: Iterable[str | int]) -> str:
    """Return a path as it is written in messages: `$.artifacts[0].file`."""
    return "$" + "".join(f"[{part}]" if isinstance(part, int) else f".{_cut(part)}" for part in path)


def _cut(part: str) -> str:
    return part if len(part) <= _GUESSABLE and part.isprintable() else shown(part)


def guess(word: str, known: Iterable[str]) -> str:
    """Return `; did you mean 'x'?` for the nearest known word, or nothing."""
    if len(word) > _GUESSABLE:
        return ""
    lower = {item.lower(): item for item in sorted(known)}
    near = difflib.get_close_matches(word.lower(), lower, n=1, cutoff=0.6)
    return f"; did you mean {shown(lower[near[0]])}?" if near else ""


_Said = Iterator[tuple[str, Mark | None]]


def _unknown_keys(error: ValidationError, node: Node) -> _Said:
    known = sorted(_schema_of(error).get("properties", {}))
    for key in islice(node if isinstance(node, Map) else (), MAX_PROBLEMS + len(known)):
        if key not in known and isinstance(node, Map):
            hint = _comma(key, node) or guess(key, known) or f"; known here: {', '.join(known)}"
            yield f"unknown key {shown(key)}{hint}", node.keys_at[key]


def _comma(key: str, node: Map) -> str:
    """Return a hint at the commonest slip in `{by: hash, read back}`: the comma ends the text."""
    value = node[key]
    cut = isinstance(value, Text) and value == "" and value.plain and len(node) > 1
    return "; it has no value: inside braces a comma ends a text, so a text with a comma needs quotes" if cut else ""


def _missing(error: ValidationError, node: Node) -> _Said:
    """Say every missing key. The library reports one error per key; equal problems are said once in the end."""
    known = _schema_of(error).get("properties", {})
    for key in _schema_of(error).get("required", ()):
        if isinstance(node, Map) and key not in node:
            about = _first_sentence(known.get(key, {}).get("description", ""))
            yield f"{shown(key)} is missing" + (f": {about}" if about else ""), None


def _first_sentence(text: str) -> str:
    return text.split(". ", maxsplit=1)[0].rstrip(".")


def _wrong_type(error: ValidationError, node: Node) -> _Said:
    value = _schema_of(error).get("type", ())
    wanted = _either([value] if isinstance(value, str) else list(value))
    if isinstance(node, Text) and node.null:
        yield f"no value is given; expected {wanted}, or leave the key out, which means unknown", None
    elif isinstance(node, Text) and node.truth is not None and "text" in wanted:
        yield f"expected {wanted}, found {node}; if the word itself is meant, put it in quotes", None
    else:
        yield f"expected {wanted}, found {_what(node)}", None


def _either(types: list[str]) -> str:
    return " or ".join(dict.fromkeys((_NAMES | _NAMES_OF_TEXT)[item] for item in types))


def _what(node: Node) -> str:
    if isinstance(node, Text):
        return f"the text {shown(node)}" if node else "an empty text"
    return "a mapping (key: value)" if isinstance(node, Map) else "a list"


def _not_listed(error: ValidationError, node: Node) -> _Said:
    known = [str(item) for item in error.validator_value] if isinstance(error.validator_value, list) else []
    if isinstance(node, Text) and node.null:
        yield f"no value is given; expected one of {', '.join(known)}, or leave the key out, which means unknown", None
        return
    hint = guess(str(node), known) if isinstance(node, Text) else ""
    yield f"expected one of {', '.join(known)}; found {_what(node)}{hint}", None


def _other_constant(error: ValidationError, node: Node) -> _Said:
    yield (
        f"expected {error.validator_value}, found {_what(node)}{_sort_of(str(node), str(error.validator_value))}",
        None,
    )


def _sort_of(found: str, wanted: str) -> str:
    kind, _, version = found.partition("/")
    sort = wanted.partition("/")[0]
    if kind == sort and version.isdigit():
        return f"; version {version} of this format is newer than this otaudit"
    return f"; this file is {_SORTS[kind]}, where {_SORTS[sort]} is needed" if kind in _SORTS else ""


def _other_form(error: ValidationError, node: Node) -> _Said:
    expected = _schema_of(error).get("x-expected", "another form")
    yield f"expected {expected}, found {_what(node)}", None


def _empty(_: ValidationError, node: Node) -> _Said:
    what = "the text" if isinstance(node, Text) else "the list"
    yield f"{what} is empty; fill it, or leave the key out, which means unknown", None


def _too_small(error: ValidationError, node: Node) -> _Said:
    yield f"expected a whole number of at least {error.validator_value}, found {node}", None


def _unlisted(error: ValidationError, node: Node) -> _Said:
    yield f"{_what(node)} does not fit ({error.validator})", None


def _schema_of(error: ValidationError) -> Mapping[str, Any]:
    return error.schema if isinstance(error.schema, Mapping) else {}


_SAYINGS: Final[Mapping[str, Callable[[ValidationError, Node], _Said]]] = {
    "additionalProperties": _unknown_keys,
    "required": _missing,
    "type": _wrong_type,
    "enum": _not_listed,
    "const": _other_constant,
    "pattern": _other_form,
    "format": _other_form,
    "minLength": _empty,
    "minItems": _empty,
    "minimum": _too_small,
}
