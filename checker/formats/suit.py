"""IETF SUIT: manifests in signed envelopes, their severed members, their payloads inside or elsewhere.

Source: draft-ietf-suit-manifest-34, draft-ietf-suit-firmware-encryption-26, draft-ietf-suit-trust-domains,
draft-ietf-suit-update-management; RFC 9019, RFC 9124; RFC 9052.

The chain of trust: a COSE signature or MAC is over the SUIT_Digest of the authentication wrapper; that digest is over
the manifest's byte string; the manifest has the digests of severed members and of images. Everything else in the
envelope is authenticated by nothing. A delegation chain leads from a declared key to another one.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Final

from checker.crypto import cose
from checker.crypto.delegation import Delegated, follow
from checker.errors import FormatError
from checker.formats import _common as common
from checker.formats import _suit_commands as commands
from checker.formats import _suit_manifest as suit
from checker.formats import _suit_payload as payloads
from checker.formats._cose_payload import SUIT_CONTEXT
from checker.formats._suit_manifest import Envelope
from checker.formats._suit_payload import Plan
from checker.formats._suit_view import IDENTITIES, View, bytes_elsewhere, moment, unreferenced
from checker.formats._suit_weaknesses import weaknesses
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
)
from checker.model.terms import Outcome

WEAKNESSES: Final = (
    *common.WEAKNESSES,
    "digest-not-compared",
    "duplicate-member",
    "encryption-void",
    "mac-not-signature",
    "malformed",
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
_COMPARISONS: Final = {1: ">", 2: ">=", 3: "==", 4: "<=", 5: "<"}


def _detect(source: Source, context: Context) -> bool:  # noqa: ARG001 - the contract's signature
    return suit.looks_like_envelope(source)


def _parse(source: Source, context: Context) -> Parse:
    envelope, end = suit.open_envelope(source)
    manifest = suit.read_manifest(envelope)
    plan = payloads.make_plan(envelope, manifest)
    opened = payloads.open_payloads(plan, source, context)
    requests = {trial.request for payload in opened for trial in payload.trials if trial.request is not None}
    answers = yield list(requests)
    delegated = _delegated(envelope, context)
    view = View(
        envelope=envelope,
        manifest=manifest,
        plan=plan,
        signatures=_signatures(envelope, delegated, context),
        delegation="" if delegated.notes else ", ".join(key.spki_sha256 for key in delegated.keys),
        manifest_digest=suit.compute(envelope.stated, envelope.manifest),
        judged=(),
        end=end,
    )
    judged = tuple(payloads.judge(payload, answers, authentic=view.authentic) for payload in opened)
    return _artifact(source, replace(view, judged=judged), context)


# Signatures


def _signatures(envelope: Envelope, delegated: Delegated, context: Context) -> tuple[Signature, ...]:
    if envelope.signed is None:
        return (Signature(outcome=Outcome.ABSENT, note="the envelope has no authentication wrapper"),)
    content = envelope.signed.data("SUIT_Digest")
    ring = replace(context.keys, keys=(*context.keys.keys, *delegated.keys))
    judge = cose.Judge(content, ring, context.as_of, covers=(envelope.signed.content,), others=(SUIT_CONTEXT, None))
    found = [each for block in envelope.blocks for each in _of_block(block, content, judge)]
    if delegated.notes:
        found = [_not_followed(each, delegated.notes[0]) for each in found]
    return tuple(found) or (Signature(outcome=Outcome.ABSENT, note="there is a digest, and no signature over it"),)


def _delegated(envelope: Envelope, context: Context) -> Delegated:
    item = envelope.entries.get(suit.DELEGATION)
    return Delegated() if item is None else follow(item.wrapped("delegation"), context.keys, context.as_of)


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


def _not_followed(signature: Signature, why: str) -> Signature:
    if signature.outcome is not Outcome.INVALID or signature.kind is AuthKind.MAC:
        return signature
    note = f"a key of the delegation chain may have made it, and that chain leads nowhere: {why}"
    return replace(signature, outcome=Outcome.KEY_UNKNOWN, note=note)


# The artifact


def _artifact(source: Source, view: View, context: Context) -> Artifact:
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
            *weaknesses(source, view, hardware, context),
        ),
        facts=tuple(_facts(view)),
    )


def _digests(view: View) -> Iterator[DigestCheck]:
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


def _images(view: View, hardware: tuple[str, ...]) -> Iterator[Image]:
    for judged in view.judged:
        yield payloads.image(judged, view.plan, hardware)
    for name, item in unreferenced(view).items():
        note = (
            "no command fetches it" if not view.manifest.hidden else "a severed sequence, which is absent, may fetch it"
        )
        yield Image(id=name, size=item.content.size, role="other", span=item.content, note=note)


# Coverage


def _coverage(view: View) -> Coverage:
    states = list(_states(view))
    fields = tuple(_steering(view))
    followed = suit.DELEGATION not in view.envelope.entries or view.delegation
    outside = (*view.envelope.foreign, *(() if followed else ("delegation",)))
    sized = [
        bool(view.plan.sizes_of(judged.delivery))
        for judged in bytes_elsewhere(view)
        if judged.payload.dependency is None
    ]
    return Coverage(
        payload=tuple(span for span, _ in states),
        uncovered=tuple(span for span, state in states if state is False),
        undecided=tuple(span for span, state in states if state is None),
        metadata=fields if view.reached else (),
        unprotected_metadata=outside if view.reached is not False else (*fields, *outside),
        size_bound=bool(view.reached) and all(sized),
    )


def _states(view: View) -> Iterator[tuple[Span, bool | None]]:
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
    for item in unreferenced(view).values():
        yield item.content, None if view.manifest.hidden and reached is not False else False


def _both(*states: bool | None) -> bool | None:
    return False if False in states else None if None in states else True


def _steering(view: View) -> Iterator[str]:
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
    names |= {number: f"{word}-identifier" for number, word in IDENTITIES.items()}
    seen = {number for event in view.plan.events for number in event.parameters}
    yield from (name for number, name in names.items() if number in seen)


# Hardware and version


def _hardware(view: View) -> tuple[str, ...]:
    """Return the identities that a command makes the device compare."""
    found: dict[str, None] = {}
    for event in view.plan.events:
        if event.command in IDENTITIES:
            for item in event.items(event.command):
                found[f"{IDENTITIES[event.command]} {suit.identifier(item)}"] = None
    return tuple(found)


def _constraints(plan: Plan) -> Iterator[str]:
    found: dict[str, None] = {}
    for event in plan.events:
        name = plan.manifest.names[event.component]
        if event.command == commands.VERSION:
            found |= dict.fromkeys(f"{name} {_comparison(item)}" for item in event.items(commands.VERSION))
        if event.command == commands.USE_BEFORE:
            found |= dict.fromkeys(f"use before {moment(item)}" for item in event.items(commands.USE_BEFORE))
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


# Facts


def _facts(view: View) -> Iterator[tuple[str, str]]:
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
        yield "delegation", f"to {view.delegation}" if view.delegation else "present, and leads to no key"
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
    companions={"*": "payloads by the address or the component that the manifest gives them"},
    references=(
        "draft-ietf-suit-manifest-34",
        "draft-ietf-suit-firmware-encryption-26",
        "draft-ietf-suit-trust-domains",
        "RFC 9052",
        "RFC 9124",
    ),
)
