"""Attestations: what the hardware's makers vouch for, under the roots that the description pins (criteria.md 3.3, ATT).

One record for each thing that an attestation is said to prove. What it does not say is missing from the record, and
what it says counts only where it is `valid`: checked to its root, with our nonce.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from checker.crypto.attestations.contract import Statement
from checker.description.model import AttestationRef, Description
from checker.model.evidence import Evidence, Expectation, Origin, Value
from checker.model.subject import Subject, SubjectKind
from checker.model.terms import Method, Reason
from checker.probes._attestations import DEVICE_ANCHOR
from checker.probes._records import expect, fact, gap, one_line
from checker.probes.contract import Attested, Context, Probe

_PROBE: Final = "attestation"
_OF_DEVICE: Final = frozenset({DEVICE_ANCHOR, "device key", "boot"})


def _subject(ref: AttestationRef, proves: str) -> Subject:
    return Subject(kind=SubjectKind.ATTESTATION, id=f"{ref.file.path}, {proves}")


def _before(ref: AttestationRef, proves: str) -> dict[str, Value]:
    kind = None if ref.kind == "auto" else ref.kind
    return {"proves": proves, "kind": kind, "target": ref.target or None}


def _expects(description: Description) -> Iterator[Expectation]:
    for ref in description.attestations:
        for proves in ref.proves:
            yield expect("attestation", _subject(ref, proves), values=_before(ref, proves))


def _run(context: Context) -> Iterator[Evidence]:
    for item in context.attested:
        for proves in item.ref.proves:
            yield _record(item, proves)


def _record(item: Attested, proves: str) -> Evidence:
    ref, found = item.ref, item.statement
    subject, values = _subject(ref, proves), _before(ref, proves) | {"kind": item.kind or None}
    origin = Origin(file=ref.file.path, sha256=item.sha256)
    if found is None:
        reason = Reason(item.reason) if item.reason else Reason.UNREADABLE
        return gap(_PROBE, "attestation", subject, reason, item.error, values=values, origin=origin)
    method = Method.EXAMINED if found.reported else Method.TESTED
    return fact(_PROBE, "attestation", subject, values | _values(found, proves), method=method, origin=origin)


def _values(found: Statement, proves: str) -> dict[str, Value]:
    return {
        "valid": found.valid,
        # A statement without a key is silent on keys; it does not say that the key is elsewhere.
        "key_level": bool(found.key) or None,
        "non_exportable": found.non_exportable,
        "key": found.key or None,
        # The module of the release office was started too, and that says nothing of the device.
        "boot_verified": found.boot_verified if proves in _OF_DEVICE else None,
        "anchor_protected": found.anchor_protected,
        "quantum_resistant": found.quantum_resistant,
        "note": one_line(found.note) or None,
    }


PROBE: Final = Probe(id=_PROBE, title="Attestations of hardware", kinds=("attestation",), expects=_expects, run=_run)
