"""CMS messages as files: signed with the content inside, encrypted, and one inside the other (formats.md, RFC 5652).

A signature inside an envelope cannot be changed without the recipient's key; what would be tried there is told in
`notes`. A message is held in memory as a whole, as the format's own parser does (`MAX_HEADER`).
"""

from __future__ import annotations

from checker.crypto.cms_layout import AUTH_ENVELOPED, SIGNED, Layout, layout
from checker.errors import FormatError
from checker.model.artifact import Span
from checker.trials._edits import changed_source, then
from checker.trials.anatomies._cms_parts import CmsParts
from checker.trials.contract import ARTIFACT, Anatomy, Body, Change, Genuine, Part

_INSIDE = "a signature inside the envelope can only be changed by somebody who opens it"
_NO_TAG = "the content is not encrypted"


def _read(genuine: Genuine) -> Body:
    parts = CmsParts.of_file(genuine.source, ARTIFACT)
    if parts.message.kind != SIGNED:
        return _enveloped(parts)
    if parts.message.detached:
        raise FormatError("is a detached signature", field="CMS")
    return _signed(genuine, parts)


def _signed(genuine: Genuine, parts: CmsParts) -> Body:
    cipher, tagged = sealed(parts)
    content = tuple(parts.part("content", span) for span in parts.message.content)
    body = Body(
        payload=tuple(part for part in cipher if part.name == "ciphertext") or content,
        cipher=cipher,
        direct=True,
        tagged=tagged,
        outer=True,
        stripped=parts.without,
        signed_by=lambda signer: parts.signed_by(signer, None),
        resigned=lambda signer, change: then(change, _of_changed(genuine, change).signed_by(signer, None)),
        weakly=lambda signer, hash_name: parts.signed_by(signer, None, hash_name),
        notes={} if cipher else {"cipher": _NO_TAG},
    )
    return parts.onto(body)


def _of_changed(genuine: Genuine, change: Change) -> CmsParts:
    return CmsParts.of_file(changed_source(genuine, ARTIFACT, change), ARTIFACT)


def sealed(parts: CmsParts) -> tuple[tuple[Part, ...], bool]:
    """Return the parts of an encrypted message that a signed one holds in one piece, and whether it has a tag."""
    if len(parts.message.content) != 1 or parts.offset is None:
        return (), False
    span = parts.message.content[0]
    inner = envelope(parts.message.data[span.start : span.end])
    if inner is None:
        return (), False
    moved = ((name, Span(span.start + at.start, span.start + at.end)) for name, at in inner.cipher)
    return tuple(parts.part(name, at) for name, at in moved), inner.kind == AUTH_ENVELOPED


def envelope(data: bytes) -> Layout | None:
    """Return the parts of an encrypted message, or None where the bytes are something else."""
    try:
        found = layout(data)
    except FormatError:
        return None
    return found if found.kind != SIGNED else None


def _enveloped(parts: CmsParts) -> Body:
    cipher = tuple(parts.part(name, span) for name, span in parts.message.cipher)
    fields = ("metadata", "signatures", "stripped", "signed_by", "weakly", "downgraded")
    return Body(
        payload=tuple(part for part in cipher if part.name == "ciphertext"),
        cipher=cipher,
        tagged=parts.message.kind == AUTH_ENVELOPED,
        broken=parts.broken,
        notes=dict.fromkeys(fields, _INSIDE),
    )


ANATOMY = Anatomy(id="cms", read=_read)
