"""YAML text of a rule set → plain data with the place of every value; the only place that reads rule files' syntax.

The tree is built from the parser's events without recursion. Tags and duplicate keys are refused; anchors and aliases
are allowed inside one file, and what they expand to is counted, so that no file grows out of proportion. Only `true`,
`false`, `null` and whole numbers are more than text: `5.6.1`, `4.10` and `2031-01-01` stay as they were written.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

import yaml

from checker.errors import Problem, RuleError
from checker.io.limits import MAX_DESCRIPTION, MAX_YAML_DEPTH
from checker.model.evidence import Value

MAX_NODES: Final = 400_000  # values of one file after aliases are expanded; the largest shipped file has some 5,000
Path = tuple[str | int, ...]

_LOADER: Final = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_WORDS: Final[dict[str, Value]] = {"": None, "~": None, "null": None, "true": True, "false": False}
_INTEGER: Final = re.compile(r"-?(0|[1-9][0-9]{0,17})")


@dataclass(frozen=True)
class Document:
    """One file: its data, and `(line, column)` of every path in it."""

    name: str
    data: Value
    marks: dict[Path, tuple[int, int]] = field(repr=False)

    def problem(self, path: Path, message: str) -> Problem:
        """Return a problem at a path, or at the nearest place above it that stands in the file."""
        above = next((path[:end] for end in range(len(path), -1, -1) if path[:end] in self.marks), ())
        line, column = self.marks.get(above, (1, 1))
        return Problem(self.name, line, column, dotted(path), message)


def dotted(path: Path) -> str:
    """Return a path as text: `$.requirements[3].check`."""
    return "$" + "".join(f"[{key}]" if isinstance(key, int) else f".{key}" for key in path)


def parse(data: bytes, name: str) -> Document:
    """Return one file's data; `name` stands in the error texts.

    Raises:
        RuleError: it is too large, not UTF-8, not YAML, or uses what rule files do not need.
    """
    if len(data) > MAX_DESCRIPTION:
        raise _error(name, 1, 1, f"the file is larger than {MAX_DESCRIPTION} bytes, the limit for a rule file")
    try:
        text = data.decode("utf-8-sig")
        return _Builder(name).build(yaml.parse(text, Loader=_LOADER))
    except UnicodeDecodeError as error:
        raise _error(name, 1, 1, f"byte {data[error.start]:#04x} is not UTF-8 text") from error
    except yaml.MarkedYAMLError as error:
        place = error.problem_mark or error.context_mark
        line, column = (place.line + 1, place.column + 1) if place else (1, 1)
        raise _error(name, line, column, f"not readable as YAML: {error.problem or error.context}") from error
    except yaml.YAMLError as error:
        raise _error(name, 1, 1, "not readable as YAML") from error


def _error(name: str, line: int, column: int, message: str) -> RuleError:
    return RuleError((Problem(name, line, column, "$", message),))


def _scalar(event: yaml.ScalarEvent) -> Value:
    text: str = event.value
    if not event.implicit[0]:
        return text
    if text in _WORDS:
        return _WORDS[text]
    return int(text) if _INTEGER.fullmatch(text) else text


@dataclass
class _Open:
    """A mapping or list that is still being filled; `key` waits for its value."""

    value: dict[str, Value] | list[Value]
    path: Path
    anchor: str | None
    before: int
    key: str | None = None
    levels: int = 1  # of containers, itself included

    def next(self) -> Path:
        return (*self.path, len(self.value) if isinstance(self.value, list) else str(self.key))


@dataclass
class _Builder:
    """Builds data from events with a stack of its own."""

    name: str
    stack: list[_Open] = field(default_factory=list)
    marks: dict[Path, tuple[int, int]] = field(default_factory=dict)
    anchors: dict[str, tuple[Value, int, int]] = field(default_factory=dict)  # value, its nodes, its levels
    roots: list[Value] = field(default_factory=list)
    count: int = 0

    def build(self, events: Iterator[yaml.Event]) -> Document:
        for event in events:
            self._take(event)
        if len(self.roots) != 1:
            raise _error(self.name, 1, 1, "a rule file is one YAML document")
        return Document(self.name, self.roots[0], self.marks)

    def _take(self, event: yaml.Event) -> None:
        if isinstance(event, yaml.MappingEndEvent | yaml.SequenceEndEvent):
            closed = self.stack.pop()
            if closed.anchor:
                self.anchors[closed.anchor] = (closed.value, self.count - closed.before, closed.levels)
            if self.stack:
                self.stack[-1].levels = max(self.stack[-1].levels, closed.levels + 1)
        elif isinstance(event, yaml.AliasEvent):
            self._alias(event)
        elif isinstance(event, yaml.NodeEvent):
            self._node(event)

    def _alias(self, event: yaml.AliasEvent) -> None:
        if event.anchor not in self.anchors:
            raise self._refuse(event, f"the alias *{event.anchor} has no anchor above it")
        value, size, levels = self.anchors[event.anchor]
        self._grow(event, size)
        self._sink(event, levels)
        self._place(event, value)

    def _node(self, event: yaml.NodeEvent) -> None:
        self._grow(event, 1)
        if getattr(event, "tag", None) is not None:
            raise self._refuse(event, "tags are not allowed; leave it out")
        if isinstance(event, yaml.ScalarEvent):
            value = _scalar(event)
            if event.anchor:
                self.anchors[event.anchor] = (value, 1, 0)
            self._place(event, value)
            return
        container: dict[str, Value] | list[Value] = {} if isinstance(event, yaml.MappingStartEvent) else []
        path = self._place(event, container)
        self.stack.append(_Open(container, path, event.anchor, self.count - 1))
        self._sink(event, 0)

    def _sink(self, event: yaml.Event, levels: int) -> None:
        if len(self.stack) + levels > MAX_YAML_DEPTH:
            raise self._refuse(event, f"more than {MAX_YAML_DEPTH} lists and mappings inside each other")
        if levels and self.stack:
            self.stack[-1].levels = max(self.stack[-1].levels, levels + 1)

    def _grow(self, event: yaml.Event, size: int) -> None:
        self.count += size
        if self.count > MAX_NODES:
            raise self._refuse(event, f"more than {MAX_NODES} values in one file")

    def _place(self, event: yaml.Event, value: Value) -> Path:
        if not self.stack:
            self.roots.append(value)
            return self._mark((), event)
        parent = self.stack[-1]
        if isinstance(parent.value, list):
            path = self._mark(parent.next(), event)
            parent.value.append(value)
            return path
        if parent.key is None:
            parent.key = self._key(event, value, parent.value)
            return self._mark(parent.next(), event)
        path = parent.next()
        parent.value[parent.key] = value
        parent.key = None
        return path

    def _key(self, event: yaml.Event, value: Value, parent: dict[str, Value]) -> str:
        if not isinstance(value, str):
            raise self._refuse(event, "a key must be a word; put numbers, true and false in quotes")
        if value in parent:
            raise self._refuse(event, f"the key {value!r} is here twice")
        return value

    def _mark(self, path: Path, event: yaml.Event) -> Path:
        place = event.start_mark
        if place is not None:
            self.marks[path] = (place.line + 1, place.column + 1)
        return path

    def _refuse(self, event: yaml.Event, message: str) -> RuleError:
        place = event.start_mark
        return _error(self.name, place.line + 1 if place else 1, place.column + 1 if place else 1, message)
