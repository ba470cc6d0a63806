"""JSON in the form that signed documents need: one reading only (RFC 8259, RFC 7493).

Names that occur twice, NaN, fractions, lone surrogates and deep nesting are refused: two readers may take them in two
ways, or canonical forms do not know them.
"""

from __future__ import annotations

import json
import re
from typing import Any, Final, NoReturn

from checker.errors import FormatError, LimitError
from checker.io.limits import MAX_HEADER
from checker.model.artifact import Span

MAX_JSON_DEPTH: Final = 64  # arrays and objects inside one another; signed documents have about eight
_STRING: Final = re.compile(r'"(?:[^"\\]|\\.)*+"', re.DOTALL)
_BRACKET: Final = re.compile(r"[\[\]{}]")
_SURROGATE: Final = re.compile(r"\\u[dD][89a-fA-F]")
_SPACE: Final = re.compile(r"[ \t\n\r]*")


def parse(data: bytes, field: str, *, limit: int = MAX_HEADER, fractions: bool = False) -> Any:  # noqa: ANN401 - any JSON value
    """Return the value of a JSON text in UTF-8; `fractions` are for texts that nobody signs.

    Raises:
        LimitError: it has more than `limit` bytes, or is nested deeper than `MAX_JSON_DEPTH`.
        FormatError: it is not JSON, or two readers could read it differently.
    """
    text = _text(data, field, limit)
    try:
        value = json.loads(
            text, object_pairs_hook=_unique, parse_float=float if fractions else _fraction, parse_constant=_fraction
        )
        if _SURROGATE.search(text):
            json.dumps(value, ensure_ascii=False).encode()
    except json.JSONDecodeError as error:
        offset = len(text[: error.pos].encode())
        raise FormatError(f"is not JSON: {error.msg}", offset=offset, field=field) from error
    except (ValueError, RecursionError) as error:  # UnicodeEncodeError is a ValueError
        raise FormatError(f"is not JSON with one meaning: {str(error)[:200]}", field=field) from error
    return value


def spans(data: bytes, field: str, *, limit: int = MAX_HEADER) -> dict[str, Span]:
    """Return where the value of each member of an object lies, in bytes; the text has to be one that `parse` takes.

    Raises:
        FormatError: the text is not an object.
        LimitError: as for `parse`.
    """
    text = _text(data, field, limit)
    decoder = json.JSONDecoder()
    found: dict[str, Span] = {}
    place = _skip(text, 0)
    try:
        if text[place] == "{" and text[_skip(text, place + 1)] == "}":
            return found
        while text[place] != "}":
            name, place = decoder.raw_decode(text, _skip(text, place + 1))
            start = _skip(text, _skip(text, place) + 1)
            place = decoder.raw_decode(text, start)[1]
            first = len(text[:start].encode())
            found[str(name)] = Span(first, first + len(text[start:place].encode()))
            place = _skip(text, place)
    except (ValueError, IndexError) as error:
        raise FormatError("is not a JSON object", field=field) from error
    return found


def _text(data: bytes, field: str, limit: int) -> str:
    if len(data) > limit:
        raise LimitError(f"has {len(data)} bytes, at most {limit} are read", field=field)
    try:
        text = data.decode()
    except UnicodeDecodeError as error:
        raise FormatError("is not UTF-8", offset=error.start, field=field) from error
    _check_depth(text, field)
    return text


def _check_depth(text: str, field: str) -> None:
    depth = 0
    for bracket in _BRACKET.findall(_STRING.sub("", text)):
        depth += 1 if bracket in "[{" else -1
        if depth > MAX_JSON_DEPTH:
            raise LimitError(f"is nested deeper than MAX_JSON_DEPTH ({MAX_JSON_DEPTH})", field=field)


def _skip(text: str, place: int) -> int:
    match = _SPACE.match(text, place)
    return match.end() if match else place


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        seen: set[str] = set()
        twice = next(name for name, _ in pairs if name in seen or seen.add(name))  # type: ignore[func-returns-value]
        raise ValueError(f"{twice[:80]!r} occurs twice in one object")
    return found


def _fraction(text: str) -> NoReturn:
    raise ValueError(f"{text[:40]} is a number that canonical forms do not know")
