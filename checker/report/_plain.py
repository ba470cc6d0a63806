"""The evaluator's terse phrases in plain words: `hash.name is one of sha-256, …` becomes `one of sha-256, …`.

Only the evaluator's own fixed phrases are turned; any other text passes through unchanged. report.json keeps them all
as they are.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from checker.model.evidence import Origin
from checker.model.finding import Finding, Observed
from checker.model.terms import Method, Party, Verdict
from checker.report._values import cut, shown

LONGEST: Final = 4  # items of a list that an expectation spells out
_WORDS: Final = {"true": "yes", "false": "no", "True": "yes", "False": "no"}
_OPPOSITES: Final = {"yes": "no", "no": "yes", "empty": "not empty", "not empty": "empty"}
_PATH: Final = r"[a-z][a-z0-9_]*(?:\.[a-z0-9_]+)*"
_TEST: Final = re.compile(rf"({_PATH}) (is not empty|is empty|is|has|contains|does not contain)\b ?(.*)", re.DOTALL)
_OVER: Final = re.compile(r"(every|some|none|at least \d+) ([a-z_]+)(?: records)?: (.*)", re.DOTALL)
_NOT: Final = re.compile(r"not \((.*)\)", re.DOTALL)
_MORE: Final = re.compile(r" and (\d+) more$")
_HEX: Final = re.compile(r"\b([0-9a-f]{12})[0-9a-f]{20,}\b")


def name(field: str) -> str:
    """Return a field of a record in words: `key.strength_bits` is `key strength bits`."""
    return re.sub(r"[._]", " ", field)


def expectation(text: str, field: str = "") -> str:
    """Return an expectation in words; what it says of `field` itself goes without the field's name."""
    ways = (_clause(part, field) for part in text.split("; "))
    return "; ".join(dict.fromkeys(way for way in ways if way))


def _clause(text: str, field: str) -> str:
    return " or ".join(dict.fromkeys(_one(part, field) for part in text.split(" or ")))


def _one(text: str, field: str) -> str:
    if denied := _NOT.fullmatch(text):
        inside = _one(denied[1], field)
        opposite = _OPPOSITES.get(inside, f"not {inside}")
        return f"for no {inside.removeprefix('for some ')}" if inside.startswith("for some ") else opposite
    if over := _OVER.fullmatch(text):
        amount = "no" if over[1] == "none" else over[1]
        return f"for {amount} {name(over[2])}, {_one(over[3], field)}"
    found = _TEST.fullmatch(text)
    if found is None:
        return text
    told = _test(found[2], found[3])
    return told if found[1] == field else f"{name(found[1])}: {told}"


def _test(verb: str, rest: str) -> str:
    if verb in {"is empty", "is not empty"}:
        return verb.removeprefix("is ")
    wanted = _WORDS.get(rest, _short_list(rest))
    return wanted if verb == "is" else f"{verb} {wanted}"


def _short_list(text: str) -> str:
    more = _MORE.search(text)
    items = (text[: more.start()] if more else text).split(", ")
    left = len(items) - LONGEST + (int(more[1]) if more else 0)
    return f"{', '.join(items[:LONGEST])} and {left} more" if left > 1 and len(items) > LONGEST else text


def sentence(text: str) -> str:
    """Return an explanation in words; long digests are shortened, a stranger's words stay as they are."""
    for pattern, turn in _SENTENCES:
        text = pattern.sub(turn, text, count=1)
    return _HEX.sub(r"\1…", text)


def _differs(match: re.Match[str]) -> str:
    count, total, kind, field, value, expected = match.groups()
    told = f"{name(field)} is {_WORDS.get(value, value)}, expected {expectation(expected, field)}"
    return told if total == "1" else f"{told} ({count} of {total} {name(kind)} records)"


def _matching(match: re.Match[str]) -> str:
    count, total, kind = match.groups()
    if (count, total) == ("0", "1"):
        return f"the only {name(kind)} record does not meet it"
    return f"{'none' if count == '0' else count} of {total} {name(kind)} records meets it"


_SENTENCES: Final[tuple[tuple[re.Pattern[str], Callable[[re.Match[str]], str]], ...]] = (
    (
        re.compile(rf"\b(\d+) of (\d+) ([a-z_]+) records: ({_PATH}) is (.*), expected (.*)$", re.DOTALL),
        _differs,
    ),
    (re.compile(r"\b(\d+) of (\d+) ([a-z_]+) records match$"), _matching),
    (
        re.compile(rf"\bcontradicted by (\S+): ({_PATH}) is (\S+)$"),
        lambda found: f"{found[1]}: {name(found[2])} is {_WORDS.get(found[3], found[3])}",
    ),
    (re.compile(rf"^({_PATH}) of (\S+) is not known$"), lambda found: f"{name(found[1])} of {found[2]} is not known"),
    (re.compile(r"^there is no ([a-z_]+) record\b"), lambda found: f"there is no {name(found[1])} record"),
    (re.compile(r"^(\d+) ([a-z_]+) (records?)$"), lambda found: f"{found[1]} {name(found[2])} {found[3]}"),
)


@dataclass(frozen=True, kw_only=True)
class Seen:
    """What was observed of one field, once, with every place where it was seen."""

    what: str
    value: str
    expected: str
    subject: str
    method: Method
    party: Party
    places: tuple[Origin, ...]


def seen(finding: Finding) -> tuple[Seen, ...]:
    """Return what a finding rests on, equal observations joined; records that say nothing are left out.

    A record that the question turned out not to be about shows the field that said so, with an expectation of another
    field. It is left out where others say more.
    """
    groups: dict[tuple[object, ...], list[Observed]] = {}
    about = [item for item in finding.observed if item.field and item.field in item.expected]
    for item in about or finding.observed:
        if item.value is not None or item.origin.file or item.verdict is not Verdict.UNKNOWN:
            key = (item.field, shown(item.value), item.expected, item.method, item.party, item.verdict)
            groups.setdefault(key, []).append(item)
    return tuple(_group(items) for items in groups.values())


def _group(items: list[Observed]) -> Seen:
    first = items[0]
    places = tuple(dict.fromkeys(item.origin for item in items if item.origin.file))
    subjects = ", ".join(dict.fromkeys(item.subject for item in items if item.subject))
    return Seen(
        what=name(first.field or first.kind),
        value="not known" if first.value is None else cut(shown(first.value), 300),
        expected=expectation(first.expected, first.field) if first.field in first.expected else "",
        subject="" if places else _HEX.sub(r"\1…", subjects),
        method=first.method,
        party=first.party,
        places=places,
    )
