"""The probes' runner: the grid that must be filled, every probe in turn, and what a run needs opened beforehand.

Evidence never vanishes (design.md section 4): every kind has at least one slot, a probe that raises leaves
`probe_failed` records and stops nobody, and one that lacks a permission leaves its slots
`not_permitted`.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Final

from jsonschema import Draft202012Validator

from checker import resources
from checker.crypto.keyring import KeyRing
from checker.description.model import ArtifactRef, Description, FileRef
from checker.discovery import discover
from checker.errors import (
    AmbiguousFormatError,
    CryptoError,
    FormatError,
    InputError,
    OtauditError,
    UnknownFormatError,
    UnsupportedAlgorithmError,
)
from checker.formats._open import open_artifact
from checker.formats.contract import PLAINTEXT
from checker.formats.contract import Context as FormatContext
from checker.io.files import Files
from checker.model.endpoint import Manner
from checker.model.evidence import Evidence, EvidenceSet, Expectation, Slot, Value
from checker.model.subject import Subject, SubjectKind
from checker.model.terms import Reason
from checker.probes import _keyfiles
from checker.probes._records import expect, gap, one_line, path_of, undeclared, update_subject
from checker.probes._sources import lasting
from checker.probes.contract import Context, Examined, Opened, Probe

_PACKAGE: Final = "checker.probes"
_ENDPOINT_KINDS: Final = frozenset({"tls_offer", "tls_session", "server_trial", "client_trial"})
_TARGET_KINDS: Final = frozenset({"verifier_trial", "attestation"})


class EvidenceShapeError(OtauditError):
    """A probe made a record that breaks the schema of its kind."""


def probes() -> tuple[Probe, ...]:
    """Return all probes, sorted by id."""
    return discover(_PACKAGE, "PROBE", Probe)


def kinds() -> tuple[str, ...]:
    """Return every kind of evidence: the names of the schemas in `schemas/evidence`, sorted."""
    names = (item.name for item in (resources.folder("schemas") / "evidence").iterdir())
    suffix = ".schema.json"
    return tuple(sorted(name.removesuffix(suffix) for name in names if name.endswith(suffix)))


def grid(description: Description) -> tuple[Expectation, ...]:
    """Return everything that must be there for a description: at least one slot for every kind of evidence."""
    return _grid(description, probes(), lambda _: True)


def _grid(
    description: Description, found: Sequence[Probe], permitted: Callable[[Probe], bool]
) -> tuple[Expectation, ...]:
    slots: dict[Slot, Expectation] = {}
    for probe in found:
        for item in _owed(probe, description, permitted=permitted(probe)):
            old = slots.get(item.slot)
            slots[item.slot] = item if old is None or old.count < item.count else old
    have = {slot.kind for slot in slots}
    owned = {kind for probe in found for kind in probe.kinds}
    for kind in kinds():
        if kind not in have:
            natural = _natural(kind, description)
            slots |= {item.slot: item if kind in owned else _later(item) for item in natural}
    return tuple(slots[slot] for slot in sorted(slots))


def _owed(probe: Probe, description: Description, *, permitted: bool) -> Iterator[Expectation]:
    """Yield what a probe owes; where it may not run, its slots say with which option it would.

    A probe of active tests then leaves one slot per target, instead of one for every test that is not made.
    """
    coarse = probe.requires == "active" and not permitted
    owed = [item for kind in probe.kinds for item in _natural(kind, description)] if coarse else None
    for item in probe.expects(description) if owed is None else owed:
        if permitted or item.reason is not Reason.NOT_RUN:
            yield item
        else:
            text = f"{probe.title.lower()}: only with --{probe.requires}"
            yield replace(item, reason=Reason.NOT_PERMITTED, explanation=text)


def _later(item: Expectation) -> Expectation:
    """Say of a slot that nothing of this release fills it, whatever the description names."""
    also = f", and {item.explanation}" if item.reason is Reason.NOT_DECLARED else ""
    text = f"this release has no probe for this kind of evidence{also}"
    return replace(item, reason=Reason.NOT_RUN, explanation=text)


def _natural(kind: str, description: Description) -> Iterator[Expectation]:
    """Yield the slots of a kind that no probe owns: per endpoint, per target, else the update."""
    if kind in _ENDPOINT_KINDS:
        yield from _per_endpoint(kind, description)
    elif kind in _TARGET_KINDS:
        yield from _per_target(kind, description)
    else:
        yield expect(kind, update_subject(description))


def _per_endpoint(kind: str, description: Description) -> Iterator[Expectation]:
    if not description.endpoints:
        yield undeclared(kind, description, "endpoint")
    elif kind == "client_trial" and description.client is None:
        yield undeclared(kind, description, "client command")
    else:
        for endpoint in description.endpoints:
            subject = Subject(kind=SubjectKind.ENDPOINT, id=endpoint.id)
            values: dict[str, Value] = {"endpoint": endpoint.id}
            if kind.startswith("tls_"):
                values["step"] = endpoint.step.value
            yield expect(kind, subject, values=values)


def _per_target(kind: str, description: Description) -> Iterator[Expectation]:
    if not description.device.targets:
        yield undeclared(kind, description, "hardware target")
    for target in description.device.targets:
        subject = Subject(kind=SubjectKind.TARGET, id=target.id)
        named = target.verifier or description.verifier if kind == "verifier_trial" else description.attestations
        what = "verifier command" if kind == "verifier_trial" else "attestation"
        if named:
            yield expect(kind, subject, values={"target": target.id})
        else:
            text = f"the description names no {what}"
            yield expect(kind, subject, values={"target": target.id}, reason=Reason.NOT_DECLARED, explanation=text)


def run(context: Context, *, strict: bool = False) -> EvidenceSet:
    """Run every probe and return all that is known, with every gap of the grid filled.

    Args:
        context: what the probes may look at, and what the user allowed.
        strict: raise what a probe raises, and refuse a record that breaks its schema; for tests.

    Raises:
        EvidenceShapeError: only with `strict`: a record breaks the schema of its kind.
    """
    return _run(context, probes(), strict=strict)


def _run(context: Context, found: Sequence[Probe], *, strict: bool) -> EvidenceSet:
    shapes = {kind: _validator(kind) for kind in kinds()}
    records: list[Evidence] = []
    for probe in found:
        if _permitted(probe, context):
            records += _collect(probe, context, shapes, strict=strict)
    expected = _grid(context.description, found, lambda probe: _permitted(probe, context))
    return EvidenceSet.complete(expected, records)


def _permitted(probe: Probe, context: Context) -> bool:
    live = context.live or bool(context.examined)  # what was recorded needs no connection
    return {"": True, "live": live, "active": context.active}[probe.requires]


def _collect(
    probe: Probe, context: Context, shapes: Mapping[str, Draft202012Validator], *, strict: bool
) -> list[Evidence]:
    records: list[Evidence] = []
    try:
        for record in probe.run(context):
            records.append(_checked(record, shapes, strict=strict))  # noqa: PERF401 - what came before an error is kept
    except Exception as error:
        if strict:
            raise
        records += _failed(probe, context.description, error)
    return records


def _failed(probe: Probe, description: Description, error: Exception) -> Iterator[Evidence]:
    """Yield one record for every slot of a probe that raised; what it had found before stays beside them."""
    text = one_line(f"the probe {probe.id} failed: {type(error).__name__}: {error}")
    slots = {item.slot: item.values for item in probe.expects(description)}
    bare = {kind for kind in probe.kinds if kind not in {slot.kind for slot in slots}}
    slots |= {Slot(kind=kind, subject=update_subject(description)): {} for kind in bare}
    for slot, values in slots.items():
        yield gap(probe.id, slot.kind, slot.subject, Reason.PROBE_FAILED, text, values=values)


def _validator(kind: str) -> Draft202012Validator:
    return Draft202012Validator(json.loads(resources.read("schemas", "evidence", f"{kind}.schema.json")))


def _checked(record: Evidence, shapes: Mapping[str, Draft202012Validator], *, strict: bool) -> Evidence:
    """Return the record, or one that says which field breaks the schema: a wrong shape must never reach a rule."""
    shape = shapes.get(record.kind)
    fault = f"there is no kind {record.kind!r}" if shape is None else _fault(shape, record.values)
    if not fault:
        return record
    text = f"the probe {record.probe} made a {record.kind} record that breaks its schema: {fault}"
    if strict or shape is None:
        raise EvidenceShapeError(text)
    return replace(record, values={}, unavailable=Reason.PROBE_FAILED, explanation=one_line(text))


def _fault(shape: Draft202012Validator, values: Mapping[str, Value]) -> str:
    error = next(shape.iter_errors(_lists(values)), None)
    return "" if error is None else f"{error.json_path}: {one_line(error.message)}"


def _lists(value: Value) -> object:
    """Return a value as JSON has it: lists for tuples."""
    if isinstance(value, Mapping):
        return {key: _lists(item) for key, item in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [_lists(item) for item in value]
    return value


def keyring(description: Description, files: Files) -> KeyRing:
    """Return all public keys, anchors, intermediates and CRLs that update images may be verified with.

    Which keys those are is said in `_keyfiles`. Unreadable files are left out here; the probe `keys` reports them.
    Decryption keys are not in it: `open_artifacts` gives each artifact its own.
    """
    return _keyfiles.image_ring(description, files).ring


def open_artifacts(description: Description, files: Files, keys: KeyRing, as_of: str) -> tuple[Opened, ...]:
    """Open every artifact of a description, each with its own decryption keys and detached signature.

    Never raises for a bad file: what cannot be opened comes back with an error text and a reason.
    """
    return tuple(_open(ref, files, keys, as_of) for ref in description.artifacts)


def examine(description: Description, files: Files, as_of: str, manner: Manner | None = None) -> tuple[Examined, ...]:
    """Return what the description's endpoints show live. Connects to them: call it only with the user's permission.

    `manner` says how they are asked; what the description says of one endpoint goes before it.

    Never raises for what an endpoint does: what was not examined comes back with an error text and a reason.
    """
    from checker.probes._endpoints import examine_endpoints  # sockets and TLS are loaded only where they are allowed
    from checker.transport.target import Options

    return examine_endpoints(description, files, Options(as_of=as_of, enumerate_all=True), manner or Manner())


def read_examined(description: Description, record: bytes) -> tuple[Examined, ...]:
    """Return what a record of an earlier examination says of the description's endpoints, without any connection.

    Raises:
        FormatError: it is no such record.
    """
    from checker.probes._endpoints import recorded

    return recorded(description, record)


def _open(ref: ArtifactRef, files: Files, keys: KeyRing, as_of: str) -> Opened:
    try:
        source = lasting(files, path_of(ref.file))
        companions = {name: lasting(files, path_of(item)) for name, item in _companions(ref).items()}
        own = _keyfiles.with_decryption(keys, ref, files)
        context = FormatContext(keys=own, as_of=as_of, companions=companions, options=_options(ref))
        return Opened(ref=ref, artifact=open_artifact(source, context, ref.format))
    except (InputError, FormatError, CryptoError) as error:
        return Opened(ref=ref, artifact=None, error=one_line(str(error)), reason=_reason(error, ref, files).value)
    except OtauditError as error:  # an unknown format id, for example
        return Opened(ref=ref, artifact=None, error=one_line(str(error)), reason=Reason.UNSUPPORTED_FORMAT.value)


def _reason(error: OtauditError, ref: ArtifactRef, files: Files) -> Reason:
    if isinstance(error, (UnknownFormatError, AmbiguousFormatError)):
        return Reason.UNSUPPORTED_FORMAT
    if isinstance(error, UnsupportedAlgorithmError):
        return Reason.UNSUPPORTED_ALGORITHM
    if isinstance(error, InputError) and _absent(ref, files):
        return Reason.MISSING_ARTIFACT
    return Reason.UNREADABLE


def _absent(ref: ArtifactRef, files: Files) -> bool:
    try:
        return not all(files.resolve(path_of(item)).exists() for item in _named(ref))
    except (InputError, OSError):
        return False


def _options(ref: ArtifactRef) -> dict[str, str]:
    """Return the options of an artifact, among them the digest that its description states of the plaintext."""
    stated = {PLAINTEXT: ref.plaintext_sha256} if ref.plaintext_sha256 else {}
    return {**ref.options, **stated}


def _companions(ref: ArtifactRef) -> dict[str, FileRef]:
    return {**ref.companions, **({"signature": ref.signature} if ref.signature else {})}


def _named(ref: ArtifactRef) -> Iterable[FileRef]:
    return [ref.file, *_companions(ref).values()]
