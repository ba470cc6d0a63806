"""SWUpdate images: the payload is the members that the sw-description names, the signature is over the description.

Sums of the archive (070702) are made right after every change: no key protects them, and a verifier that stops there
has not looked at the digest. An encrypted sw-description is signed in its plain form, which nobody without the key can
sign again.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Final

from checker.crypto.cms import looks_like_cms
from checker.crypto.cms_layout import layout
from checker.crypto.signing import Message
from checker.crypto.staging import Signer
from checker.errors import FormatError
from checker.formats._cpio import Archive, Member, read_archive
from checker.formats._raw_signature import looks_like_pgp
from checker.formats._sw_description import MAX_SIZE, Description, Entry, read_description
from checker.formats.swupdate import DESCRIPTION, SIGNATURE
from checker.io.digests import Literal
from checker.io.limits import MAX_HEADER
from checker.model.artifact import Signature, Source
from checker.model.terms import Outcome
from checker.trials._edits import changed_source, patched, then
from checker.trials.anatomies._cms_parts import CmsParts
from checker.trials.anatomies._cpio_edit import size_field, with_members, with_sums
from checker.trials.anatomies._raw_parts import value_of
from checker.trials.anatomies._texts import NESTED, quoted
from checker.trials.contract import ARTIFACT, Anatomy, Body, Change, Content, Genuine, Part

FIELDS: Final = (
    "version",
    "hardware-compatibility",
    "filename",
    "sha256",
    "device",
    "volume",
    "path",
    "mtdname",
    "type",
    "ivt",
)
_HIDDEN: Final = "the sw-description is encrypted, and signed in its plain form"
_UNSIGNED: Final = "the sw-description has no signature directly behind it"
VALUE: Final = "signature value"


@dataclass(frozen=True)
class _Image:
    """One archive, opened."""

    source: Source
    archive: Archive

    @classmethod
    def of(cls, source: Source) -> _Image:
        archive = read_archive(source)
        if not archive.members or archive.members[0].name != DESCRIPTION:
            raise FormatError(f"the first member is not {DESCRIPTION}", field="cpio")
        return cls(source, archive)

    def bytes_of(self, member: Member) -> bytes:
        return self.source.read(member.span.start, min(member.span.size, MAX_HEADER))

    @cached_property
    def text(self) -> bytes:
        return self.bytes_of(self.archive.members[0])

    @cached_property
    def description(self) -> Description | None:
        try:
            return read_description(self.text[: MAX_SIZE + 1], 0)
        except FormatError:
            return None

    @property
    def signature(self) -> Member | None:
        second = self.archive.members[1:2]
        return second[0] if second and second[0].name == SIGNATURE else None

    def payload(self) -> tuple[Part, ...]:
        names = {entry.filename for entry in self.description.entries} if self.description else None
        own = (member for member in self.archive.members if member.name not in {DESCRIPTION, SIGNATURE})
        return tuple(
            Part(name=member.name, span=member.span) for member in own if names is None or member.name in names
        )

    def cipher(self) -> tuple[Part, ...]:
        entries: tuple[Entry, ...] = self.description.entries if self.description else ()
        names = {entry.filename for entry in entries if entry.cipher}
        found = (member for member in self.archive.members if member.name in names)
        return tuple(Part(name=f"ciphertext of {member.name}", span=member.span) for member in found)

    def with_signature(self, data: bytes | None) -> Change:
        return Change(changed={ARTIFACT: with_members(self.source, self.archive, {SIGNATURE: data})})


def _read(genuine: Genuine) -> Body:
    image = _Image.of(genuine.source)
    body = Body(
        payload=image.payload(),
        metadata=quoted(image.text, FIELDS, image.archive.members[0].span.start) if image.description else (),
        cipher=image.cipher(),
        outer=True,
        repaired=lambda change: _repaired(image, change),
        malformed=_malformed(image) if image.description else {},
        oversized=_oversized(image),
        notes={"cipher": "no member is encrypted", "downgraded": "one signature is all that the installer reads"},
    )
    if image.signature is None:
        return replace(body, notes={**body.notes, **dict.fromkeys(("signatures", "stripped", "signed_by"), _UNSIGNED)})
    return _signed(genuine, image, replace(body, stripped=image.with_signature(None)))


def _repaired(image: _Image, change: Change) -> Change:
    content = change.changed.get(ARTIFACT)
    if content is None:
        return change
    return replace(change, changed={**change.changed, ARTIFACT: with_sums(image.source, image.archive, content)})


def _signed(genuine: Genuine, image: _Image, body: Body) -> Body:
    member = image.signature
    if member is None:
        return body
    data = image.bytes_of(member)
    if looks_like_pgp(data):
        why = "OpenPGP signatures are not made here"
        return replace(body, notes={**body.notes, **dict.fromkeys(("signatures", "signed_by", "resigned"), why)})
    body = _cms(genuine, image, body, data) if looks_like_cms(data) else _raw(genuine, image, body, member)
    if image.description is None:
        notes = {**body.notes, **dict.fromkeys(("metadata", "signed_by", "resigned", "weakly"), _HIDDEN)}
        return replace(body, signed_by=None, resigned=None, weakly=None, notes=notes)
    return body


def _cms(genuine: Genuine, image: _Image, body: Body, data: bytes) -> Body:
    member = image.signature
    start = member.span.start if member else 0
    parts = CmsParts(layout(data), ARTIFACT, image.source.size, image.with_signature, start)

    def signed(signer: Signer, change: Change, hash_name: str = "") -> Change:
        return _again(genuine, change, lambda text: parts.made_by(signer, text, hash_name))

    own = replace(
        body,
        signed_by=lambda signer: signed(signer, Change()),
        resigned=signed,
        weakly=lambda signer, hash_name: signed(signer, Change(), hash_name),
    )
    return parts.onto(own)


def _raw(genuine: Genuine, image: _Image, body: Body, member: Member) -> Body:
    found = genuine.artifact.signatures[0] if genuine.artifact.signatures else Signature(outcome=Outcome.ABSENT)

    def signed(signer: Signer, change: Change) -> Change:
        return _again(genuine, change, lambda text: value_of(found, signer, text))

    known = bool(found.algorithm)
    why = "no declared key verifies the genuine signature, so its scheme is not known"
    notes = {} if known else dict.fromkeys(("signed_by", "resigned"), why)
    return replace(
        body,
        signatures=(Part(name=VALUE, span=member.span),),
        with_value=lambda _, value: image.with_signature(value),
        signed_by=(lambda signer: signed(signer, Change())) if known else None,
        resigned=signed if known else None,
        notes={**body.notes, **notes, "weakly": "raw signatures of SWUpdate are over SHA-256 only"},
    )


def _again(genuine: Genuine, change: Change, make: Callable[[Message], bytes]) -> Change:
    """Return a changed archive with a new signature over the description that it has now."""
    now = _Image.of(changed_source(genuine, ARTIFACT, change))
    return then(change, now.with_signature(make((Literal(now.text),))))


def _malformed(image: _Image) -> dict[str, Change]:
    text = image.text
    json = text.lstrip().startswith(b"{")
    deep = b'{"software": ' + b"[" * NESTED if json else b"software = { a = " + b"( " * NESTED
    twice = text.replace(b"version", b"version%s" % (b'": "0.0.1", "version' if json else b' = "0.0.1";\nversion'), 1)
    return {
        "a description nested 20,000 deep": _described(image, deep),
        "a description with one setting twice": _described(image, twice),
        "a description cut short": _described(image, text[: len(text) // 2]),
        "a description that is empty": _described(image, b""),
    }


def _described(image: _Image, text: bytes) -> Change:
    return Change(changed={ARTIFACT: with_members(image.source, image.archive, {DESCRIPTION: text})})


def _oversized(image: _Image) -> dict[str, Change]:
    found = {}
    for part in image.payload()[:1]:
        place = size_field(image.archive, part.name)
        content: Content = patched(image.source.size, [(place.start, b"FFFFFFFF")])
        found[f"the archive says that {part.name} has 4 GiB"] = Change(changed={ARTIFACT: content})
    return found


ANATOMY = Anatomy(id="swupdate", read=_read)
