"""Files of one trial: offers written in pieces, a fresh copy of the device's state, and what became of it.

Nothing large is held in memory, no link leads out of a copy, and every copy is bounded.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import stat
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Final

from checker.errors import InputError, LimitError
from checker.io.limits import CHUNK
from checker.io.sources import FileSource
from checker.model.artifact import Source, Span
from checker.trials.contract import Content, Genuine, Offer, Piece

MAX_STATE: Final = 1 << 30  # bytes of a device's state; it is copied once per trial
MAX_STATE_FILES: Final = 10_000
MAX_OFFER: Final = 8 << 30  # bytes of one offered file
_SUFFIX: Final = re.compile(r"\.[A-Za-z0-9]{1,8}\Z")  # some tools look at it


def whole(source: Source) -> Content:
    """Return a file as it is."""
    return Content(pieces=(Span(0, source.size),))


def offered(genuine: Genuine, offer: Offer, files: Mapping[str, Source]) -> dict[str, tuple[Source | None, Content]]:
    """Return what an offer consists of, by name: the source of its spans, and its content.

    `files` are those that the offer starts from: the genuine ones, or those of another artifact.
    """
    found: dict[str, tuple[Source | None, Content]] = {
        name: (source, offer.changed.get(name) or whole(source)) for name, source in files.items()
    }
    found |= {name: (None, content) for name, content in offer.changed.items() if name not in genuine.files}
    return {name: item for name, item in found.items() if name not in offer.without}


def write_all(folder: Path, parts: Mapping[str, tuple[Source | None, Content]]) -> dict[str, Path]:
    """Write files by name below a folder, and return their paths. A suffix of the genuine name is kept.

    Raises:
        InputError: a source cannot be read to the end.
        LimitError: a file would be larger than `MAX_OFFER`.
    """
    folder.mkdir()
    paths = {}
    for number, (name, (source, content)) in enumerate(sorted(parts.items())):
        stem = name if re.fullmatch(r"[a-z0-9_-]{1,32}", name) else f"companion-{number}"
        found = _SUFFIX.search(source.name) if source is not None else None
        paths[name] = folder / f"{stem}{found[0] if found else ''}"
        write(paths[name], source, content)
    return paths


def write(path: Path, source: Source | None, content: Content) -> None:
    """Write one file piece by piece.

    Raises:
        InputError: the source cannot be read to the end.
        LimitError: the file would be larger than `MAX_OFFER`.
    """
    size = sum(_size(piece) for piece in content.pieces)
    if size > MAX_OFFER:
        raise LimitError(f"an offered file would have {size} bytes, at most {MAX_OFFER} are written", field="offer")
    with path.open("xb") as file:
        for piece in content.pieces:
            file.writelines([piece] if isinstance(piece, bytes) else _read(source, piece))


def _size(piece: Piece) -> int:
    return len(piece) if isinstance(piece, bytes) else piece.size


def _read(source: Source | None, span: Span) -> Iterator[bytes]:
    at = span.start
    while at < span.end:
        data = b"" if source is None else source.read(at, min(CHUNK, span.end - at))
        if not data:
            raise InputError(f"{'an offered file' if source is None else source.name}: ends before {span.end:#x}")
        yield data
        at += len(data)


def copy_state(state: Path, to: Path) -> None:
    """Copy a device's state: folders and regular files; a link is copied only where it stays inside.

    Raises:
        InputError: it is no folder, or holds something else (a device, a pipe), or a link that leads out.
        LimitError: it is larger than `MAX_STATE` or has more files than `MAX_STATE_FILES`.
    """
    if not state.is_dir():
        raise InputError(f"{state.name}: is no folder, so there is no state to start from")
    to.mkdir()
    size = 0
    for path, relative in _bounded(state):
        mode = path.lstat().st_mode
        if stat.S_ISDIR(mode):
            (to / relative).mkdir()
        elif stat.S_ISLNK(mode):
            _copy_link(state, path, to / relative)
        elif stat.S_ISREG(mode):
            size += path.lstat().st_size
            if size > MAX_STATE:
                raise LimitError(f"{state.name}: has more than {MAX_STATE} bytes", field="state")
            shutil.copy2(path, to / relative, follow_symlinks=False)
        else:
            raise InputError(f"{state.name}/{relative}: is neither a file nor a folder")


def _copy_link(state: Path, path: Path, to: Path) -> None:
    target = path.readlink()
    if target.is_absolute() or not path.resolve().is_relative_to(state.resolve()):
        raise InputError(f"{state.name}/{path.relative_to(state)}: is a link that leads out of the state")
    to.symlink_to(target)


def _bounded(state: Path) -> Iterator[tuple[Path, Path]]:
    """Yield everything below a folder, folders before what is in them."""
    count = 0
    for folder, folders, names in os.walk(state):
        for name in (*sorted(folders), *sorted(names)):
            count += 1
            if count > MAX_STATE_FILES:
                raise LimitError(f"{state.name}: has more than {MAX_STATE_FILES} files", field="state")
            path = Path(folder) / name
            yield path, path.relative_to(state)


def inside(state: Path, name: str) -> Path | None:
    """Return a regular file of a state by its name in it; None where there is none, or a link leads out."""
    path = state / name
    try:
        real = path.resolve()
        return real if real.is_relative_to(state.resolve()) and real.is_file() else None
    except (OSError, ValueError, RuntimeError):
        return None


def fingerprint(state: Path, without: Iterable[str] = ()) -> str:
    """Return the SHA-256 of everything in a state, in hex: names, kinds, links and contents.

    `without` are the files that may change: a log.

    Raises:
        InputError: it cannot be read.
        LimitError: it is too large.
    """
    left_out = {Path(name) for name in without}
    told = hashlib.sha256()
    size = 0
    for path, relative in _bounded(state):
        if relative in left_out:
            continue
        mode = path.lstat().st_mode
        told.update(f"{relative}\0{stat.S_IFMT(mode)}\0".encode("utf-8", "surrogateescape"))
        if stat.S_ISLNK(mode):
            told.update(os.fsencode(path.readlink()))
        elif stat.S_ISREG(mode):
            size += path.lstat().st_size
            if size > MAX_STATE:
                raise LimitError(f"{state.name}: has more than {MAX_STATE} bytes", field="state")
            _hash(path, told)
    return told.hexdigest()


def _hash(path: Path, told: hashlib._Hash) -> None:
    with FileSource(path, path.name) as source:
        for data in _read(source, Span(0, source.size)):
            told.update(data)


def replace_content(path: Path, make: Content) -> None:
    """Put new content, whose spans are of the file itself, in the place of a file."""
    beside = path.with_name(f"{path.name}.new")
    with FileSource(path, path.name) as source:
        write(beside, source, make)
    shutil.copymode(path, beside)
    beside.replace(path)
