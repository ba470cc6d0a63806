"""Endpoints of a description, made ready for the transport room: addresses, client identities, anchors and pins."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, replace

from checker.crypto.keyring import KeyRing
from checker.crypto.tls.identity import ClientIdentity, PreSharedKey, read_identity, read_psk
from checker.description.model import Description, Endpoint, FileRef
from checker.errors import OtauditError
from checker.io.files import Files
from checker.io.limits import MAX_KEY_FILE
from checker.model.endpoint import EndpointFacts, Manner
from checker.model.terms import Reason
from checker.probes import _keyfiles
from checker.probes._records import one_line, path_of
from checker.probes.contract import Examined
from checker.transport.address import target_of
from checker.transport.probe import examine_each
from checker.transport.records import read_records
from checker.transport.target import Options, Target


@dataclass(frozen=True)
class _Ready:
    ref: Endpoint
    target: Target | None
    options: Options | None = None
    error: str = ""
    reason: Reason = Reason.UNSUPPORTED_FORMAT


def examine_endpoints(description: Description, files: Files, options: Options, manner: Manner) -> tuple[Examined, ...]:
    """Return what every endpoint of a description shows; a bad address or identity becomes an error text.

    `options` and `manner` say how to ask; anchors and pins of `trust.transport`, and what the description says of each
    endpoint, are put in here.
    """
    trust = replace(
        options,
        ring=transport_ring(description, files),
        device_ring=_keyfiles.device_ring(description, files),
        pins=description.device.trust_transport.pins,
        fetch=manner.fetch,
    )
    ready = [_ready(ref, files, trust, manner) for ref in description.endpoints]
    asked = [(item.target, item.options) for item in ready if item.target is not None and item.options is not None]
    found = iter(asyncio.run(examine_each(asked)))
    return tuple(
        Examined(
            ref=item.ref,
            facts=None if item.options is None else next(found),
            error=item.error,
            reason=item.reason.value,
        )
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


def _ready(ref: Endpoint, files: Files, options: Options, manner: Manner) -> _Ready:
    try:
        target = target_of(ref.url)
    except ValueError as error:
        return _Ready(ref, None, error=f"{ref.url}: {error}")
    try:
        return _Ready(ref, target, _own(ref, files, options, manner))
    except OtauditError as error:
        return _Ready(ref, None, error=one_line(str(error)), reason=Reason.UNREADABLE)


def _own(ref: Endpoint, files: Files, options: Options, manner: Manner) -> Options:
    """Return the options of one endpoint: what the description says of it goes before the command line."""
    expired = _read(ref.expired_certificate, ref.expired_key, files, f"{ref.id}, expired")
    return replace(
        options,
        identity=_identity(ref, files),
        psk=_psk(ref, files),
        credentials={"expired": expired} if expired is not None else {},
        timeout=manner.timeout if ref.timeout is None else float(ref.timeout),
        gentle=manner.gentle if ref.gentle is None else ref.gentle,
        rate=manner.rate if ref.rate is None else float(ref.rate),
    )


def _identity(ref: Endpoint, files: Files) -> ClientIdentity | None:
    return _read(ref.client_certificate, ref.client_key, files, ref.id)


def _psk(ref: Endpoint, files: Files) -> PreSharedKey | None:
    if ref.psk_key is None:
        return None
    return read_psk(files.read(path_of(ref.psk_key), MAX_KEY_FILE), ref.psk_identity, f"{ref.id}, pre-shared key")


def _read(certificate: FileRef | None, key: FileRef | None, files: Files, name: str) -> ClientIdentity | None:
    if certificate is None or key is None:
        return None
    found = files.read(path_of(certificate), MAX_KEY_FILE)
    return read_identity(found, files.read(path_of(key), MAX_KEY_FILE), name)


def transport_ring(description: Description, files: Files) -> KeyRing:
    """Return what servers are verified with: `trust.transport`, and nothing else."""
    return _keyfiles.store_ring(description.device.trust_transport, files)
