"""A plain file with a detached signature beside it, of any kind of `_signatures` (formats.md 3.11).

The signature file is the companion `signature`; a file that has one is claimed by this format whatever it holds, so
that no given signature is ever left out in silence. What the file holds is opened as its only image; of an encrypted
CMS message that is the decrypted content, and encryption and recipients are the file's own. Files that carry such a
signature in themselves (signify `-e`, OpenPGP signed text) are claimed too.

Source: each kind's own references; RFC 7468 (PEM); RFC 5652 section 6 and RFC 5083 (encrypted content).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Final

from checker.crypto.keyring import KeyRing
from checker.discovery import discover
from checker.errors import FormatError, LimitError
from checker.formats import _common as common
from checker.formats import _embedded as embedded
from checker.formats._clear import encryption_of
from checker.formats._enveloped import UNAUTHENTICATED, Envelope, read_envelope
from checker.formats._enveloped import WEAKNESSES as ENVELOPE_WEAKNESSES
from checker.formats._magic import hint
from checker.formats._signatures.contract import Judgement, SignatureKind
from checker.formats._signatures.raw import CONTEXT
from checker.formats.contract import PLAINTEXT, Context, Format, Parse
from checker.io.limits import MAX_HEADER
from checker.io.sources import Window
from checker.model.artifact import (
    INEXPRESSIBLE,
    Artifact,
    Coverage,
    Image,
    Signature,
    Source,
    Span,
    Version,
    Weakness,
)
from checker.model.terms import Outcome

COMPANION: Final = "signature"
WEAKNESSES: Final = tuple(
    dict.fromkeys((*common.WEAKNESSES, "unpinned-identity", "trailing-data", "mac-not-signature", *ENVELOPE_WEAKNESSES))
)
_KINDS: Final = "checker.formats._signatures"


def _detect(source: Source, context: Context) -> bool:
    if COMPANION in context.companions:
        return True
    try:
        return embedded.find(source) is not None
    except FormatError:
        return True


def _parse(source: Source, context: Context) -> Parse:
    companion = context.companions.get(COMPANION)
    inside = embedded.find(source) if companion is None else None
    if inside is not None:
        judgement = yield from _kind(inside.signature, context).judge(inside.content, inside.signature, context)
        if inside.trailing:
            text = f"{inside.trailing} bytes follow the signature, and nothing signs them"
            doubt = Weakness(code="trailing-data", message=text, where=source.name)
            judgement = replace(judgement, weaknesses=(*judgement.weaknesses, doubt))
        return _artifact(source, inside.span, judgement, context, (("signature", "in the file itself"),))
    if companion is None:
        raise FormatError("there is no signature file beside it; name one with `signature:`", field=COMPANION)
    if source.size == 0:
        raise FormatError("the signed file is empty", field="content")
    data = companion.read(0, MAX_HEADER + 1)
    if len(data) > MAX_HEADER:
        raise LimitError(f"the signature has more than MAX_HEADER ({MAX_HEADER}) bytes", field=COMPANION)
    if data.strip():
        judgement = yield from _kind(data, context).judge(source, data, context)
    else:
        judgement = Judgement(signatures=(Signature(outcome=Outcome.ABSENT, note="the signature file is empty"),))
    facts = (("signature file", companion.name), ("signature bytes", str(companion.size)))
    return _artifact(source, Span(0, source.size), judgement, context, facts)


def _kind(data: bytes, context: Context) -> SignatureKind:
    kinds = discover(_KINDS, "KIND", SignatureKind)
    claiming = (kind for fallback in (False, True) for kind in kinds if kind.fallback is fallback)
    return next(kind for kind in claiming if kind.detect(data, context))


def _artifact(
    source: Source, span: Span, judgement: Judgement, context: Context, facts: tuple[tuple[str, str], ...]
) -> Artifact:
    signatures = tuple(replace(signature, covers=(span,)) for signature in judgement.signatures)
    reached = any(signature.outcome in common.REACHING for signature in signatures)
    content = Window(source, source.name, span.start, span.size)
    envelope = _envelope(content, context.keys, context.options.get(PLAINTEXT, ""))
    image = _plain(content, span) if envelope is None else _opened(envelope, span)
    found = [*common.signature_weaknesses(signatures), *judgement.weaknesses, *_doubts(envelope, reached=reached)]
    return Artifact(
        format="detached",
        title="file with a detached signature",
        name=source.name,
        size=source.size,
        sha256="",
        signatures=signatures,
        # A digest over the whole file binds its size: one byte more or less breaks it.
        coverage=Coverage(payload=(span,), uncovered=() if reached else (span,), size_bound=reached),
        encryption=(image.encryption,),
        recipients=() if envelope is None else envelope.recipients,
        images=(image,),
        version=_version(judgement),
        hardware=INEXPRESSIBLE,
        weaknesses=tuple({(item.code, item.where): item for item in found}.values()),
        facts=(*facts, *judgement.facts, ("content", hint(content))),
    )


def _envelope(content: Source, ring: KeyRing, plaintext_sha256: str) -> Envelope | None:
    """Return the encrypted message that the content is; a damaged one is opened as an image, which then says so."""
    try:
        return read_envelope(content, ring, plaintext_sha256)
    except FormatError:
        return None


def _plain(content: Source, span: Span) -> Image:
    return Image(id="content", size=span.size, span=span, encryption=encryption_of(content), source=content)


def _opened(envelope: Envelope, outer: Span) -> Image:
    """Return what an encrypted message holds; without a key it is not opened, since the message itself is known."""
    span = Span(outer.start + envelope.span.start, outer.start + envelope.span.end)
    size = span.size if envelope.clear is None else envelope.clear.size
    return Image(
        id="content",
        size=size,
        span=span,
        encryption=envelope.encryption,
        source=envelope.clear,
        note=envelope.note,
    )


def _doubts(envelope: Envelope | None, *, reached: bool) -> Iterator[Weakness]:
    """Yield what is weak about an encrypted message; a signature over its ciphertext stands in for a tag."""
    for item in () if envelope is None else envelope.weaknesses:
        if item.code != UNAUTHENTICATED or not reached:
            yield item


def _version(judgement: Judgement) -> Version:
    if judgement.version is None:
        return Version(version=INEXPRESSIBLE, sequence=INEXPRESSIBLE)
    return Version(version=judgement.version, sequence=INEXPRESSIBLE, authentic=True)


FORMAT: Final = Format(
    id="detached",
    title="file with a detached signature",
    detect=_detect,
    parse=_parse,
    companions={
        "signature": "the signature file, of any kind",
        "certificate": "the certificate of a cosign signature",
        "rekor": "the log entry of a cosign signature",
    },
    options={
        "purpose": "the extended key usage that signers need, by name or dotted; code-signing unless said",
        CONTEXT: "the context of a raw ML-DSA, SLH-DSA or composite signature, in hex; none unless said",
        PLAINTEXT: "the SHA-256 of what was encrypted, in hex: proves a decryption that has no tag",
        "identity": "the identity that a sigstore certificate must name",
        "issuer": "who must have vouched for that identity",
    },
    references=(
        "RFC 5652",
        "RFC 5083",
        "RFC 8017",
        "RFC 3279 section 2.2.3",
        "RFC 8032",
        "RFC 7468",
        "RFC 9580",
        "jedisct1/minisign",
        "OpenBSD signify(1)",
        "sigstore/protobuf-specs",
        "RFC 6962",
    ),
)
