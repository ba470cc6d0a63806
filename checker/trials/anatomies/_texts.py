"""Fields of a text manifest by their names: where the values lie, so that a bit of each can be changed."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Final

from checker.model.artifact import Span
from checker.trials.contract import ARTIFACT, Part

_QUOTED: Final = rb'(?<![\w-])"?(%b)"?\s*[:=]\s*[\[(]?\s*"([^"\n]+)"'
_LINE: Final = rb"(?m)^[ \t]*(%b)[ \t]*=[ \t]*([^\r\n]+?)[ \t]*\r?$"
NESTED: Final = 20_000  # levels; every reader with a bound has a smaller one
LARGE: Final = 1024 * 1024 * 1024 * 1024  # bytes that are declared and not there


def quoted(data: bytes, names: Sequence[str], offset: int, file: str = ARTIFACT) -> tuple[Part, ...]:
    """Return the quoted values of settings (libconfig, JSON), each part named by its setting."""
    return tuple(_found(_QUOTED, data, names, offset, file))


def lines(data: bytes, names: Sequence[str], offset: int, file: str = ARTIFACT) -> tuple[Part, ...]:
    """Return the values of `name=value` lines, each part named by its key."""
    return tuple(_found(_LINE, data, names, offset, file))


def _found(pattern: bytes, data: bytes, names: Sequence[str], offset: int, file: str) -> Iterator[Part]:
    words = b"|".join(re.escape(name.encode()) for name in names)
    for match in re.finditer(pattern % words, data):
        span = Span(offset + match.start(2), offset + match.end(2))
        yield Part(name=match[1].decode(), span=span, file=file)
