"""What the artifacts themselves show: signatures, coverage, digests, encryption, images, versions, chains, weaknesses.

Every record says which file, layer, target, device and release it is about. A trait that a file does not have gives a
record that says so; a file that cannot be opened gives a record per kind with the reason. Nothing here judges.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Final

from checker.crypto.algorithms import algorithm
from checker.crypto.algorithms import known as in_table
from checker.crypto.certificates import Certificate
from checker.crypto.chains import assess
from checker.crypto.keyring import KeyRing
from checker.description.model import ArtifactRef, Description
from checker.io.checksums import CATALOGUE, resolve
from checker.model.artifact import (
    Artifact,
    AuthKind,
    ChainFacts,
    DigestCheck,
    Encryption,
    Image,
    Inexpressible,
    Recipient,
    Signature,
    Span,
    Weakness,
)
from checker.model.evidence import Evidence, Expectation, Origin, Value
from checker.model.terms import Outcome, Reason
from checker.probes import _facts, _keyfiles, _targets
from checker.probes._attestations import anchor_attested
from checker.probes._endpoint_facts import server_keys
from checker.probes._records import artifact_subject, expect, fact, gap, undeclared
from checker.probes.contract import Context, Opened, Probe

_PROBE: Final = "artifact"
_KINDS: Final = (
    "artifact",
    "signature",
    "coverage",
    "digest",
    "encryption",
    "recipient",
    "image",
    "checksum",
    "version",
    "weakness",
    "certificate",
    "chain",
)
_OPTIONAL: Final = {
    "digest": "the artifact states no digest",
    "recipient": "the artifact wraps no content key",
    "image": "the artifact has no member images",
    "checksum": "the artifact states no checksum",
    "certificate": "no certificate was presented",
    "chain": "no certificate path was presented",
}
_EXECUTED: Final = frozenset({"image", "script"})  # members that end up on a target or run there


@dataclass(frozen=True)
class _Shared:
    """What all artifacts of a run share: the key files are read once, however many recipients ask for them."""

    context: Context

    @cached_property
    def device_certificates(self) -> Mapping[str, Certificate]:
        """Return the certificates of devices by the SHA-256 of their public keys."""
        return _keyfiles.device_certificates(self.context.description, self.context.files)

    @cached_property
    def device_ring(self) -> KeyRing:
        """Return what certificates of devices are verified with."""
        return _keyfiles.device_ring(self.context.description, self.context.files)

    @cached_property
    def transport_ids(self) -> frozenset[str]:
        """Return the SHA-256 of every public key that is declared for TLS, or that an endpoint showed."""
        declared = _keyfiles.transport_ids(self.context.description, self.context.files)
        return declared | server_keys(self.context.examined)


@dataclass(frozen=True, kw_only=True)
class _Place:
    """Where records belong: one artifact, outer or inner."""

    shared: _Shared
    ref: ArtifactRef
    sha256: str
    member: str = ""
    target: str = ""

    @property
    def context(self) -> Context:
        """Return everything that the probe may look at."""
        return self.shared.context

    @property
    def values(self) -> dict[str, Value]:
        """Return the values that every record of this artifact carries."""
        return _common(self.ref, self.member, self.target)

    def fact(self, kind: str, values: Mapping[str, Value], pointer: str = "") -> Evidence:
        """Return a record about this artifact."""
        origin = Origin(file=self.ref.file.path, sha256=self.sha256, pointer=pointer)
        return fact(_PROBE, kind, artifact_subject(self.ref, self.member), self.values | dict(values), origin=origin)

    def gap(self, kind: str, reason: Reason, text: str, values: Mapping[str, Value] | None = None) -> Evidence:
        """Return a record of what is not known about this artifact."""
        origin = Origin(file=self.ref.file.path, sha256=self.sha256)
        all_values = self.values | dict(values or {})
        return gap(
            _PROBE, kind, artifact_subject(self.ref, self.member), reason, text, values=all_values, origin=origin
        )

    def about(self, kind: str, image: Image, values: Mapping[str, Value], pointer: str) -> Evidence:
        """Return a record of this artifact about one of its members."""
        target = self.inside(image).target
        return self.fact(kind, {"image": image.id, **values, "target": target}, pointer)

    def inside(self, image: Image) -> _Place:
        """Return the place of a member."""
        target = _targets.of_image(self.context.description, self.ref, image) or self.target
        member = f"{self.member}/{image.id}" if self.member else image.id
        return replace(self, member=member, target=target)


def _common(ref: ArtifactRef, member: str, target: str) -> dict[str, Value]:
    return {
        "artifact": f"{ref.id}/{member}" if member else ref.id,
        "role": ref.role,
        "layer": "inner" if member else "outer",
        "target": target,
        "device": ref.device or None,
        "release": ref.release,
    }


def _any_layer(kind: str, values: Mapping[str, Value]) -> dict[str, Value]:
    """Return what is known of a record before its file is opened: only the file itself is known to be the outer layer.

    A closed file may hold images, so what it would say of signatures and encryption may belong to either layer.
    """
    return {name: value for name, value in values.items() if kind == "artifact" or name != "layer"}


def _expects(description: Description) -> Iterator[Expectation]:
    for ref in description.artifacts:
        values = _common(ref, "", _targets.of_artifact(description, ref))
        for kind in _KINDS:
            # A file without weaknesses is no gap, so the slot is there but may stay empty.
            count = 0 if kind == "weakness" else 1
            yield expect(kind, artifact_subject(ref), values=_any_layer(kind, values), count=count)
    if not description.artifacts:
        for kind in _KINDS:
            yield undeclared(kind, description, "artifact")


def _run(context: Context) -> Iterator[Evidence]:
    shared = _Shared(context)
    for opened in context.opened:
        yield from _unopened(shared, opened) if opened.artifact is None else _outer(shared, opened, opened.artifact)


def _unopened(shared: _Shared, opened: Opened) -> Iterator[Evidence]:
    target = _targets.of_artifact(shared.context.description, opened.ref)
    place = _Place(shared=shared, ref=opened.ref, sha256="", target=target)
    reason = Reason(opened.reason) if opened.reason else Reason.UNREADABLE
    text = opened.error or "the artifact could not be opened"
    for kind in _KINDS:
        record = place.gap(kind, reason, text, {"opened": False} if kind == "artifact" else {})
        yield replace(record, values=_any_layer(kind, record.values))


def _outer(shared: _Shared, opened: Opened, artifact: Artifact) -> Iterator[Evidence]:
    target = _targets.of_artifact(shared.context.description, opened.ref, artifact)
    place = _Place(shared=shared, ref=opened.ref, sha256=artifact.sha256, target=target)
    records = list(_records(place, artifact))
    have = {record.kind for record in records}
    yield from records
    for kind, text in _OPTIONAL.items():
        if kind not in have:
            yield place.gap(kind, Reason.MISSING_FIELD, text)
    for image in artifact.images:
        yield from _member(place.inside(image), image)
    yield from _unrecognised(place, artifact)


def _member(place: _Place, image: Image) -> Iterator[Evidence]:
    if image.inner is None:
        return
    yield from _records(place, image.inner)
    for inner in image.inner.images:
        yield from _member(place.inside(inner), inner)


def _unrecognised(place: _Place, artifact: Artifact) -> Iterator[Evidence]:
    """Yield gaps for members that are no artifact of a known format, beside others that are.

    Without them, "every inner image is signed" would look only at the images that happened to be recognised.
    """
    images = [image for image in artifact.images if image.role == "image"]
    if not any(image.inner for image in images):
        return
    for image in images:
        if image.inner is None:
            locked = image.encryption.encrypted and image.encryption.decrypted is None
            reason = Reason.NO_KEY if locked else Reason.UNSUPPORTED_FORMAT
            text = image.note or f"{image.id} is no image of a known format"
            for kind in ("artifact", "signature", "encryption"):
                yield place.inside(image).gap(kind, reason, text)


def _records(place: _Place, artifact: Artifact) -> Iterator[Evidence]:
    identity: dict[str, Value] = {
        "format": artifact.format,
        "size": artifact.size,
        "sha256": artifact.sha256,
        "opened": True,
    }
    yield place.fact("artifact", identity)
    yield from _signatures(place, artifact)
    yield place.fact("coverage", _coverage(artifact))
    yield from _digests(place, artifact)
    yield from _encryptions(place, artifact)
    for recipient in artifact.recipients:
        yield from _recipients(place, recipient)
    for image in artifact.images:
        yield _image(place, image)
    version = _version(place, artifact)
    yield place.fact("version", version)
    if version["equals_description"] is False:
        text = f"the file is version {version['version']}, the description says {place.context.description.version}"
        yield place.fact("weakness", {"code": "other-version", "message": text, "where": None})
    for weakness in artifact.weaknesses:
        yield place.fact("weakness", _weakness(weakness), weakness.where)


def _weakness(weakness: Weakness) -> dict[str, Value]:
    return {"code": weakness.code, "message": weakness.message, "where": weakness.where or None}


# Signatures and their chains


def _signatures(place: _Place, artifact: Artifact) -> Iterator[Evidence]:
    present = [signature for signature in artifact.signatures if signature.outcome is not Outcome.ABSENT]
    if not present:
        yield place.fact("signature", {"outcome": Outcome.ABSENT.value, "verified": False})
    for signature in present:
        yield _signature(place, signature)
        if signature.chain is not None and signature.chain.certificates:
            yield from _chain(place, signature.chain, signature.signing_time)


def _signature(place: _Place, signature: Signature) -> Evidence:
    name = _facts.authenticator(signature)
    values: dict[str, Value] = {
        "outcome": signature.outcome.value,
        "kind": signature.kind.value,
        "algorithm": name or None,
        "family": _facts.family(name, _facts.SIGNATURE_FAMILIES),
        "hash": _facts.hash_values(signature.hash),
        "key": _facts.key_values(signature.key),
        "quantum_resistant": _facts.quantum_resistant(name),
        "chain": signature.chain is not None and bool(signature.chain.certificates),
        "signing_time": signature.signing_time or None,
        "fleet_key": _fleet_key(place, signature),
    }
    pointer = str(signature.where) if signature.where else ""
    if signature.outcome in {Outcome.VALID, Outcome.INVALID}:
        # A bare digest that matches is integrity without authenticity: it verifies nothing (criteria.md 3.1).
        valid = signature.outcome is Outcome.VALID and signature.kind is not AuthKind.DIGEST
        return place.fact("signature", values | {"verified": valid}, pointer)
    return place.gap("signature", _undecided(signature), _why(signature), values)


def _undecided(signature: Signature) -> Reason:
    unknown = signature.outcome is Outcome.UNDECIDABLE and not in_table(signature.algorithm)
    return Reason.UNSUPPORTED_ALGORITHM if unknown else Reason.NO_KEY


def _why(signature: Signature) -> str:
    if signature.note:
        return signature.note
    if signature.outcome is Outcome.KEY_UNKNOWN:
        return "the signature is by a key that the description does not declare"
    return "the signature cannot be decided without the decryption key"


def _fleet_key(place: _Place, signature: Signature) -> bool | None:
    """Return whether a MAC's key is shared: it verifies artifacts of two devices. One device says nothing."""
    if signature.kind is not AuthKind.MAC or not signature.key.id:
        return None
    devices = {
        opened.ref.device
        for opened in place.context.opened
        if opened.artifact is not None
        for artifact in opened.artifact.walk()
        if any(other.key.id == signature.key.id for other in artifact.signatures)
    }
    return True if len(devices - {""}) > 1 else None


def _chain(place: _Place, chain: ChainFacts, signing_time: str) -> Iterator[Evidence]:
    trust = place.context.description.device
    purpose = _facts.signing_purpose(trust.trust_images.purposes)
    used_at = signing_time or chain.checked_at or place.context.as_of
    yield from _path(place, chain, "signing", purpose, used_at)


def _path(place: _Place, chain: ChainFacts, use: str, purpose: _facts.Purpose, used_at: str) -> Iterator[Evidence]:
    values = _facts.chain_values(chain, purpose, used_at, place.shared.transport_ids)
    if use == "signing":  # what an attestation says of a device's anchor, it says of its images' anchor
        context = place.context
        values["anchor_attested"] = anchor_attested(context.attested, context.keys, chain.anchor, place.target)
    yield place.fact("chain", {"use": use} | values)
    for facts, position in zip(chain.certificates, _facts.positions(chain), strict=True):
        yield place.fact("certificate", {"use": use} | _facts.certificate_values(facts, position), facts.sha256)


# Digests and coverage


def _digests(place: _Place, artifact: Artifact) -> Iterator[Evidence]:
    for check in artifact.digests:
        yield _digest(place, check, "")
    for image in artifact.images:
        for check in image.digests:
            if check not in artifact.digests:
                yield _digest(place, check, image.id)


def _digest(place: _Place, check: DigestCheck, image: str) -> Evidence:
    pointer = ", ".join(str(span) for span in check.covers)
    name = f"{image}: {check.name}" if image else check.name
    if resolve(check.algorithm) in CATALOGUE:
        width = CATALOGUE[resolve(check.algorithm)].width
        values: dict[str, Value] = {"image": image or check.name, "name": resolve(check.algorithm), "bits": width}
        return _checked(place, "checksum", values, check, pointer)
    strength = _facts.hash_values(check.algorithm) or {}
    values = {
        "name": name,
        "algorithm": check.algorithm,
        "collision_bits": strength.get("collision_bits"),
        "authentic": check.authentic,
        "over": check.over,
    }
    return _checked(place, "digest", values, check, pointer)


def _checked(place: _Place, kind: str, values: Mapping[str, Value], check: DigestCheck, pointer: str) -> Evidence:
    if check.matches is not None:
        return place.fact(kind, dict(values) | {"matches": check.matches}, pointer)
    return place.gap(kind, Reason.NO_KEY, check.note or f"{check.name} could not be recomputed", values)


def _coverage(artifact: Artifact) -> dict[str, Value]:
    coverage = artifact.coverage
    payload = sum(span.size for span in merged(coverage.payload))
    uncovered = sum(span.size for span in merged(coverage.uncovered))
    return {
        "payload_bytes": payload,
        "uncovered_bytes": uncovered,
        "complete": _complete(artifact, payload, uncovered),
        "size_bound": coverage.size_bound,
        "metadata": coverage.metadata,
        "unprotected_metadata": coverage.unprotected_metadata,
    }


def _complete(artifact: Artifact, payload: int, uncovered: int) -> bool | None:
    """Return whether everything is covered; None where there is no payload, or where that is not known."""
    checks = [*artifact.digests, *(check for image in artifact.images for check in image.digests)]
    if uncovered or any(check.matches is False for check in checks):
        return False
    if not payload or artifact.coverage.undecided:
        return None
    equal = merged(span for check in checks if check.matches for span in check.covers)
    open_checks = [check for check in checks if check.matches is None]
    return None if any(not _inside(check.covers, equal) for check in open_checks) else True


def merged(spans: Iterable[Span]) -> tuple[Span, ...]:
    """Return spans in order, with those that touch or overlap made one."""
    done: list[Span] = []
    for span in sorted(spans):
        if done and span.start <= done[-1].end:
            done[-1] = Span(done[-1].start, max(done[-1].end, span.end))
        else:
            done.append(span)
    return tuple(done)


def _inside(spans: Sequence[Span], cover: Sequence[Span]) -> bool:
    return bool(spans) and all(any(c.start <= s.start and s.end <= c.end for c in cover) for s in spans)


# Encryption


def _encryptions(place: _Place, artifact: Artifact) -> Iterator[Evidence]:
    """Yield how the whole is encrypted, and each member that is encrypted otherwise.

    A plain container of encrypted members is judged by its members; members of an encrypted container are as safe as
    it is; a file that says nothing of encryption is not encrypted.
    """
    members = [image for image in artifact.images if image.role in _EXECUTED]
    own = [image for image in members if image.encryption not in artifact.encryption]
    whole = [item for item in artifact.encryption if item.encrypted]
    if not own and not artifact.encryption:
        yield place.fact("encryption", {"image": "", "encrypted": False})
    for item in whole or (() if own else artifact.encryption):
        yield place.fact("encryption", {"image": ""} | _encryption(item))
    shown = [image for image in own if image.encryption.encrypted] if whole else members if own else []
    for image in shown:
        pointer = str(image.span) if image.span else ""
        yield place.about("encryption", image, _encryption(image.encryption), pointer)


def _encryption(item: Encryption) -> dict[str, Value]:
    return {
        "encrypted": item.encrypted,
        "cipher": item.cipher or None,
        "mode": item.mode or None,
        "key_bits": item.key_bits,
        "nonce": item.nonce or None,
        "tag_bits": item.tag_bits,
        "authenticated": item.authenticated,
        "decrypted": item.decrypted,
        "key_in_clear": item.key_in_clear if item.encrypted else None,
        "content_key_digest": item.content_key_digest or None,
    }


def _recipients(place: _Place, recipient: Recipient) -> Iterator[Evidence]:
    """Yield a wrapping and, where the recipient's key has a certificate in the inventory, its path (PROT-E3)."""
    as_of = place.context.as_of
    certificate = place.shared.device_certificates.get(recipient.key.id)
    if certificate is None:
        yield place.fact("recipient", _recipient(recipient))
        return
    chain = assess(certificate, place.shared.device_ring, as_of=as_of, purpose="").chain
    yield place.fact("recipient", _recipient(recipient) | {"certified": chain.valid})
    if chain.certificates:
        yield from _path(place, chain, "recipient", _facts.RECIPIENT_PURPOSE, as_of)


def _recipient(recipient: Recipient) -> dict[str, Value]:
    row = algorithm(recipient.algorithm) if in_table(recipient.algorithm) else None
    return {
        "algorithm": recipient.algorithm or None,
        "family": _facts.family(recipient.algorithm, _facts.RECIPIENT_FAMILIES),
        "problem": row.problem if row else None,
        "category": row.category if row else None,
        "key": _facts.key_values(recipient.key),
        "ephemeral": recipient.ephemeral or None,
        "wrapped": recipient.wrapped or None,
        "unwrapped": recipient.unwrapped,
        "wrapping_bits": recipient.wrapping_bits,
    }


# Images and versions


def _image(place: _Place, image: Image) -> Evidence:
    values: dict[str, Value] = {
        "kind": image.role,
        "size": image.size,
        "opened": image.inner is not None,
        "format": image.inner.format if image.inner else None,
        "own_digest": any(check.authentic for check in image.digests),
        "own_location": bool(image.target),
    }
    return place.about("image", image, values, str(image.span) if image.span else "")


def _version(place: _Place, artifact: Artifact) -> dict[str, Value]:
    version = artifact.version
    said = None if isinstance(version.version, Inexpressible) else version.version
    counter = None if isinstance(version.sequence, Inexpressible) else version.sequence
    update = place.context.description.version
    comparable = said and update and place.ref.release == "current" and not place.member
    return {
        "version": said,
        "sequence": counter,
        "authentic": version.authentic,
        "constraints": version.constraints,
        "equals_description": same_version(said or "", update) if comparable else None,
    }


def same_version(one: str, other: str) -> bool:
    """Return whether two texts name the same version: `v2.4.1`, `2.4.1` and MCUboot's `2.4.1+0` do."""
    return _plain_version(one) == _plain_version(other)


def _plain_version(text: str) -> str:
    return text.strip().lower().removeprefix("v").removesuffix("+0")


PROBE = Probe(id=_PROBE, title="What the artifacts show", kinds=_KINDS, expects=_expects, run=_run)
