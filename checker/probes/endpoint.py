"""What the description's endpoints show, live: offers, sessions, paths, and what they do with client identities.

Runs only with `--live`. The examination itself is the transport room's; what it found is turned into records here.
Silence, plain text and a failure of our own are told apart from a refusal, and none of them becomes a "no".
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from checker.crypto.certificates import instant
from checker.crypto.chains import assess
from checker.description.model import Description, Endpoint, Place
from checker.model.endpoint import EndpointFacts, Reach
from checker.model.evidence import Evidence, EvidenceSet, Expectation, Origin, Value
from checker.model.keys import ChainFacts
from checker.model.subject import Subject, SubjectKind
from checker.model.terms import Method, Party, Reason
from checker.probes import _endpoint_facts as facts_of
from checker.probes import _facts, _keyfiles
from checker.probes._records import expect, fact, gap, undeclared
from checker.probes.contract import Context, Probe

_PROBE: Final = "endpoint"
_KINDS: Final = ("tls_offer", "tls_session", "server_trial")
SERVER: Final = _facts.Purpose(key_usages=frozenset({"digitalsignature"}), extended=frozenset({"serverauth"}))
CLIENT: Final = _facts.Purpose(key_usages=frozenset({"digitalsignature"}), extended=frozenset({"clientauth"}))
_REASONS: Final = {Reach.SILENT: Reason.TIMEOUT, Reach.ERROR: Reason.PROBE_FAILED}


def _expects(description: Description) -> Iterator[Expectation]:
    if not description.endpoints:
        for kind in _KINDS:
            yield undeclared(kind, description, "endpoint")
    for endpoint in description.endpoints:
        subject, values = _subject(endpoint), _values(endpoint)
        yield expect("tls_offer", subject, values=values)
        yield expect("tls_session", subject, values=values)
        yield expect("server_trial", subject, values={"endpoint": endpoint.id})
        for kind in ("chain", "certificate"):
            yield expect(kind, subject, values={**values, "use": "tls-server"})


def _subject(endpoint: Endpoint) -> Subject:
    return Subject(kind=SubjectKind.ENDPOINT, id=endpoint.id)


def _values(endpoint: Endpoint) -> dict[str, Value]:
    return {"endpoint": endpoint.id, "step": endpoint.step.value}


@dataclass(frozen=True)
class _Seen:
    """One endpoint that was examined, at the time of the assessment."""

    as_of: str
    ref: Endpoint
    found: EndpointFacts
    recorded: bool = False

    def fact(self, kind: str, values: Mapping[str, Value], *, step: bool = True, pointer: str = "") -> Evidence:
        """Return a record about this endpoint, seen at the time of the assessment by whoever runs it."""
        common = _values(self.ref) if step else {"endpoint": self.ref.id}
        found = self.found
        origin = Origin(pointer=pointer or f"{found.host}:{found.port}", time=found.as_of or self.as_of)
        # A record says what its author saw: it is examined, and whoever wants it tested connects.
        method, party = (Method.EXAMINED, Party.FIRST) if self.recorded else (Method.TESTED, Party.SECOND)
        values = common | dict(values)
        return fact(_PROBE, kind, _subject(self.ref), values, method=method, party=party, origin=origin)


def _run(context: Context) -> Iterator[Evidence]:
    for item in context.examined:
        if item.facts is None:
            yield from _gaps(item.ref, Reason(item.reason), item.error, _KINDS)
        else:
            seen = _Seen(context.as_of, item.ref, item.facts, item.recorded)
            yield from records(seen)
            yield from _client_path(seen, context)
    yield from _shared_keys(context)


def _gaps(ref: Endpoint, reason: Reason, text: str, kinds: tuple[str, ...]) -> Iterator[Evidence]:
    for kind in kinds:
        values = {"endpoint": ref.id} if kind == "server_trial" else _values(ref)
        yield gap(_PROBE, kind, _subject(ref), reason, text, values=values)
    if "tls_session" in kinds:
        for kind in ("chain", "certificate"):
            yield gap(_PROBE, kind, _subject(ref), reason, text, values={**_values(ref), "use": "tls-server"})


def evidence_of(found: EndpointFacts, as_of: str) -> EvidenceSet:
    """Return the evidence of one endpoint that no description names, for profiles: of Receive, under its address."""
    name = f"{found.host}:{found.port}"
    ref = Endpoint(id=name, url=name, place=Place(name, 1, 1))
    return EvidenceSet.complete((), records(_Seen(as_of, ref, found)))


def records(place: _Seen) -> Iterator[Evidence]:
    """Yield what one examined endpoint showed, as evidence; the anchors of devices are not looked at."""
    found = place.found
    reason = _REASONS.get(found.reach, Reason.UNREADABLE)
    if found.reach is Reach.PLAINTEXT:
        yield place.fact("tls_offer", facts_of.offer(found))
        yield from _gaps(place.ref, reason, f"the port speaks without TLS: {found.reason}", _KINDS[1:])
        return
    if not found.speaks:
        yield from _gaps(place.ref, reason, f"{found.reach.value}: {found.reason}", _KINDS)
        return
    yield place.fact("tls_offer", facts_of.offer(found))
    yield from _session(place)
    yield from _trials(place)
    for code, message in facts_of.weaknesses(found, instant(place.as_of)):
        yield place.fact("weakness", {"code": code, "message": message}, step=False)


def _session(place: _Seen) -> Iterator[Evidence]:
    handshake = facts_of.completed(place.found)
    if handshake is None:
        tried = [item.completed.reason for item in place.found.handshakes if item.completed.reason]
        text = f"no handshake was completed: {tried[0] if tried else place.found.reason or 'none was tried'}"
        yield from _gaps(place.ref, Reason.UNREADABLE, text, ("tls_session",))
        return
    yield place.fact("tls_session", facts_of.session(place.found, handshake))
    paths = [item.path for item in (place.found.chain, *place.found.other_chains)]
    shown = [path for path in paths if path is not None and path.certificates]
    for path in shown:
        yield from _path(place, path, "tls-server", SERVER)
    if not shown:
        text = "the endpoint showed no certificate path"
        for kind in ("chain", "certificate"):
            values = {**_values(place.ref), "use": "tls-server"}
            yield gap(_PROBE, kind, _subject(place.ref), Reason.UNREADABLE, text, values=values)


def _path(place: _Seen, chain: ChainFacts, use: str, purpose: _facts.Purpose) -> Iterator[Evidence]:
    values = _facts.chain_values(chain, purpose, place.as_of, frozenset())
    yield place.fact("chain", {**values, "use": use, "separate_from_tls": None})
    for position, certificate in zip(_facts.positions(chain), chain.certificates, strict=True):
        yield place.fact("certificate", {**_facts.certificate_values(certificate, position), "use": use})


def _trials(place: _Seen) -> Iterator[Evidence]:
    trials = place.found.client.trials
    for item in trials:
        values = facts_of.trial(place.found, item)
        if values["served"] is None:
            text = item.accepted.reason or "the endpoint's answer decides nothing"
            given = {"endpoint": place.ref.id, "identity": values["identity"]}
            yield gap(_PROBE, "server_trial", _subject(place.ref), Reason.UNREADABLE, text, values=given)
        else:
            yield place.fact("server_trial", values, step=False)
    if not trials:
        text = "no client identity was tried: give the endpoint a client_identity"
        yield from _gaps(place.ref, Reason.NOT_DECLARED, text, ("server_trial",))


def _client_path(place: _Seen, context: Context) -> Iterator[Evidence]:
    """Yield the device's own path, where the server took it, judged by the anchors of `trust.devices` (PK1 … PK8)."""
    if not any(item.credential == "valid" and item.accepted.known for item in place.found.client.trials):
        return
    found = _keyfiles.endpoint_certificates(place.ref, context.files)
    if found:
        ring = _keyfiles.device_ring(context.description, context.files)
        verdict = assess(found[0], ring, presented=found[1:], as_of=context.as_of, purpose="tls-client")
        if verdict.chain.certificates:
            yield from _path(place, _with_answers(verdict.chain, place.found), "tls-client", CLIENT)


def _with_answers(chain: ChainFacts, found: EndpointFacts) -> ChainFacts:
    """Return a device's path with what its responders and lists said of it."""
    if not found.client.fetched:
        return chain
    from checker.crypto.tls.revocation import settled  # loaded where something was fetched

    return settled(chain, found.client.fetched)


def _shared_keys(context: Context) -> Iterator[Evidence]:
    """Yield one key behind several endpoints: whoever takes it from one has all of them."""
    places: dict[str, list[_Seen]] = defaultdict(list)
    for item in context.examined:
        if item.facts is not None:
            for key in facts_of.leaf_keys(item.facts):
                places[key].append(_Seen(context.as_of, item.ref, item.facts, item.recorded))
    for key, found in sorted(places.items()):
        if len({(place.found.host, place.found.port) for place in found}) > 1:
            text = f"{', '.join(place.ref.id for place in found)} show the same key {key[:16]}…"
            yield found[0].fact("weakness", {"code": "shared-endpoint-key", "message": text}, step=False)


PROBE: Final = Probe(
    id=_PROBE,
    title="What the endpoints show",
    kinds=_KINDS,
    expects=_expects,
    run=_run,
    requires="live",
)
