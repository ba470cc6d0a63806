"""What an artifact format is: one module with `FORMAT = Format(…)` (design.md section 5).

A format opens nothing, logs nothing and keeps no state. `parse` is a generator: it reads headers through the bounded
reader, *yields* the digests that it needs over large ranges, is sent the answers (one pass over the file serves all
of them), and returns the `Artifact`. It raises `FormatError` and nothing else.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from checker.crypto.keyring import KeyRing
from checker.io.digests import DigestRequest
from checker.model.artifact import Artifact, Source

PLAINTEXT: Final = "plaintext_sha256"  # the option that states the digest of what was encrypted, for every format
Parse = Generator[Sequence[DigestRequest], Mapping[DigestRequest, bytes], Artifact]


@dataclass
class Budget:
    """What may still be looked into below one artifact, so that images that share bytes do not multiply the work."""

    tried: int  # members that are asked what they are
    opened: int  # those that a format claims
    size: int  # bytes of these

    def try_one(self) -> bool:
        """Return whether one more member may be asked what it is, and count it."""
        self.tried -= 1
        return self.tried >= 0 and self.opened > 0 and self.size > 0

    def open_one(self, size: int) -> bool:
        """Return whether one more member of `size` bytes may be opened, and count it."""
        self.opened -= 1
        self.size -= size
        return self.opened >= 0 and self.size >= 0


@dataclass(frozen=True, kw_only=True)
class Context:
    """What a format may use besides the bytes: keys and anchors, companions, options, and the one clock."""

    keys: KeyRing
    as_of: str  # RFC 3339, UTC: the evaluation time
    companions: Mapping[str, Source] = field(default_factory=dict)  # files beside it: "signature" …
    options: Mapping[str, str] = field(default_factory=dict)
    depth: int = 0  # how many containers this one lies in
    budget: Budget | None = field(default=None, compare=False, repr=False)  # of the driver, for all below one artifact


@dataclass(frozen=True, kw_only=True)
class Format:
    """A plug-in: identity, detection by content, and a total parser.

    `detect` reads a bounded prefix (and looks at the companions' names); it never raises and never looks at the file's
    name. `fallback` formats are asked only when no other format claims a file. Only formats with
    `folders` are asked about folders (`io.folders.FolderSource`); all are asked about files. `companions` and `options`
    are everything that `parse` reads of the context by name, each with what it is; `*` stands for names that the
    artifact itself gives. The driver refuses what a format does not know.
    """

    id: str
    title: str
    detect: Callable[[Source, Context], bool]
    parse: Callable[[Source, Context], Parse]
    references: tuple[str, ...]
    fallback: bool = False
    folders: bool = False
    companions: Mapping[str, str] = field(default_factory=dict)
    options: Mapping[str, str] = field(default_factory=dict)
