"""What a schema cannot say of a verifier's command: placeholders, places below the state, patterns that always end."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import PurePosixPath
from typing import Final

from checker.description._cursor import Cursor
from checker.description._schema import guess
from checker.description._yaml import shown

ALWAYS: Final = ("python", "artifact", "state", "signature")  # placeholders that every command knows
_HOLE: Final = re.compile(r"\{([a-z][a-z0-9_-]*)\}", re.IGNORECASE)
_MAX_PATTERN: Final = 200  # characters
_MAX_REPEATS: Final = 2  # of a pattern: with n characters in a line it takes n³ steps at most
_REPEAT: Final = re.compile(r"(?<!\\)(?:\\\\)*[*+{]")
_UNSAFE: Final = re.compile(r"(?<!\\)(?:\\\\)*(?:\)[*+{]|\(\?(?!:|i\))|\\[1-9])")


def check_verifier(at: Cursor, companions: Iterable[str]) -> None:
    """Note the faults of a verifier's command. `companions` are the names of files beside the update's artifacts."""
    known = tuple(dict.fromkeys((*ALWAYS, *companions)))
    for key in ("argv", "boot", "report"):
        for word in at.each(key):
            _holes(word, known if key == "argv" else ("python", "state"), at)
    if at.text("adapter") == "command" and "argv" not in at:
        at.problem("the adapter 'command' needs argv: the command and its arguments, one by one")
    for key in ("installed", "log"):
        if key in at:
            _below(at.at(key), at)
    reasons = at.get("reasons")
    for name in reasons.keys() if reasons is not None else ():
        if reasons is not None:
            _pattern(reasons.at(name))


def _holes(word: Cursor, known: tuple[str, ...], at: Cursor) -> None:
    for hole in _HOLE.finditer(str(word)):
        name = hole[1]
        if name not in known:
            hint = guess(name, known) or f"; known here: {', '.join(known)}"
            word.problem(f"{shown(hole[0])} is no placeholder{hint}")
        elif name == "state" and "state" not in at:
            word.problem("{state} is put in here, and the command names no state")


def _below(field: Cursor, at: Cursor) -> None:
    path = PurePosixPath(str(field))
    if "state" not in at:
        field.problem(f"{field.path[-1]} lies below the state, and the command names no state")
    elif path.is_absolute() or ".." in path.parts or str(path) == "." or "\0" in str(field):
        field.problem(f"{shown(str(field))} leads out of the state; name a file below it")


def _pattern(field: Cursor) -> None:
    text = str(field)
    if len(text) > _MAX_PATTERN:
        field.problem(f"the pattern has {len(text)} characters, at most {_MAX_PATTERN} are taken")
        return
    if _UNSAFE.search(text) or len(_REPEAT.findall(text)) > _MAX_REPEATS:
        field.problem(
            f"the pattern may take too long: at most {_MAX_REPEATS} repetitions, none of a group, "
            "no backward references and no looking around"
        )
        return
    try:
        re.compile(text)
    except (re.error, RecursionError, OverflowError) as error:
        field.problem(f"is no regular expression: {error}")
