"""Delegated targets: which roles are trusted for which paths, and which role speaks for a target.

Source: TUF specification 1.0.33 sections 4.5 and 5.6.7 (pre-order depth-first search, terminating delegations), TAP 15
(succinct hash bins).
"""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import Final

from checker.errors import FormatError, LimitError
from checker.formats._tuf_folder import Repository
from checker.formats._tuf_keys import tally
from checker.formats._tuf_metadata import TARGETS, Delegation, FileInfo, Index, Metadata, Target, Targets
from checker.formats._tuf_trust import Chain, File, State, binding_weaknesses, judged_file
from checker.io.digests import digest
from checker.io.limits import MAX_MEMBERS
from checker.model.artifact import Weakness

MAX_ROLES: Final = 20_000  # delegated roles of one repository; the largest in use has 16,384 bins
MAX_LEVELS: Final = 64  # delegations below one another
MAX_COMPARISONS: Final = 2_000_000  # of a target's path with delegated patterns; some seconds
MAX_WILDCARDS: Final = 20_000  # different patterns with wildcards
_WILDCARD: Final = re.compile(r"[*?\[]")
_SHOWN: Final = 5


@dataclass(frozen=True, kw_only=True, eq=False)
class Node:
    """A targets role and how it was reached: from `parent` by its delegation number `index`."""

    name: str
    file: File
    parent: Node | None = None
    index: int = 0
    level: int = 0

    @property
    def body(self) -> Targets:
        """Return what the role says."""
        body = self.file.metadata.body
        return body if isinstance(body, Targets) else Targets(targets=(), keys={}, delegations=(), custom={})


@dataclass(frozen=True, kw_only=True)
class Spoken:
    """A target with the role that speaks for it."""

    target: Target
    node: Node


@dataclass
class Delegated:
    """All targets roles of a repository, and what is odd about them."""

    nodes: list[Node] = field(default_factory=list)
    weaknesses: list[Weakness] = field(default_factory=list)
    absent: list[str] = field(default_factory=list)
    again: dict[str, None] = field(default_factory=dict)  # roles that more than one role delegates to, or cycles


def walk(files: Repository, chain: Chain) -> Delegated:
    """Return the targets roles in the order in which a client asks them, each once, by its first delegation.

    Raises:
        LimitError: there are more roles or levels than the limits allow, or a file is too large.
    """
    found = Delegated()
    index = chain.snapshot.metadata.body if chain.snapshot else None
    meta = index.meta if isinstance(index, Index) else None
    tops = [chain.targets] if chain.targets else list(reversed(chain.offline))
    visited = {TARGETS}
    stack = [Node(name=file.role, file=_light(file)) for file in tops]
    while stack:
        node = stack.pop()
        found.nodes.append(node)
        if node.level > MAX_LEVELS or len(visited) > MAX_ROLES:
            text = f"more than MAX_LEVELS ({MAX_LEVELS}) or MAX_ROLES ({MAX_ROLES})"
            raise LimitError(f"delegations of {text}", field=node.file.metadata.file)
        below: list[Node] = []
        for place, name, edge in _edges(files, node):
            if name in visited:
                found.again[name] = None
                continue
            visited.add(name)
            child = _child(files, node, name, edge, meta, found, consistent=_consistent(chain))
            if child is not None:
                below.append(Node(name=name, file=child, parent=node, index=place, level=node.level + 1))
        stack += reversed(below)
    return found


def _light(file: File) -> File:
    """Return a file without its bytes, which are needed no more."""
    return replace(file, metadata=replace(file.metadata, messages={}, data=b"", rewritten=()))


def _consistent(chain: Chain) -> bool:
    body = chain.root.metadata.body if chain.root else None
    return bool(getattr(body, "consistent", False))


def _edges(files: Repository, node: Node) -> Iterator[tuple[int, str, Delegation]]:
    for place, edge in enumerate(node.body.delegations):
        if not edge.bits:
            yield place, edge.name, edge
            continue
        digits = len(f"{2**edge.bits - 1:x}")
        for name in files.starting_with(f"{edge.name}-"):
            number = name.removeprefix(f"{edge.name}-")
            if len(number) == digits and int(number, 16) < 2**edge.bits:
                yield place, name, edge


def _child(
    files: Repository,
    node: Node,
    name: str,
    edge: Delegation,
    meta: Mapping[str, FileInfo] | None,
    found: Delegated,
    *,
    consistent: bool,
) -> File | None:
    named = meta.get(f"{name}.json") if meta is not None else None
    info = named or FileInfo()
    member = files.role(name, info.version, info.hashes.values(), consistent=consistent)
    if member is None:
        found.absent.append(name)
        return None
    above = node.file.bound
    if meta is not None and named is None:
        above = State.BROKEN
        text = f"the snapshot does not name {name}.json"
        found.weaknesses.append(Weakness(code="mix-and-match", message=text, where=member.path))
    try:
        metadata = files.read(member)
        _check_type(metadata)
    except LimitError:
        raise
    except FormatError as error:
        found.weaknesses.append(Weakness(code="malformed", message=str(error), where=member.path))
        return None
    counted = tally(metadata.entries, metadata.messages, node.body.keys, edge.role)
    file = judged_file(metadata, name, counted, node.file.state, named, above)
    found.weaknesses += binding_weaknesses(file, named)
    return _light(file)


def _check_type(metadata: Metadata) -> None:
    if metadata.type != TARGETS:
        raise FormatError(f"is {metadata.type} metadata", offset=metadata.signed.start, field=f"{metadata.file} _type")


# Which role speaks for a path


class Search:
    """Answers which role speaks for a target; counts comparisons, so that no repository makes it search for ever."""

    def __init__(self) -> None:
        self._left = MAX_COMPARISONS
        self._terminating: dict[Node, _Terminating] = {}
        self._compiled: dict[str, re.Pattern[str]] = {}

    def speak(self, nodes: list[Node]) -> tuple[tuple[Spoken, ...], tuple[Weakness, ...]]:
        """Return the targets that a client would find, and those that it would not, by the first role each.

        Raises:
            LimitError: there are more targets than `MAX_MEMBERS`, or more comparisons than `MAX_COMPARISONS`.
        """
        found: dict[str, Spoken] = {}
        refused: dict[str, list[str]] = {}
        count = 0
        for node in nodes:
            for target in node.body.targets:
                count += 1
                if count > MAX_MEMBERS:
                    raise LimitError(f"more than MAX_MEMBERS ({MAX_MEMBERS}) targets", field=node.file.metadata.file)
                if target.path in found:
                    continue
                if self._allowed(node, target.path):
                    found[target.path] = Spoken(target=target, node=node)
                else:
                    refused.setdefault(node.name, []).append(target.path)
        return tuple(found.values()), tuple(_refused(refused))

    def _allowed(self, node: Node, path: str) -> bool:
        while node.parent is not None:
            parent = node.parent
            if not self._matches(parent.body.delegations[node.index], node.name, path):
                return False
            if self._ended_before(parent, node.index, path):
                return False
            node = parent
        return True

    def _ended_before(self, parent: Node, index: int, path: str) -> bool:
        """Return whether an earlier, terminating delegation is about the path, so that the search ends there."""
        if parent not in self._terminating:
            self._terminating[parent] = _Terminating.of(parent)
        ends, value = self._terminating[parent], path_hash(path)
        if any(ends.prefixes.get(value[:size], index) < index for size in range(len(value) + 1)):
            return True
        return any(place < index and (edge.bits or self._about(edge, path)) for place, edge in ends.patterns)

    def _matches(self, edge: Delegation, name: str, path: str) -> bool:
        return name == bin_of(edge, path) if edge.bits else self._about(edge, path)

    def _about(self, edge: Delegation, path: str) -> bool:
        if edge.prefixes:
            self._spend(len(edge.prefixes))
            return path_hash(path).startswith(edge.prefixes)
        self._spend(len(edge.patterns))
        return any(pattern == path or self._fits(pattern, path) for pattern in edge.patterns)

    def _fits(self, pattern: str, path: str) -> bool:
        """Return whether a pattern with wildcards fits; they do not cross slashes."""
        if pattern.count("/") != path.count("/") or not _WILDCARD.search(pattern):
            return False
        return all(
            self._compile(part).match(name) for part, name in zip(pattern.split("/"), path.split("/"), strict=True)
        )

    def _compile(self, part: str) -> re.Pattern[str]:
        if part not in self._compiled:
            if len(self._compiled) >= MAX_WILDCARDS:
                raise LimitError(f"more than MAX_WILDCARDS ({MAX_WILDCARDS}) patterns", field="delegations")
            self._compiled[part] = re.compile(fnmatch.translate(part))
        return self._compiled[part]

    def _spend(self, comparisons: int) -> None:
        self._left -= comparisons + 1
        if self._left < 0:
            raise LimitError(f"more than MAX_COMPARISONS ({MAX_COMPARISONS}) of paths", field="delegations")


def _refused(refused: Mapping[str, list[str]]) -> Iterator[Weakness]:
    for name, paths in refused.items():
        shown = ", ".join(path[:80] for path in paths[:_SHOWN])
        text = f"{name} names {len(paths)} targets that nobody delegated to it: {shown}"
        yield Weakness(code="unreferenced-member", message=text, where=name[:200])


@dataclass(frozen=True)
class _Terminating:
    """The delegations of a role that end the search: by first index of each hash prefix, and by patterns."""

    prefixes: Mapping[str, int]
    patterns: tuple[tuple[int, Delegation], ...]

    @classmethod
    def of(cls, node: Node) -> _Terminating:
        ending = [(place, edge) for place, edge in enumerate(node.body.delegations) if edge.terminating]
        prefixes: dict[str, int] = {}
        for place, edge in ending:
            for prefix in edge.prefixes:
                prefixes.setdefault(prefix, place)
        return cls(prefixes, tuple(item for item in ending if not item[1].prefixes))


@lru_cache(maxsize=1024)
def path_hash(path: str) -> str:
    """Return the SHA-256 of a target path in hex, which hash bins are about."""
    return digest("sha-256", path.encode()).hex()


def bin_of(edge: Delegation, path: str) -> str:
    """Return the name of the bin of a succinct delegation that a path falls into (TAP 15)."""
    number = int(path_hash(path)[:8], 16) >> (32 - edge.bits)
    return f"{edge.name}-{number:0{len(f'{2**edge.bits - 1:x}')}x}"
