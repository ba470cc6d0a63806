"""Comparisons across artifacts (criteria.md 3.5): are keys unique to a device, new for a release, and nonces used once.

Two artifacts show more than one: equal wrapped keys, equal nonces under one key, or equal blocks of ciphertext at equal
offsets need no decryption key to be seen. A sample never proves the fleet, so its size is part of every record. Where
it is not sure whose an artifact is (no device is named, or its recipients are another device's keys by the inventory),
a comparison can still refute, and shows nothing else.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import combinations
from typing import Final

from checker.crypto.algorithms import algorithm
from checker.crypto.algorithms import known as in_table
from checker.description.model import Description
from checker.errors import OtauditError
from checker.io.digests import DigestRequest, compute
from checker.io.files import Files
from checker.io.sources import Window
from checker.model.artifact import Artifact, Encryption, OneTimeKey, Recipient, Signature, Source, Span
from checker.model.evidence import Evidence, Expectation, Origin, Value
from checker.model.subject import Subject, SubjectKind
from checker.model.terms import Outcome, Reason
from checker.probes import _keyfiles
from checker.probes._records import expect, fact, gap, path_of, update_subject
from checker.probes._sources import lasting
from checker.probes.contract import Context, Opened, Probe

_PROBE: Final = "corpus"
_BLOCK: Final = 16  # bytes of an AES block: two equal ones by chance have a probability of 2^-128
_SAMPLE: Final = 1024 * 1024  # bytes of each ciphertext that are compared block by block
_MAX_PAIRS: Final = 2_000  # of ciphertexts that are compared: 64 devices with one image have 2,016
_STATEFUL: Final = frozenset({"lms", "hss", "xmss", "xmss-mt", "lamport", "wots"})
_LEAST: Final = 2


@dataclass(frozen=True, kw_only=True)
class _Cipher:
    """One encrypted part: where its ciphertext lies, and what is known of its key."""

    name: str  # member path within the artifact: the same part of another artifact has the same
    where: str
    encryption: Encryption
    source: Source = field(repr=False, compare=False)
    span: Span
    plaintext: Source | None = field(default=None, repr=False, compare=False)
    inner: bool = False  # it lies in an image inside a member
    wrapped: bool = False  # metadata in an envelope: what is around the ciphertext repeats by nature

    @cached_property
    def digest(self) -> bytes:
        """Return the SHA-256 of the ciphertext."""
        request = DigestRequest.over("sha-256", self.source, self.span)
        return compute([request])[request]


@dataclass(frozen=True, kw_only=True)
class _Sealed:
    """What one deliverable shows of its encryption."""

    opened: Opened
    encrypted: bool
    parts: tuple[_Cipher, ...]
    recipients: tuple[Recipient, ...]
    doubtful: bool = False  # whether it is for the device that is named

    @property
    def outer(self) -> tuple[_Cipher, ...]:
        """Return the encrypted parts of the deliverable itself, without those of images inside its members."""
        return tuple(part for part in self.parts if not part.inner)

    @property
    def content(self) -> frozenset[str]:
        """Return the digests of the content keys that could be unwrapped; none if one could not."""
        digests = [part.encryption.content_key_digest for part in self.outer]
        return frozenset(digests) if digests and all(digests) else frozenset()


def _expects(description: Description) -> Iterator[Expectation]:
    update = update_subject(description)
    yield expect("uniqueness", update, values={"across": "devices"}, count=len(_releases(description)) or 1)
    for device in _devices(description):
        values: dict[str, Value] = {"across": "releases", "device": device or None}
        yield expect("uniqueness", _device(device, description), values=values)
    yield expect("nonce_use", update)
    yield expect("one_time_index", update)


def _releases(description: Description) -> tuple[str, ...]:
    return tuple(dict.fromkeys(ref.release for ref in description.artifacts if ref.role == "deliverable"))


def _devices(description: Description) -> tuple[str, ...]:
    found = tuple(dict.fromkeys(ref.device for ref in description.artifacts if ref.role == "deliverable"))
    return found or ("",)


def _device(device: str, description: Description) -> Subject:
    return Subject(kind=SubjectKind.DEVICE, id=device or f"{description.id}: any device")


def _run(context: Context) -> Iterator[Evidence]:
    description = context.description
    owners = {key.spki_sha256: item.device for item, key in _keyfiles.inventory_keys(description, context.files)}
    sealed = [_sealed(context.files, item, owners) for item in context.opened]
    delivered = [item for item in sealed if item is not None and item.opened.ref.role == "deliverable"]
    lost = {item.ref.id for item in context.opened if item.artifact is None}
    for release in _releases(description) or ("current",):
        group = _by((item for item in delivered if item.opened.ref.release == release), _device_of)
        yield _across_devices(description, release, group)
    for device in _devices(description):
        mine = [item for item in delivered if item.opened.ref.device == device]
        yield _across_releases(description, device, _by(mine, _release_of))
    yield _nonces(description, [part for item in sealed if item is not None for part in item.parts], lost)
    yield from _indexes(description, context.opened)


def _device_of(item: _Sealed) -> str:
    return item.opened.ref.device


def _release_of(item: _Sealed) -> str:
    return item.opened.ref.release


def _by(items: Iterable[_Sealed], key: Callable[[_Sealed], str]) -> Mapping[str, tuple[_Sealed, ...]]:
    """Return artifacts by device or release; those that name none belong to no group."""
    groups: dict[str, tuple[_Sealed, ...]] = {}
    for item in items:
        if key(item):
            groups[key(item)] = (*groups.get(key(item), ()), item)
    return groups


# What an artifact shows


def _sealed(files: Files, opened: Opened, owners: Mapping[str, str]) -> _Sealed | None:
    if opened.artifact is None:
        return None
    try:
        source = lasting(files, path_of(opened.ref.file))
    except OtauditError:
        return None
    parts = tuple(_parts(opened.artifact, source, opened.ref.id, ""))
    # Protect reads the outer deliverable, Process the inner images (criteria.md DEP5): a key that all radios of a model
    # share inside says nothing about who can open the deliverable, and a key of its own inside would not mend it.
    encrypted = any(not part.inner for part in parts)
    recipients = opened.artifact.recipients
    known = {owners[item.key.id] for item in recipients if owners.get(item.key.id)}
    doubtful = not opened.ref.device or (bool(known) and opened.ref.device not in known)
    return _Sealed(opened=opened, encrypted=encrypted, parts=parts, recipients=recipients, doubtful=doubtful)


def _parts(artifact: Artifact, source: Source, where: str, name: str) -> Iterator[_Cipher]:
    """Yield the encrypted parts of an artifact, outermost first; what lies inside plain members too."""
    whole = [item for item in artifact.encryption if item.encrypted]
    for number, item in enumerate(whole):
        clear = artifact.images[0].source if len(artifact.images) == 1 and item.decrypted else None
        for place, span in enumerate(_ciphertext(artifact, item)):
            label = f"{name}#{number}.{place}"
            yield _Cipher(name=label, where=where, encryption=item, source=source, span=span, plaintext=clear)
    for image in artifact.images:
        path = f"{name}/{image.id}"
        own = image.encryption.encrypted and image.encryption not in whole
        if own and image.span is not None:
            clear = image.source if image.encryption.decrypted else None
            yield _Cipher(
                name=path,
                where=f"{where}{path}",
                encryption=image.encryption,
                source=source,
                span=image.span,
                plaintext=clear,
                wrapped=image.role == "metadata",
            )
        if image.inner is not None and image.source is not None:
            inside = _parts(image.inner, _window(image.source, path), f"{where}{path}", path)
            yield from (replace(part, inner=True) for part in inside)


def _ciphertext(artifact: Artifact, encryption: Encryption) -> tuple[Span, ...]:
    """Return where the ciphertext lies: in the only member where that says so, since what frames it repeats."""
    if len(artifact.images) == 1 and artifact.images[0].encryption == encryption and artifact.images[0].span:
        return (artifact.images[0].span,)
    return artifact.coverage.payload or (Span(0, artifact.size),)


def _window(source: Source, name: str) -> Source:
    return Window(source, name, 0, source.size)


# Across devices, and across releases


def _across_devices(description: Description, release: str, group: Mapping[str, tuple[_Sealed, ...]]) -> Evidence:
    values: dict[str, Value] = {"across": "devices", "release": release, "sample": len(group)}
    if len(group) < _LEAST:
        text = f"the release {release} was given for {len(group)} named devices; a comparison needs two"
        return gap(_PROBE, "uniqueness", update_subject(description), Reason.TOO_FEW, text, values=values)
    compared = _compared(group)
    pattern = _pattern(group, compared)
    values |= compared | {"pattern": pattern, "distinct": None if pattern is None else pattern in {"P1", "P2"}}
    return fact(_PROBE, "uniqueness", update_subject(description), _unless_doubtful(group, values))


def _across_releases(description: Description, device: str, group: Mapping[str, tuple[_Sealed, ...]]) -> Evidence:
    values: dict[str, Value] = {"across": "releases", "device": device or None, "sample": len(group)}
    subject = _device(device, description)
    if len(group) < _LEAST:
        text = f"{device or 'the device'} has artifacts of {len(group)} release; a comparison needs two"
        return gap(_PROBE, "uniqueness", subject, Reason.TOO_FEW, text, values=values)
    compared = _compared(group)
    distinct = _fresh(group, compared)
    pattern = None if distinct is None else "P1" if distinct else "fleet"
    if not all(item.encrypted for items in group.values() for item in items):
        pattern, distinct = "plain", False
    values |= compared | {"pattern": pattern, "distinct": distinct}
    return fact(_PROBE, "uniqueness", subject, _unless_doubtful(group, values))


def _unless_doubtful(group: Mapping[str, tuple[_Sealed, ...]], values: Mapping[str, Value]) -> dict[str, Value]:
    """Return a comparison without what speaks for it, where it is not sure whose the artifacts are."""
    if not any(item.doubtful for items in group.values() for item in items):
        return dict(values)
    good = {name for name, value in values.items() if value is True and name.endswith("distinct")}
    good |= {"pattern"} if values.get("pattern") in {"P1", "P2"} else set()
    return {name: None if name in good else value for name, value in values.items()}


def _fresh(group: Mapping[str, tuple[_Sealed, ...]], compared: Mapping[str, Value]) -> bool | None:
    """Return whether each release has a key of its own, as far as can be seen (criteria.md 3.5, item 2)."""
    del group
    if compared["keystream_reused"] or compared["content_key_distinct"] is False:
        return False
    if compared["content_key_distinct"]:
        return True
    # Equal wrapped keys are one content key, and an ephemeral key that returns is not ephemeral: either refutes.
    seen = [compared["wrapped_key_distinct"], compared["ephemeral_distinct"]]
    if False in seen:
        return False
    return True if True in seen else None


def _compared(group: Mapping[str, tuple[_Sealed, ...]]) -> dict[str, Value]:
    """Return what differs between the members of a group, each with its own field; None where it is not known."""
    members = list(group.values())
    parts = [[part for item in items for part in item.outer] for items in members]
    reused, same = _ciphertexts(parts)
    return {
        "wrapped_key_distinct": _disjoint(members, lambda item: {r.wrapped for r in item.recipients}),
        "ephemeral_distinct": _disjoint(members, lambda item: {r.ephemeral for r in item.recipients}),
        "recipient_key_distinct": _disjoint(members, lambda item: {r.key.id for r in item.recipients}),
        "content_key_distinct": _disjoint(members, lambda item: set(item.content)),
        "ciphertext_distinct": None if same is None else not same,
        "keystream_reused": reused,
    }


def _disjoint(members: Sequence[tuple[_Sealed, ...]], values: Callable[[_Sealed], set[str]]) -> bool | None:
    """Return whether no two members share a value: False as soon as two do, None where one shows none."""
    sets = [set[str]().union(*(values(item) for item in items)) for items in members]
    if any((one & two) - {""} for one, two in combinations(sets, 2)):
        return False
    return True if all(found and "" not in found for found in sets) else None


def _pattern(group: Mapping[str, tuple[_Sealed, ...]], compared: Mapping[str, Value]) -> str | None:
    """Return P1, P2, fleet or plain; None where the sample does not show it.

    A key that opens the deliverables of two devices makes a fleet key, whatever else differs. Where content keys could
    not be unwrapped, recipients of their own show at least P2.
    """
    if not all(item.encrypted for items in group.values() for item in items):
        return "plain"
    if compared["recipient_key_distinct"] is False or compared["wrapped_key_distinct"] is False:
        return "fleet"
    own = compared["recipient_key_distinct"] is True
    if compared["content_key_distinct"] is True:
        wrapped = any(item.recipients for items in group.values() for item in items)
        return "P1" if own or not wrapped else None
    if own:
        return "P2"
    unwrapped = not any(item.recipients for items in group.values() for item in items)
    one = compared["content_key_distinct"] is False or compared["ciphertext_distinct"] is False
    return "fleet" if unwrapped and one else None


# Ciphertext


def _ciphertexts(groups: Sequence[Sequence[_Cipher]]) -> tuple[bool | None, bool | None]:
    """Return whether keystream was reused between groups, and whether any ciphertext is the same in two of them."""
    pairs = [
        (one, two)
        for first, second in combinations(groups, 2)
        for one in first
        for two in second
        if one.name == two.name and not (one.wrapped or two.wrapped)
    ][:_MAX_PAIRS]
    if not pairs:
        return None, None
    equal = [_same(one, two) for one, two in pairs]
    reused = any(not same and _overlap(one, two) for (one, two), same in zip(pairs, equal, strict=True))
    return reused, any(equal)


def _same(one: _Cipher, two: _Cipher) -> bool:
    return one.span.size == two.span.size and one.digest == two.digest


def _overlap(one: _Cipher, two: _Cipher) -> bool:
    """Return whether two different ciphertexts share a block at the same offset, or the same keystream.

    With the plaintexts at hand, C1 xor C2 = P1 xor P2 shows one keystream even where no block is equal.
    """
    size = min(one.span.size, two.span.size, _SAMPLE)
    first, second = (part.source.read(part.span.start, size) for part in (one, two))
    if _equal_block(first, second):
        return True
    if one.plaintext is None or two.plaintext is None:
        return False
    clear = [part.plaintext.read(0, size) for part in (one, two) if part.plaintext is not None]
    return _equal_block(_xor(first, second), _xor(clear[0], clear[1]))


def _equal_block(one: bytes, two: bytes) -> bool:
    """Return whether two texts have an equal block of 16 bytes at the same multiple of 16."""
    difference, zeros = _xor(one, two), bytes(_BLOCK)
    at = difference.find(zeros)
    while at >= 0 and at % _BLOCK:
        at = difference.find(zeros, at + 1)
    return at >= 0


def _xor(one: bytes, two: bytes) -> bytes:
    size = min(len(one), len(two))
    return (int.from_bytes(one[:size]) ^ int.from_bytes(two[:size])).to_bytes(size)


# Nonces


def _nonces(description: Description, parts: Sequence[_Cipher], lost: set[str]) -> Evidence:
    """Return KM14: whether any two different contents share a nonce under one key."""
    subject = update_subject(description)
    if len(parts) < _LEAST:
        text = f"{len(parts)} encrypted parts were given; a comparison needs two"
        return gap(_PROBE, "nonce_use", subject, Reason.TOO_FEW, text, values={"pairs": len(parts)})
    answers = {(one, two): _repeats(one, two) for one, two in list(combinations(parts, 2))[:_MAX_PAIRS]}
    where = {part.where for pair, answer in answers.items() if answer for part in pair}
    sizes = [len(part.encryption.nonce) * 4 for part in parts if part.encryption.nonce]
    tags = [part.encryption.tag_bits for part in parts if part.encryption.tag_bits is not None]
    values: dict[str, Value] = {
        "pairs": len(parts),
        "repeated": True if where else None if None in answers.values() or lost else False,
        "where": tuple(sorted(where)),
        "minimum_bits": min(sizes, default=None),
        "minimum_tag_bits": min(tags, default=None),
    }
    return fact(_PROBE, "nonce_use", subject, values)


def _repeats(one: _Cipher, two: _Cipher) -> bool | None:
    """Return whether two parts have one key and nonce under different content; None where that is not known."""
    first, second = one.encryption, two.encryption
    if first.nonce and second.nonce and first.nonce != second.nonce:
        return False
    keys = first.content_key_digest, second.content_key_digest
    if all(keys) and keys[0] != keys[1]:
        return False
    if _same(one, two):
        return False
    if all(keys) and first.nonce and first.nonce == second.nonce:
        return True
    return True if _overlap(one, two) else None


# One-time indexes


def _indexes(description: Description, opened: Sequence[Opened]) -> Iterator[Evidence]:
    """Yield every one-time key of a stateful hash-based signature, and whether it was used twice (T34).

    A repeat is a record of each artifact that has one of the uses, so that a report names them all.
    """
    subject = update_subject(description)
    seen: dict[tuple[str, str, int], dict[str, set[str]]] = {}
    files = {item.ref.id: item.ref.file.path for item in opened}
    unknown = False
    for item, uses in _used(opened):
        unknown = unknown or not uses
        for use in uses:
            at = (use.scheme, use.owner, use.index)
            seen.setdefault(at, {}).setdefault(use.used, set()).add(item.ref.id)
    for (scheme, key, index), uses_by in sorted(seen.items()):
        repeated = len(uses_by) > 1
        where = sorted({name for names in uses_by.values() for name in names}) if repeated else None
        values: dict[str, Value] = {"scheme": scheme, "key": key, "index": index, "repeated": repeated, "where": where}
        for name in where or [""]:
            origin = Origin(file=files[name]) if name else Origin()
            yield fact(_PROBE, "one_time_index", subject, values, origin=origin)
    if unknown:
        text = "the one-time index of a stateful hash-based signature could not be read"
        yield gap(_PROBE, "one_time_index", subject, Reason.UNSUPPORTED_ALGORITHM, text)
    elif not seen:
        text = "no artifact carries a stateful hash-based signature (LMS, HSS, XMSS)"
        yield gap(_PROBE, "one_time_index", subject, Reason.MISSING_FIELD, text)


def _uses(artifact: Artifact, signature: Signature) -> tuple[OneTimeKey, ...]:
    """Return the one-time keys that a signature used; a format that knows no more tells them by the index alone."""
    if signature.one_time_keys or signature.one_time_index is None:
        return signature.one_time_keys
    return (
        OneTimeKey(
            scheme=signature.algorithm,
            owner=signature.key.id,
            index=signature.one_time_index,
            used=artifact.sha256,
        ),
    )


def _used(opened: Sequence[Opened]) -> Iterator[tuple[Opened, tuple[OneTimeKey, ...]]]:
    """Yield what each stateful signature used (nothing: unknown), and what the authorities above its signer used."""
    for item in opened:
        for artifact in item.artifact.walk() if item.artifact else ():
            for signature in artifact.signatures:
                name = algorithm(signature.algorithm).id if in_table(signature.algorithm) else ""
                if name in _STATEFUL and signature.outcome is not Outcome.ABSENT:
                    yield item, _uses(artifact, signature)
                if signature.chain is not None and signature.chain.one_time_keys:
                    yield item, signature.chain.one_time_keys


PROBE = Probe(
    id=_PROBE,
    title="Comparisons across artifacts",
    kinds=("uniqueness", "nonce_use", "one_time_index"),
    expects=_expects,
    run=_run,
)
