"""The sw-description of a SWUpdate image: libconfig or JSON text in, a list of entries out.

Source: sbabic/swupdate doc/source/sw-description.rst; hyperrealm/libconfig manual for the grammar. The text comes from
strangers: `@include` is never followed, nesting and size are limited before the recursive parser runs, and a setting
that occurs twice in one group is refused, as libconfig does.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import libconf

from checker.errors import FormatError, LimitError

MAX_SIZE: Final = 1024 * 1024  # bytes: real ones have a few kilobytes
MAX_NESTING: Final = 32  # groups and lists; real ones need about eight
MAX_BRACKETS: Final = 256  # the same, counted before parsing, with the brackets inside of strings and scripts
MAX_TOKENS: Final = 100_000  # words of libconfig text; each costs some 500 bytes while it is parsed
MAX_ENTRIES: Final = 10_000  # images, files and scripts of one description
FILE_LISTS: Final = ("images", "files", "scripts")
STATES: Final = ("bootenv", "uboot", "partitions")
_ROLES: Final = {"images": "image", "files": "other", "scripts": "script"}
_OPENING: Final = frozenset("({[")
_CLOSING: Final = frozenset(")}]")

Group = Mapping[str, Any]


@dataclass(frozen=True)
class Entry:
    """One image, file or script of the description, and the path of the section that names it."""

    section: str  # for example "board/stable/main"
    kind: str  # images, files or scripts
    values: Group = field(repr=False)

    @property
    def role(self) -> str:
        """Return the role of the member: image, script or other."""
        return _ROLES[self.kind]

    def text(self, name: str) -> str:
        """Return an attribute as text, empty where it is missing."""
        value = self.values.get(name)
        return "" if value is None else str(value)

    @property
    def filename(self) -> str:
        """Return the name of the member that the entry installs."""
        return self.text("filename")

    @property
    def target(self) -> str:
        """Return where it goes, in SWUpdate's own words."""
        named = [f"{name}={self.text(name)}" for name in ("device", "volume", "mtdname", "path") if self.text(name)]
        return " ".join(named) or (f"type={self.text('type')}" if self.text("type") else "")

    @property
    def cipher(self) -> str:
        """Return the cipher as the description says it, empty where the member is not encrypted."""
        value = self.values.get("encrypted")
        if isinstance(value, str):
            return {"": "", "false": "", "true": "aes-cbc"}.get(value.lower(), value.lower())
        return "aes-cbc" if value is True else ""

    @property
    def constraints(self) -> tuple[str, ...]:
        """Return the version conditions of the entry."""
        names = ("install-if-higher", "install-if-different")
        return tuple(f"{name} {self.text('version')}".strip() for name in names if self.values.get(name) is True)


@dataclass(frozen=True)
class Description:
    """What an sw-description says."""

    syntax: str  # libconfig or JSON
    version: str
    hardware: tuple[str, ...]
    entries: tuple[Entry, ...]
    unresolved: tuple[str, ...]  # links that lead nowhere
    states: tuple[tuple[str, str], ...]  # bootloader variables and partitions: (section, words)
    sections: tuple[str, ...]
    embedded_script: bool


def read_description(data: bytes, offset: int) -> Description:
    """Read an sw-description.

    Args:
        data: its plaintext.
        offset: where it lies in the file, for errors.

    Raises:
        LimitError: it is larger, deeper or longer than the limits of this module allow.
        FormatError: it is neither libconfig nor JSON, or has no `software` group.
    """
    if len(data) > MAX_SIZE:
        raise LimitError(f"{len(data)} bytes, at most {MAX_SIZE} are read", offset=offset, field="sw-description")
    syntax, root = _load(data, offset)
    software = root.get("software")
    if not isinstance(software, Mapping):
        raise FormatError("there is no group `software`", offset=offset, field="sw-description")
    return _Walk(software, offset).description(syntax)


def _load(data: bytes, offset: int) -> tuple[str, Group]:
    try:
        text = data.decode("utf-8")
        _check_nesting(text, offset)
        is_json = text.lstrip().startswith("{")
        root = json.loads(text, object_pairs_hook=_unique) if is_json else _libconfig(text, offset)
    except FormatError:
        raise
    except (ValueError, RuntimeError, RecursionError, ArithmeticError) as error:
        message = " ".join(str(error).split())[:200]
        raise FormatError(f"cannot be read: {message}", offset=offset, field="sw-description") from error
    if not isinstance(root, Mapping):
        raise FormatError("is no group of settings", offset=offset, field="sw-description")
    return ("JSON" if is_json else "libconfig"), root


def _check_nesting(text: str, offset: int) -> None:
    """Count brackets, those inside strings and comments too: they can only make the count larger."""
    depth = deepest = 0
    for character in text:
        if character in _OPENING:
            depth += 1
            deepest = max(deepest, depth)
        elif character in _CLOSING:
            depth = max(0, depth - 1)
    if deepest > MAX_BRACKETS:
        raise LimitError(f"nested {deepest} deep, at most {MAX_BRACKETS}", offset=offset, field="sw-description")


def _libconfig(text: str, offset: int) -> Group:
    """Parse libconfig text. The tokenizer knows no `@include`, so no other file is ever opened."""
    words = libconf.Tokenizer("sw-description").tokenize(text)
    stream = libconf.TokenStream(itertools.islice(words, MAX_TOKENS + 1))
    if len(stream.tokens) > MAX_TOKENS:
        raise LimitError(f"more than MAX_TOKENS ({MAX_TOKENS}) words", offset=offset, field="sw-description")
    root: Group = _Parser(stream).parse()
    return root


class _Parser(libconf.Parser):  # type: ignore[misc]
    """libconf's parser, which lets a later setting replace an earlier one, made as strict as libconfig."""

    def setting_list_or_empty(self) -> dict[str, Any]:
        """Return one group of settings."""
        pairs = iter(self.setting, None)
        return _unique(pairs)


def _unique(pairs: Any) -> dict[str, Any]:  # noqa: ANN401 - an iterable of pairs from untyped parsers
    found: dict[str, Any] = {}
    for name, value in pairs:
        if name in found:
            raise ValueError(f"the setting {name!r} occurs twice in one group")
        found[name] = value
    return found


class _Walk:
    """Collects the entries of a description from its tree of boards, software sets and modes."""

    def __init__(self, software: Group, offset: int) -> None:
        self._software = software
        self._offset = offset
        self._entries: list[Entry] = []
        self._unresolved: list[str] = []
        self._states: list[tuple[str, str]] = []
        self._sections: dict[str, None] = {}
        self._hardware: dict[str, None] = {}
        self._script = False

    def description(self, syntax: str) -> Description:
        """Return what was found."""
        self._section(self._software, (), 0)
        return Description(
            syntax=syntax,
            version=_scalar(self._software.get("version")),
            hardware=tuple(self._hardware),
            entries=tuple(self._entries),
            unresolved=tuple(self._unresolved),
            states=tuple(self._states),
            sections=tuple(self._sections),
            embedded_script=self._script,
        )

    def _section(self, group: Group, path: tuple[str, ...], depth: int) -> None:
        if depth > MAX_NESTING:
            raise LimitError(f"nested deeper than {MAX_NESTING}", offset=self._offset, field="sw-description")
        self._script |= "embedded-script" in group
        for name, value in group.items():
            if name in FILE_LISTS:
                self._files(name, value, path)
            elif name in STATES:
                self._state(name, value, path)
            elif name == "hardware-compatibility":
                self._hardware |= dict.fromkeys(_scalars(value))
            elif isinstance(value, Mapping):
                self._section(value, (*path, name), depth + 1)

    def _files(self, kind: str, value: object, path: tuple[str, ...]) -> None:
        section = "/".join(path)
        self._sections[section] = None
        items = value if isinstance(value, Sequence) and not isinstance(value, str) else (value,)
        for item in items:
            resolved = self._follow(item, path)
            if resolved is not None:
                self._entries.append(Entry(section, kind, resolved))
            if len(self._entries) > MAX_ENTRIES:
                raise LimitError(f"more than {MAX_ENTRIES} entries", offset=self._offset, field="sw-description")

    def _follow(self, item: object, path: tuple[str, ...]) -> Group | None:
        """Return an entry, through its `ref` link where it has one; links are from the section or from `software`."""
        for _ in range(MAX_NESTING):
            if not isinstance(item, Mapping):
                break
            link = item.get("ref")
            if not isinstance(link, str) or "filename" in item:
                return item
            parts = tuple(part for part in link.removeprefix("#").split("/") if part not in {"", "."})
            item = self._at((*path, *parts)) or self._at(tuple(part for part in parts if part != ".."))
        self._unresolved.append(f"{'/'.join(path)}: {item!r}"[:200])
        return None

    def _at(self, parts: tuple[str, ...]) -> object:
        steps: list[str] = []
        for part in parts:
            if part == "..":
                del steps[-1:]
            else:
                steps.append(part)
        node: object = self._software
        for step in steps:
            node = node.get(step) if isinstance(node, Mapping) else None
        return node

    def _state(self, kind: str, value: object, path: tuple[str, ...]) -> None:
        items = value if isinstance(value, Sequence) and not isinstance(value, str) else (value,)
        for item in items[:MAX_ENTRIES]:
            words = " ".join(f"{name}={_scalar(item[name])}" for name in item) if isinstance(item, Mapping) else ""
            self._states.append(("/".join((*path, kind)), words[:200]))


def _scalar(value: object) -> str:
    return str(value) if isinstance(value, str | int | float) else ""


def _scalars(value: object) -> Iterator[str]:
    if isinstance(value, Sequence) and not isinstance(value, str):
        for item in value:
            if _scalar(item):
                yield _scalar(item)
    elif _scalar(value):
        yield _scalar(value)
