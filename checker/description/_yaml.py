"""YAML text → a tree of mappings, lists and texts that know their place; nothing is guessed and nothing can run away.

The tree is built from the parser's events, which are produced without recursion: 100,000 nested brackets end in an
error text, where a composing C loader ends the process. Anchors, aliases, tags, duplicate keys, several documents and
control characters are refused, so that every file has one reading and a size in proportion to its bytes.

A plain scalar keeps the characters that its author wrote: `1.10`, `010`, `no`, `12:30` and `2026-10-01` never become
numbers, booleans or dates on their own. The field decides: only one that takes a whole number or a truth value reads a
scalar as such, and then by the YAML 1.2 core schema (10.3.2) without octal and hexadecimal forms.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

import yaml

from checker.errors import DescriptionError, Problem
from checker.io.limits import MAX_DESCRIPTION, MAX_YAML_DEPTH

MAX_NODES: Final = (
    400_000  # mappings, lists and texts of one file: some 100 MB; the largest real inventories have 50,000
)

_LOADER: Final = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_NULLS: Final = frozenset({"", "~", "null", "Null", "NULL"})
_TRUE: Final = ("true", "True", "TRUE")
_TRUTH: Final = dict.fromkeys(_TRUE, True) | dict.fromkeys(("false", "False", "FALSE"), False)
_INTEGER: Final = re.compile(r"[-+]?(0|[1-9][0-9]{0,17})")
_NUMBER: Final = re.compile(r"[-+]?(0|[1-9][0-9]*)(\.[0-9]*)?([eE][-+]?[0-9]+)?")
_BREAKS: Final = "\x85\u2028\u2029"  # line breaks of YAML 1.1 but not of 1.2 (5.4)
_UNPRINTABLE: Final = re.compile(
    "[^\t\n\r\x20-\x7e\xa0-\ud7ff\ue000-\ufefe\uff00-\ufffd\U00010000-\U0010ffff]|[\u2028\u2029]"
)
_CONTROLS: Final = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029]")
_WIDE: Final = (b"\xff\xfe", b"\xfe\xff", b"\x00\x00\xfe\xff")
_HINTS: Final = (
    ("mapping values are not allowed", "a colon followed by a space inside a text needs quotes around the text"),
    ("found character that cannot start", "indent with spaces, not tabs; a text that begins with @ or ` needs quotes"),
    ("could not find expected ':'", "a key must be followed by a colon and a space"),
    ("did not find expected", "check the indentation, the quotes and the brackets here and just above"),
    ("found unexpected end of stream", "a quote is opened and never closed"),
    ("invalid Unicode character escape", "write the character itself in place of the escape"),
    ("incompatible YAML document", "leave the %YAML line out"),
)


@dataclass(frozen=True, order=True)
class Mark:
    """A position, 1-based, counted in characters."""

    line: int
    column: int


START: Final = Mark(1, 1)


class Text(str):
    """A scalar as it was written. `plain`: it had no quotes, so a field may read it as a number or truth value."""

    __slots__ = ("mark", "plain")
    mark: Mark
    plain: bool

    @classmethod
    def make(cls, text: str, mark: Mark, *, plain: bool) -> Text:
        """Return the scalar at its place."""
        new = cls(text)
        new.mark = mark
        new.plain = plain
        return new

    @property
    def null(self) -> bool:
        """Return whether nothing was written, or the YAML word for nothing."""
        return self.plain and self in _NULLS

    @property
    def truth(self) -> bool | None:
        """Return the truth value, None where it is not one."""
        return _TRUTH.get(str(self)) if self.plain else None

    @property
    def integer(self) -> int | None:
        """Return the whole number (at most 18 digits), None where it is not one."""
        return int(self) if self.plain and _INTEGER.fullmatch(self) else None

    @property
    def number(self) -> bool:
        """Return whether a reader of YAML 1.2 would take this for a number."""
        return self.plain and _NUMBER.fullmatch(self) is not None


class Items(list["Node"]):
    """A list, with the place where it begins."""

    def __init__(self, mark: Mark) -> None:
        super().__init__()
        self.mark = mark


class Map(dict[str, "Node"]):
    """A mapping, with the place where it begins and the place of every key."""

    def __init__(self, mark: Mark) -> None:
        super().__init__()
        self.mark = mark
        self.keys_at: dict[str, Mark] = {}


Node = Text | Items | Map


def parse(data: bytes, name: str) -> Node:
    """Return the tree of one YAML file; `name` stands in the error texts.

    Raises:
        DescriptionError: it is too large, not UTF-8, not YAML, or uses what descriptions do not need.
    """
    text = _decode(data, name)
    try:
        return _Builder(name).build(_events(text))
    except yaml.MarkedYAMLError as error:
        raise _syntax(error, name) from error
    except yaml.YAMLError as error:
        raise fault(name, START, "not readable as YAML") from error


def fault(name: str, mark: Mark, message: str, path: str = "$") -> DescriptionError:
    """Return an error with one problem."""
    return DescriptionError((Problem(name, mark.line, mark.column, path, message),))


def _events(text: str) -> Iterator[yaml.Event]:
    yield from yaml.parse(text, Loader=_LOADER)


def _decode(data: bytes, name: str) -> str:
    if len(data) > MAX_DESCRIPTION:
        message = f"the file is larger than {MAX_DESCRIPTION // 1024 // 1024} MiB, the limit for a description"
        raise fault(name, START, message)
    if data.startswith(_WIDE):
        raise fault(name, START, "the file is UTF-16 or UTF-32 text; save it as UTF-8")
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        mark = _mark_in(data[: error.start].decode("utf-8-sig", "replace"))
        raise fault(name, mark, f"byte {data[error.start]:#04x} is not UTF-8 text; save the file as UTF-8") from error
    if found := _UNPRINTABLE.search(text):
        raise fault(name, _mark_in(text[: found.start()]), _unprintable(found.group()))
    return text


def _mark(event: yaml.Event) -> Mark:
    place = event.start_mark
    return Mark(place.line + 1, place.column + 1) if place else START


def _mark_in(before: str) -> Mark:
    lines = re.split("\r\n|\r|\n", before)
    return Mark(len(lines), len(lines[-1]) + 1)


def _unprintable(character: str) -> str:
    what = f"character U+{ord(character):04X}"
    if character == "\ufeff":
        return f"a byte order mark ({what}) inside the text; delete it"
    if character in _BREAKS:
        return f"an unusual line break ({what}); use an ordinary one"
    return f"{what} is not allowed in a text file; delete it"


def _syntax(error: yaml.MarkedYAMLError, name: str) -> DescriptionError:
    place = error.problem_mark or error.context_mark
    mark = Mark(place.line + 1, place.column + 1) if place else START
    said = ", ".join(part for part in (error.context, error.problem) if part)
    hint = next((advice for words, advice in _HINTS if words in said), "")
    return fault(name, mark, f"not readable as YAML: {said}" + (f"; {hint}" if hint else ""))


@dataclass
class _Open:
    """A mapping or list that is still being filled; `key` waits for its value."""

    node: Map | Items
    key: Text | None = None


@dataclass
class _Builder:
    """Builds the tree from events with a stack of its own."""

    name: str
    stack: list[_Open] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)
    root: Node | None = None
    count: int = 0

    def build(self, events: Iterator[yaml.Event]) -> Node:
        """Return the root.

        Raises:
            DescriptionError: something is refused; duplicate keys are collected, all else stops at once.
        """
        for event in events:
            self._take(event)
        if self.root is None:
            raise fault(self.name, START, "the file is empty")
        if self.problems:
            raise DescriptionError(tuple(self.problems))
        return self.root

    def _take(self, event: yaml.Event) -> None:
        if isinstance(event, yaml.DocumentStartEvent) and self.root is not None:
            raise self._refuse(event, "a second document begins here; a description is one document")
        if isinstance(event, yaml.MappingEndEvent | yaml.SequenceEndEvent):
            self.stack.pop()
        elif isinstance(event, yaml.NodeEvent):
            self._node(event)

    def _node(self, event: yaml.NodeEvent) -> None:
        self._check(event)
        mark = _mark(event)
        if isinstance(event, yaml.ScalarEvent):
            self._place(event, Text.make(event.value, mark, plain=event.implicit[0]))
            return
        node = Map(mark) if isinstance(event, yaml.MappingStartEvent) else Items(mark)
        self._place(event, node)
        self.stack.append(_Open(node))
        if len(self.stack) > MAX_YAML_DEPTH:
            raise self._refuse(event, f"more than {MAX_YAML_DEPTH} lists and mappings inside each other")

    def _check(self, event: yaml.NodeEvent) -> None:
        self.count += 1
        if self.count > MAX_NODES:
            raise self._refuse(event, f"more than {MAX_NODES} values in one file")
        if isinstance(event, yaml.AliasEvent):
            raise self._refuse(event, f"the alias *{event.anchor} is not allowed; write the value out")
        if event.anchor is not None:
            raise self._refuse(
                event, f"the anchor &{event.anchor} is not allowed; write the value out where it is needed"
            )
        tag = getattr(event, "tag", None)
        if tag is not None:
            raise self._refuse(event, f"the tag {tag} is not allowed; leave it out")
        if isinstance(event, yaml.ScalarEvent) and (found := _CONTROLS.search(event.value)):
            raise self._refuse(event, _unprintable(found.group()))

    def _place(self, event: yaml.Event, node: Node) -> None:
        if not self.stack:
            self.root = node
            return
        parent = self.stack[-1]
        if isinstance(parent.node, Items):
            parent.node.append(node)
        elif parent.key is None:
            parent.key = self._key(event, node, parent.node)
        else:
            parent.node.setdefault(str(parent.key), node)
            parent.key = None

    def _key(self, event: yaml.Event, node: Node, parent: Map) -> Text:
        if not isinstance(node, Text):
            raise self._refuse(
                event, "a key must be a word, not a list or a mapping; is a text with braces not in quotes?"
            )
        if node in parent.keys_at:
            first = parent.keys_at[node].line
            message = f"the key {shown(node)} is here twice; the first is in line {first}"
            self.problems.append(Problem(self.name, node.mark.line, node.mark.column, "$", message))
        else:
            parent.keys_at[str(node)] = node.mark
        return node

    def _refuse(self, event: yaml.Event, message: str) -> DescriptionError:
        return fault(self.name, _mark(event), message)


def shown(text: str, limit: int = 60) -> str:
    """Return a text in quotes, on one line, cut to `limit` characters."""
    return repr(str(text) if len(text) <= limit else str(text)[: limit - 1] + "…")
