"""SUIT envelopes and manifests taken apart: what lies where, and which severed members are what the manifest says.

Source: draft-ietf-suit-manifest-34 (sections 8.2 to 8.7), draft-ietf-suit-trust-domains (dependencies, delegation),
draft-ietf-suit-update-management (text and version). Every digest is over the byte string with its head (8.3).
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Final

from checker.crypto import cose
from checker.errors import FormatError, LimitError
from checker.io.cbor import Document, Encoded, Item, Key, Major, read
from checker.io.digests import digest, supported
from checker.model.artifact import Source, Span

TAG: Final = 107
SELF_DESCRIBED: Final = 55799  # RFC 8949 3.4.6
DELEGATION, AUTHENTICATION, MANIFEST = 1, 2, 3
VERSION, SEQUENCE, COMMON, REFERENCE, COMPONENT_ID, SET_VERSION = range(1, 7)
DEPENDENCIES, COMPONENTS, SHARED = 1, 2, 4
TEXT: Final = 23
SEQUENCES: Final[Mapping[int, str]] = {  # in the order in which a device runs them
    15: "dependency-resolution",
    16: "payload-fetch",
    18: "candidate-verification",
    17: "install (draft-24 and older)",
    20: "install",
    7: "validate",
    8: "load",
    9: "invoke",
    24: "uninstall",
}
SEVERABLE: Final[Mapping[int, str]] = {
    14: "coswid",
    15: "dependency-resolution",
    16: "payload-fetch",
    17: "install (draft-24 and older)",
    18: "candidate-verification",
    20: "install",
    TEXT: "text",
}
MAX_MANIFEST: Final = 4 * 1024 * 1024  # bytes of a manifest or severed member; devices hold them in RAM
MAX_BLOCKS: Final = 16  # authentication blocks of one envelope
MAX_COMPONENTS: Final = 1024  # of one manifest; published ones have one or two
MAX_FIELD: Final = 1024  # bytes of an identifier or digest


@dataclass(frozen=True)
class Digest:
    """A SUIT_Digest. `algorithm` is an id of the algorithm table, or empty where the number is not known here."""

    number: int
    algorithm: str
    value: bytes
    kept: int | None = None  # bytes of the full digest that are stated, where it is cut

    def of(self, full: bytes) -> bytes:
        """Return what is stated of a full digest."""
        return full if self.kept is None else full[: self.kept]


@dataclass(frozen=True)
class Severed:
    """A severable member: its digest in the manifest, its item in the envelope, and whether they agree."""

    name: str
    digest: Digest | None
    item: Item | None = field(repr=False)
    actual: bytes | None  # what was computed; None where nothing could be

    @property
    def matches(self) -> bool | None:
        """Return whether the member is the one that the manifest means."""
        return None if self.actual is None or self.digest is None else self.actual == self.digest.value


@dataclass(frozen=True, kw_only=True)
class Envelope:
    """An envelope. `stated` is the digest of the authentication wrapper, `signed` where its bytes lie."""

    document: Document = field(repr=False)
    span: Span
    tagged: bool
    entries: Mapping[Key, Item] = field(repr=False)
    stated: Digest | None
    signed: Item | None = field(repr=False)
    blocks: tuple[cose.Message, ...]
    empty_blocks: int
    manifest: Item = field(repr=False)  # the byte string

    @property
    def integrated(self) -> Mapping[str, Item]:
        """Return the integrated payloads and dependencies by their names."""
        return {key: item for key, item in self.entries.items() if isinstance(key, str)}

    @property
    def foreign(self) -> tuple[str, ...]:
        """Return the keys that are neither known nor integrated payloads: nothing authentic can reach them."""
        known = {DELEGATION, AUTHENTICATION, MANIFEST, *SEVERABLE}
        return tuple(f"envelope key {key}" for key in self.entries if key not in known and not isinstance(key, str))


@dataclass(frozen=True, kw_only=True)
class Manifest:
    """A manifest. `sequences` are those that can be trusted as far as the manifest can, in order of execution."""

    sequence: int | None
    version: str
    component_id: str
    reference: str
    components: tuple[str, ...]
    dependencies: Mapping[int, str]
    shared: Item | None = field(repr=False)
    sequences: Mapping[str, Item] = field(repr=False)
    severed: tuple[Severed, ...]
    twice: tuple[str, ...]  # members that lie in the manifest and beside it
    texts: Mapping[str, str]

    @property
    def hidden(self) -> tuple[str, ...]:
        """Return the severed sequences that are not at hand: what they would do is not known."""
        beside = {each.name: each for each in self.severed if each.name in SEQUENCES.values()}
        return tuple(name for name, each in beside.items() if each.item is None or each.matches is None)

    @property
    def refused(self) -> tuple[str, ...]:
        """Return the severed sequences that a device refuses, since they are not those that the manifest means."""
        return tuple(each.name for each in self.severed if each.matches is False and each.name in SEQUENCES.values())

    @cached_property
    def names(self) -> Mapping[int, str]:
        """Return the component identifiers by index, those of dependencies among them."""
        return {**dict(enumerate(self.components)), **self.dependencies}


def read_digest(item: Item, name: str) -> Digest:
    """Return a SUIT_Digest.

    Raises:
        FormatError: it is none.
    """
    parts = item.array(name)
    if len(parts) < 2:  # noqa: PLR2004 - algorithm and value; extensions may follow
        raise FormatError("a digest has an algorithm and a value", offset=item.span.start, field=name)
    number = parts[0].integer(name)
    algorithm, kept = cose.HASHES.get(number, ("", None))
    return Digest(number, algorithm if supported(algorithm) else "", parts[1].data(name, limit=MAX_FIELD), kept)


def compute(stated: Digest | None, item: Item) -> bytes | None:
    """Return the digest over a byte string with its head, as the manifest would state it; None: not computable."""
    if stated is None or not stated.algorithm:
        return None
    return stated.of(digest(stated.algorithm, item.encoded()))


def open_envelope(source: Source) -> tuple[Envelope, int]:
    """Return the envelope at the beginning of a file, and where it ends.

    Raises:
        FormatError: it is damaged.
        LimitError: it asks for more than a limit allows.
    """
    document = Document(source)
    item = document.first(Span(0, source.size), "SUIT_Envelope")
    return read_envelope(item), item.span.end


def read_envelope(item: Item) -> Envelope:
    """Return an envelope, with tag or without.

    Raises:
        FormatError: it is damaged.
        LimitError: it asks for more than a limit allows.
    """
    number, inner = item.tagged()
    if number == SELF_DESCRIBED:
        number, inner = inner.tagged()
    if number not in {None, TAG}:
        raise FormatError(f"the tag {number} is not SUIT's {TAG}", offset=item.span.start, field="SUIT_Envelope")
    entries = inner.map("SUIT_Envelope")
    if MANIFEST not in entries:
        raise FormatError("there is no manifest", offset=inner.span.start, field="SUIT_Envelope")
    manifest = entries[MANIFEST]
    _bounded(manifest, "manifest")
    wrapper = entries.get(AUTHENTICATION)
    parts = () if wrapper is None else wrapper.wrapped("authentication-wrapper").array("authentication-wrapper")
    if wrapper is not None and not 1 <= len(parts) <= MAX_BLOCKS + 1:
        message = f"{len(parts)} elements: a digest and at most MAX_BLOCKS ({MAX_BLOCKS}) signatures are read"
        raise LimitError(message, offset=wrapper.span.start, field="authentication-wrapper")
    for key, member in entries.items():
        if isinstance(key, str):
            member.place(f"integrated payload {key[:80]!r}")
    return Envelope(
        document=item.document,
        span=item.span,
        tagged=number == TAG,
        entries=entries,
        stated=read_digest(parts[0].wrapped("SUIT_Digest"), "SUIT_Digest") if parts else None,
        signed=parts[0] if parts else None,
        blocks=tuple(cose.parse(part.wrapped("authentication-block")) for part in parts[1:] if part.content.size),
        empty_blocks=sum(not part.content.size for part in parts[1:]),
        manifest=manifest,
    )


def _bounded(item: Item, name: str) -> None:
    if item.place(name).size > MAX_MANIFEST:
        message = f"{item.content.size} bytes, at most MAX_MANIFEST ({MAX_MANIFEST}) are read"
        raise LimitError(message, offset=item.span.start, field=name)


def read_manifest(envelope: Envelope) -> Manifest:
    """Return the manifest of an envelope.

    Raises:
        FormatError: it is damaged, or of a version that is not known.
        LimitError: it asks for more than a limit allows.
    """
    entries = envelope.manifest.wrapped("manifest").map("manifest")
    version = entries.get(VERSION)
    if version is None or version.integer("manifest-version") != 1:
        shown = "none" if version is None else version.number
        raise FormatError(
            f"the version is {shown}; 1 is read", offset=envelope.manifest.span.start, field="manifest-version"
        )
    common = _common(entries, envelope)
    severed = tuple(_severed(envelope, entries))
    sequences = _sequences(entries, severed)
    return Manifest(
        sequence=None if SEQUENCE not in entries else entries[SEQUENCE].integer("manifest-sequence-number"),
        version=_set_version(entries.get(SET_VERSION)),
        component_id="" if COMPONENT_ID not in entries else component_name(entries[COMPONENT_ID]),
        reference=(REFERENCE in entries and entries[REFERENCE].words) or "",
        components=_components(common.get(COMPONENTS)),
        dependencies=_dependencies(common.get(DEPENDENCIES)),
        shared=None if SHARED not in common else common[SHARED].wrapped("shared-sequence"),
        sequences=sequences,
        severed=severed,
        twice=tuple(name for key, name in SEVERABLE.items() if _inline(entries.get(key)) and key in envelope.entries),
        texts=_texts(entries, severed),
    )


def _common(entries: Mapping[Key, Item], envelope: Envelope) -> Mapping[Key, Item]:
    if COMMON not in entries:
        raise FormatError("there is no common part", offset=envelope.manifest.span.start, field="common")
    return entries[COMMON].wrapped("common").map("common")


def _inline(item: Item | None) -> bool:
    return item is not None and item.major is Major.BYTES


def _severed(envelope: Envelope, entries: Mapping[Key, Item]) -> list[Severed]:
    found = []
    for key, name in SEVERABLE.items():
        stated, item = entries.get(key), envelope.entries.get(key)
        known = read_digest(stated, name) if stated is not None and stated.major is Major.ARRAY else None
        if item is not None:
            _bounded(item, name)
        if known is not None or item is not None:
            found.append(Severed(name, known, item, None if item is None else compute(known, item)))
    return found


def _sequences(entries: Mapping[Key, Item], severed: tuple[Severed, ...]) -> dict[str, Item]:
    """Return the sequences that lie in the manifest, or beside it with the digest that it states."""
    beside = {each.name: each.item for each in severed if each.matches and each.item is not None}
    found = {}
    for key, name in SEQUENCES.items():
        inside = entries.get(key)
        item = inside if inside is not None and inside.major is Major.BYTES else beside.get(name)
        if item is not None:
            found[name] = item.wrapped(name)
    return found


def _components(item: Item | None) -> tuple[str, ...]:
    found = () if item is None else item.array("components")
    if len(found) > MAX_COMPONENTS:
        message = f"{len(found)} components, at most MAX_COMPONENTS ({MAX_COMPONENTS}) are read"
        raise LimitError(message, offset=found[0].span.start, field="components")
    return tuple(component_name(each) for each in found)


def _dependencies(item: Item | None) -> dict[int, str]:
    found = {}
    for key, value in {} if item is None or item.major is not Major.MAP else item.map("dependencies").items():
        if not isinstance(key, int) or not 0 <= key < MAX_COMPONENTS:
            raise FormatError("an index is expected", offset=value.span.start, field="dependencies")
        prefix = value.map("dependencies").get(1)
        found[key] = f"dependency {key}" if prefix is None else component_name(prefix)
    return found


def component_name(item: Item) -> str:
    """Return a component identifier as text: its segments with slashes between, in hex where they are no text.

    Raises:
        FormatError: it is no array of byte strings.
    """
    segments = [each.data("component-identifier", limit=MAX_FIELD) for each in item.array("component-identifier")]
    return "/".join(_segment(each) for each in segments)


def _segment(data: bytes) -> str:
    shown = data.decode("ascii") if data.isascii() else ""
    return shown if shown and shown.isprintable() else data.hex()


def identifier(item: Item) -> str:
    """Return a vendor, class or device identifier: a UUID, a private enterprise number, or hex.

    Raises:
        FormatError: it is no byte string.
    """
    number, inner = item.tagged()
    data = inner.data("identifier", limit=MAX_FIELD)
    if number is None and len(data) == 16:  # noqa: PLR2004 - RFC 9562
        return str(uuid.UUID(bytes=data))
    return data.hex() if number is None else f"PEN {data.hex()}"


def _set_version(item: Item | None) -> str:
    return "" if item is None else version_text(item.wrapped("set-version"))


def version_text(item: Item) -> str:
    """Return a version of numbers as text; negative ones are pre-releases (update-management, 5.6).

    Raises:
        FormatError: it is no array of numbers.
    """
    words = {-1: "-rc", -2: "-beta", -3: "-alpha"}
    text = ""
    for each in item.array("version"):
        number = each.integer("version")
        text += words.get(number, f"-{-number}") if number < 0 else f"{'.' if text else ''}{number}"
    return text


_COMPONENT_TEXTS: Final = {
    1: "vendor name",
    2: "model name",
    3: "vendor domain",
    4: "model info",
    5: "component description",
    6: "component version",
    7: "version required",
}
_TEXTS: Final = {1: "manifest description", 2: "update description"}
MAX_TEXT: Final = 400  # characters that are shown


def _texts(entries: Mapping[Key, Item], severed: tuple[Severed, ...]) -> dict[str, str]:
    """Return the first text of each kind; one that lies beside the manifest only where its digest agrees."""
    inside = entries.get(TEXT)
    item = inside if inside is not None and inside.major is Major.BYTES else None
    for each in severed:
        if each.name == "text" and each.matches:
            item = each.item
    found: dict[str, str] = {}
    if item is not None:
        for key, value in item.wrapped("text").map("text").items():
            if isinstance(key, str) and value.major is Major.MAP:
                _add_texts(value, found)
            else:
                _add_text(key, value, found)
    return found


def _add_texts(item: Item, found: dict[str, str]) -> None:
    for key, value in item.pairs():
        _add_text(key, value, found)


def _add_text(key: Key, value: Item, found: dict[str, str]) -> None:
    if isinstance(key, int) and key in _TEXTS and value.words is not None:
        found.setdefault(_TEXTS[key], _shown(value.words))
    if isinstance(key, Encoded) and value.major is Major.MAP:
        for inner, text in value.pairs():
            if isinstance(inner, int) and inner in _COMPONENT_TEXTS and text.words is not None:
                found.setdefault(_COMPONENT_TEXTS[inner], _shown(text.words))


def _shown(text: str) -> str:
    """Return the beginning of a text on one line, without control characters."""
    line = " ".join(text[: 4 * MAX_TEXT].split())
    return "".join(each for each in line if each.isprintable())[:MAX_TEXT]


def looks_like_envelope(source: Source) -> bool:
    """Return whether a file begins like an envelope: by its tag, or by a map with a manifest of version 1."""
    head = source.read(0, 6).removeprefix(b"\xd9\xd9\xf7")
    if head.startswith(b"\xd8\x6b"):
        return True
    if len(head) < 3 or head[0] >> 5 != Major.MAP or head[1] not in {1, 2, 3} or head[2] >> 5 != Major.BYTES:  # noqa: PLR2004 - the map's head, its first key, and the value's head
        return False
    try:
        item = Document(source).first(Span(0, source.size), "SUIT_Envelope").tagged()[1]
        manifest = item.map("SUIT_Envelope")[MANIFEST]
        _bounded(manifest, "manifest")
        inside = read(manifest.data("manifest"), "manifest").map("manifest")
        return inside[VERSION].number == 1 and COMMON in inside
    except (FormatError, KeyError):
        return False
