"""Flattened device trees, versions 16 and 17, read within bounds: U-Boot FIT images and control device trees.

Source: Devicetree Specification v0.4, chapter 5. Values stay in the file; only names are held. What libfdt leaves to
chance (overlapping blocks, nodes or properties of one name, a second root) is refused here, so that two readers cannot
differ.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from enum import IntEnum
from functools import cached_property
from typing import Final

from checker.errors import FormatError, LimitError
from checker.io.limits import MAX_HEADER
from checker.io.reader import Reader
from checker.model.artifact import Source, Span

MAGIC: Final = b"\xd0\x0d\xfe\xed"
HEADER_SIZE: Final = 40
OLDEST, NEWEST = 16, 17  # below 16 values are aligned differently; nothing has made such trees since 2005
MAX_NODES: Final = 20_000  # the largest board trees and FIT images have a few thousand
MAX_PROPERTIES: Final = 200_000
MAX_DEPTH: Final = 32  # libfdt's FDT_MAX_DEPTH: U-Boot goes no deeper
MAX_NAME: Final = 256  # bytes of a node's or property's name; the specification allows 31, and a unit address
MAX_PATH: Final = 1024  # characters of a node's path; U-Boot's verifier stops at 200
MAX_STRINGS: Final = 1024 * 1024  # bytes of all property names
MAX_RESERVATIONS: Final = 4096
_CELL: Final = 4
_TERMINATOR: Final = bytes(16)


class Tag(IntEnum):
    """The tokens of the structure block (5.4.1)."""

    BEGIN_NODE = 1
    END_NODE = 2
    PROPERTY = 3
    NOP = 4
    END = 9


@dataclass(frozen=True, slots=True)
class Token:
    """One token with its bytes; `name` is the node's path after BEGIN_NODE and END_NODE, else the property's name."""

    tag: Tag
    span: Span
    name: str = ""


@dataclass(frozen=True, slots=True)
class Property:
    """A property: where its value lies, and where its name lies in the strings block."""

    name: str
    value: Span
    name_offset: int


@dataclass(frozen=True)
class Node:
    """A node with its properties and children, both in the order of the file."""

    name: str
    path: str
    tree: Tree = field(repr=False)
    properties: Mapping[str, Property] = field(repr=False, default_factory=dict)
    children: Mapping[str, Node] = field(repr=False, default_factory=dict)
    offset: int = 0

    def child(self, name: str) -> Node | None:
        """Return the child that libfdt finds by a name: the first that equals it, also without its unit address."""
        return self._found.get(name)

    @cached_property
    def _found(self) -> Mapping[str, Node]:
        found: dict[str, Node] = {}
        for node in self.children.values():
            for name in (node.name, node.name.partition("@")[0]):
                found.setdefault(name, node)
        return found

    @property
    def head(self) -> Span:
        """Return the bytes of the node itself: its name and all its properties, which stand before its children."""
        named = self.offset + _CELL + _padded(len(self.name.encode()) + 1)
        ends = (item.value.start + _padded(item.value.size) for item in self.properties.values())
        return Span(self.offset, max(ends, default=named))

    def value(self, name: str, *, limit: int = MAX_HEADER) -> bytes | None:
        """Return a property's value, or None.

        Raises:
            LimitError: it has more than `limit` bytes.
        """
        found = self.properties.get(name)
        if found is None:
            return None
        reader = Reader(self.tree.source, found.value.start, found.value.end)
        return reader.take(found.value.size, f"{self.path}/{name}", limit=limit)

    def texts(self, name: str) -> tuple[str, ...]:
        """Return a list of strings, each with its final NUL; empty where the property is absent.

        Raises:
            FormatError: the last string has no end.
        """
        data = self.value(name, limit=MAX_STRINGS)
        if not data:
            return ()
        if data[-1]:
            place = self.properties[name].value.start
            raise FormatError("a string without its final NUL", offset=place, field=f"{self.path}/{name}")
        return tuple(part.decode("utf-8", "backslashreplace") for part in data[:-1].split(b"\0"))

    def text(self, name: str) -> str | None:
        """Return a string up to its first NUL, as C reads it, or None."""
        found = self.texts(name)
        return found[0] if found else None

    def integer(self, name: str) -> int | None:
        """Return a number of one or two cells, or None.

        Raises:
            FormatError: the value is of another size.
        """
        data = self.value(name, limit=MAX_STRINGS)
        if data is None:
            return None
        if len(data) not in {_CELL, 2 * _CELL}:
            place = self.properties[name].value.start
            raise FormatError(f"a number of {len(data)} bytes", offset=place, field=f"{self.path}/{name}")
        return int.from_bytes(data, "big")


@dataclass(frozen=True)
class Tree:
    """A whole tree. Spans count from the first byte of the source; `size` is the header's totalsize."""

    source: Source = field(repr=False)
    size: int
    structure: Span
    strings: Span
    tokens: tuple[Token, ...] = field(repr=False, default=())
    nodes: Mapping[str, Node] = field(repr=False, default_factory=dict)

    @property
    def root(self) -> Node:
        """Return the root node."""
        return self.nodes["/"]


def read_tree(source: Source) -> Tree:
    """Return the tree that begins with the source's first byte; more may follow it.

    Raises:
        FormatError: it is no device tree, or breaks a rule; the message says where.
        LimitError: it is larger than any real one.
    """
    head = Reader(source)
    if head.take(4, "magic") != MAGIC:
        raise FormatError("this is no flattened device tree", offset=0, field="magic")
    total, structure, strings, reserved, version, compatible, _ = (head.integer(4, "header", "big") for _ in range(7))
    strings_size = head.integer(4, "size_dt_strings", "big")
    structure_size = head.integer(4, "size_dt_struct", "big")
    if version < OLDEST or not OLDEST - 14 <= compatible <= NEWEST:
        raise FormatError(f"version {version}, compatible with {compatible}", offset=20, field="version")
    if total > source.size or total < HEADER_SIZE:
        raise FormatError(f"totalsize is {total}, the file has {source.size} bytes", offset=4, field="totalsize")
    if structure % _CELL or reserved % (2 * _CELL):
        raise FormatError("a block is not aligned", offset=8, field="header")
    if version < NEWEST:  # the header had no such field: the block ends where the next one begins
        later = [start for start in (strings, reserved, total) if start > structure]
        structure_size = min(later, default=structure) - structure
    blocks = {
        "structure": Span(structure, structure + structure_size),
        "strings": Span(strings, strings + strings_size),
    }
    _refuse_overlaps(total, blocks | {"header": Span(0, HEADER_SIZE), "reservations": _reservations(source, reserved)})
    return _Walk(source, total, blocks["structure"], blocks["strings"]).run()


def _reservations(source: Source, start: int) -> Span:
    reader = Reader(source, start)
    for _ in range(MAX_RESERVATIONS):
        if reader.take(len(_TERMINATOR), "memory reservation block") == _TERMINATOR:
            return Span(start, reader.offset)
    raise LimitError(f"more than {MAX_RESERVATIONS} reservations", offset=start, field="memory reservation block")


def _refuse_overlaps(total: int, blocks: Mapping[str, Span]) -> None:
    end, before = 0, ""
    for name, span in sorted(blocks.items(), key=lambda item: (item[1].start, item[1].end)):
        if span.start < end:
            raise FormatError(f"overlaps the {before} block", offset=span.start, field=f"{name} block")
        if span.end > total:
            raise FormatError(f"ends behind totalsize ({total})", offset=span.start, field=f"{name} block")
        end, before = span.end, name


class _Walk:
    """One pass over the structure block."""

    def __init__(self, source: Source, total: int, structure: Span, strings: Span) -> None:
        self.names = Reader(source, strings.start, strings.end).take(strings.size, "strings block", limit=MAX_STRINGS)
        self.reader = Reader(source, structure.start, structure.end)
        self.tokens: list[Token] = []
        self.nodes: dict[str, Node] = {}
        self.open: list[tuple[Node, dict[str, Property], dict[str, Node]]] = []
        self.properties = 0
        self.tree = Tree(source, total, structure, strings, (), self.nodes)

    def run(self) -> Tree:
        for token in self._tokens():
            self.tokens.append(token)
        if not self.nodes:
            raise FormatError("there is no root node", offset=self.tree.structure.start, field="structure block")
        object.__setattr__(self.tree, "tokens", tuple(self.tokens))
        return self.tree

    def _tokens(self) -> Iterator[Token]:
        done = False
        while True:
            start = self.reader.offset
            tag = self.reader.integer(_CELL, "structure block", "big")
            if done and tag != Tag.END:
                raise FormatError("the tree goes on after its root node", offset=start, field="structure block")
            if tag == Tag.END:
                if self.open:
                    raise FormatError(f"{self.open[-1][0].path} has no end", offset=start, field="structure block")
                yield Token(Tag.END, Span(start, self.reader.offset))
                return
            name = self._one(tag, start)
            yield Token(Tag(tag), Span(start, self.reader.offset), name)
            done = tag == Tag.END_NODE and not self.open

    def _one(self, tag: int, start: int) -> str:
        if tag == Tag.BEGIN_NODE:
            return self._begin(start)
        if tag == Tag.NOP:
            return ""
        if tag not in {Tag.END_NODE, Tag.PROPERTY}:
            raise FormatError(f"unknown token {tag:#x}", offset=start, field="structure block")
        if not self.open:
            raise FormatError("a token outside the root node", offset=start, field="structure block")
        return self.open.pop()[0].path if tag == Tag.END_NODE else self._property(start)

    def _begin(self, start: int) -> str:
        raw = self.tree.source.read(self.reader.offset, min(MAX_NAME, self.reader.left))
        size = raw.find(b"\0")
        if size < 0:
            raise FormatError(f"a name without end, or of over {MAX_NAME} bytes", offset=start, field="node name")
        self._skip_padded(size + 1, "node name")
        name = raw[:size].decode("utf-8", "backslashreplace")
        if bool(name) is not bool(self.open) or "/" in name:
            raise FormatError(f"{name!r} cannot be a node's name here", offset=start, field="node name")
        if len(self.nodes) >= MAX_NODES or len(self.open) >= MAX_DEPTH:
            raise LimitError(f"over {MAX_NODES} nodes or {MAX_DEPTH} levels", offset=start, field="structure block")
        self._enter(name, start)
        return self.open[-1][0].path

    def _enter(self, name: str, start: int) -> None:
        parent = self.open[-1][0].path if self.open else ""
        path = f"{parent.rstrip('/')}/{name}"
        if len(path) > MAX_PATH:
            raise LimitError(f"a path of over {MAX_PATH} characters", offset=start, field="node name")
        properties: dict[str, Property] = {}
        children: dict[str, Node] = {}
        node = Node(name, path, self.tree, properties, children, start)
        if path in self.nodes:
            raise FormatError(f"a second node {path}", offset=start, field="structure block")
        if self.open:
            self.open[-1][2][name] = node
        self.nodes[path] = node
        self.open.append((node, properties, children))

    def _property(self, start: int) -> str:
        node, properties, children = self.open[-1]
        size = self.reader.integer(_CELL, "property length", "big")
        place = self.reader.integer(_CELL, "property name offset", "big")
        value = Span(self.reader.offset, self.reader.offset + size)
        self._skip_padded(size, "property value")
        name = self._name(place, start)
        if children or name in properties:
            text = f"a second {name!r}" if name in properties else f"{name!r} stands behind a child"
            raise FormatError(f"{text} in {node.path}", offset=start, field="property")
        self.properties += 1
        if self.properties > MAX_PROPERTIES:
            raise LimitError(f"more than {MAX_PROPERTIES} properties", offset=start, field="structure block")
        properties[name] = Property(name, value, place)
        return name

    def _name(self, place: int, start: int) -> str:
        end = self.names.find(b"\0", place, place + MAX_NAME)
        if place >= len(self.names) or end < 0:
            raise FormatError(f"no name at {place} of the strings block", offset=start, field="property name offset")
        return self.names[place:end].decode("utf-8", "backslashreplace")

    def _skip_padded(self, size: int, what: str) -> None:
        self.reader.skip(_padded(size), what)


def _padded(size: int) -> int:
    return size + -size % _CELL
