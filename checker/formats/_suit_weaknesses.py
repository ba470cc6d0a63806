"""What is wrong or dangerous in a SUIT envelope."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Final

from checker.formats import _common as common
from checker.formats import _suit_commands as commands
from checker.formats import _suit_payload as payloads
from checker.formats._suit_payload import Judged
from checker.formats._suit_view import IDENTITIES, View, moment, unreferenced
from checker.formats.contract import Context
from checker.model.artifact import AuthKind, Source, Span, Weakness

_OPEN: Final = ("http://", "coap://", "ftp://", "tftp://")


def weaknesses(source: Source, view: View, hardware: Sequence[str], context: Context) -> Iterator[Weakness]:
    """Yield every weakness beyond those of signatures and digests."""
    yield from _authentication_weaknesses(view)
    yield from _manifest_weaknesses(view, hardware, context)
    for judged in view.judged:
        yield from _payload_weaknesses(judged, view)
    yield from _nonces(view.judged)
    for name in () if view.manifest.hidden or view.manifest.refused else unreferenced(view):
        yield Weakness(
            code="unreferenced-member", message=f"no command fetches the integrated payload {name}", where=name
        )
    if view.end < source.size:
        text = f"{source.size - view.end} bytes follow the envelope"
        yield Weakness(code="trailing-data", message=text, where=str(Span(view.end, source.size)))


def _authentication_weaknesses(view: View) -> Iterator[Weakness]:
    for each in view.signatures:
        if each.kind is AuthKind.MAC:
            text = "a MAC authenticates the manifest: whoever can check it can make it"
            yield Weakness(code="mac-not-signature", message=text, where=str(each.where or ""))
    if view.envelope.empty_blocks:
        text = f"{view.envelope.empty_blocks} authentication blocks are empty"
        yield Weakness(code="malformed", message=text)
    stated = view.envelope.stated
    for digest in (stated, *(member.digest for member in view.manifest.severed)):
        if digest is not None and (digest.kept is not None or digest.algorithm in common.WEAK_DIGESTS):
            text = f"a digest is {digest.algorithm}{' cut to 64 bits' if digest.kept else ''}"
            yield Weakness(code="weak-digest", message=text)
    if view.envelope.foreign:
        text = f"nothing authenticates {', '.join(view.envelope.foreign)[:200]}"
        yield Weakness(code="unprotected-metadata", message=text)
    for member in view.manifest.severed:
        if member.digest is None and member.name not in view.manifest.twice:
            text = f"the severed {member.name} has no digest in the manifest"
            yield Weakness(code="unprotected-metadata", message=text, where=member.name)
    for name in view.manifest.twice:
        text = f"{name} lies both in the manifest and beside it"
        yield Weakness(code="duplicate-member", message=text, where=name)


def _manifest_weaknesses(view: View, hardware: Sequence[str], context: Context) -> Iterator[Weakness]:
    if view.manifest.sequence is None:
        yield Weakness(code="no-rollback-counter", message="the manifest has no sequence number")
    if not any(word.startswith(("vendor", "class", "device")) for word in hardware):
        seen = {number for event in view.plan.events for number in event.parameters}
        stated = "identifiers are stated and no command compares them" if seen & IDENTITIES.keys() else "none is stated"
        text = f"no command compares a vendor, class or device identifier: {stated}"
        yield Weakness(code="no-hardware-id", message=text)
    for uri in (*view.plan.uris, view.manifest.reference):
        if uri.lower().startswith(_OPEN):
            yield Weakness(code="plaintext-url", message=f"a location without TLS: {uri[:200]}", where=uri[:200])
    found = {
        moment(item)
        for event in view.plan.events
        if event.command == commands.USE_BEFORE
        for item in event.items(commands.USE_BEFORE)
    }
    for each in sorted(found):
        if each <= context.as_of:
            yield Weakness(code="metadata-expired", message=f"the manifest is to be used before {each}")


def _payload_weaknesses(judged: Judged, view: View) -> Iterator[Weakness]:
    delivery = judged.delivery
    where = view.manifest.names[delivery.component]
    name = delivery.name or where
    if delivery.kind == payloads.ABSENT:
        yield Weakness(code="missing-member", message=f"the integrated payload {name} is not there", where=where)
    if delivery.kind != payloads.CONTENT:
        yield from _unbound(judged, view, name, where)
    for statement in dict.fromkeys(trial.statement.digest for trial in judged.payload.trials):
        if statement.kept is not None or statement.algorithm in common.WEAK_DIGESTS:
            yield Weakness(code="weak-digest", message=f"the image digest is {statement.algorithm}", where=where)
    if delivery.encryption_info is not None:
        yield from _cipher_weaknesses(judged, name)


def _unbound(judged: Judged, view: View, name: str, where: str) -> Iterator[Weakness]:
    if not judged.stated:
        yield Weakness(code="missing-digest", message=f"{name} has no image digest", where=where)
    elif not judged.compared:
        text = f"the image digest of {name} is stated, and no command compares it"
        yield Weakness(code="digest-not-compared", message=text, where=where)
    if not view.plan.sizes_of(judged.delivery) and judged.payload.dependency is None:
        yield Weakness(code="size-not-bound", message=f"{name} has no image size", where=where)


def _cipher_weaknesses(judged: Judged, name: str) -> Iterator[Weakness]:
    payload = judged.payload
    found = payload.encryption
    if found.mode in {"ctr", "cbc"} and judged.delivery.kind != payloads.CONTENT and not judged.stated:
        text = f"{name} is encrypted by AES-{found.mode.upper()}, and no digest tells a change"
        yield Weakness(code="unauthenticated-encryption", message=text, where=name)
    in_clear = bool(payload.doubts) and any(check.matches and check.over == "ciphertext" for check in judged.checks)
    if in_clear:
        text = f"{name} is said to be encrypted, and lies in clear: the image digest is that of its bytes"
        yield Weakness(code="encryption-void", message=text, where=name)
    else:
        yield from payload.doubts


def _nonces(judged: Iterable[Judged]) -> Iterator[Weakness]:
    """Yield the nonces that encrypt two ciphertexts under one content key."""
    seen: dict[tuple[str, str], Span | str] = {}
    for each in judged:
        found = each.payload.encryption
        place = each.delivery.span or each.delivery.name
        if not found.nonce or not found.content_key_digest:
            continue
        before = seen.setdefault((found.content_key_digest, found.nonce), place)
        if before != place:
            text = f"the nonce {found.nonce} serves two payloads under one content key"
            yield Weakness(code="nonce-reuse", message=text, where=str(place))
