"""AppStream metainfo of firmware: versions, devices, checksums, requirements (fwupd, LVFS).

The XML is read with expat as a stream. A document type is refused, since it is where entities come from; depth and
number of elements are bounded.

Source: fwupd docs/ds20.md and LVFS documentation "MetaInfo Files"; AppStream specification 1.0, sections 2.1 and 4.3.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final
from xml.parsers import expat

from checker.errors import FormatError, LimitError

MAX_METAINFO: Final = 1024 * 1024  # bytes of XML; real files have some thousands
MAX_ELEMENTS: Final = 20_000  # of one file
MAX_LEVELS: Final = 32  # elements inside elements; real files have eight
MAX_TEXT: Final = 4096  # bytes of one value
DEFAULT_PAYLOAD: Final = "firmware.bin"
HASHES: Final = {"sha1": "sha-1", "sha256": "sha-256", "sha384": "sha-384", "sha512": "sha-512", "md5": "md5"}


@dataclass(frozen=True)
class Checksum:
    """A digest of a payload: its hash (an id of the algorithm table), its value in hex, and the payload's name."""

    algorithm: str
    value: str
    filename: str


@dataclass
class Metainfo:
    """What a metainfo file says."""

    component: str = ""
    versions: list[str] = field(default_factory=list)
    guids: list[str] = field(default_factory=list)
    payloads: list[str] = field(default_factory=list)
    checksums: list[Checksum] = field(default_factory=list)
    requires: list[str] = field(default_factory=list)
    custom: list[tuple[str, str]] = field(default_factory=list)


def parse(data: bytes, name: str) -> Metainfo:
    """Return what a metainfo file says.

    Raises:
        FormatError: it is no well-formed XML, has a document type, or is no component.
        LimitError: it is larger, deeper or longer than the limits allow.
    """
    if len(data) > MAX_METAINFO:
        raise LimitError(f"{len(data)} bytes, at most MAX_METAINFO ({MAX_METAINFO})", field=name)
    reading = _Reading(name)
    parser = expat.ParserCreate()
    parser.StartDoctypeDeclHandler = reading.refuse
    parser.StartElementHandler = reading.start
    parser.EndElementHandler = reading.end
    parser.CharacterDataHandler = reading.text
    try:
        parser.Parse(data, True)
    except (expat.ExpatError, ValueError) as error:
        raise FormatError(f"is no well-formed XML: {error}", field=name) from error
    if reading.root != "component":
        raise FormatError(f"the outermost element is {reading.root[:40]!r}, not component", field=name)
    return reading.found


class _Reading:
    """The handlers of one pass."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.found = Metainfo()
        self.root = ""
        self.path: list[tuple[str, dict[str, str]]] = []
        self.value = ""
        self.count = 0
        self.artifact_file = ""
        self.artifact_checksums: list[tuple[str, str]] = []

    def refuse(self, *_: object) -> None:
        raise FormatError("has a document type, which is not read", field=self.name)

    def start(self, tag: str, attributes: dict[str, str]) -> None:
        self.count += 1
        if self.count > MAX_ELEMENTS or len(self.path) >= MAX_LEVELS:
            text = f"more than MAX_ELEMENTS ({MAX_ELEMENTS}) elements, or MAX_LEVELS ({MAX_LEVELS}) levels"
            raise LimitError(text, field=self.name)
        self.root = self.root or tag
        self.path.append((tag, attributes))
        self.value = ""
        where = self._where()
        if where == "component/releases/release":
            self.found.versions.append(attributes.get("version", ""))
        elif where == "component/releases/release/artifacts/artifact":
            self.artifact_file, self.artifact_checksums = "", []
        elif where.startswith(("component/requires/", "component/recommends/")):
            self._need(tag, attributes)

    def text(self, data: str) -> None:
        if len(self.value) < MAX_TEXT:
            self.value += data

    def end(self, _: str) -> None:
        where, value = self._where(), self.value.strip()
        _, attributes = self.path.pop()
        if where == "component/id":
            self.found.component = value
        elif where == "component/provides/firmware":
            self.found.guids.append(value)
        elif where == "component/custom/value":
            self.found.custom.append((attributes.get("key", ""), value))
        elif where.startswith(("component/requires/", "component/recommends/")) and value and self.found.requires:
            self.found.requires[-1] += f" of {value}"
        elif where.startswith("component/releases/release/"):
            self._release(where.removeprefix("component/releases/release/"), attributes, value)
        self.value = ""

    def _release(self, where: str, attributes: dict[str, str], value: str) -> None:
        if where == "checksum" and attributes.get("target", "content") == "content":
            filename = attributes.get("filename") or DEFAULT_PAYLOAD
            self.found.payloads.append(filename)
            self._checksum(attributes.get("type", "sha1"), value, filename)
        elif where == "artifacts/artifact/filename":
            self.artifact_file = value
            self.found.payloads.append(value)
        elif where == "artifacts/artifact/checksum":
            self.artifact_checksums.append((attributes.get("type", ""), value))
        elif where == "artifacts/artifact" and self.artifact_file:
            for kind, digest in self.artifact_checksums:
                self._checksum(kind, digest, self.artifact_file)

    def _checksum(self, kind: str, value: str, filename: str) -> None:
        if kind in HASHES:
            self.found.checksums.append(Checksum(HASHES[kind], value.lower(), filename))

    def _need(self, tag: str, attributes: dict[str, str]) -> None:
        wanted = " ".join(attributes[name] for name in ("compare", "version") if name in attributes)
        label = "requires" if self.path[-2][0] == "requires" else "recommends"
        self.found.requires.append(f"{label} {tag} {wanted}".rstrip())

    def _where(self) -> str:
        return "/".join(tag for tag, _ in self.path)
