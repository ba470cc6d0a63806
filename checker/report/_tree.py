"""An indented tree for the terminal: labels, texts, tones, and what lies below."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator
from typing import Final

from checker.report._values import cut, one_line

_CODES: Final = {"bold": "1", "dim": "2", "red": "31", "green": "32", "yellow": "33"}
_NARROWEST: Final = 40

# A line of the tree: its label, its text, the tone of the text, and the lines below it.
Node = tuple[str, str, str, list["Node"]]


def draw(nodes: list[Node], *, colour: bool, width: int) -> str:
    """Return nodes as text with a newline at its end.

    Args:
        nodes: what stands at the left edge.
        colour: whether to use ANSI colours (ECMA-48 SGR); every line says the same without them.
        width: columns of the terminal; no line is longer, but for widths below 40.
    """
    return "\n".join(_draw(nodes, "", max(width, _NARROWEST), colour=colour, top=True)) + "\n"


def _draw(nodes: list[Node], indent: str, width: int, *, colour: bool, top: bool = False) -> Iterator[str]:
    for number, (label, text, tone, below) in enumerate(nodes, 1):
        last = number == len(nodes)
        branch = "" if top else ("└─ " if last else "├─ ")
        lead = f"{indent}{branch}{one_line(label)}"
        deeper = "" if top else indent + ("   " if last else "│  ")
        first, *rest = _wrapped(text, width - len(lead) - 1)
        yield f"{cut(lead, width)} {_coloured(first, tone if colour else '')}".rstrip()
        hang = deeper + ("│  " if below else "   ")
        for line in rest:
            yield f"{hang}{' ' * (len(lead) - len(hang))} {_coloured(line, tone if colour else '')}"
        yield from _draw(below, deeper, width, colour=colour)


def _wrapped(text: str, room: int) -> list[str]:
    """Return the text in lines of at most `room` columns; what has no room at all is left out."""
    return textwrap.wrap(one_line(text), room) or [""] if room > 0 else [""]


def _coloured(text: str, tone: str) -> str:
    code = _CODES.get(tone)
    return f"\x1b[{code}m{text}\x1b[0m" if code and text else text
