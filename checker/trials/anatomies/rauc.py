"""RAUC bundles: plain (a detached message over the payload), verity (the message carries the manifest), and crypt.

A wrapped message (crypt) holds signature and manifest inside an envelope; only somebody who opens it could change them.
The payload of verity and crypt is protected by the tree whose root the manifest states: a device notices a changed
block when it reads it, which is `digest`.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

from checker.crypto.cms_layout import SIGNED, layout
from checker.crypto.staging import Signer
from checker.errors import FormatError
from checker.formats._rauc_layout import SIZE_FIELD, BundleLayout, read_layout
from checker.formats._rauc_manifest import looks_like_manifest, read_manifest
from checker.io.digests import Piece
from checker.io.limits import MAX_HEADER
from checker.model.artifact import Source, Span
from checker.trials._edits import changed_source, then
from checker.trials.anatomies._cms_parts import CmsParts
from checker.trials.anatomies._texts import lines
from checker.trials.contract import ARTIFACT, Anatomy, Body, Change, Content, Genuine, Part

FIELDS: Final = (
    "compatible",
    "version",
    "format",
    "verity-hash",
    "verity-salt",
    "verity-size",
    "crypt-key",
    "filename",
    "sha256",
    "size",
)
_ALONE: Final = "a manifest without its bundle has its signature in a file beside it"
_INSIDE: Final = "signature and manifest are inside the envelope"


@dataclass(frozen=True)
class _Bundle:
    """One bundle: its layout, and the message behind the payload."""

    source: Source
    where: BundleLayout
    parts: CmsParts

    @classmethod
    def of(cls, source: Source) -> _Bundle:
        where = read_layout(source)
        if where.message.size > MAX_HEADER:
            raise FormatError("the message is larger than any", offset=where.message.start, field="CMS message")
        message = layout(source.read(where.message.start, where.message.size))

        def wrap(data: bytes) -> Change:
            size = len(data).to_bytes(SIZE_FIELD, "big")
            return Change(changed={ARTIFACT: Content(pieces=(where.payload, data + size))})

        return cls(source, where, CmsParts(message, ARTIFACT, source.size, wrap, where.message.start))

    @property
    def manifest(self) -> bytes:
        """Return the manifest that the message carries, nothing for a plain bundle."""
        message = self.parts.message
        return b"".join(message.data[span.start : span.end] for span in message.content)

    def signature(self, signer: Signer, hash_name: str = "") -> Change:
        whole = (Piece(self.source, self.where.payload),)
        return self.parts.signed_by(signer, whole if self.parts.message.detached else None, hash_name)

    def with_manifest(self, text: bytes) -> Change:
        return self.parts.wrap(self.parts.message.with_content(text))


def _read(genuine: Genuine) -> Body:
    if looks_like_manifest(genuine.source):
        raise FormatError(_ALONE, field="signature")
    bundle = _Bundle.of(genuine.source)
    if bundle.parts.message.kind != SIGNED:
        return _enveloped(bundle)
    return _signed(genuine, bundle)


def _signed(genuine: Genuine, bundle: _Bundle) -> Body:
    parts, detached = bundle.parts, bundle.parts.message.detached
    body = Body(
        payload=(Part(name="payload", span=bundle.where.payload),),
        direct=True,
        outer=True,
        stripped=parts.without,
        signed_by=bundle.signature,
        resigned=lambda signer, change: _again(genuine, signer, change),
        weakly=bundle.signature,
        malformed=_malformed(bundle),
        oversized=_oversized(bundle),
        notes={"cipher": "the bundle is not encrypted"},
    )
    body = parts.onto(body)
    return body if detached else _with_manifest(bundle, body)


def _again(genuine: Genuine, signer: Signer, change: Change) -> Change:
    now = _Bundle.of(changed_source(genuine, ARTIFACT, change))
    return then(change, now.signature(signer))


def _with_manifest(bundle: _Bundle, body: Body) -> Body:
    """Return the parts of a bundle whose manifest is in the message: its fields, and the data without the hash tree."""
    manifest = read_manifest(bundle.manifest)
    payload = bundle.where.payload
    data = Span(payload.start, max(payload.end - manifest.verity_size, payload.start))
    content = bundle.parts.message.content
    start = bundle.where.message.start + content[0].start
    fields = lines(bundle.manifest, FIELDS, start) if len(content) == 1 else ()
    sealed = manifest.format == "crypt"
    return replace(
        body,
        payload=(Part(name="payload", span=data),),
        metadata=(*fields, *body.metadata),
        cipher=(Part(name="ciphertext", span=data),) if sealed else (),
        direct=False,
    )


def _enveloped(bundle: _Bundle) -> Body:
    message = bundle.parts.message
    cipher = tuple(bundle.parts.part(f"{name} of the message", span) for name, span in message.cipher)
    payload = Part(name="payload", span=bundle.where.payload)
    fields = ("metadata", "signatures", "stripped", "signed_by", "weakly", "downgraded", "certificates")
    return Body(
        payload=(payload,),
        cipher=(*cipher, replace(payload, name="ciphertext of the payload")),
        outer=True,
        oversized=_oversized(bundle),
        malformed={key: value for key, value in _malformed(bundle).items() if "manifest" not in key},
        broken=bundle.parts.broken,
        notes=dict.fromkeys(fields, _INSIDE),
    )


def _malformed(bundle: _Bundle) -> dict[str, Change]:
    text = bundle.manifest
    found = {
        "no message at all": bundle.parts.wrap(b""),
    }
    if text:
        # A section twice is no fault: GKeyFile merges them, and rauc takes a signed manifest of that kind.
        found["a manifest without the section [update]"] = bundle.with_manifest(text.replace(b"[update]", b"[updatf]"))
        found["a manifest that is empty"] = bundle.with_manifest(b"")
        found["a manifest with a key of 100,000 letters"] = bundle.with_manifest(
            text + b"\n" + b"k" * 100_000 + b"=1\n"
        )
    return found


def _oversized(bundle: _Bundle) -> dict[str, Change]:
    sizes = {"8 EiB": (1 << 63) - 1, "one byte more than the file": bundle.source.size + 1}
    kept = Span(0, bundle.source.size - SIZE_FIELD)
    return {
        f"the message is said to have {words}": Change(
            changed={ARTIFACT: Content(pieces=(kept, size.to_bytes(SIZE_FIELD, "big")))}
        )
        for words, size in sizes.items()
    }


ANATOMY = Anatomy(id="rauc", read=_read)
