"""What a SUIT manifest delivers: each payload with the digests that it is compared with, its encryption, its place.

A payload lies in the envelope (integrated, or as `content` in a command), or elsewhere behind a URI. It is bound by the
image digest of its component; a copy to another component is bound by that component's digest too. After decryption a
component holds plaintext, so that its digest is over the plaintext (draft-ietf-suit-firmware-encryption-26, section 7);
a digest of ciphertext belongs to the component that the ciphertext was fetched into. A dependency is bound by the
digest of its manifest (draft-ietf-suit-trust-domains, 5.3), or, as older drafts have it, of its whole envelope.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

from checker.crypto import cose
from checker.errors import FormatError, LimitError
from checker.formats import _common as common
from checker.formats import _cose_payload as payloads
from checker.formats import _suit_commands as commands
from checker.formats import _suit_manifest as suit
from checker.formats._suit_commands import Event
from checker.formats._suit_manifest import Digest, Envelope, Manifest
from checker.formats.contract import Context
from checker.io.cbor import Document, Item
from checker.io.digests import DigestRequest, Piece
from checker.io.sources import Window
from checker.model.artifact import DigestCheck, Encryption, Image, Recipient, Source, Span, Weakness

MAX_DELIVERIES: Final = 4_096  # payloads times their possible places; published manifests have one or two
MAX_SHOWN: Final = 16  # digests of one payload that are listed
INTEGRATED, CONTENT, FETCHED, ABSENT = "integrated", "content", "fetched", "absent"


@dataclass(frozen=True, kw_only=True)
class Delivery:
    """One payload on its way into one component. `stages` are the components that it passes, the last one its target.

    `span` is None where the bytes lie elsewhere.
    """

    kind: str
    name: str  # of the integrated payload, or the URI
    stages: tuple[int, ...]
    span: Span | None
    encryption_info: Item | None = field(default=None, repr=False)
    outer: tuple[int, ...] = ()  # the stages that it passes as ciphertext

    @property
    def component(self) -> int:
        """Return the component that gets it."""
        return self.stages[-1]


@dataclass(frozen=True, kw_only=True)
class Statement:
    """A digest that a manifest states about a component; `compared`: a command makes the device compare it."""

    digest: Digest
    component: int
    compared: bool


@dataclass(frozen=True, kw_only=True)
class Plan:
    """All deliveries of a manifest, and what it states about its components."""

    manifest: Manifest
    events: tuple[Event, ...] = field(repr=False)
    deliveries: tuple[Delivery, ...]
    statements: Mapping[int, tuple[Statement, ...]]
    sizes: Mapping[int, tuple[int, ...]]

    def sizes_of(self, delivery: Delivery) -> tuple[int, ...]:
        """Return the sizes that the manifest states of a payload, in any component that it passes."""
        return tuple(size for stage in delivery.stages for size in self.sizes.get(stage, ()))

    @property
    def uris(self) -> tuple[str, ...]:
        """Return every location outside of the envelope."""
        return tuple(dict.fromkeys(each.name for each in self.deliveries if each.kind == FETCHED))


def make_plan(envelope: Envelope, manifest: Manifest) -> Plan:
    """Return what a manifest delivers.

    Raises:
        FormatError: a command sequence is damaged.
        LimitError: it asks for more than a limit allows.
    """
    events = tuple(commands.Walk(manifest).run())
    return Plan(
        manifest=manifest,
        events=events,
        deliveries=tuple(_deliveries(envelope, events)),
        statements={index: tuple(_statements(index, events)) for index in manifest.names},
        sizes={index: tuple(_sizes(index, events)) for index in manifest.names},
    )


def _deliveries(envelope: Envelope, events: Iterable[Event]) -> list[Delivery]:
    found: dict[tuple[object, ...], Delivery] = {}
    passed: set[tuple[object, ...]] = set()
    for event in events:
        for each in _of_event(envelope, event, list(found.values())):
            if len(found) >= MAX_DELIVERIES:
                raise LimitError(f"more than MAX_DELIVERIES ({MAX_DELIVERIES}) payloads", field="commands")
            found[_identity(each)] = each
            if len(each.stages) > 1:
                passed |= {key for key, known in found.items() if known.stages == each.stages[:-1]}
    return [each for key, each in found.items() if key not in passed]


def _identity(each: Delivery) -> tuple[object, ...]:
    info = None if each.encryption_info is None else each.encryption_info.span
    return each.kind, each.name, each.span, each.stages, info


def _of_event(envelope: Envelope, event: Event, known: list[Delivery]) -> Iterator[Delivery]:
    infos: tuple[Item | None, ...] = event.items(commands.ENCRYPTION_INFO) or (None,)
    if event.command == commands.FETCH:
        for uri, info in itertools.product(event.items(commands.URI), infos):
            yield _fetched(envelope, event.component, uri.text("uri"), info)
    if event.command in {commands.WRITE, commands.INHERITED}:
        for content, info in itertools.product(event.items(commands.CONTENT), infos):
            place = content.place("content")
            yield _delivery(CONTENT, "", event.component, place, info)
    if event.command in {commands.COPY, commands.SWAP}:
        sources = {item.number for item in event.items(commands.SOURCE_COMPONENT)}
        for each, info in itertools.product(known, infos):
            if each.component in sources and event.component not in each.stages:
                yield _copied(each, event.component, info)


def _fetched(envelope: Envelope, component: int, uri: str, info: Item | None) -> Delivery:
    item = envelope.integrated.get(uri)
    if item is not None:
        return _delivery(INTEGRATED, uri, component, item.content, info)
    return _delivery(ABSENT if uri.startswith("#") else FETCHED, uri, component, None, info)


def _delivery(kind: str, name: str, component: int, span: Span | None, info: Item | None) -> Delivery:
    return Delivery(kind=kind, name=name, stages=(component,), span=span, encryption_info=info)


def _copied(each: Delivery, component: int, info: Item | None) -> Delivery:
    stages = (*each.stages, component)
    if info is None or each.encryption_info is not None:
        return replace(each, stages=stages)
    return replace(each, stages=stages, encryption_info=info, outer=each.stages)


def _statements(index: int, events: Iterable[Event]) -> Iterator[Statement]:
    """Yield the digests of a component: those that are compared, or, where none is, those that are only stated."""
    mine = [event for event in events if event.component == index]
    comparing = {commands.IMAGE_MATCH, commands.DEPENDENCY_INTEGRITY}
    compared = [event for event in mine if event.command in comparing and event.items(commands.IMAGE_DIGEST)]
    items = dict.fromkeys(item for event in compared or mine for item in event.items(commands.IMAGE_DIGEST))
    for item in items:
        stated = suit.read_digest(item.wrapped("image-digest"), "image-digest")
        yield Statement(digest=stated, component=index, compared=bool(compared))


def _sizes(index: int, events: Iterable[Event]) -> Iterator[int]:
    items = (item for event in events if event.component == index for item in event.items(commands.IMAGE_SIZE))
    for item in dict.fromkeys(items):
        yield item.integer("image-size")


# Bytes and digests


@dataclass(frozen=True, kw_only=True)
class Trial:
    """A statement beside one form of a payload's bytes."""

    statement: Statement
    over: str  # content | ciphertext | plaintext | manifest
    request: DigestRequest | None  # None: the bytes or the algorithm are not at hand
    covers: tuple[Span, ...]


@dataclass(frozen=True, kw_only=True)
class Payload:
    """A delivery with its bytes, as far as they are at hand."""

    delivery: Delivery
    stored: Source | None = field(repr=False)
    clear: Source | None = field(repr=False)
    encryption: Encryption
    recipients: tuple[Recipient, ...]
    trials: tuple[Trial, ...]
    dependency: Envelope | None = field(default=None, repr=False)
    refused: bool = False  # its tag does not verify under a key that is certain
    doubts: tuple[Weakness, ...] = ()  # why the bytes cannot be ciphertext


def open_payloads(plan: Plan, source: Source, context: Context) -> tuple[Payload, ...]:
    """Return every delivery with its bytes, decrypted where a declared key opens it.

    Raises:
        FormatError: an encryption info is damaged.
    """
    alone = len(plan.uris) == 1
    return tuple(_open(each, plan, source, context, alone=alone) for each in plan.deliveries)


def _open(delivery: Delivery, plan: Plan, source: Source, context: Context, *, alone: bool) -> Payload:
    stored = _stored(delivery, plan.manifest, source, context, alone=alone)
    opened = payloads.Opened(Encryption(encrypted=False), (), stored)
    if delivery.encryption_info is not None:
        message = cose.parse(delivery.encryption_info.wrapped("encryption-info"))
        opened = payloads.open_ciphertext(message, stored, context.keys)
    inner = _dependency(delivery, plan.manifest, source)
    blank = Payload(
        delivery=delivery,
        stored=stored,
        clear=opened.plaintext,
        encryption=opened.encryption,
        recipients=opened.recipients,
        trials=(),
        dependency=inner,
        refused=opened.refused,
        doubts=_doubts(delivery, stored),
    )
    return replace(blank, trials=tuple(_trials(blank, plan, source)))


def _doubts(delivery: Delivery, stored: Source | None) -> tuple[Weakness, ...]:
    if stored is None or delivery.encryption_info is None:
        return ()
    return common.ciphertext_doubts(stored, Span(0, stored.size), delivery.name or "content")


def _stored(delivery: Delivery, manifest: Manifest, source: Source, context: Context, *, alone: bool) -> Source | None:
    """Return the bytes as they are delivered: inside the envelope, or a companion named like the URI's last part."""
    if delivery.span is not None:
        return Window(source, source.name, delivery.span.start, delivery.span.size)
    if delivery.kind != FETCHED:
        return None
    names = [delivery.name.rpartition("/")[2], manifest.names[delivery.component], *(["payload"] if alone else [])]
    return next((context.companions[name] for name in names if name in context.companions), None)


def _dependency(delivery: Delivery, manifest: Manifest, source: Source) -> Envelope | None:
    if delivery.kind != INTEGRATED or delivery.span is None or delivery.component not in manifest.dependencies:
        return None
    try:
        return suit.read_envelope(Document(source).item(delivery.span, "dependency"))
    except FormatError:
        return None


def _trials(payload: Payload, plan: Plan, source: Source) -> Iterator[Trial]:
    span = payload.delivery.span
    whole = () if span is None else (span,)
    for stage in payload.delivery.stages:
        for statement in plan.statements.get(stage, ()):
            name = statement.digest.algorithm
            if payload.dependency is not None:
                place = payload.dependency.manifest.span
                request = DigestRequest.over(name, source, place) if name else None
                yield Trial(statement=statement, over="manifest", request=request, covers=(place,))
            for over, content in _forms(payload, stage):
                request = None if content is None or not name else DigestRequest(name, (_piece(content),))
                yield Trial(statement=statement, over=over, request=request, covers=whole)


def _forms(payload: Payload, stage: int) -> Iterator[tuple[str, Source | None]]:
    """Yield the forms that a digest of a stage may be over; a component that decrypts may be compared before, too."""
    if payload.delivery.encryption_info is None:
        yield "content", payload.stored
        return
    if stage not in payload.delivery.outer:
        yield "plaintext", payload.clear
    yield "ciphertext", payload.stored


def _piece(content: Source) -> Piece:
    return Piece(content, Span(0, content.size))


@dataclass(frozen=True, kw_only=True)
class Judged:
    """A payload after its digests were computed. `bound`: a compared, authentic digest is that of the bytes."""

    payload: Payload
    checks: tuple[DigestCheck, ...]
    bound: bool | None  # None: the bytes or the algorithm are not at hand
    stated: bool  # there is a digest at all
    compared: bool
    decrypted: bool | None

    @property
    def delivery(self) -> Delivery:
        """Return what is delivered where."""
        return self.payload.delivery

    @property
    def place(self) -> Span | None:
        """Return the bytes that its digests are about: of a dependency, most often its manifest alone."""
        if self.payload.dependency is None or any(self.delivery.span in check.covers for check in self.checks):
            return self.delivery.span
        return self.payload.dependency.manifest.span


def judge(payload: Payload, answers: Mapping[DigestRequest, bytes], *, authentic: bool) -> Judged:
    """Return a payload with its digests compared. Where a component may have several digests, one has to be right."""
    checks = [(trial, _check(trial, answers, payload, authentic=authentic)) for trial in payload.trials]
    stages = [_stage(stage, checks) for stage in payload.delivery.stages]
    verdicts = [verdict for verdict, shown in stages if shown]
    shown = [each for _, found in stages for each in found]
    compared = any(trial.statement.compared for trial, _ in shown)  # what no device compares protects nothing
    wrong = False in verdicts or not compared or (payload.refused and True not in verdicts)
    bound = False if wrong else True if True in verdicts else None
    return Judged(
        payload=payload,
        checks=tuple(check for _, check in shown[:MAX_SHOWN]),
        bound=bound,
        stated=bool(checks),
        compared=compared,
        decrypted=_decrypted(payload, shown),
    )


def _stage(
    stage: int, checks: Sequence[tuple[Trial, DigestCheck]]
) -> tuple[bool | None, list[tuple[Trial, DigestCheck]]]:
    """Return what the digests of one component say of the bytes, and those that are worth showing."""
    mine = [(trial, check) for trial, check in checks if trial.statement.component == stage]
    right = [(trial, check) for trial, check in mine if check.matches]
    unknown = [(trial, check) for trial, check in mine if check.matches is None]
    if right or unknown:
        return (True, right) if right else (None, unknown)
    wrong = [(trial, check) for trial, check in mine if trial.over == "manifest"] or mine
    return False, [(trial, check) for trial, check in wrong if trial.over != "ciphertext"] or wrong


def _decrypted(payload: Payload, shown: Iterable[tuple[Trial, DigestCheck]]) -> bool | None:
    """Return whether the plaintext is the right one: its digest says so, or else the tag."""
    matches = {check.matches for trial, check in shown if trial.over == "plaintext"}
    if payload.clear is None or payload.delivery.encryption_info is None or not matches:
        return payload.encryption.decrypted
    return True in matches


def _check(trial: Trial, answers: Mapping[DigestRequest, bytes], payload: Payload, *, authentic: bool) -> DigestCheck:
    stated = trial.statement.digest
    actual = None if trial.request is None else stated.of(answers[trial.request])
    what = payload.delivery.name or f"component {payload.delivery.component}"
    missing = "needs the decryption key" if trial.over == "plaintext" else "the bytes lie elsewhere"
    if not stated.algorithm:
        missing = f"digest algorithm {stated.number} is not known here"
    return DigestCheck(
        name=f"image digest of {what}",
        algorithm=stated.algorithm or f"cose {stated.number}",
        expected=stated.value.hex(),
        actual=None if actual is None else actual.hex(),
        covers=trial.covers,
        over="content" if trial.over == "manifest" else trial.over,
        authentic=authentic,
        note="over the dependency's manifest" if trial.over == "manifest" else "" if actual is not None else missing,
    )


def image(judged: Judged, plan: Plan, hardware: tuple[str, ...]) -> Image:
    """Return a payload as an image."""
    payload, delivery = judged.payload, judged.delivery
    target = plan.manifest.names[delivery.component]
    sizes = plan.sizes_of(delivery)
    clear = payload.clear if judged.decrypted is not False else None
    notes = [] if delivery.kind in {INTEGRATED, CONTENT} else [f"fetched from {delivery.name}"]
    if clear is None and payload.stored is not None:
        notes.append(payload.encryption.note or "decrypted to something else than the manifest means")
    return Image(
        id=f"{target} {delivery.name}".strip(),
        size=payload.stored.size if payload.stored else sizes[0] if sizes else 0,
        role="image" if payload.dependency is None else "metadata",
        target=target,
        hardware=hardware,
        span=judged.place,
        digests=judged.checks,
        encryption=_encryption(judged),
        source=clear,
        note="; ".join(notes),
    )


def _encryption(judged: Judged) -> Encryption:
    found = judged.payload.encryption
    if judged.delivery.encryption_info is None:
        return found
    inline = judged.delivery.kind == CONTENT
    proved = any(check.matches and check.authentic for check in judged.checks)
    authenticated = found.authenticated or inline or proved or None
    encrypted = judged.decrypted is True or not judged.payload.doubts
    return replace(found, encrypted=encrypted, decrypted=judged.decrypted, authenticated=authenticated)
