"""payload.bin of Android A/B updates (CrAU): a manifest of operations on partitions, and their data.

Source: AOSP system/update_engine update_metadata.proto, payload_consumer/payload_verifier.cc and payload_metadata.cc.

The metadata signature is over header and manifest, the payload signature over all but the metadata signature and
itself; both are RSA PKCS #1 v1.5 or ECDSA with SHA-256, and any entry of a list that fits is enough. The manifest
states a SHA-256 of every operation's data, and of every new partition. The format knows no encryption.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

from checker.crypto.keys import PublicKey
from checker.crypto.signatures import Candidate
from checker.errors import FormatError
from checker.formats import _common as common
from checker.formats._android_manifest import (
    MAGIC,
    OLD,
    Partition,
    Payload,
    SignatureEntry,
    read_payload,
    read_signatures,
)
from checker.formats._android_partition import Content, content
from checker.formats._raw_signature import judge
from checker.formats.contract import Context, Format, Parse
from checker.io.digests import DigestRequest, Piece, digest
from checker.model.artifact import (
    INEXPRESSIBLE,
    Artifact,
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
    "hidden-data",
    "inner-unreadable",
    "malformed",
    "missing-digest",
    "no-rollback-counter",
    "script-member",
    "trailing-data",
)
MAX_RECOMPUTED: Final = 512 * 1024 * 1024  # bytes of partitions that are put together to be hashed: some seconds of xz
_SHA256_SIZE: Final = 32
_SHOWN: Final = 20  # dynamic groups and APEX packages among the facts


@dataclass(frozen=True, kw_only=True)
class _List:
    """One list of signatures: what it is over, its verdicts."""

    name: str
    covers: tuple[Span, ...]
    signatures: tuple[Signature, ...]

    @property
    def valid(self) -> bool:
        """Return whether an entry is by a declared key."""
        return any(signature.outcome is Outcome.VALID for signature in self.signatures)

    @property
    def reaching(self) -> bool:
        """Return whether an entry is not known to be wrong."""
        return any(signature.outcome in common.REACHING for signature in self.signatures)

    @property
    def refuted(self) -> bool:
        """Return whether entries are there, and all are wrong."""
        return not self.reaching and any(item.outcome is Outcome.INVALID for item in self.signatures)


@dataclass(frozen=True, kw_only=True)
class _Update:
    """Everything about the file that the verdicts are made of."""

    source: Source
    payload: Payload
    metadata: _List
    whole: _List
    operations: Mapping[tuple[str, int], bytes]  # digests of data by partition and number
    contents: Mapping[str, Content | str]
    hashes: Mapping[str, bytes] = field(default_factory=dict)  # of partitions that were put together

    @property
    def held(self) -> bool:
        """Return whether the manifest is inside what a valid signature covers, and no list refutes that."""
        return (self.metadata.valid or self.whole.valid) and not (self.metadata.refuted or self.whole.refuted)


def _detect(source: Source, context: Context) -> bool:  # noqa: ARG001 - the contract's signature
    return source.read(0, 4) == MAGIC


def _parse(source: Source, context: Context) -> Parse:
    payload = read_payload(source)
    over_metadata = DigestRequest("sha-256", (Piece(source, payload.metadata),))
    over_all = DigestRequest("sha-256", tuple(Piece(source, span) for span in _signed(payload)))
    data = {
        (partition.name, number): DigestRequest.over("sha-256", source, step.span)
        for partition in payload.partitions
        for number, step in enumerate(partition.operations)
        if step.span is not None and step.digest
    }
    answers = yield (over_metadata, over_all, *data.values())
    update = _Update(
        source=source,
        payload=payload,
        metadata=_judge(source, payload.metadata_signature, answers[over_metadata], (payload.metadata,), context),
        whole=_judge(source, payload.signature, answers[over_all], _signed(payload), context),
        operations={key: answers[request] for key, request in data.items()},
        contents=_contents(source, payload),
    )
    requests = {
        name: DigestRequest.over("sha-256", found)
        for name, found in update.contents.items()
        if isinstance(found, Content) and not _differing(update, name)
    }
    answers = yield tuple(requests.values())
    return _artifact(replace(update, hashes={name: answers[request] for name, request in requests.items()}))


def _signed(payload: Payload) -> tuple[Span, ...]:
    return (payload.metadata, payload.data)


def _contents(source: Source, payload: Payload) -> dict[str, Content | str]:
    """Return what each partition will hold, as far as that can be had from this file within `MAX_RECOMPUTED`."""
    found: dict[str, Content | str] = {}
    room = MAX_RECOMPUTED
    for partition in payload.partitions:
        made = content(source, partition, payload.block_size)
        if isinstance(made, Content) and made.cost > room:
            made = f"putting all partitions together takes more than MAX_RECOMPUTED ({MAX_RECOMPUTED}) bytes"
        room -= made.cost if isinstance(made, Content) else 0
        found[partition.name] = made
    return found


# Signatures


def _schemes(key: PublicKey) -> Iterator[Candidate]:
    """Yield what update_engine accepts."""
    if key.facts.algorithm == "rsa":
        yield Candidate("rsa-pkcs1v15", "sha-256")
    elif key.facts.algorithm.startswith("ec-"):
        yield Candidate("ecdsa", "sha-256")


def _judge(source: Source, span: Span | None, sha256: bytes, covers: tuple[Span, ...], context: Context) -> _List:
    name = "metadata signature" if len(covers) == 1 else "payload signature"
    if span is None or not span.size:
        absent = Signature(outcome=Outcome.ABSENT, note=f"there is no {name}")
        return _List(name=name, covers=covers, signatures=(absent,))
    try:
        entries = read_signatures(source, span)
    except FormatError as error:
        broken = Signature(outcome=Outcome.INVALID, covers=covers, where=span, note=f"{name}: {error}")
        return _List(name=name, covers=covers, signatures=(broken,))
    found = tuple(_entry(entry, sha256, covers, context, name) for entry in entries)
    if not found:
        absent = Signature(outcome=Outcome.ABSENT, where=span, note=f"the {name} is an empty list")
        return _List(name=name, covers=covers, signatures=(absent,))
    if any(signature.outcome is Outcome.VALID for signature in found):
        found = tuple(_beside_valid(signature) for signature in found)
    return _List(name=name, covers=covers, signatures=found)


def _entry(entry: SignatureEntry, sha256: bytes, covers: tuple[Span, ...], context: Context, name: str) -> Signature:
    if entry.fault:
        return Signature(outcome=Outcome.INVALID, covers=covers, where=entry.span, note=f"{name}: {entry.fault}")
    found = judge(entry.data, context.keys.verifiers, {"sha-256": sha256}, schemes=_schemes)
    encoding = f"{found.encoding}, padded" if entry.padded else found.encoding
    note = f"{name}{': ' + found.note if found.note else ''}"
    return replace(found, covers=covers, where=entry.span, encoding=encoding, note=note)


def _beside_valid(signature: Signature) -> Signature:
    """Return an entry that does not fit as one by another signer's key: update_engine takes any that fits."""
    if signature.outcome is not Outcome.INVALID:
        return signature
    note = "fits no declared key; another entry of the same list does, which is enough for update_engine"
    return replace(signature, outcome=Outcome.KEY_UNKNOWN, note=note)


# Digests


def _differing(update: _Update, name: str) -> tuple[int, ...]:
    """Return the operations of a partition whose data are not what the manifest says."""
    partition = next(item for item in update.payload.partitions if item.name == name)
    return tuple(
        number
        for number, step in enumerate(partition.operations)
        if (name, number) in update.operations and update.operations[name, number] != step.digest
    )


def _data_check(update: _Update, partition: Partition) -> DigestCheck | None:
    """Return all data digests of a partition as one: the SHA-256 over the stated and over the recomputed ones."""
    known = [number for number in range(len(partition.operations)) if (partition.name, number) in update.operations]
    if not known:
        return None
    stated = b"".join(partition.operations[number].digest for number in known)
    actual = b"".join(update.operations[partition.name, number] for number in known)
    wrong = _differing(update, partition.name)
    note = f"; these differ: {', '.join(map(str, wrong[:5]))}" if wrong else ""
    return DigestCheck(
        name=f"{partition.name}: data of {len(known)} operations",
        algorithm="sha-256",
        expected=digest("sha-256", stated).hex(),
        actual=digest("sha-256", actual).hex(),
        covers=tuple(_merged(step.span for number in known if (step := partition.operations[number]))),
        authentic=update.held,
        note=f"one digest over the digests of the operations{note}",
    )


def _partition_check(update: _Update, partition: Partition) -> DigestCheck | None:
    if not partition.new_hash:
        return None
    made, actual = update.contents[partition.name], update.hashes.get(partition.name)
    return DigestCheck(
        name=f"{partition.name}: new content",
        algorithm="sha-256",
        expected=partition.new_hash.hex(),
        actual=None if actual is None else actual.hex(),
        authentic=update.held,
        note=made if isinstance(made, str) else "" if actual is not None else "an operation's data differ already",
    )


def _merged(spans: Iterable[Span | None]) -> Iterator[Span]:
    """Yield the ranges, those that touch or overlap as one."""
    last: Span | None = None
    for span in sorted(item for item in spans if item is not None):
        if last is not None and span.start <= last.end:
            last = Span(last.start, max(last.end, span.end))
            continue
        if last is not None:
            yield last
        last = span
    if last is not None:
        yield last


# The artifact


def _artifact(update: _Update) -> Artifact:
    payload = update.payload
    signatures = (*update.metadata.signatures, *update.whole.signatures)
    if payload.major == OLD:  # it has no place for a metadata signature
        signatures = update.whole.signatures
    images = tuple(_image(update, partition) for partition in payload.partitions)
    return Artifact(
        format="android-payload",
        title=f"Android A/B payload (CrAU version {payload.major})",
        name=update.source.name,
        size=update.source.size,
        sha256="",
        signatures=signatures,
        coverage=_coverage(update),
        images=images,
        version=_version(update),
        hardware=INEXPRESSIBLE,
        weaknesses=tuple(_weaknesses(update, signatures, images)),
        facts=tuple(fact for fact in _facts(payload) if fact[1]),
    )


def _image(update: _Update, partition: Partition) -> Image:
    checks = (_data_check(update, partition), _partition_check(update, partition))
    spans = list(_merged(step.span for step in partition.operations))
    made = update.contents[partition.name]
    return Image(
        id=partition.name,
        size=partition.new_size or 0,
        target=partition.name,
        span=spans[0] if len(spans) == 1 else None,
        digests=tuple(check for check in checks if check is not None),
        version=Version(version=partition.version, sequence=INEXPRESSIBLE, authentic=update.held or None),
        source=made if isinstance(made, Content) and partition.name in update.hashes else None,
        note=made if isinstance(made, str) else "",
    )


def _coverage(update: _Update) -> Coverage:
    payload = update.payload
    whole = payload.data
    uncovered = tuple(_uncovered(update))
    held = (update.metadata.reaching or update.whole.reaching) and not (update.metadata.refuted or update.whole.refuted)
    fields = ("partitions", "operations", "max timestamp", "minor version", "postinstall")
    return Coverage(
        payload=(payload.metadata, whole) if whole.size else (payload.metadata,),
        uncovered=uncovered,
        metadata=fields if held else (),
        unprotected_metadata=() if held else fields,
        size_bound=held and not uncovered,
    )


def _uncovered(update: _Update) -> Iterator[Span]:
    """Yield what nothing authentic reaches; a wrong list or partition hash makes update_engine refuse all of it."""
    payload = update.payload
    whole = (payload.metadata, *((payload.data,) if payload.data.size else ()))
    broken = any(_broken_partition(update, partition) for partition in payload.partitions)
    if broken or update.metadata.refuted or update.whole.refuted:
        yield from whole
    elif update.whole.valid or (update.whole.reaching and not update.metadata.valid):
        yield from _merged(
            partition.operations[number].span
            for partition in payload.partitions
            for number in _differing(update, partition.name)
        )
    elif update.metadata.reaching:  # beside a valid one, a payload signature by an unknown key may be a stranger's
        yield from _without(payload.data, _merged(_good(update)))
    else:
        yield from whole


def _broken_partition(update: _Update, partition: Partition) -> bool:
    check = _partition_check(update, partition)
    return check is not None and check.matches is False


def _good(update: _Update) -> Iterator[Span | None]:
    for partition in update.payload.partitions:
        wrong = set(_differing(update, partition.name))
        for number, step in enumerate(partition.operations):
            if (partition.name, number) in update.operations and number not in wrong:
                yield step.span


def _without(whole: Span, taken: Iterable[Span]) -> Iterator[Span]:
    """Yield what of a range is not in others, which are sorted."""
    start = whole.start
    for span in taken:
        if start < span.start:
            yield Span(start, min(span.start, whole.end))
        start = max(start, span.end)
    if start < whole.end:
        yield Span(start, whole.end)


def _version(update: _Update) -> Version:
    payload = update.payload
    reached = (update.metadata.reaching or update.whole.reaching) or None
    conditions = ["max_timestamp"] if payload.max_timestamp is not None else []
    conditions += [f"{item.name} now has SHA-256 {item.old_hash.hex()}" for item in payload.partitions if item.old_hash]
    return Version(
        version=INEXPRESSIBLE,
        sequence=payload.max_timestamp,
        authentic=True if update.held else None if reached else False,
        constraints=tuple(conditions),
    )


def _facts(payload: Payload) -> Iterator[tuple[str, str]]:
    delta = payload.minor or any(partition.old_hash for partition in payload.partitions)
    yield "kind", f"{'delta' if delta else 'full'}, minor version {payload.minor}"
    yield "block size", str(payload.block_size)
    yield "partial update", "yes" if payload.partial else ""
    yield "dynamic partition groups", ", ".join(payload.groups[:_SHOWN])
    yield "APEX packages", ", ".join(payload.apexes[:_SHOWN])
    for partition in payload.partitions:
        kinds = sorted({step.type for step in partition.operations})
        yield f"partition {partition.name}", f"{len(partition.operations)} operations: {', '.join(kinds)}"


# Weaknesses


def _weaknesses(update: _Update, signatures: Sequence[Signature], images: Sequence[Image]) -> Iterator[Weakness]:
    payload = update.payload
    yield from common.signature_weaknesses(signatures)
    for image in images:
        yield from common.digest_weaknesses(image.digests)
    if payload.max_timestamp is None:
        text = "no max_timestamp: nothing in the payload stops an older release"
        yield Weakness(code="no-rollback-counter", message=text)
    for partition in payload.partitions:
        yield from _partition_weaknesses(payload, partition)
    yield from _data_weaknesses(payload)
    if payload.end < update.source.size:
        where = Span(payload.end, update.source.size)
        yield Weakness(code="trailing-data", message="bytes follow the payload", where=str(where))


def _partition_weaknesses(payload: Payload, partition: Partition) -> Iterator[Weakness]:
    where = partition.name
    if partition.postinstall:
        yield Weakness(code="script-member", message="a program of this partition runs after the install", where=where)
    bare = [
        number for number, step in enumerate(partition.operations) if step.span and len(step.digest) != _SHA256_SIZE
    ]
    bare = [number for number in bare if partition.operations[number].span != payload.signature]
    if bare:
        text = f"{len(bare)} operations have data without a SHA-256, the first is {bare[0]}"
        yield Weakness(code="missing-digest", message=text, where=where)
    if len(partition.new_hash) != _SHA256_SIZE:
        yield Weakness(code="missing-digest", message="the new partition has no SHA-256", where=where)
    unknown = sorted({step.type for step in partition.operations if step.type.startswith("type ")})
    if unknown:
        yield Weakness(code="malformed", message=f"unknown operations: {', '.join(unknown)}", where=where)


def _data_weaknesses(payload: Payload) -> Iterator[Weakness]:
    """Yield what the operations leave out, use twice, or take from behind their data."""
    every = sorted(step.span for partition in payload.partitions for step in partition.operations if step.span)
    spans = [span for span in every if span != payload.signature]
    twice = next((b for a, b in itertools.pairwise(spans) if b.start < a.end), None)
    if twice is not None:
        text = "operations share data: readers that stream see them once"
        yield Weakness(code="malformed", message=text, where=str(twice))
    if spans and spans[-1].end > payload.data.end:
        text = "an operation takes its data from behind the signed data"
        yield Weakness(code="malformed", message=text, where=str(spans[-1]))
    end = payload.data.end if payload.signature else payload.end
    gaps = tuple(_without(Span(payload.data.start, end), _merged(spans)))
    if gaps:
        text = f"{sum(gap.size for gap in gaps)} bytes of data belong to no operation"
        yield Weakness(code="hidden-data", message=text, where=str(gaps[0]))


FORMAT: Final = Format(
    id="android-payload",
    title="Android A/B payload (CrAU)",
    detect=_detect,
    parse=_parse,
    references=(
        "AOSP system/update_engine update_metadata.proto",
        "AOSP system/update_engine payload_consumer/payload_verifier.cc",
    ),
)
