"""IETF SUIT: manifests in signed envelopes, their severed members, their payloads inside or elsewhere.

Source: draft-ietf-suit-manifest-34, draft-ietf-suit-firmware-encryption-26, draft-ietf-suit-trust-domains,
draft-ietf-suit-update-management; RFC 9019, RFC 9124; RFC 9052.

The chain of trust: a COSE signature or MAC is over the SUIT_Digest of the authentication wrapper; that digest is over
the manifest's byte string; the manifest has the digests of severed members and of images. Everything else in the
envelope is authenticated by nothing. Delegation chains are shown and not followed.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

from checker.crypto import cose
from checker.errors import FormatError
from checker.formats import _common as common
from checker.formats import _suit_commands as commands
from checker.formats import _suit_manifest as suit
from checker.formats import _suit_payload as payloads
from checker.formats._cose_payload import SUIT_CONTEXT
from checker.formats._suit_manifest import Envelope, Manifest
from checker.formats._suit_payload import Judged, Plan
from checker.formats.contract import Context, Format, Parse
from checker.io.cbor import Item, Major
from checker.model.artifact import (
    Artifact,
    AuthKind,
    Coverage,
    DigestCheck,
    Image,
    Signature,
    Source,
    Span,
    Version,
    Weakness,
)
from checker.model.terms import Outcome

WEAKNESSES: Final = (
    *common.WEAKNESSES,
    "digest-not-compared",
    "duplicate-member",
    "encryption-void",
    "mac-not-signature",
    "metadata-expired",
    "missing-digest",
    "missing-member",
    "no-hardware-id",
    "no-rollback-counter",
    "nonce-reuse",
    "plaintext-url",
    "size-not-bound",
    "trailing-data",
    "unauthenticated-encryption",
    "unprotected-metadata",
    "unreferenced-member",
)
_IDENTITIES: Final = {commands.VENDOR_ID: "vendor", commands.CLASS_ID: "class", commands.DEVICE_ID: "device"}
_COMPARISONS: Final = {1: ">", 2: ">=", 3: "==", 4: "<=", 5: "<"}
_OPEN: Final = ("http://", "coap://", "ftp://", "tftp://")
_LAST_SECOND: Final = 253_402_300_799  # 9999-12-31T23:59:59Z


@dataclass(frozen=True, kw_only=True)
class _View:
    """Everything that was found. `reached`: what the signature reaches; None where that is not known."""

    envelope: Envelope = field(repr=False)
    manifest: Manifest = field(repr=False)
    plan: Plan = field(repr=False)
    signatures: tuple[Signature, ...]
    manifest_digest: bytes | None
    judged: tuple[Judged, ...]
    end: int

    @property
    def matches(self) -> bool | None:
        """Return whether the manifest has the digest that is signed."""
        stated = self.envelope.stated
        if stated is None:
            return False
        return None if self.manifest_digest is None else self.manifest_digest == stated.value

    @property
    def reached(self) -> bool | None:
        """Return whether a signature reaches the manifest."""
        if not any(signature.outcome in common.REACHING for signature in self.signatures):
            return False
        return self.matches

    @property
    def authentic(self) -> bool:
        """Return whether a valid signature reaches the manifest."""
        return self.reached is True and any(each.outcome is Outcome.VALID for each in self.signatures)


def _detect(source: Source, context: Context) -> bool:  # noqa: ARG001 - the contract's signature
    return suit.looks_like_envelope(source)


def _parse(source: Source, context: Context) -> Parse:
    envelope, end = suit.open_envelope(source)
    manifest = suit.read_manifest(envelope)
    plan = payloads.make_plan(envelope, manifest)
    opened = payloads.open_payloads(plan, source, context)
    requests = {trial.request for payload in opened for trial in payload.trials if trial.request is not None}
    answers = yield list(requests)
    view = _View(
        envelope=envelope,
        manifest=manifest,
        plan=plan,
        signatures=_signatures(envelope, context),
        manifest_digest=suit.compute(envelope.stated, envelope.manifest),
        judged=(),
        end=end,
    )
    judged = tuple(payloads.judge(payload, answers, authentic=view.authentic) for payload in opened)
    return _artifact(source, replace(view, judged=judged), context)


# Signatures


def _signatures(envelope: Envelope, context: Context) -> tuple[Signature, ...]:
    if envelope.signed is None:
        return (Signature(outcome=Outcome.ABSENT, note="the envelope has no authentication wrapper"),)
    content = envelope.signed.data("SUIT_Digest")
    judge = cose.Judge(
        content, context.keys, context.as_of, covers=(envelope.signed.content,), others=(SUIT_CONTEXT, None)
    )
    found = [each for block in envelope.blocks for each in _of_block(block, content, judge)]
    if suit.DELEGATION in envelope.entries:
        found = [_delegated(each) for each in found]
    return tuple(found) or (Signature(outcome=Outcome.ABSENT, note="there is a digest, and no signature over it"),)


def _of_block(block: cose.Message, content: bytes, judge: cose.Judge) -> Iterator[Signature]:
    """Yield the signatures of a block; a payload that it brings along has to be the digest."""
    if block.kind not in {"Sign1", "Sign", "Mac0", "Mac"}:
        raise FormatError(
            f"COSE_{block.kind} authenticates nothing", offset=block.body.where.start, field="authentication-block"
        )
    foreign = block.payload is not None and block.payload.data("payload") != content
    for each in judge.run(block):
        note = "it signs another payload than the digest of this manifest"
        yield replace(each, outcome=Outcome.INVALID, note=note, covers=()) if foreign else each


def _delegated(signature: Signature) -> Signature:
    if signature.outcome is not Outcome.INVALID or signature.kind is AuthKind.MAC:
        return signature
    note = "a key of the delegation chain may have made it, and chains are not followed here"
    return replace(signature, outcome=Outcome.KEY_UNKNOWN, note=note)


# The artifact


def _artifact(source: Source, view: _View, context: Context) -> Artifact:
    manifest = view.manifest
    digests = tuple(_digests(view))
    every = (*digests, *(check for judged in view.judged for check in judged.checks))
    hardware = _hardware(view)
    return Artifact(
        format="suit",
        title="SUIT envelope" if view.envelope.tagged else "SUIT envelope without a tag",
        name=source.name,
        size=source.size,
        sha256="",
        signatures=view.signatures,
        coverage=_coverage(view),
        digests=digests,
        recipients=tuple(each for judged in view.judged for each in judged.payload.recipients),
        images=tuple(_images(view, hardware)),
        version=Version(
            version=manifest.version or manifest.texts.get("component version"),
            sequence=manifest.sequence,
            authentic=True if view.authentic else None if view.reached is not False else False,
            constraints=tuple(_constraints(view.plan)),
        ),
        hardware=hardware,
        weaknesses=(
            *common.signature_weaknesses(view.signatures),
            *common.digest_weaknesses(every),
            *_weaknesses(source, view, hardware, context),
        ),
        facts=tuple(_facts(view)),
    )


def _digests(view: _View) -> Iterator[DigestCheck]:
    stated, valid = view.envelope.stated, any(each.outcome is Outcome.VALID for each in view.signatures)
    if stated is not None:
        yield _check("manifest digest", stated, view.manifest_digest, view.envelope.manifest.span, authentic=valid)
    for member in view.manifest.severed:
        if member.digest is not None and member.item is not None:
            name = f"digest of severed {member.name}"
            yield _check(name, member.digest, member.actual, member.item.span, authentic=view.authentic)


def _check(name: str, stated: suit.Digest, actual: bytes | None, span: Span, *, authentic: bool) -> DigestCheck:
    return DigestCheck(
        name=name,
        algorithm=stated.algorithm or f"cose {stated.number}",
        expected=stated.value.hex(),
        actual=None if actual is None else actual.hex(),
        covers=(span,),
        authentic=authentic,
        note="" if actual is not None else f"digest algorithm {stated.number} is not known here",
    )


def _images(view: _View, hardware: tuple[str, ...]) -> Iterator[Image]:
    for judged in view.judged:
        yield payloads.image(judged, view.plan, hardware)
    for name, item in _unreferenced(view).items():
        note = "no command fetches it"
        yield Image(id=name, size=item.content.size, role="other", span=item.content, note=note)


def _unreferenced(view: _View) -> dict[str, Item]:
    named = {judged.delivery.name for judged in view.judged if judged.delivery.kind == payloads.INTEGRATED}
    named |= {stage.name for judged in view.judged for stage in (judged.delivery,)}
    return {name: item for name, item in view.envelope.integrated.items() if name not in named}


# Coverage


def _coverage(view: _View) -> Coverage:
    states = list(_states(view))
    fields = tuple(_steering(view))
    outside = (*view.envelope.foreign, *(["delegation"] if suit.DELEGATION in view.envelope.entries else ()))
    sized = [bool(view.plan.sizes_of(judged.delivery)) for judged in _bytes_elsewhere(view)]
    return Coverage(
        payload=tuple(span for span, _ in states),
        uncovered=tuple(span for span, state in states if state is False),
        undecided=tuple(span for span, state in states if state is None),
        metadata=fields if view.reached else (),
        unprotected_metadata=outside if view.reached is not False else (*fields, *outside),
        size_bound=bool(view.reached) and all(sized),
    )


def _states(view: _View) -> Iterator[tuple[Span, bool | None]]:
    """Yield what gets installed or steers it, each with whether something authentic reaches it."""
    reached = view.reached
    yield view.envelope.manifest.content, reached
    for member in view.manifest.severed:
        if member.item is not None:
            known = False if member.digest is None or member.name in view.manifest.twice else member.matches
            yield member.item.content, _both(reached, known)
    places: dict[Span, list[bool | None]] = {}
    for judged in view.judged:
        if judged.delivery.kind == payloads.INTEGRATED and judged.place is not None:
            places.setdefault(judged.place, []).append(judged.bound)
    for span, bounds in places.items():
        yield span, _both(reached, *bounds)
    for item in _unreferenced(view).values():
        yield item.content, False


def _both(*states: bool | None) -> bool | None:
    return False if False in states else None if None in states else True


def _steering(view: _View) -> Iterator[str]:
    manifest = view.manifest
    present = {
        "manifest-sequence-number": manifest.sequence is not None,
        "components": bool(manifest.components),
        "dependencies": bool(manifest.dependencies),
        "set-version": bool(manifest.version),
        "manifest-component-id": bool(manifest.component_id),
        "reference-uri": bool(manifest.reference),
    }
    yield from (name for name, there in present.items() if there)
    yield from manifest.sequences
    names = {commands.URI: "uri", commands.ENCRYPTION_INFO: "encryption-info", commands.SLOT: "component-slot"}
    names |= {number: f"{word}-identifier" for number, word in _IDENTITIES.items()}
    seen = {number for event in view.plan.events for number in event.parameters}
    yield from (name for number, name in names.items() if number in seen)


# Hardware and version


def _hardware(view: _View) -> tuple[str, ...]:
    """Return the identities that a command makes the device compare."""
    found: dict[str, None] = {}
    for event in view.plan.events:
        if event.command in _IDENTITIES:
            for item in event.items(event.command):
                found[f"{_IDENTITIES[event.command]} {suit.identifier(item)}"] = None
    return tuple(found)


def _constraints(plan: Plan) -> Iterator[str]:
    found: dict[str, None] = {}
    for event in plan.events:
        name = plan.manifest.names[event.component]
        if event.command == commands.VERSION:
            found |= dict.fromkeys(f"{name} {_comparison(item)}" for item in event.items(commands.VERSION))
        if event.command == commands.USE_BEFORE:
            found |= dict.fromkeys(f"use before {_moment(item)}" for item in event.items(commands.USE_BEFORE))
        if event.command == commands.MINIMUM_BATTERY:
            levels = (item.integer("minimum-battery") for item in event.items(commands.MINIMUM_BATTERY))
            found |= dict.fromkeys(f"battery at least {level} %" for level in levels)
        if event.command == commands.UPDATE_AUTHORIZED:
            found["update authorized"] = None
    for name, index in ((name, index) for index, name in plan.manifest.dependencies.items()):
        found[f"depends on {name} (component {index})"] = None
    yield from found


def _comparison(item: Item) -> str:
    inner = item.wrapped("version") if item.major is Major.BYTES else item
    parts = inner.array("version")
    if len(parts) != 2:  # noqa: PLR2004 - comparison and version
        raise FormatError("comparison and version are expected", offset=inner.span.start, field="version")
    kind = parts[0].integer("version")
    return f"version {_COMPARISONS.get(kind, f'compared as {kind}')} {suit.version_text(parts[1])}"


def _moment(item: Item) -> str:
    seconds = item.integer("use-before")
    if not 0 <= seconds <= _LAST_SECOND:
        raise FormatError(f"{seconds} seconds are no date", offset=item.span.start, field="use-before")
    return dt.datetime.fromtimestamp(seconds, dt.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


# Weaknesses


def _weaknesses(source: Source, view: _View, hardware: Sequence[str], context: Context) -> Iterator[Weakness]:
    yield from _authentication_weaknesses(view)
    yield from _manifest_weaknesses(view, hardware, context)
    for judged in view.judged:
        yield from _payload_weaknesses(judged, view)
    yield from _nonces(view.judged)
    for name in _unreferenced(view):
        yield Weakness(
            code="unreferenced-member", message=f"no command fetches the integrated payload {name}", where=name
        )
    if view.end < source.size:
        text = f"{source.size - view.end} bytes follow the envelope"
        yield Weakness(code="trailing-data", message=text, where=str(Span(view.end, source.size)))


def _authentication_weaknesses(view: _View) -> Iterator[Weakness]:
    for each in view.signatures:
        if each.kind is AuthKind.MAC:
            text = "a MAC authenticates the manifest: whoever can check it can make it"
            yield Weakness(code="mac-not-signature", message=text, where=str(each.where or ""))
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


def _manifest_weaknesses(view: _View, hardware: Sequence[str], context: Context) -> Iterator[Weakness]:
    if view.manifest.sequence is None:
        yield Weakness(code="no-rollback-counter", message="the manifest has no sequence number")
    if not any(word.startswith(("vendor", "class", "device")) for word in hardware):
        seen = {number for event in view.plan.events for number in event.parameters}
        stated = (
            "identifiers are stated and no command compares them" if seen & _IDENTITIES.keys() else "none is stated"
        )
        text = f"no command compares a vendor, class or device identifier: {stated}"
        yield Weakness(code="no-hardware-id", message=text)
    for uri in (*view.plan.uris, view.manifest.reference):
        if uri.lower().startswith(_OPEN):
            yield Weakness(code="plaintext-url", message=f"a location without TLS: {uri[:200]}", where=uri[:200])
    moments = {
        _moment(item)
        for event in view.plan.events
        if event.command == commands.USE_BEFORE
        for item in event.items(commands.USE_BEFORE)
    }
    for moment in sorted(moments):
        if moment <= context.as_of:
            yield Weakness(code="metadata-expired", message=f"the manifest is to be used before {moment}")


def _bytes_elsewhere(view: _View) -> Iterator[Judged]:
    """Yield the payloads that do not lie inside the signed manifest itself."""
    return (judged for judged in view.judged if judged.delivery.kind != payloads.CONTENT)


def _payload_weaknesses(judged: Judged, view: _View) -> Iterator[Weakness]:
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


def _unbound(judged: Judged, view: _View, name: str, where: str) -> Iterator[Weakness]:
    if not judged.stated:
        yield Weakness(code="missing-digest", message=f"{name} has no image digest", where=where)
    elif not judged.compared:
        text = f"the image digest of {name} is stated, and no command compares it"
        yield Weakness(code="digest-not-compared", message=text, where=where)
    if not view.plan.sizes_of(judged.delivery):
        yield Weakness(code="size-not-bound", message=f"{name} has no image size", where=where)


def _cipher_weaknesses(judged: Judged, name: str) -> Iterator[Weakness]:
    payload = judged.payload
    found = payload.encryption
    if found.mode in {"ctr", "cbc"} and judged.delivery.kind != payloads.CONTENT and not judged.stated:
        text = f"{name} is encrypted by AES-{found.mode.upper()}, and no digest tells a change"
        yield Weakness(code="unauthenticated-encryption", message=text, where=name)
    if payload.stored is None:
        return
    doubts = common.ciphertext_doubts(payload.stored, Span(0, payload.stored.size), name)
    in_clear = any(check.matches and check.over == "ciphertext" for check in judged.checks) and bool(doubts)
    if in_clear:
        text = f"{name} is said to be encrypted, and lies in clear: the image digest is that of its bytes"
        yield Weakness(code="encryption-void", message=text, where=name)
    else:
        yield from doubts


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


# Facts


def _facts(view: _View) -> Iterator[tuple[str, str]]:
    manifest = view.manifest
    yield "components", ", ".join(manifest.components[:8]) or "none"
    if manifest.component_id:
        yield "manifest component", manifest.component_id
    if manifest.dependencies:
        yield "dependencies", ", ".join(list(manifest.dependencies.values())[:8])
    yield "sequences", ", ".join(manifest.sequences) or "none"
    for member in manifest.severed:
        yield f"severed {member.name}", _severed_state(member)
    if manifest.reference:
        yield "reference", manifest.reference
    for uri in view.plan.uris[:8]:
        yield "fetched from", uri
    if suit.DELEGATION in view.envelope.entries:
        yield "delegation", "present, not followed"
    for event in view.plan.events:
        if event.command == commands.UPDATE_AUTHORIZED:
            yield "authorization", f"asked for in {event.section}"
            break
    yield from manifest.texts.items()


def _severed_state(member: suit.Severed) -> str:
    if member.item is None:
        return "absent"
    if member.digest is None:
        return "present, without a digest in the manifest"
    words = {True: "digest matches", False: "digest does not match", None: "digest not computable here"}
    return f"present, {words[member.matches]}"


FORMAT: Final = Format(
    id="suit",
    title="IETF SUIT envelope",
    detect=_detect,
    parse=_parse,
    references=(
        "draft-ietf-suit-manifest-34",
        "draft-ietf-suit-firmware-encryption-26",
        "draft-ietf-suit-trust-domains",
        "RFC 9052",
        "RFC 9124",
    ),
)
