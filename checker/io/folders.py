"""A folder as one source: its files in the order of their paths, one after another.

Some deliverables are folders (TUF and Uptane repositories). Everything that holds for a file then holds for them:
spans count bytes, digests are requests, and one SHA-256 names the whole, over names, sizes and contents.
"""

from __future__ import annotations

import bisect
import os
import stat
from dataclasses import dataclass, field
from functools import cached_property
from itertools import accumulate
from pathlib import Path

from checker.errors import InputError, LimitError
from checker.io.limits import MAX_FOLDER_DEPTH, MAX_FOLDER_FILES
from checker.io.sources import Window
from checker.model.artifact import Source, Span


@dataclass(frozen=True)
class Member:
    """One file of a folder; it is open only while it is read, so that a folder may hold more files than descriptors."""

    path: str  # relative to the folder, with slashes
    size: int
    span: Span  # in the folder's source


@dataclass(frozen=True, eq=False)
class FolderSource:
    """All files below a folder. Links are followed where they stay inside; what leads outside is refused."""

    name: str
    folder: Path = field(repr=False)
    members: tuple[Member, ...]

    @classmethod
    def of(cls, folder: Path, name: str) -> FolderSource:
        """List a folder.

        Raises:
            InputError: it is no folder, cannot be listed, or holds a link that leads outside, a device or a socket.
            LimitError: it holds more files, or is nested deeper, than the limits allow.
        """
        real = folder.resolve()
        sizes = dict(sorted(_walk(real, name)))
        ends = list(accumulate(sizes.values()))
        spans = [Span(end - size, end) for size, end in zip(sizes.values(), ends, strict=True)]
        members = (Member(path, span.size, span) for path, span in zip(sizes, spans, strict=True))
        return cls(name, real, tuple(members))

    @property
    def size(self) -> int:
        """Return the length of all files together, in bytes."""
        return self.members[-1].span.end if self.members else 0

    @cached_property
    def _by_path(self) -> dict[str, Member]:
        return {member.path: member for member in self.members}

    @cached_property
    def _starts(self) -> list[int]:
        return [member.span.start for member in self.members]

    def find(self, path: str) -> Member | None:
        """Return the file of this relative path, or None."""
        return self._by_path.get(path)

    def member(self, path: str) -> Source:
        """Return one file as a source of its own.

        Raises:
            KeyError: there is no such file.
        """
        found = self._by_path[path]
        return Window(self, path, found.span.start, found.size)

    def read(self, offset: int, length: int) -> bytes:
        """Return `length` bytes from `offset` of all files laid end to end, fewer only at the end.

        Raises:
            InputError: a file cannot be read any more.
        """
        parts = []
        end = min(offset + length, self.size)
        index = max(0, bisect.bisect_right(self._starts, offset) - 1)
        while offset < end:
            member = self.members[index]
            room = min(end, member.span.end) - offset
            if room > 0:
                data = self._read(member, offset - member.span.start, room)
                parts.append(data)
                offset += len(data)
                if len(data) < room:  # the file has shrunk since it was listed
                    break
            index += 1
        return b"".join(parts)

    def _read(self, member: Member, offset: int, length: int) -> bytes:
        try:
            with (self.folder / member.path).open("rb") as stream:
                stream.seek(offset)
                return stream.read(length)
        except OSError as error:
            raise InputError(f"{self.name}/{member.path}: cannot be read: {error.strerror}") from error


def _walk(folder: Path, name: str) -> list[tuple[str, int]]:
    found: list[tuple[str, int]] = []
    pending = [("", 0)]
    while pending:
        prefix, depth = pending.pop()
        if depth > MAX_FOLDER_DEPTH:
            msg = f"{name} is nested deeper than MAX_FOLDER_DEPTH ({MAX_FOLDER_DEPTH})"
            raise LimitError(msg, field="folder")
        for entry in _entries(folder / prefix, name):
            path = f"{prefix}{entry.name}"
            size = _size(folder, path, name)
            if size is None:
                pending.append((f"{path}/", depth + 1))
            else:
                found.append((path, size))
            if len(found) + len(pending) > MAX_FOLDER_FILES:
                msg = f"{name} holds more than MAX_FOLDER_FILES ({MAX_FOLDER_FILES}) files"
                raise LimitError(msg, field="folder")
    return found


def _entries(folder: Path, name: str) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as entries:
            return sorted(entries, key=lambda entry: entry.name)
    except OSError as error:
        raise InputError(f"{name}: cannot be listed: {error.strerror}") from error


def _size(folder: Path, path: str, name: str) -> int | None:
    """Return a file's size, or None for a folder."""
    try:
        real = (folder / path).resolve(strict=True)
        status = real.stat()
    except (OSError, RuntimeError, ValueError) as error:
        raise InputError(f"{name}/{path}: is a link to nothing, a circle of links, or unreadable") from error
    if not real.is_relative_to(folder):
        raise InputError(f"{name}/{path}: is a link that leads out of the folder; put the file itself there")
    if stat.S_ISDIR(status.st_mode):
        return None
    if not stat.S_ISREG(status.st_mode):
        raise InputError(f"{name}/{path}: is neither a file nor a folder")
    return status.st_size
