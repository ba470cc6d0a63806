"""Writing reports: every one is rendered before the first is written, and a file is replaced whole or not at all."""

from __future__ import annotations

import contextlib
import os
import shutil
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

from checker.errors import InputError, UsageError

if TYPE_CHECKING:
    from checker.report.contract import Renderer


@dataclass(frozen=True)
class Destination:
    """One wanted report: which renderer, and where to (`-` is standard output)."""

    renderer: Renderer
    path: str


def destinations(wanted: Sequence[str]) -> tuple[Destination, ...]:
    """Return what each `-o` asks for: `FILE` (its suffix chooses) or `FORMAT:FILE`.

    Raises:
        UsageError: no output has this suffix or name, or two reports would go to the same place.
    """
    from checker.discovery import discover
    from checker.report.contract import Renderer

    renderers = {renderer.id: renderer for renderer in discover("checker.report", "RENDERER", Renderer)}
    found = tuple(_destination(text, renderers) for text in wanted)
    if len({item.path for item in found}) < len(found):
        msg = "two reports would be written to the same place"
        raise UsageError(msg)
    return found


def _destination(text: str, renderers: Mapping[str, Renderer]) -> Destination:
    name, colon, path = text.partition(":")
    if colon and name in renderers:
        return Destination(renderers[name], path)
    for renderer in renderers.values():
        if text.endswith(renderer.suffix):
            return Destination(renderer, text)
    known = ", ".join(f"{renderer.id} (*{renderer.suffix})" for renderer in renderers.values())
    msg = f"-o {text}: no output writes this; there are: {known}. Name one as FORMAT:FILE, with - for standard output"
    raise UsageError(msg)


def write_all(reports: Mapping[str, bytes]) -> None:
    """Write every report; `-` goes to standard output.

    Raises:
        InputError: a place cannot be written; files written before it stay, none is half-written.
    """
    for path, data in reports.items():
        if path == "-":
            sys.stdout.buffer.write(data)
            sys.stdout.buffer.flush()
        else:
            _replace(Path(path), data)


def _replace(path: Path, data: bytes) -> None:
    try:
        handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    except OSError as error:
        raise _unwritable(path, error) from error
    try:
        with os.fdopen(handle, "wb") as stream:
            stream.write(data)
        os.chmod(temporary, 0o666 & ~_umask())  # noqa: PTH101 - mkstemp makes 0600, a report is an ordinary file
        os.replace(temporary, path)  # noqa: PTH105
    except OSError as error:
        with contextlib.suppress(OSError):
            os.unlink(temporary)  # noqa: PTH108
        raise _unwritable(path, error) from error


def _unwritable(path: Path, error: OSError) -> InputError:
    return InputError(f"{path}: cannot be written: {error.strerror}")


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def colour_wanted(stream: TextIO) -> bool:
    """Return whether a stream is a terminal that may be coloured (https://no-color.org)."""
    return stream.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def terminal_width() -> int:
    """Return how many columns a summary may use."""
    return shutil.get_terminal_size((100, 24)).columns
