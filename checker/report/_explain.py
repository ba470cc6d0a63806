"""The text of `otaudit explain`: what a requirement asks, what would prove it, and how it was judged in a report."""

from __future__ import annotations

import difflib
import json
import textwrap
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from checker.errors import UsageError, VerificationError
from checker.io.files import Files
from checker.io.limits import MAX_DOCUMENT
from checker.model.requirement import Cell, Requirement, RuleSet
from checker.model.terms import Tier
from checker.report import _words as words

_WIDTH = 96


@dataclass(frozen=True, kw_only=True)
class Judged:
    """One finding, as a report.json tells it."""

    verdict: str
    reason: str
    explanation: str
    observed: tuple[str, ...]


def explanation(rules: RuleSet, identity: str, judged: Judged | None) -> str:
    """Return the page of one requirement, ready for a terminal.

    Raises:
        UsageError: the rule set has no such requirement; names the nearest.
    """
    found = {item.id: item for item in rules.requirements}.get(identity.upper())
    if found is None:
        near = difflib.get_close_matches(identity.upper(), [item.id for item in rules.requirements], 3, 0.5)
        hint = f"; did you mean {', '.join(near)}?" if near else "; `otaudit rules list` names them all"
        msg = f"there is no requirement {identity!r}{hint}"
        raise UsageError(msg)
    return "\n".join(_page(found, _cell(rules, found), judged)) + "\n"


def _cell(rules: RuleSet, requirement: Requirement) -> Cell:
    return next(cell for cell in rules.cells if (cell.step, cell.tier) == (requirement.step, requirement.tier))


def _page(item: Requirement, cell: Cell, judged: Judged | None) -> Iterator[str]:
    yield f"{item.id}  {item.title}"
    yield f"  step {item.step.number} {item.step}, tier {Tier(item.tier).label}, basis {item.basis}"
    yield from _part("The table says", cell.table or "(blank: see the nearest tier on the left)")
    if cell.conflict:
        yield from _part("The slides say", f"{cell.slide} ({cell.conflict}: {cell.ruling})")
    yield from _part("How it is read here", item.reading)
    yield from _part("What proves it", _proof(item))
    for outcome, text in sorted(item.fix.items()):
        if outcome == "not_applicable" and item.applies_when is None:
            continue  # a family's text, for the rows that have a condition
        yield from _part(words.FIXES.get(outcome, outcome), text)
    yield from _part("References", "; ".join(reference.printable() for reference in item.references))
    if judged:
        yield from _part("In this report", f"{judged.verdict} {judged.reason} {judged.explanation}".strip())
        for line in judged.observed:
            yield f"    - {line}"


def _proof(item: Requirement) -> str:
    if item.by_document:
        return "a document with a quoted clause and its digest, or evidence at least examined ◐ (a policy question)"
    words = {
        "tested": "evidence that otaudit recomputed or saw happen ●",
        "examined": "evidence that was examined ◐, or better",
        "declared": "the description itself ○; better evidence raises the mark",
    }
    advisory = "" if item.blocking else " (advisory: it never blocks a tier)"
    return words[item.method] + advisory


def _part(title: str, text: str) -> Iterator[str]:
    if text:
        yield ""
        yield f"  {title}"
        yield from textwrap.wrap(" ".join(text.split()), _WIDTH, initial_indent="    ", subsequent_indent="    ")


def finding_of(report: Path, identity: str) -> Judged:
    """Return how a report.json judged a requirement.

    Raises:
        InputError: the file cannot be read.
        VerificationError: it is not a report of otaudit, or does not hold the requirement.
    """
    data = Files(report.parent, allow_outside=True).read(report.name, MAX_DOCUMENT)
    try:
        findings = json.loads(data)["findings"]
        return _judged(next(item for item in findings if item["requirement"]["id"] == identity.upper()))
    except (ValueError, KeyError, TypeError, StopIteration, RecursionError) as error:
        msg = f"{report.name}: is not a report.json that holds {identity}"
        raise VerificationError(msg) from error


def _judged(finding: Mapping[str, Any]) -> Judged:
    proved = finding["judgements"]["proved"]["letter"]
    return Judged(
        verdict=str(proved["verdict"]),
        reason=str(proved["reason"] or ""),
        explanation=str(proved["explanation"]),
        observed=tuple(_seen(item) for item in finding["observed"]),
    )


def _seen(item: Mapping[str, Any]) -> str:
    seen = f"{item['subject']} {item['field']}: {json.dumps(item['value'])}"
    return f"{seen}, expected {item['expected']} ({item['method']})"
