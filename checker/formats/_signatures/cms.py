"""Cryptographic Message Syntax: DER, BER, PEM or base64 (RFC 5652, RFC 7468)."""

from __future__ import annotations

from typing import Final

from checker.crypto.cms import SignedMessage, looks_like_cms
from checker.errors import CryptoError, FormatError, UnsupportedAlgorithmError
from checker.formats._raw_signature import from_base64, from_pem
from checker.formats._signatures.contract import (
    MAX_MESSAGE,
    Judged,
    Judgement,
    SignatureKind,
    digests_of,
    message_of,
    prehashed_of,
)
from checker.formats.contract import Context
from checker.io.digests import supported
from checker.model.artifact import Signature, Source
from checker.model.terms import Outcome

PURPOSE: Final = "code-signing"


def _form(data: bytes) -> bytes | None:
    forms = (data, from_pem(data) or from_base64(data))
    return next((form for form in forms if form is not None and looks_like_cms(form)), None)


def _judge(source: Source, data: bytes, context: Context) -> Judged:
    try:
        message = SignedMessage.parse(_form(data) or data)
    except FormatError as error:
        return _invalid(str(error))
    digests = yield from digests_of(source, [name for name in message.signer_digests if supported(name)])
    prehashed = yield from prehashed_of(source, message.prehashes(context.keys))

    def content_digest(name: str) -> bytes:
        if name not in digests:
            raise UnsupportedAlgorithmError(f"digests with {name!r} are not computed here")
        return digests[name]

    def content() -> bytes:
        found = message_of(source)
        if found is None:
            raise UnsupportedAlgorithmError(f"the file is larger than MAX_MESSAGE ({MAX_MESSAGE})")
        return found

    purpose = context.options.get("purpose", PURPOSE)
    try:
        found = message.verify(
            content_digest, context.keys, context.as_of, purpose, content=content, prehashed=prehashed
        )
    except (CryptoError, FormatError) as error:
        return _invalid(str(error))
    return Judgement(signatures=found) if found else _invalid("the message has no signer")


def _invalid(note: str) -> Judgement:
    return Judgement(signatures=(Signature(outcome=Outcome.INVALID, encoding="CMS", note=note),))


KIND: Final = SignatureKind(
    id="cms",
    title="CMS",
    detect=lambda data, _: _form(data) is not None,
    judge=_judge,
    references=("RFC 5652", "RFC 7468 sections 8 and 9"),
)
