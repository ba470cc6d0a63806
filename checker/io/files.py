"""Path confinement: files that a description names stay below its folder unless the user allows more (design.md 6)."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from checker.errors import InputError, LimitError, PathError
from checker.io.sources import FileSource

if TYPE_CHECKING:
    from checker.io.folders import FolderSource


@dataclass(frozen=True)
class Files:
    """The only way to open what a description names. `folder` is the description's; links are followed, then judged."""

    folder: Path
    allow_outside: bool = False

    def resolve(self, path: str) -> Path:
        """Return the real path of what a description names.

        Raises:
            PathError: it leads out of the folder.
            InputError: it holds a NUL byte or loops through links.
        """
        try:
            real = (self.folder / path).resolve()
            inside = real.is_relative_to(self.folder.resolve())
        except (OSError, ValueError, RuntimeError) as error:
            msg = f"{path!r}: is not a usable path ({type(error).__name__}: a NUL byte, or links in a circle)"
            raise InputError(msg) from error
        if not (inside or self.allow_outside):
            msg = f"{path}: leads out of the description's folder"
            raise PathError(msg)
        return real

    def open(self, path: str) -> FileSource:
        """Open a named file.

        Raises:
            InputError: it leads outside, is missing or cannot be read.
        """
        return FileSource(self.resolve(path), path)

    def folder_of(self, path: str) -> FolderSource | None:
        """Return a named folder as one source, or None where the name is not a folder's.

        Raises:
            InputError: it leads outside, or something in it cannot be used.
            LimitError: it holds too much.
        """
        from checker.io.folders import FolderSource  # folders are rare, and key files never are any

        real = self.resolve(path)
        return FolderSource.of(real, path) if real.is_dir() else None

    def read(self, path: str, limit: int) -> bytes:
        """Return a whole file of at most `limit` bytes.

        Raises:
            InputError: it leads outside, is missing or cannot be read.
            LimitError: it is larger.
        """
        with self.open(path) as source:
            if source.size > limit:
                msg = f"{path} has {source.size} bytes, at most {limit} are read"
                raise LimitError(msg, field="size")
            return source.read(0, limit + 1)
