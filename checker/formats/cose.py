"""COSE messages as files (RFC 9052): signed or encrypted content, and SUIT encryption infos beside their ciphertext.

The content lies in the message, or in the companion `payload` (a ciphertext may be called `ciphertext`). COSE has no
field for versions or hardware.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Final

from checker.crypto import cose
from checker.crypto.cose import Message
from checker.formats import _common as common
from checker.formats._cose_payload import SUIT_CONTEXT, Opened, open_ciphertext
from checker.formats.contract import Context, Format, Parse
from checker.io.cbor import Document, Item, Major, encode_head
from checker.io.digests import DigestRequest
from checker.io.limits import MAX_HEADER
from checker.io.sources import Window
from checker.model.artifact import (
    INEXPRESSIBLE,
    Artifact,
    AuthKind,
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

WEAKNESSES: Final = (*common.WEAKNESSES, "mac-not-signature", "trailing-data", "unauthenticated-encryption")
_COMPANIONS: Final = ("payload", "ciphertext")
_HEADS: Final = {encode_head(Major.TAG, number): kind for number, kind in cose.KINDS.items()}
_KINDS: Final = {kind.lower(): kind for kind in cose.KINDS.values()}
_SIGNED: Final = frozenset({"Sign1", "Sign", "Mac0", "Mac"})


def _detect(source: Source, context: Context) -> bool:  # noqa: ARG001 - the contract's signature
    """Look at the tag, the number of elements, and the byte string that is the protected header."""
    head = source.read(0, 4)
    for start, kind in _HEADS.items():
        rest = head.removeprefix(start)
        if rest != head and len(rest) > 1:
            return rest[0] == (Major.ARRAY << 5 | cose.ELEMENTS[kind]) and rest[1] >> 5 == Major.BYTES
    return False


def _item(source: Source) -> Item:
    return Document(source).first(Span(0, source.size), "COSE")


def _parse(source: Source, context: Context) -> Parse:
    item = _item(source)
    message = cose.parse(item, untagged=_KINDS.get(context.options.get("kind", "").lower(), ""))
    content = _content(message, source, context)
    opened = Opened(Encryption(encrypted=False), (), content)
    if message.kind not in _SIGNED:
        opened = open_ciphertext(message, content, context.keys)
    doubts = _doubts(opened, content)
    signatures = _signatures(message, content, context)
    requests: list[DigestRequest] = []
    yield requests
    if doubts and not opened.encryption.decrypted:
        opened = replace(opened, encryption=replace(opened.encryption, encrypted=False))
    weaknesses = (*_weaknesses(source, item, opened, signatures), *doubts)
    return _artifact(source, message, content, opened, signatures, weaknesses)


def _doubts(opened: Opened, content: Source | None) -> tuple[Weakness, ...]:
    if content is None or not opened.encryption.encrypted:
        return ()
    return common.ciphertext_doubts(content, Span(0, content.size), "payload")


def _content(message: Message, source: Source, context: Context) -> Source | None:
    if message.payload is not None:
        place = message.payload.place("payload")
        return Window(source, source.name, place.start, place.size)
    return next((context.companions[name] for name in _COMPANIONS if name in context.companions), None)


def _signatures(message: Message, content: Source | None, context: Context) -> tuple[Signature, ...]:
    if message.kind not in _SIGNED:
        return (Signature(outcome=Outcome.ABSENT, note=f"COSE_{message.kind} encrypts and signs nothing"),)
    if content is None or content.size > MAX_HEADER:
        why = "give it as the companion `payload`" if content is None else f"more than {MAX_HEADER} bytes are not read"
        return tuple(_undecided(message, f"the signed content is not at hand: {why}"))
    covers = () if message.payload is None else (message.payload.content,)
    others = (None, SUIT_CONTEXT)
    judge = cose.Judge(content.read(0, content.size), context.keys, context.as_of, covers=covers, others=others)
    return judge.run(message)


def _undecided(message: Message, note: str) -> Iterator[Signature]:
    kind = AuthKind.MAC if message.kind.startswith("Mac") else AuthKind.SIGNATURE
    for party in message.signers or (message.body,):
        yield Signature(
            outcome=Outcome.UNDECIDABLE, kind=kind, encoding=f"COSE_{message.kind}", where=party.where, note=note
        )


def _artifact(
    source: Source,
    message: Message,
    content: Source | None,
    opened: Opened,
    signatures: tuple[Signature, ...],
    weaknesses: tuple[Weakness, ...],
) -> Artifact:
    payload = () if message.payload is None else (message.payload.content,)
    reached = any(signature.outcome in common.REACHING for signature in signatures)
    return Artifact(
        format="cose",
        title=f"COSE_{message.kind}",
        name=source.name,
        size=source.size,
        sha256="",
        signatures=signatures,
        coverage=Coverage(payload=payload, uncovered=() if reached else payload, size_bound=reached),
        encryption=(opened.encryption,),
        recipients=opened.recipients,
        images=tuple(_images(message, content, opened)),
        version=Version(version=INEXPRESSIBLE, sequence=INEXPRESSIBLE),
        hardware=INEXPRESSIBLE,
        weaknesses=weaknesses,
        facts=tuple(_facts(message)),
    )


def _images(message: Message, content: Source | None, opened: Opened) -> Iterator[Image]:
    if content is None:
        return
    yield Image(
        id="payload",
        size=content.size,
        span=None if message.payload is None else message.payload.content,
        encryption=opened.encryption,
        source=opened.plaintext,
        note="" if opened.plaintext is not None else "encrypted, and no key was given that opens it",
    )


def _weaknesses(source: Source, item: Item, opened: Opened, signatures: tuple[Signature, ...]) -> Iterator[Weakness]:
    yield from common.signature_weaknesses(signatures)
    if any(signature.kind is AuthKind.MAC for signature in signatures):
        text = "a MAC authenticates the content: whoever can check it can make it"
        yield Weakness(code="mac-not-signature", message=text)
    if opened.encryption.mode in {"ctr", "cbc"}:
        text = f"AES-{opened.encryption.mode.upper()} has no tag, and COSE states no digest"
        yield Weakness(code="unauthenticated-encryption", message=text)
    if item.span.end < source.size:
        text = f"{source.size - item.span.end} bytes follow the message"
        yield Weakness(code="trailing-data", message=text, where=str(Span(item.span.end, source.size)))


def _facts(message: Message) -> Iterator[tuple[str, str]]:
    yield "content", "detached" if message.payload is None else "attached"
    kind = message.headers.find(3)
    if kind is not None and kind.major in {Major.UNSIGNED, Major.TEXT}:
        yield "content type", str(kind.words if kind.number is None else kind.number)[:200]


FORMAT: Final = Format(
    id="cose",
    title="COSE message",
    detect=_detect,
    parse=_parse,
    companions={"payload": "the content that is signed or encrypted elsewhere", "ciphertext": "the same"},
    options={"kind": "sign1, sign, mac0, mac, encrypt0 or encrypt, where the file carries no tag"},
    references=("RFC 9052", "RFC 9053", "RFC 9459", "draft-ietf-suit-firmware-encryption-26"),
)
