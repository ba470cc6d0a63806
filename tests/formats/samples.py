"""`samples/formats/<format>/expected.yaml`, read: what each sample of a format is, and what must be said of it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Final

import yaml

from checker.crypto.key_files import read_public_keys
from checker.crypto.keyring import KeyRing, read_certificates, read_crls, read_decryption_key
from checker.formats.contract import Context
from checker.io.folders import FolderSource, Member
from checker.io.sources import BytesSource
from checker.model.artifact import Artifact, Source
from checker.model.terms import Outcome

FOLDER: Final = Path(__file__).resolve().parents[2] / "samples" / "formats"
AS_OF: Final = "2026-11-01T00:00:00Z"
INPUTS: Final = frozenset(
    {"keys", "trust", "crls", "decrypt", "signature", "companions", "options", "as_of", "format_id"}
)
REMARKS: Final = frozenset({"like", "fault"})


@dataclass(frozen=True)
class Sample:
    """One artifact of a format's samples. `lines` are its own and those of the entry that it is `like`."""

    format: str
    name: str
    lines: Mapping[str, Any]

    @property
    def id(self) -> str:
        return f"{self.format}/{self.name}"

    @property
    def path(self) -> Path:
        return FOLDER / self.format / self.name

    @property
    def expectations(self) -> dict[str, Any]:
        return {key: value for key, value in self.lines.items() if key not in INPUTS | REMARKS}

    def source(self) -> Source:
        if self.path.is_dir():
            return FolderSource.of(self.path, self.path.name)
        return BytesSource(self.path.name, self.path.read_bytes())

    def context(self) -> Context:
        lines = self.lines
        ring = KeyRing.of(
            keys=[key for data, name in self._files("keys") for key in read_public_keys(data, name)],
            anchors=[item for data, name in self._files("trust") for item in read_certificates(data, name)],
            crls=[item for data, name in self._files("crls") for item in read_crls(data, name)],
            decryption=[read_decryption_key(data, name) for data, name in self._files("decrypt")],
        )
        named = dict(lines.get("companions", {}))
        if "signature" in lines:
            named["signature"] = lines["signature"]
        beside = {name: BytesSource(Path(path).name, self._read(path)) for name, path in named.items()}
        options = {name: str(value) for name, value in lines.get("options", {}).items()}
        return Context(keys=ring, as_of=lines.get("as_of", AS_OF), companions=beside, options=options)

    def _files(self, key: str) -> Iterator[tuple[bytes, str]]:
        for path in self.lines.get(key, ()):
            yield self._read(path), Path(path).name

    def _read(self, path: str) -> bytes:
        return (FOLDER / self.format / path).read_bytes()


@cache
def table(format_folder: str) -> dict[str, Any]:
    return dict(yaml.safe_load((FOLDER / format_folder / "expected.yaml").read_text()))


def formats() -> list[str]:
    return sorted(path.parent.name for path in FOLDER.glob("*/expected.yaml"))


def samples() -> list[Sample]:
    return [sample for name in formats() for sample in of_format(name)]


def of_format(name: str) -> list[Sample]:
    entries = table(name)["artifacts"]
    return [Sample(name, path, _lines(entries, path)) for path in entries]


def _lines(entries: Mapping[str, Any], path: str) -> dict[str, Any]:
    own = dict(entries[path] or {})
    return (_lines(entries, own["like"]) | own) if "like" in own else own


def proved(artifact: Artifact) -> bool:
    """Return whether the outermost layer is signed, and every byte of it reached, with every digest equal."""
    valid = any(signature.outcome is Outcome.VALID for signature in artifact.signatures)
    checks = [*artifact.digests, *(check for image in artifact.images for check in image.digests)]
    return valid and not artifact.coverage.uncovered and all(check.matches for check in checks)


@dataclass(frozen=True)
class Flipped:
    """A source with one bit flipped."""

    whole: Source
    offset: int
    bit: int

    @property
    def name(self) -> str:
        return self.whole.name

    @property
    def size(self) -> int:
        return self.whole.size

    def read(self, offset: int, length: int) -> bytes:
        data = bytearray(self.whole.read(offset, length))
        place = self.offset - offset
        if 0 <= place < len(data):
            data[place] ^= 1 << self.bit
        return bytes(data)


class FlippedFolder(FolderSource):
    """A folder with one bit of one file flipped."""

    def flip(self, offset: int, bit: int) -> FlippedFolder:
        object.__setattr__(self, "place", (offset, bit))
        return self

    def _read(self, member: Member, offset: int, length: int) -> bytes:
        data = bytearray(super()._read(member, offset, length))
        wanted, bit = self.__dict__["place"]
        place = wanted - member.span.start - offset
        if 0 <= place < len(data):
            data[place] ^= 1 << bit
        return bytes(data)


def flipped(source: Source, offset: int, bit: int) -> Source:
    if isinstance(source, FolderSource):
        return FlippedFolder(source.name, source.folder, source.members).flip(offset, bit)
    return Flipped(source, offset, bit)
