"""A place in a description: one node with its file and path, and the problems that are found on the way.

Everything above `_yaml` and `_schema` reads descriptions through it, after the schema has been checked: a text is a
text here, and a list is a list.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import cast

from checker.description._schema import pointer
from checker.description._yaml import Items, Map, Mark, Node, Text
from checker.description.model import FileRef, Place
from checker.errors import InputError, PathError, Problem
from checker.io.files import Files
from checker.model.evidence import Value


@dataclass(frozen=True)
class Desk:
    """What one load shares: how files are opened, and all problems found so far."""

    files: Files
    problems: list[Problem] = field(default_factory=list)


@dataclass(frozen=True)
class Cursor:
    """A node of a checked file. `folder` is the file's, relative to the update's; `sha256` is that of its bytes."""

    desk: Desk
    file: str
    folder: PurePosixPath
    sha256: str
    node: Node
    path: tuple[str | int, ...] = ()

    @property
    def place(self) -> Place:
        """Return where it stands."""
        return Place(self.file, self.node.mark.line, self.node.mark.column)

    def problem(self, message: str, mark: Mark | None = None) -> None:
        """Note a fault here."""
        at = mark or self.node.mark
        self.desk.problems.append(Problem(self.file, at.line, at.column, pointer(self.path), message))

    def __contains__(self, key: str) -> bool:
        return isinstance(self.node, Map) and key in self.node

    def at(self, key: str | int) -> Cursor:
        """Return the cursor of a key that is there, or of a list's entry."""
        node = (
            self.node[key]
            if isinstance(self.node, Items) and isinstance(key, int)
            else cast("Map", self.node)[str(key)]
        )
        return Cursor(self.desk, self.file, self.folder, self.sha256, node, (*self.path, key))

    def get(self, key: str) -> Cursor | None:
        """Return the cursor of a key, None where the author is silent."""
        return self.at(key) if key in self else None

    def keys(self) -> tuple[str, ...]:
        """Return the keys of a mapping, in the author's order."""
        return tuple(cast("Map", self.node))

    def each(self, key: str) -> Iterator[Cursor]:
        """Yield the entries of a list; of a text its one entry; nothing where the author is silent."""
        child = self.get(key)
        if child is not None:
            yield from child.entries()

    def entries(self) -> Iterator[Cursor]:
        """Yield the entries of this list, or the text itself."""
        if isinstance(self.node, Items):
            yield from (self.at(index) for index in range(len(self.node)))
        else:
            yield self

    def __str__(self) -> str:
        return str(self.node) if isinstance(self.node, Text) else ""

    def text(self, key: str, default: str = "") -> str:
        """Return a text as it was written."""
        child = self.get(key)
        return default if child is None else str(child)

    def texts(self, key: str) -> tuple[str, ...]:
        """Return a list of texts."""
        return tuple(str(item) for item in self.each(key))

    def pairs(self, key: str) -> dict[str, str]:
        """Return a mapping of texts."""
        child = self.get(key)
        return {} if child is None else {name: child.text(name) for name in child.keys()}  # noqa: SIM118

    def truth(self, key: str) -> bool:
        """Return a truth value, false where the author is silent."""
        child = self.get(key)
        return child is not None and isinstance(child.node, Text) and child.node.truth is True

    def integer(self, key: str) -> int | None:
        """Return a whole number."""
        child = self.get(key)
        return child.node.integer if child is not None and isinstance(child.node, Text) else None

    def value(self) -> Value:
        """Return the node as plain data; every scalar as text."""
        if isinstance(self.node, Map):
            return {key: self.at(key).value() for key in self.node}
        if isinstance(self.node, Items):
            return tuple(item.value() for item in self.entries())
        return str(self)

    def ref(self) -> FileRef:
        """Return a path, rewritten to start at the update's folder; a path that leads out is a problem."""
        path = str(self.folder / str(self)) if self.folder.parts else str(self)
        try:
            self.desk.files.resolve(path)
        except PathError as error:
            self.problem(f"{error}; move the file below it, or allow it with --allow-outside")
        except InputError as error:
            self.problem(str(error))
        return FileRef(path=path, place=self.place)

    def file_at(self, key: str) -> FileRef | None:
        """Return the path under a key."""
        child = self.get(key)
        return None if child is None else child.ref()

    def files_by_name(self, key: str) -> dict[str, FileRef]:
        """Return a mapping of paths."""
        child = self.get(key)
        return {} if child is None else {name: child.at(name).ref() for name in child.keys()}  # noqa: SIM118

    def files_at(self, key: str) -> tuple[FileRef, ...]:
        """Return the paths under a key: one, or a list."""
        return tuple(item.ref() for item in self.each(key))
