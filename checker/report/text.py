"""The summary on one screen: a line per step, the fixes that lift the most, contradictions, and the gate in words."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator
from typing import Final

from checker.model.assessment import Assessment, Row
from checker.model.terms import Tier, Verdict
from checker.report import _view as view
from checker.report import _words as words
from checker.report._values import cut, one_line
from checker.report.contract import Renderer

WIDTH: Final = 100
FIXES: Final = 3
_NARROWEST: Final = 60
_INDENT: Final = " " * 2
_STYLES: Final = {"bold": "1", "dim": "2", "red": "31", "green": "32", "yellow": "33"}
_MARKS: Final = {
    view.State.MET: ("-", "dim"),
    view.State.DOCUMENTED: ("d", "yellow"),
    view.State.FAILED: ("x", "red"),
    view.State.UNKNOWN: ("?", "yellow"),
    view.State.CAPPED: ("^", "yellow"),
    view.State.REFERENCE: ("·", "dim"),
    view.State.EXCLUDED: ("-", "dim"),
}
LEGEND: Final = (
    "● tested  ◐ examined  ○ declared: reached, and how that is known; under it the cells Basic, +1, +2, +3",
    "x failed  ? not proven  d documented only  ^ held back  · no requirement of its own  - not applicable",
)


def render(assessment: Assessment) -> bytes:
    """Return the summary as plain UTF-8, without colour."""
    return summary(assessment, colour=False, width=WIDTH).encode()


def summary(assessment: Assessment, *, colour: bool, width: int) -> str:
    """Return the summary that `otaudit check` prints, with a newline at its end.

    Args:
        assessment: what to show.
        colour: whether to use ANSI colours (ECMA-48 SGR); a word or a mark says the same without them.
        width: columns of the terminal; no line is longer, but for widths below 60.
    """
    page = _Page(colour=colour, width=max(width, _NARROWEST))
    parts = (_head, _rows, _fixes, _contradictions, _foot)
    lines = [line for part in parts for line in part(assessment, page)]
    return "\n".join(lines) + "\n"


class _Page:
    """Cuts and colours; knows nothing of assessments."""

    def __init__(self, *, colour: bool, width: int) -> None:
        self._colour, self.width = colour, width

    def style(self, text: str, *styles: str) -> str:
        """Return the text with SGR codes, when colour is wanted."""
        codes = ";".join(_STYLES[style] for style in styles)
        return f"\x1b[{codes}m{text}\x1b[0m" if self._colour and codes and text else text

    def line(self, text: str, *styles: str, used: int = 0) -> str:
        """Return a stranger's or our own text on one line, cut to what is left of the width, then coloured."""
        return self.style(cut(one_line(text), self.width - used), *styles)


def _head(assessment: Assessment, page: _Page) -> Iterator[str]:
    identity, rules = assessment.identity, assessment.rules
    release = f"update {identity.update}" + (f" ({identity.version})" if identity.version != identity.update else "")
    yield page.line(f"{identity.vendor} {identity.model}, {release}", "bold")
    yield page.line(
        f"rules {rules.id} {rules.version} · {assessment.reading} reading · as of {assessment.as_of}"
        f" · otaudit {assessment.tool_version}",
        "dim",
    )
    yield ""


def _rows(assessment: Assessment, page: _Page) -> Iterator[str]:
    yield page.line("   step       proved      B123  what else is said of it · what blocks the next tier", "dim")
    for item in view.views(assessment):
        yield _row(assessment, item, page)
    for line in LEGEND:
        yield page.line(line, "dim")
    yield ""


def _row(assessment: Assessment, item: view.RowView, page: _Page) -> str:
    row = item.row
    name = f"{row.step.number:>2} {cut(one_line(item.title), 10):<10} "
    tier = f"{'not applic.' if row.not_applicable else item.proved.label:<11} "
    marks = "".join(page.style(*_mark(cell)) for cell in item.cells)
    note = cut(one_line(_note(assessment, item)), page.width - len(name) - len(tier) - 6)
    return f"{name}{page.style(tier, *_tone(item))}{marks}  {note}".rstrip()


def _tone(item: view.RowView) -> tuple[str, ...]:
    if item.proved is Tier.BELOW_BASIC or item.row.contradiction:
        return ("bold", "red")
    return ("bold", "green") if item.shows_proof else ("dim",)


def _mark(cell: view.CellView) -> tuple[str, str]:
    if cell.refers_to is not None and cell.state is not view.State.EXCLUDED:
        return _MARKS[view.State.REFERENCE]
    if cell.method is not None:
        return cell.method.mark, "green" if cell.state is view.State.REACHED else "dim"
    return _MARKS[cell.state]


def _note(assessment: Assessment, item: view.RowView) -> str:
    row = item.row
    if row.not_applicable:
        return row.not_applicable
    parts = []
    if item.documented is not item.proved:
        parts.append(f"documented {_short(item.documented)}")
    if row.claimed is not None and words.capped(row, row.claimed) is not item.proved:
        parts.append(f"claimed {_short(words.capped(row, row.claimed))}")
    if item.other_reading is not None:
        parts.append(f"{view.other(assessment.reading)} {_short(item.other_reading)}")
    parts.append(_blocker(assessment, row, item.proved))
    return " · ".join(part for part in parts if part)


def _short(tier: Tier) -> str:
    return tier.label.split()[0] if tier.label.startswith("+") else tier.label


def _blocker(assessment: Assessment, row: Row, proved: Tier) -> str:
    findings = {item.requirement.id: item for item in assessment.findings}
    for name in row.blocked_by[:1]:
        if name not in findings:
            return f"{name} holds it back"
        verdict = words.VERDICTS[view.judgement(assessment, findings[name]).verdict]
        return f"{name} {verdict}: {findings[name].requirement.title}"
    if row.capped_by:
        return f"held back by {', '.join(row.capped_by)}"
    at_top = words.at_ceiling(row, proved) and words.ceiling(row) is not Tier.QUANTUM
    return "no higher requirement defined" if at_top else ""


def _fixes(assessment: Assessment, page: _Page) -> Iterator[str]:
    fixes = assessment.next_fixes[:FIXES]
    if fixes:
        yield page.line("What lifts the most", "bold")
    for number, fix in enumerate(fixes, 1):
        start = f"{number}. {one_line(fix.requirement)} ({words.VERDICTS[fix.verdict]}) "
        yield _INDENT + page.line(start + fix.text, used=len(_INDENT))
    if fixes:
        yield ""


def _contradictions(assessment: Assessment, page: _Page) -> Iterator[str]:
    found = [item for item in view.views(assessment) if item.row.contradiction]
    if found:
        yield page.line("Claims that the evidence contradicts", "bold", "red")
    for item in found:
        yield _INDENT + page.line(f"{item.title}: {item.row.contradiction}", used=len(_INDENT))
    if found:
        yield ""


def _foot(assessment: Assessment, page: _Page) -> Iterator[str]:
    excluded = ", ".join(step.value for step in assessment.excluded)
    yield page.line(words.counts_sentence(assessment))
    without = f" without {excluded}" if excluded else ""
    yield page.line(f"Overall {assessment.overall.label}: the lowest row{without}, otaudit's own summary")
    if assessment.observations:
        yield page.line(_beyond(assessment))
    status, word = words.exit_status(assessment)
    tone = ("bold", _gate_tone(assessment))
    for line in textwrap.wrap(words.gate_sentence(assessment), page.width):
        yield page.line(line, *tone)
    yield page.line(f"Exit status {int(status)}: {word}.", *tone)


def _beyond(assessment: Assessment) -> str:
    counts: dict[str, int] = {}
    for item in sorted(assessment.observations, key=lambda item: -item.severity.rank):
        counts[item.severity] = counts.get(item.severity, 0) + 1
    return "Beyond the table: " + ", ".join(f"{count} {severity}" for severity, count in counts.items())


def _gate_tone(assessment: Assessment) -> str:
    if assessment.gate.verdict is Verdict.PASS:
        return "green" if view.anything_proved(assessment) else "yellow"
    return "red" if assessment.gate.verdict is Verdict.FAIL else "yellow"


RENDERER = Renderer(id="text", title="summary on one screen, plain text", suffix=".txt", render=render)
