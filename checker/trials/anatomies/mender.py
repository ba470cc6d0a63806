"""Mender artifacts: the signature is over `manifest`, which states a SHA-256 of every other member and payload file.

A payload in a compressed archive is changed inside it, and the archive packed again: a changed byte of the stream would
be noticed by the decompressor, before any digest, and whoever attacks packs anew as well. That is done for gzip and xz
up to `MAX_HEADER` bytes of decompressed archive; beyond, `notes` say so.
"""

from __future__ import annotations

import base64
import gzip
import lzma
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Final

from checker.crypto.signing import Message
from checker.crypto.staging import Signer
from checker.errors import FormatError
from checker.formats import _tar
from checker.formats._inflate import Inflated, compression
from checker.formats._mender_layout import AT_SIGNATURE, AT_VERSION, MANIFEST, SIGNATURE, Layout, read_layout
from checker.formats._raw_signature import from_base64
from checker.io.digests import Literal
from checker.io.limits import MAX_HEADER
from checker.model.artifact import Signature, Source, Span
from checker.model.terms import Outcome
from checker.trials._edits import changed_source, then
from checker.trials.anatomies._raw_parts import value_of
from checker.trials.anatomies._tar_edit import heads, resized, with_members
from checker.trials.contract import ARTIFACT, Anatomy, Body, Change, Content, Genuine, Part

VALUE: Final = "signature value"
_DIGEST: Final = 64  # hexadecimal digits at the beginning of a line of the manifest
_PACK: Final[dict[str, Callable[[bytes], bytes]]] = {
    "gzip": lambda data: gzip.compress(data, mtime=0),
    "xz": lzma.compress,
}
_LARGE: Final = "the payload is compressed by zstd, or larger than MAX_HEADER when it is decompressed"
_UNKNOWN: Final = "no declared key verifies the genuine signature, so its scheme is not known"


@dataclass(frozen=True)
class _Bundle:
    source: Source
    where: Layout

    @classmethod
    def of(cls, source: Source) -> _Bundle:
        return cls(source, read_layout(source))

    @cached_property
    def members(self) -> tuple[_tar.Member, ...]:
        return tuple(_tar.members(self.source))

    @property
    def manifest(self) -> bytes:
        span = self.where.manifest.span
        return self.source.read(span.start, span.size)

    @property
    def signature(self) -> bytes | None:
        member = self.where.one(AT_SIGNATURE)
        if member is None:
            return None
        return from_base64(self.source.read(member.span.start, min(member.span.size, MAX_HEADER)))

    def replaced(self, name: str, data: bytes | None) -> Change:
        return Change(changed={ARTIFACT: with_members(self.source, self.members, {name: data})})

    def signed(self, value: bytes) -> Change:
        return self.replaced(SIGNATURE, base64.b64encode(value))


def _read(genuine: Genuine) -> Body:
    bundle = _Bundle.of(genuine.source)
    packed = _Packed(bundle)
    payload = (*packed.parts(), *_plain(bundle))
    value = bundle.signature
    member = bundle.where.one(AT_SIGNATURE)
    found = genuine.artifact.signatures[0] if genuine.artifact.signatures else Signature(outcome=Outcome.ABSENT)
    known = bool(found.algorithm)
    place = () if member is None or value is None else (Part(name=VALUE, span=member.span, value=value),)

    def signed(signer: Signer, change: Change) -> Change:
        now = _Bundle.of(changed_source(genuine, ARTIFACT, change))
        text: Message = (Literal(now.manifest),)
        return then(change, now.signed(value_of(found, signer, text)))

    return Body(
        payload=payload,
        metadata=tuple(_fields(bundle)),
        signatures=place,
        stripped=None if member is None else bundle.replaced(SIGNATURE, None),
        with_value=lambda part, data: bundle.signed(data) if part.name == VALUE else packed.changed(part.name, data),
        signed_by=(lambda signer: signed(signer, Change())) if known and place else None,
        resigned=signed if known and place else None,
        malformed=_malformed(bundle),
        oversized=_oversized(bundle),
        notes=_notes(payload, place, known=known),
    )


def _notes(payload: tuple[Part, ...], place: tuple[Part, ...], *, known: bool) -> dict[str, str]:
    found = {
        "cipher": "Mender artifacts are not encrypted",
        "weakly": "Mender signs over SHA-256 only",
        "certificates": "keys have no certificates here",
        "algorithms": "the signature names no algorithm",
        "downgraded": "there is one signature",
    }
    if not payload:
        found["payload"] = _LARGE
    if not place:
        found |= dict.fromkeys(("signatures", "stripped", "signed_by"), "the artifact is not signed")
    elif not known:
        found |= dict.fromkeys(("signed_by", "resigned"), _UNKNOWN)
    return found


def _plain(bundle: _Bundle) -> Iterator[Part]:
    for file in bundle.where.files:
        if not file.compressed:
            yield Part(name=file.name, span=file.span)


def _fields(bundle: _Bundle) -> Iterator[Part]:
    """Yield the digests of the manifest, and the version file: what is signed and steers the install."""
    start, at = bundle.where.manifest.span.start, 0
    for line in bundle.manifest.split(b"\n"):
        if len(line) > _DIGEST:
            name = line[_DIGEST:].strip().decode(errors="replace")
            yield Part(name=f"digest of {name}", span=Span(start + at, start + at + _DIGEST))
        at += len(line) + 1
    version = bundle.where.one(AT_VERSION)
    if version is not None:
        yield Part(name="version file", span=version.span)


@dataclass(frozen=True)
class _Packed:
    """The compressed data archives that are small enough to be packed again."""

    bundle: _Bundle

    @cached_property
    def archives(self) -> dict[str, tuple[_tar.Member, str, bytes]]:
        """Return the decompressed archives by name, with how they are packed."""
        found = {}
        for member in self.bundle.where.archives:
            kind = compression(self.bundle.source.read(member.span.start, 8))
            content = Inflated(self.bundle.source, member.span, kind) if kind in _PACK else None
            data = b"" if content is None else content.read(0, MAX_HEADER + 1)
            if 0 < len(data) <= MAX_HEADER:
                found[member.name] = (member, kind, data)
        return found

    def parts(self) -> Iterator[Part]:
        for member, _, _ in self.archives.values():
            for file in self.bundle.where.files:
                inside = file.source
                if file.compressed and file.span == member.span and inside.size:
                    yield Part(name=file.name, span=member.span, value=inside.read(0, inside.size))

    def changed(self, part: str, value: bytes) -> Change:
        """Return the artifact with other bytes of the same number for one payload file."""
        for name, (member, kind, data) in self.archives.items():
            for file in self.bundle.where.files:
                if file.name == part and file.span == member.span:
                    if len(value) != file.source.size:
                        raise FormatError("another length is not written here", field=part)
                    start = file.end - file.source.size
                    packed = _PACK[kind](data[:start] + value + data[file.end :])
                    return self.bundle.replaced(name, packed)
        raise FormatError("there is no such payload file", field=part)


def _malformed(bundle: _Bundle) -> dict[str, Change]:
    text = bundle.manifest
    first = text.split(b"\n", 1)[0]
    return {
        "a manifest with one line twice": bundle.replaced(MANIFEST, text + first + b"\n"),
        "a manifest with a digest that is none": bundle.replaced(MANIFEST, b"zz" + text[2:]),
        "a manifest that is empty": bundle.replaced(MANIFEST, b""),
        "a version file nested 20,000 deep": bundle.replaced("version", b'{"format":' * 20_000),
    }


def _oversized(bundle: _Bundle) -> dict[str, Change]:
    found = {}
    for archive in bundle.where.archives[:1]:
        head = heads(bundle.members)[archive.name]
        new = resized(bundle.source.read(head.end - _tar.BLOCK, _tar.BLOCK), 0o77777777777)
        content = Content.patched(bundle.source.size, head.end - _tar.BLOCK, new)
        found[f"{archive.name} is said to have 8 GiB"] = Change(changed={ARTIFACT: content})
    return found


ANATOMY = Anatomy(id="mender", read=_read)
