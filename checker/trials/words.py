"""The words of a command: placeholders put in, files beside the description made absolute. No shell takes part."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from checker.trials.contract import Place

_HOLE: Final = re.compile(r"\{([a-z][a-z0-9_-]*)\}")
PYTHON: Final = "python"
STATE: Final = "state"
ABSENT: Final = "absent"  # a name in the scratch folder that nothing ever has


def fill(words: Iterable[str], place: Place) -> list[str]:
    """Return an argument vector: each word with its placeholders put in, or the absolute path of a file that it names.

    The placeholder of a companion that was left out becomes the path of a file that does not exist.
    """
    return [_word(word, place) for word in words]


def _word(word: str, place: Place) -> str:
    if _HOLE.search(word):
        return _HOLE.sub(lambda hole: _put(hole[1], place), word)
    return str(found) if (found := named(word, place.base)) else word


def _put(name: str, place: Place) -> str:
    if name == PYTHON:
        return sys.executable
    if name == STATE and place.state is not None:
        return str(place.state)
    return path(place, name)


def path(place: Place, name: str) -> str:
    """Return the path of an offered file, or one where nothing is if it was left out."""
    return str(place.files.get(name) or place.folder / f"{ABSENT}-{name}")


def named(word: str, base: Path) -> Path | None:
    """Return the absolute path of an existing file or folder below `base` that a word names, or None."""
    if not word or Path(word).is_absolute() or word.startswith("-"):
        return None
    try:
        found = base / word
        there = found.exists() and found.resolve().is_relative_to(base.resolve())
    except (OSError, ValueError, RuntimeError):
        return None
    return found.absolute() if there else None
