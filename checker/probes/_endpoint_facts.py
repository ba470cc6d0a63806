"""From the facts of an endpoint to the values of evidence records. What is not known is left out, never false."""

from __future__ import annotations

import base64
import contextlib
import datetime as dt
from collections.abc import Iterable, Iterator
from typing import Final

from checker.model.endpoint import ClientAuth, CredentialTrial, EndpointFacts, Fact, Handshake, Offer, Reach
from checker.model.evidence import Value
from checker.probes.contract import Examined

IDENTITIES: Final = {
    "none": "none",
    "valid": "valid",
    "foreign_ca": "foreign",
    "expired": "expired",
    "self_signed": "self-signed",
}
MAX_SKEW: Final = 300.0  # seconds: what certificate dates and signed times tolerate in practice
SOON: Final = dt.timedelta(days=30)  # a certificate that ends within it
_LEGACY: Final = {"tls": ("SSLv3", "TLSv1.0", "TLSv1.1"), "dtls": ("DTLSv1.0",)}
_EPHEMERAL: Final = ("TLS_ECDHE_", "TLS_DHE_", "TLS_PSK_DHE_")
_AEAD: Final = ("_GCM_", "_CCM", "_POLY1305_")


def offer(facts: EndpointFacts) -> dict[str, Value]:
    """Return the values of a `tls_offer` record; an endpoint that speaks something else offers nothing."""
    if facts.reach is Reach.PLAINTEXT:
        return {"protocol": "none"}
    accepted = tuple(name for name, fact in facts.versions.items() if fact.known is True)
    return {
        "protocol": facts.protocol,
        "versions": accepted or None,
        "refused_versions": tuple(name for name, fact in facts.versions.items() if fact.known is False) or None,
        "legacy_refused": legacy_refused(facts),
        "tls13": _version(facts, "TLSv1.3"),
        "suites": suites(facts),
        "weak_suites": tuple(dict.fromkeys(item.name for item in facts.offenders if item.kind == "suite")) or None,
        "strong_only": strong_only(facts),
        "groups": facts.groups.accepted if facts.groups.complete else None,
        "signature_schemes": facts.signature_schemes.accepted if facts.signature_schemes.complete else None,
        "early_data": facts.early_data.known,
        "client_auth": None if facts.client.state is ClientAuth.UNKNOWN else facts.client.state.value,
        "compression": facts.compression.known,
        "secure_renegotiation": facts.secure_renegotiation.known,
        "extended_master_secret": facts.extended_master_secret.known,
        "downgrade_sentinel": facts.downgrade_sentinel.known,
        "plaintext_twin": facts.plaintext_twin.known,
    }


def _version(facts: EndpointFacts, name: str) -> bool | None:
    return facts.versions.get(name, Fact()).known


def legacy_refused(facts: EndpointFacts) -> bool | None:
    """Return whether everything below 1.2 was seen refused; one that was accepted is enough for no."""
    answers = [_version(facts, name) for name in _LEGACY[facts.protocol]]
    if True in answers:
        return False
    return None if None in answers else True


def suites(facts: EndpointFacts) -> tuple[str, ...] | None:
    """Return every accepted suite by name, or None where some could not be asked: half a list would look clean."""
    offers = _offers(facts)
    if offers is None or not all(item.complete for item in offers):
        return None
    return tuple(dict.fromkeys(name for item in offers for name in item.accepted)) or None


def _offers(facts: EndpointFacts) -> list[Offer] | None:
    """Return what each accepted version offers; None where a version is open or was not asked for its suites."""
    if None in (fact.known for fact in facts.versions.values()):
        return None
    accepted = [name for name, fact in facts.versions.items() if fact.known]
    found = [facts.suites[name] for name in accepted if name in facts.suites]
    return found if accepted and len(found) == len(accepted) else None


def strong_only(facts: EndpointFacts) -> bool | None:
    """Return whether every accepted suite is an AEAD with ephemeral keys; one that is not is enough for no."""
    seen = {name for item in facts.suites.values() for name in item.accepted}
    seen |= {item.name for item in facts.offenders if item.kind == "suite"}
    if any(not strong(name) for name in seen):
        return False
    return True if suites(facts) is not None else None


def strong(suite: str) -> bool:
    """Return whether a suite is an AEAD with ephemeral key exchange (RFC 9325 4.1 and 4.2), by its IANA name."""
    if "_WITH_" not in suite:
        return True  # TLS 1.3 has no others
    aead = any(part in f"{suite}_" for part in _AEAD)
    return aead and suite.startswith(_EPHEMERAL) and "_anon_" not in suite


def completed(facts: EndpointFacts) -> Handshake | None:
    """Return the handshake that a session record speaks of: the first that was carried through."""
    return next((item for item in facts.handshakes if item.completed.known), None)


def session(facts: EndpointFacts, handshake: Handshake) -> dict[str, Value]:
    """Return the values of a `tls_session` record."""
    chain, pins, every = facts.chain, facts.pins, (facts.chain, *facts.other_chains)
    bits = [item.weakest_bits for item in every if item.weakest_bits is not None]
    return {
        "version": handshake.version or None,
        "group": handshake.group or None,
        "suite": handshake.suite or None,
        "name_matches": _each(item.name_matches for item in every),
        "chain_valid": _each(item.path_valid for item in every),
        "within_validity": _each(item.within_validity for item in every),
        "weakest_bits": min(bits) if len(bits) == len(every) else None,
        "weak_hash": _any(item.weak_hash for item in every),
        "pin_declared": bool(pins.declared),
        "pin_matches": pins.matches.known,
        "backup_pin": pins.backup.known,
        "chain_length": len(chain.sent) or None,
        "anchor_sent": chain.anchor_sent.known,
        "stapled": chain.stapled.known,
        "revoked": _any(item.revoked for item in every),
    }


def _each(answers: Iterable[Fact]) -> bool | None:
    """Return whether each is a yes: a client may be shown any of the server's certificates."""
    known = [fact.known for fact in answers]
    return False if False in known else (None if None in known else True)


def _any(answers: Iterable[Fact]) -> bool | None:
    """Return whether some is a yes, where that is known of each."""
    known = [fact.known for fact in answers]
    return True if True in known else (None if None in known else False)


def trial(facts: EndpointFacts, item: CredentialTrial) -> dict[str, Value]:
    """Return the values of a `server_trial` record: what one client credential got."""
    valid = item.credential == "valid"
    return {
        "identity": IDENTITIES[item.credential],
        "served": item.accepted.known,
        "fresh_challenge": facts.fresh_challenge.known if valid else None,
        # The proof is part of the handshake, so nothing of the application can have passed before it.
        "before_transfer": True if valid and facts.client.requested.known else None,
    }


def weaknesses(facts: EndpointFacts, as_of: dt.datetime) -> Iterator[tuple[str, str]]:
    """Yield code and message of what lies beyond the table (issue: observations of endpoints)."""
    application = facts.application
    if application.redirect_plaintext.known:
        yield "redirect-in-clear", f"the answer sends clients on to {application.redirect}"
    elif application.redirect_other_host.known:
        yield "redirect-other-host", f"the answer sends clients on to {application.redirect}"
    if application.clock_skew is not None and abs(application.clock_skew) > MAX_SKEW:
        yield "server-clock-off", f"the server's date differs from ours by {application.clock_skew:.0f} seconds"
    if facts.plaintext_twin.known:
        yield "plaintext-twin", f"port {facts.plaintext_twin_port} serves the same without TLS"
    if facts.chain.sent:
        end = _time(facts.chain.sent[0].not_after)
        if end is not None and as_of <= end <= as_of + SOON:
            yield "certificate-ends-soon", f"the server's certificate ends on {facts.chain.sent[0].not_after}"
    if facts.chain.missing_intermediate.known:
        yield "missing-intermediate", "the path as sent ends below no declared anchor: an issuer is missing"


def _time(text: str) -> dt.datetime | None:
    try:
        return dt.datetime.fromisoformat(text)
    except ValueError:
        return None


def server_keys(examined: Iterable[Examined]) -> frozenset[str]:
    """Return the SHA-256 of the SubjectPublicKeyInfo of every server key that endpoints showed: leaves only."""
    return frozenset(key for item in examined if item.facts for key in leaf_keys(item.facts))


def leaf_keys(facts: EndpointFacts) -> tuple[str, ...]:
    """Return the ids of an endpoint's own keys: of each kind of certificate that it showed, and of a raw one."""
    found = [item.sent[0].key.id for item in (facts.chain, *facts.other_chains) if item.sent]
    pin = facts.chain.raw_public_key_pin.removeprefix("sha256/")
    with contextlib.suppress(ValueError):
        found.append(base64.b64decode(pin, validate=True).hex())
    return tuple(dict.fromkeys(key for key in found if key))
