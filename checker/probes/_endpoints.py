"""Endpoints of a description, made ready for the transport room: addresses, client identities, anchors and pins."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, replace

from checker.crypto.keyring import KeyRing
from checker.crypto.tls.identity import ClientIdentity, read_identity
from checker.description.model import Description, Endpoint
from checker.errors import OtauditError
from checker.io.files import Files
from checker.io.limits import MAX_KEY_FILE
from checker.model.endpoint import EndpointFacts
from checker.model.terms import Reason
from checker.probes import _keyfiles
from checker.probes._records import one_line, path_of
from checker.probes.contract import Examined
from checker.transport.address import target_of
from checker.transport.probe import examine_all
from checker.transport.records import read_records
from checker.transport.target import Options, Target


@dataclass(frozen=True)
class _Ready:
    ref: Endpoint
    target: Target | None
    identity: ClientIdentity | None = None
    error: str = ""
    reason: Reason = Reason.UNSUPPORTED_FORMAT


def examine_endpoints(description: Description, files: Files, options: Options) -> tuple[Examined, ...]:
    """Return what every endpoint of a description shows; a bad address or identity becomes an error text.

    `options` say how to ask; anchors and pins of `trust.transport` and each endpoint's own identity are put in here.
    """
    ring, pins = transport_ring(description, files), description.device.trust_transport.pins
    ready = [_ready(ref, files) for ref in description.endpoints]
    found = asyncio.run(_ask(ready, replace(options, ring=ring, pins=pins)))
    return tuple(
        Examined(ref=item.ref, facts=found.get(item.ref.id), error=item.error, reason=item.reason.value)
        for item in ready
    )


def recorded(description: Description, data: bytes) -> tuple[Examined, ...]:
    """Return what a record says of the endpoints of a description, found by scheme, host and port.

    Raises:
        FormatError: it is no record.
    """
    known = {(item.scheme, item.host, item.port): item for item in read_records(data)}
    return tuple(_recorded(ref, known) for ref in description.endpoints)


def _recorded(ref: Endpoint, known: Mapping[tuple[str, str, int], EndpointFacts]) -> Examined:
    try:
        target = target_of(ref.url)
    except ValueError as error:
        return Examined(ref=ref, facts=None, error=f"{ref.url}: {error}", reason=Reason.UNSUPPORTED_FORMAT.value)
    facts = known.get((target.scheme, target.host, target.port))
    missing = "" if facts else "the record of endpoints does not hold this one"
    return Examined(ref=ref, facts=facts, error=missing, reason=Reason.MISSING_RECORD.value, recorded=True)


async def _ask(ready: list[_Ready], options: Options) -> dict[str, EndpointFacts]:
    """Ask the endpoints of one identity together: options belong to a run."""
    found: dict[str, EndpointFacts] = {}
    for identity in dict.fromkeys(item.identity for item in ready if item.target is not None):
        group = [item for item in ready if item.target is not None and item.identity == identity]
        targets = [item.target for item in group if item.target is not None]
        facts = await examine_all(targets, replace(options, identity=identity))
        found |= {item.ref.id: fact for item, fact in zip(group, facts, strict=True)}
    return found


def _ready(ref: Endpoint, files: Files) -> _Ready:
    try:
        target = target_of(ref.url)
    except ValueError as error:
        return _Ready(ref, None, error=f"{ref.url}: {error}")
    try:
        return _Ready(ref, target, _identity(ref, files))
    except OtauditError as error:
        return _Ready(ref, None, error=one_line(str(error)), reason=Reason.UNREADABLE)


def _identity(ref: Endpoint, files: Files) -> ClientIdentity | None:
    if ref.client_certificate is None or ref.client_key is None:
        return None
    certificate = files.read(path_of(ref.client_certificate), MAX_KEY_FILE)
    return read_identity(certificate, files.read(path_of(ref.client_key), MAX_KEY_FILE), ref.id)


def transport_ring(description: Description, files: Files) -> KeyRing:
    """Return what servers are verified with: `trust.transport`, and nothing else."""
    return _keyfiles.store_ring(description.device.trust_transport, files)
