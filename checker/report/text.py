"""The summary on one screen: a line per step, the fixes that lift the most, contradictions, and the gate in words."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator
from typing import Final

from checker.model.assessment import Assessment, Row
from checker.model.terms import Severity, Tier, Verdict
from checker.report import _plain as plain
from checker.report import _view as view
from checker.report import _words as words
from checker.report._values import cut, one_line
from checker.report.contract import Renderer

WIDTH: Final = 100
FIXES: Final = 3
_MOST: Final = 2  # lines of one fix or contradiction
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
    "B123 = Basic, +1, +2, +3. Reached: ● tested  ◐ examined  ○ declared  - nothing applies",
    "Not reached: x failed  ? not proven  d documented only  ^ held back  · nothing of its own",
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
    parts = (_head, _rows, _fixes, _contradictions, _letter_only, _foot)
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

    def lines(
        self, text: str, *styles: str, first: str = "", indent: str = "", most: int | None = None
    ) -> Iterator[str]:
        """Return a text on lines of the width, at most `most`, coloured; an ellipsis tells what was left out."""
        wrapped = textwrap.wrap(
            first + one_line(text), self.width, subsequent_indent=indent, max_lines=most, placeholder=" …"
        )
        return (self.style(line, *styles) for line in wrapped)


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
    for legend in LEGEND:
        yield from page.lines(legend, "dim")
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
    if row.claimed is not None and row.claimed is not item.proved:
        parts.append(f"claimed {_short(row.claimed)}")
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
        verdict = view.judgement(assessment, findings[name]).verdict
        if verdict is Verdict.PASS:  # by the description alone, which proves nothing (docs/adr/0004)
            return f"{name} {words.DESCRIBED}"
        return f"{name} {words.VERDICTS[verdict]}: {findings[name].requirement.title}"
    if row.capped_by:
        return f"held back by {', '.join(row.capped_by)}"
    at_top = words.at_ceiling(row, proved) and words.ceiling(row) is not Tier.QUANTUM
    return "no higher requirement defined" if at_top else ""


def _fixes(assessment: Assessment, page: _Page) -> Iterator[str]:
    fixes = assessment.next_fixes[:FIXES]
    if fixes:
        yield page.line("What lifts the most", "bold")
    for number, fix in enumerate(fixes, 1):
        start = f"{_INDENT}{number}. {one_line(fix.requirement)} ({words.VERDICTS[fix.verdict]}) "
        yield from page.lines(fix.text, first=start, indent=_INDENT + " " * 3, most=_MOST)
    if fixes:
        yield ""


def _contradictions(assessment: Assessment, page: _Page) -> Iterator[str]:
    found = [item for item in view.views(assessment) if item.row.contradiction]
    if found:
        yield page.line("Claims that the evidence contradicts", "bold", "red")
    for item in found:
        said = plain.sentence(item.row.contradiction)
        yield from page.lines(said, first=f"{_INDENT}{one_line(item.title)}: ", indent=_INDENT * 2, most=_MOST)
    if found:
        yield ""


def _letter_only(assessment: Assessment, page: _Page) -> Iterator[str]:
    """Say in words of the reader's, not of the field, that a tier is met by name alone (criteria.md R8)."""
    found = [item for item in view.views(assessment) if item.row.letter_only]
    for item in found:
        first = f"{one_line(item.title)}, letter only: "
        yield from page.lines(f"{words.LETTER_ONLY}.", "yellow", first=first, indent=_INDENT * 2)
    if found:
        yield ""


def _foot(assessment: Assessment, page: _Page) -> Iterator[str]:
    excluded = ", ".join(step.value for step in assessment.excluded)
    yield from page.lines(words.counts_sentence(assessment))
    if advisory := words.advisory_sentence(assessment):
        yield from page.lines(advisory, "dim")
    without = f" without {excluded}" if excluded else ""
    yield page.line(f"Overall {assessment.overall.label}: the lowest row{without}, otaudit's own summary")
    yield from _beyond(assessment, page)
    status, word = words.exit_status(assessment)
    tone = ("bold", _gate_tone(assessment))
    yield from page.lines(words.gate_sentence(assessment), *tone)
    if scope := words.gate_scope(assessment):
        yield from page.lines(scope, "dim", indent=_INDENT)
    yield page.line(f"Exit status {int(status)}: {word}.", *tone)


def _beyond(assessment: Assessment, page: _Page) -> Iterator[str]:
    """Count what lies beyond the table, and say the gravest with what to do about it."""
    counts: dict[str, int] = {}
    found = sorted(assessment.observations, key=lambda item: -item.severity.rank)
    for item in found:
        counts[item.severity] = counts.get(item.severity, 0) + 1
    if found:
        yield page.line("Beyond the table: " + ", ".join(f"{count} {severity}" for severity, count in counts.items()))
    grave = [item for item in found if item.severity.rank >= Severity.HIGH.rank]
    lines = [(item.severity, item.message + (f" To do: {item.fix}" if item.fix else "")) for item in grave]
    for severity, said in tuple(dict.fromkeys(lines))[:FIXES]:
        yield from page.lines(said, first=f"{_INDENT}{severity}: ", indent=_INDENT * 2, most=_MOST)


def _gate_tone(assessment: Assessment) -> str:
    if assessment.gate.verdict is Verdict.PASS:
        return "green" if view.anything_proved(assessment) else "yellow"
    return "red" if assessment.gate.verdict is Verdict.FAIL else "yellow"


RENDERER = Renderer(id="text", title="summary on one screen, plain text", suffix=".txt", render=render)
