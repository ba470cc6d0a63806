"""A plain file with a detached signature beside it: raw, CMS, PEM or base64 (formats.md 3.11).

The signature file is the companion `signature`; a file that has one is claimed by this format whatever it holds, so
that no given signature is ever left out in silence. What the file holds is opened as its only image.

A raw signature names no algorithm: every declared key that could have made it is tried under every scheme, and the one
that fits is reported. Digests are computed in two rounds, the usual hashes first.

Source: RFC 5652 (CMS), RFC 8017 (RSA), RFC 3279 2.2.3 (ECDSA in DER), RFC 8032 (Ed25519), RFC 7468 (PEM).
"""

from __future__ import annotations

from collections.abc import Generator, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Final

from checker.crypto.cms import SignedMessage, looks_like_cms
from checker.crypto.signatures import Prehash, candidates, fits, needs_message
from checker.errors import CryptoError, FormatError, LimitError, UnsupportedAlgorithmError
from checker.formats import _common as common
from checker.formats._magic import hint
from checker.formats._raw_signature import from_base64, from_pem, judge, looks_like_pgp, plausible_keys, prehashes
from checker.formats.contract import Context, Format, Parse
from checker.io.digests import DigestRequest, Literal, Piece, supported
from checker.io.limits import MAX_HEADER
from checker.io.sources import Window
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
)
from checker.model.terms import Outcome

WEAKNESSES: Final = common.WEAKNESSES
COMPANION: Final = "signature"
PURPOSE: Final = "code-signing"
MAX_MESSAGE: Final = MAX_HEADER  # bytes of a file that Ed25519 or ML-DSA signed directly; larger ones stay undecided
USUAL: Final = ("sha-256", "sha-384", "sha-512")
WINDOW: Final = 64 * 1024  # bytes that are looked at in three places to see whether a file lies in clear
_MINISIGN: Final = b"untrusted comment:"

Digests = Generator[Sequence[DigestRequest], Mapping[DigestRequest, bytes], dict[str, bytes]]


def _detect(source: Source, context: Context) -> bool:  # noqa: ARG001 - the contract's signature
    return COMPANION in context.companions


def _parse(source: Source, context: Context) -> Parse:
    companion = context.companions.get(COMPANION)
    if companion is None:
        raise FormatError("there is no signature file beside it; name one with `signature:`", field=COMPANION)
    if source.size == 0:
        raise FormatError("the signed file is empty", field="content")
    data = companion.read(0, MAX_HEADER + 1)
    if len(data) > MAX_HEADER:
        raise LimitError(f"the signature has more than MAX_HEADER ({MAX_HEADER}) bytes", field=COMPANION)
    signatures = yield from _judge(source, data, context)
    covers = Span(0, source.size)
    return _artifact(source, companion, tuple(replace(signature, covers=(covers,)) for signature in signatures))


Judged = Generator[Sequence[DigestRequest], Mapping[DigestRequest, bytes], tuple[Signature, ...]]


def _judge(source: Source, data: bytes, context: Context) -> Judged:
    if not data.strip():
        return (Signature(outcome=Outcome.ABSENT, note="the signature file is empty"),)
    decoded = from_pem(data) or from_base64(data)
    for form in (data, decoded):
        if form is not None and looks_like_cms(form):
            return (yield from _judge_cms(source, form, context))
    if looks_like_pgp(data) or data.startswith(_MINISIGN):
        kind = "minisign or signify" if data.startswith(_MINISIGN) else "OpenPGP"
        note = f"the signature is {kind}, which is not verified here"
        return (Signature(outcome=Outcome.KEY_UNKNOWN, encoding=kind, note=note),)
    results = []
    for form, prefix in ((data, ""), (decoded, "base64 of ")):
        if form is not None:
            found = yield from _judge_raw(source, form, context)
            results.append(replace(found, encoding=prefix + found.encoding))
    results.sort(key=lambda signature: _ORDER.index(signature.outcome))
    return (results[0],)


_ORDER: Final = (Outcome.VALID, Outcome.UNDECIDABLE, Outcome.INVALID, Outcome.KEY_UNKNOWN, Outcome.ABSENT)


def _judge_raw(
    source: Source, data: bytes, context: Context
) -> Generator[Sequence[DigestRequest], Mapping[DigestRequest, bytes], Signature]:
    """Try the usual hashes in one pass over the file, and the others in a second one only where none of them fits."""
    pairs = [(key, each) for key in plausible_keys(data, context.keys.verifiers) for each in candidates(key)]
    schemes = [each for _, each in pairs]
    hashes = dict.fromkeys(scheme.hash for scheme in schemes if not needs_message(scheme.algorithm))
    whole = any(needs_message(each.algorithm) and not fits(key, len(data)) for key, each in pairs)
    message = _message(source) if whole else None
    usual = tuple(name for name in hashes if name in USUAL)
    digests = yield from _digests(source, usual)
    prehashed = yield from _prehashed(source, prehashes(data, context.keys.verifiers))
    found = judge(data, context.keys.verifiers, digests, message=message, prehashed=prehashed)
    rest = tuple(name for name in hashes if name not in USUAL and supported(name))
    if found.outcome is not Outcome.INVALID or not rest:
        return found
    more = yield from _digests(source, rest)
    return judge(data, context.keys.verifiers, digests | more, message=message, prehashed=prehashed)


def _digests(source: Source, names: Iterable[str]) -> Digests:
    requests = {name: DigestRequest.over(name, source) for name in names}
    answers = yield tuple(requests.values())
    return {name: answers[request] for name, request in requests.items()}


def _prehashed(
    source: Source, wanted: Iterable[Prehash]
) -> Generator[Sequence[DigestRequest], Mapping[DigestRequest, bytes], dict[Prehash, bytes]]:
    """Answer digests with a prefix, so that a file of any size is verified without being held in memory."""
    whole = Piece(source, Span(0, source.size))
    requests = {item: DigestRequest(item.hash, (Literal(item.prefix), whole)) for item in wanted}
    answers = yield tuple(requests.values())
    return {item: answers[request] for item, request in requests.items()}


def _message(source: Source) -> bytes | None:
    try:
        return common.gather((Piece(source, Span(0, source.size)),), "content", MAX_MESSAGE)
    except LimitError:
        return None


def _judge_cms(source: Source, data: bytes, context: Context) -> Judged:
    try:
        message = SignedMessage.parse(data)
    except FormatError as error:
        return (Signature(outcome=Outcome.INVALID, encoding="CMS", note=str(error)),)
    digests = yield from _digests(source, [name for name in message.signer_digests if supported(name)])

    def content_digest(name: str) -> bytes:
        if name not in digests:
            raise UnsupportedAlgorithmError(f"digests with {name!r} are not computed here")
        return digests[name]

    def content() -> bytes:
        found = _message(source)
        if found is None:
            raise UnsupportedAlgorithmError(f"the file is larger than MAX_MESSAGE ({MAX_MESSAGE})")
        return found

    purpose = context.options.get("purpose", PURPOSE)
    try:
        found = message.verify(content_digest, context.keys, context.as_of, purpose, content=content)
    except (CryptoError, FormatError) as error:
        return (Signature(outcome=Outcome.INVALID, encoding="CMS", note=str(error)),)
    return found or (Signature(outcome=Outcome.INVALID, encoding="CMS", note="the message has no signer"),)


# The artifact


def _artifact(source: Source, companion: Source, signatures: tuple[Signature, ...]) -> Artifact:
    whole = Span(0, source.size)
    reached = any(signature.outcome in common.REACHING for signature in signatures)
    encryption = _encryption(source)
    inside = Window(source, source.name, 0, source.size)
    return Artifact(
        format="detached",
        title="file with a detached signature",
        name=source.name,
        size=source.size,
        sha256="",
        signatures=signatures,
        # A digest over the whole file binds its size: one byte more or less breaks it.
        coverage=Coverage(payload=(whole,), uncovered=() if reached else (whole,), size_bound=reached),
        encryption=(encryption,),
        images=(Image(id="content", size=source.size, span=whole, encryption=encryption, source=inside),),
        version=Version(version=INEXPRESSIBLE, sequence=INEXPRESSIBLE),
        hardware=INEXPRESSIBLE,
        weaknesses=common.signature_weaknesses(signatures),
        facts=(("signature file", companion.name), ("signature bytes", str(companion.size)), ("content", hint(source))),
    )


def _in_clear(source: Source) -> bool:
    """Return whether beginning, middle and end all hold bytes that no ciphertext holds."""
    starts = (0, max(0, (source.size - WINDOW) // 2), max(0, source.size - WINDOW))
    return all(common.plausible(source.read(start, WINDOW)) for start in starts)


def _encryption(source: Source) -> Encryption:
    if _in_clear(source):
        return Encryption(encrypted=False)
    return Encryption(encrypted=None, note="the bytes look random: encrypted or compressed, and nothing says which")


FORMAT: Final = Format(
    id="detached",
    title="file with a detached signature",
    detect=_detect,
    parse=_parse,
    references=("RFC 5652", "RFC 8017", "RFC 3279 section 2.2.3", "RFC 8032", "RFC 7468"),
)
