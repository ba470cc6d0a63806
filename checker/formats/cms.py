"""A file that is one CMS message: signed, encrypted, or signed and then encrypted (RFC 5652, RFC 5083).

Vendors send images as `.p7m` files. A signature inside an envelope counts as the file's own, since nothing else is in
the envelope; while the envelope is closed, whether there is one is not known. A SignedData without its content is a
detached signature and belongs beside the file that it signs.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Final

from checker.crypto.cms import SignedMessage, looks_like_cms
from checker.errors import CryptoError, FormatError
from checker.formats import _common as common
from checker.formats._clear import encryption_of
from checker.formats._enveloped import (
    TRAILING,
    UNAUTHENTICATED,
    Envelope,
    place,
    read_envelope,
    trailing,
    whole,
)
from checker.formats._enveloped import WEAKNESSES as ENVELOPE_WEAKNESSES
from checker.formats.contract import PLAINTEXT, Context, Format, Parse
from checker.io.sources import BytesSource
from checker.model.artifact import (
    INEXPRESSIBLE,
    Artifact,
    Coverage,
    Encryption,
    Image,
    Signature,
    Source,
    Span,
    Version,
    Weakness,
)
from checker.model.terms import Outcome

WEAKNESSES: Final = tuple(dict.fromkeys((*common.WEAKNESSES, *ENVELOPE_WEAKNESSES, TRAILING)))
PURPOSE: Final = "code-signing"
COMPANION: Final = "signature"
_BEGINNING: Final = 32  # bytes: enough to tell the kind


def _detect(source: Source, context: Context) -> bool:
    return COMPANION not in context.companions and looks_like_cms(source.read(0, _BEGINNING))


def _parse(source: Source, context: Context) -> Parse:
    yield ()  # no digest is asked for: a message is held in memory as a whole
    envelope = read_envelope(source, context.keys, context.options.get(PLAINTEXT, ""))
    data = whole(source)
    found = _signed(source, data, context) if envelope is None else _enveloped(source, envelope, context)
    return replace(found, weaknesses=(*found.weaknesses, *trailing(data)))


# Signed


def _signed(source: Source, data: bytes, context: Context) -> Artifact:
    message = SignedMessage.parse(data)
    if message.content is None:
        raise FormatError("is a detached signature: open the signed file, with this one as its signature", field="CMS")
    signatures = _verify(message, context)
    span = place(data, message.content)
    content = BytesSource("content", message.content)
    return _artifact(source, "CMS signed message", span, signatures, encryption_of(content), content)


def _verify(message: SignedMessage, context: Context) -> tuple[Signature, ...]:
    purpose = context.options.get("purpose", PURPOSE)
    try:
        found = message.verify(None, context.keys, context.as_of, purpose)
    except (CryptoError, FormatError) as error:
        return (Signature(outcome=Outcome.INVALID, encoding="CMS attached", note=str(error)),)
    absent = Signature(outcome=Outcome.ABSENT, encoding="CMS attached", note="the message has no signer")
    return found or (absent,)


# Enveloped


def _enveloped(source: Source, envelope: Envelope, context: Context) -> Artifact:
    title = "CMS encrypted message"
    clear = envelope.clear
    signatures: tuple[Signature, ...]
    if clear is None:
        note = f"a signature may lie inside the envelope: {envelope.note}"
        signatures = (Signature(outcome=Outcome.UNDECIDABLE, note=note),)
    elif (message := _signed_inside(clear)) is None:
        signatures = (Signature(outcome=Outcome.ABSENT),)
    else:
        title, signatures = "CMS signed and encrypted message", _verify(message, context)
        clear = BytesSource("content", message.content or b"")
    found = _artifact(source, title, envelope.span, signatures, envelope.encryption, clear, note=envelope.note)
    weak = [item for item in envelope.weaknesses if item.code != UNAUTHENTICATED or found.coverage.uncovered]
    return replace(found, recipients=envelope.recipients, weaknesses=_merged(found.weaknesses, weak))


def _signed_inside(clear: Source) -> SignedMessage | None:
    """Return the signed message that an envelope holds; a damaged one is opened as an inner file, and says so there."""
    data = clear.read(0, clear.size)
    if not looks_like_cms(data):
        return None
    try:
        message = SignedMessage.parse(data)
    except FormatError:
        return None
    return message if message.content is not None else None


def _merged(first: Iterable[Weakness], second: Iterable[Weakness]) -> tuple[Weakness, ...]:
    return tuple({(item.code, item.where): item for item in (*first, *second)}.values())


# The artifact


def _artifact(
    source: Source,
    title: str,
    span: Span,
    signatures: tuple[Signature, ...],
    encryption: Encryption,
    content: Source | None,
    *,
    note: str = "",
) -> Artifact:
    outcomes = {signature.outcome for signature in signatures}
    undecided = outcomes == {Outcome.UNDECIDABLE} and content is None
    reached = bool(outcomes & common.REACHING)
    covered = tuple(
        replace(signature, covers=(span,)) if signature.outcome is not Outcome.ABSENT else signature
        for signature in signatures
    )
    image = Image(
        id="content",
        size=content.size if content is not None else span.size,
        span=span,
        encryption=encryption,
        source=content,
        note=note,
    )
    return Artifact(
        format="cms",
        title=title,
        name=source.name,
        size=source.size,
        sha256="",
        signatures=covered,
        coverage=Coverage(
            payload=(span,),
            uncovered=() if reached else (span,),
            undecided=(span,) if undecided else (),
            size_bound=None if undecided else reached,
        ),
        encryption=(encryption,),
        images=(image,),
        version=Version(version=INEXPRESSIBLE, sequence=INEXPRESSIBLE),
        hardware=INEXPRESSIBLE,
        weaknesses=() if undecided else common.signature_weaknesses(_present(covered)),
    )


def _present(signatures: tuple[Signature, ...]) -> tuple[Signature, ...]:
    return tuple(signature for signature in signatures if signature.outcome is not Outcome.ABSENT)


FORMAT: Final = Format(
    id="cms",
    title="CMS message (.p7m): signed, encrypted, or both",
    detect=_detect,
    parse=_parse,
    options={
        "purpose": "the extended key usage that signers need, by name or dotted; code-signing unless said",
        PLAINTEXT: "the SHA-256 of what was encrypted, in hex: proves a decryption that has no tag",
    },
    references=("RFC 5652", "RFC 5083", "RFC 9629"),
)
