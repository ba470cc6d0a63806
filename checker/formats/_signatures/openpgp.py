"""OpenPGP detached signatures of version 4 and 6, binary or armoured (RFC 9580 5.2, 10.4).

A signature counts where the key may sign: its certificate binds it, neither revokes nor ends it before the evaluation
time, and existed when the signature says that it was made. As update tools do (libjcat, apt), and other than a mail
reader, a key that has expired since refuses the signature: the time inside it is the signer's own claim.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from checker.crypto import openpgp
from checker.crypto.certificates import instant, rfc3339
from checker.crypto.keys import PublicKey
from checker.crypto.openpgp import PgpSignature
from checker.errors import CryptoError, FormatError, UnsupportedAlgorithmError
from checker.formats._raw_signature import looks_like_pgp
from checker.formats._signatures.contract import MAX_MESSAGE, Judged, Judgement, SignatureKind, message_of
from checker.formats.contract import Context
from checker.io.digests import DigestRequest, Literal, Piece, supported
from checker.model.artifact import Signature, Source, Span, Weakness
from checker.model.terms import Outcome

MAX_SIGNATURES: Final = 64  # of one file; release files carry one per active key, a handful
WEAKNESSES: Final = ("signer-expired", "signer-revoked", "wrong-purpose")
_ENCODING: Final = "OpenPGP"


def judge(source: Source, data: bytes, context: Context) -> Judged:
    """Say what is known of each OpenPGP signature over a file."""
    try:
        packets = list(openpgp.packets(openpgp.unarmour(data)))
    except FormatError as error:
        return _damaged(str(error))
    if not packets or len(packets) > MAX_SIGNATURES:
        return _damaged(f"{len(packets)} packets; a signature file has 1 to {MAX_SIGNATURES}")
    found = []
    for packet in packets:
        if packet.kind != openpgp.SIGNATURE:
            return _damaged(f"a packet of type {packet.kind} is no signature")
        try:
            found.append(openpgp.parse_signature(packet))
        except FormatError as error:
            return _damaged(str(error))
        except UnsupportedAlgorithmError as error:
            return Judgement(signatures=(_blank(Outcome.UNDECIDABLE, str(error)),))
    return (yield from _judge_all(source, found, context))


def _damaged(note: str) -> Judgement:
    return Judgement(signatures=(_blank(Outcome.INVALID, f"the signature is damaged: {note}"),))


def _blank(outcome: Outcome, note: str) -> Signature:
    return Signature(outcome=outcome, encoding=_ENCODING, note=note)


def _judge_all(source: Source, found: Sequence[PgpSignature], context: Context) -> Judged:
    content = _content(source, found)
    requests = {number: _request(source, item, content) for number, item in enumerate(found)}
    answers = yield tuple(request for request in requests.values() if request is not None)
    signatures, weaknesses = [], []
    for number, item in enumerate(found):
        request = requests[number]
        digest = None if request is None else answers[request]
        signature, code = _decide(item, digest, context)
        signatures.append(signature)
        if code:
            weaknesses.append(Weakness(code=code, message=signature.note, where=signature.key.name or signature.key.id))
    return Judgement(signatures=tuple(signatures), weaknesses=tuple(weaknesses))


def _content(source: Source, found: Sequence[PgpSignature]) -> bytes | None:
    """Return the file with its lines ended as text signatures want them, where one needs that (RFC 9580 5.2.4)."""
    if not any(item.kind == openpgp.TEXT for item in found):
        return None
    message = message_of(source)
    return None if message is None else message.replace(b"\r\n", b"\n").replace(b"\n", b"\r\n")


def _request(source: Source, item: PgpSignature, content: bytes | None) -> DigestRequest | None:
    try:
        name = item.hash
    except UnsupportedAlgorithmError:
        return None
    if not supported(name) or (item.kind == openpgp.TEXT and content is None):
        return None
    whole = Literal(content or b"") if item.kind == openpgp.TEXT else Piece(source, Span(0, source.size))
    return DigestRequest(name, (Literal(item.salt), whole, Literal(item.trailer)))


def _decide(item: PgpSignature, digest: bytes | None, context: Context) -> tuple[Signature, str]:
    """Return one signature, and the code of what is wrong with its key, or nothing."""
    blank = _blank(Outcome.UNDECIDABLE, "")
    try:
        blank = replace(
            blank, algorithm=openpgp.scheme(item), hash=item.hash, signing_time=openpgp.moment(item.created)
        )
    except UnsupportedAlgorithmError as error:
        return replace(blank, note=str(error)), ""
    if item.kind not in {openpgp.BINARY, openpgp.TEXT}:
        note = f"a signature of type {item.kind:#04x} is not over a file"
        return replace(blank, outcome=Outcome.INVALID, note=note), ""
    keys = [key for key in context.keys.keys if key.terms is not None and set(key.terms.ids) & set(item.issuers)]
    if digest is None:
        note = f"{item.hash} is not computed here, or the text is larger than MAX_MESSAGE ({MAX_MESSAGE})"
        return replace(blank, outcome=Outcome.UNDECIDABLE if keys else Outcome.KEY_UNKNOWN, note=note), ""
    if not keys:
        return _by_bare_key(item, digest, blank, context), ""
    key = keys[0]
    try:
        openpgp.verify(item, key, digest)
    except UnsupportedAlgorithmError as error:
        return replace(blank, key=key.facts, note=str(error)), ""
    except CryptoError as error:
        return replace(blank, outcome=Outcome.INVALID, key=key.facts, note=str(error)), ""
    reason, code = _refusal(item, key, context.as_of)
    outcome = Outcome.INVALID if reason else Outcome.VALID
    return replace(blank, outcome=outcome, key=key.facts, note=reason), code


def _by_bare_key(item: PgpSignature, digest: bytes, blank: Signature, context: Context) -> Signature:
    """Try the declared keys that no certificate names; none of them is known to be the one that the signature names."""
    now = rfc3339(instant(context.as_of))
    for key in context.keys.verifiers:
        if key.terms is not None and key.terms.ids:
            continue
        try:
            openpgp.verify(item, key, digest)
        except CryptoError:
            continue
        reason = _time_refusal(item, now)
        return replace(blank, outcome=Outcome.INVALID if reason else Outcome.VALID, key=key.facts, note=reason)
    names = ", ".join(item.issuers) or "a key that it does not name"
    return replace(blank, outcome=Outcome.KEY_UNKNOWN, note=f"made by {names}, which is not declared")


def _refusal(item: PgpSignature, key: PublicKey, as_of: str) -> tuple[str, str]:
    """Return why a signature that verifies does not count, and the code of it; nothing where it does."""
    terms, now = key.terms, rfc3339(instant(as_of))
    made = openpgp.moment(item.created)
    if terms is None:
        return _time_refusal(item, now), ""
    if terms.revoked:
        return f"the key is {terms.revoked}" if terms.revoked.startswith("revoked") else terms.revoked, "signer-revoked"
    if terms.refused:
        return terms.refused, "wrong-purpose"
    if terms.expires and now >= terms.expires:
        when = "after" if made >= terms.expires else "before"
        return f"the key ended on {terms.expires}; the signature says that it was made {when} that", "signer-expired"
    if terms.created and made < terms.created:
        return f"the signature was made on {made or 'no date'}, before its key ({terms.created})", ""
    return _time_refusal(item, now), ""


def _time_refusal(item: PgpSignature, now: str) -> str:
    made = openpgp.moment(item.created)
    if item.created is None:
        return "the signature does not say when it was made"
    if made > now:
        return f"the signature says that it was made in the future, on {made}"
    ends = openpgp.moment(item.created + item.lifetime) if item.lifetime else ""
    return f"the signature ended on {ends}" if ends and now >= ends else ""


KIND: Final = SignatureKind(
    id="openpgp",
    title="OpenPGP",
    detect=lambda data, _: looks_like_pgp(data),
    judge=judge,
    weaknesses=WEAKNESSES,
    references=("RFC 9580 sections 5.2 and 10.4", "RFC 4880 section 5.2"),
)
