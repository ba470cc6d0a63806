"""From replies and handshakes to the facts of one endpoint. Nothing is asked here."""

from __future__ import annotations

from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Final

from checker.crypto.tls import messages, names
from checker.crypto.tls.authorities import authority_texts
from checker.crypto.tls.session import Session, signs_key_exchange
from checker.model.endpoint import (
    Answer,
    Application,
    ClientAuth,
    ClientAuthentication,
    CredentialTrial,
    EndpointFacts,
    Fact,
    Offer,
    RevocationAnswer,
    ServerChain,
)
from checker.transport.ask import Reply
from checker.transport.chain import describe, raw_pin, yes_no
from checker.transport.questions import Survey
from checker.transport.sessions import Carried
from checker.transport.target import Options

_NO_CERTIFICATE: Final = frozenset(
    {40, 41, 42, 46, 116}
)  # alerts to a client that has none (RFC 9846 6.2, RFC 5246 7.4.6)
_REFUSING: Final = frozenset({*_NO_CERTIFICATE, 20, 43, 44, 45, 48, 49, 51})  # alerts to a client whose own is bad
_ABOUT_KEYS: Final = frozenset({20, 47, 51, 115})  # alerts to a binder or an identity, which no other fault of ours has
_REFUSALS_OF_TYPE: Final = frozenset({40, 43, 70})  # alerts to a client that takes raw keys alone (RFC 7250 4.2)
_REFUSING_KEY: Final = frozenset({20, 21, 40, 47, 49, 51, 115})  # alerts to a key or identity that is not taken
_WANTS_CERTIFICATE: Final = frozenset({400, 403, 495, 496})  # HTTP; nginx answers 400
_BAD_REQUEST: Final = 400
_CLASSIC: Final = ("TLSv1.2", "DTLSv1.2", "TLSv1.1", "TLSv1.0", "DTLSv1.0", "SSLv3")


@dataclass
class Gathered:
    """What one examination has so far."""

    first: Reply | None = None
    survey: Survey | None = None
    main: Carried | None = None  # the library's handshake, with the application's touch and no identity
    others: list[Carried] = field(default_factory=list)  # in further groups
    resumed: Carried | None = None
    trials: dict[str, Carried] = field(default_factory=dict)
    made: set[str] = field(default_factory=set)  # credentials that were made here and not given
    cut: set[str] = field(default_factory=set)  # credentials that were cut off each time, beside a valid one
    untried: dict[str, str] = field(default_factory=dict)  # credentials that were not tried, and why
    expired_authority: str = ""  # of a given expired credential
    twin: Fact = field(default_factory=Fact)
    twin_port: int | None = None
    control: Reply | None = None
    other_chains: list[tuple[Session, int]] = field(default_factory=list)  # by other kinds of key, and transcripts
    raw13: Carried | None = None  # a handshake of TLS 1.3 that asked for a raw public key
    keys: dict[str, dict[str, Carried]] = field(default_factory=dict)  # handshakes by a pre-shared key, by version
    fetched: tuple[RevocationAnswer, ...] = ()  # of the server's path
    fetched_client: tuple[RevocationAnswer, ...] = ()  # of the client identity's

    @property
    def best(self) -> Carried | None:
        """Return the handshake that shows most: completed before incomplete, with certificates before without."""
        raw = self.raw13 if self.raw13 is not None and self.raw13.session.raw_public_key else None
        every = [item for item in (self.main, *self.others, raw) if item is not None]
        return max(every, key=lambda item: (item.completed, bool(item.session.certificates)), default=None)


def fill(plain: EndpointFacts, found: Gathered, options: Options) -> EndpointFacts:
    """Return the facts with everything that was gathered."""
    survey, best = found.survey, found.best
    if survey is None:
        return plain
    raw = found.raw13 if found.raw13 is not None and found.raw13.session.raw_public_key else None
    carried = [item for item in (found.main, *found.others, raw, found.resumed) if item is not None]
    filled = replace(
        plain,
        versions=survey.version_facts(),
        suites=survey.offers(),
        groups=survey.group_offer(),
        signature_schemes=_schemes(survey, carried),
        offenders=survey.offenders(),
        handshakes=tuple(item.facts for item in carried),
        client=_client(found, survey),
        fresh_challenge=_fresh(survey, carried),
        plaintext_twin=found.twin,
        plaintext_twin_port=found.twin_port,
        resumption=_resumption(found.resumed),
    )
    filled = _with_keys(_with_psk(_with_extensions(filled, survey), survey), found)
    done = [item.facts for item in (*carried, *found.trials.values(), *_taken(found)) if item.completed]
    spoken = {**{item.version: item.completed for item in done}, **_raw_version(survey)}
    filled = replace(filled, versions=_also(filled.versions, spoken))
    if best is None:
        return filled
    session = shown_session(best, survey)
    chain, pins = describe(session, plain.server_name, options, best.exchange, found.fetched)
    if session is not best.session and not session.proved and pins.matches.answer is Answer.YES:
        unproved = Fact(answer=Answer.NOT_SHOWN, reason="nothing shows that the server holds the key")
        pins = replace(pins, matches=unproved, matches_leaf=unproved)
    chain = _with_raw_key(chain, found)
    others = tuple(describe(item, plain.server_name, options, at, found.fetched)[0] for item, at in found.other_chains)
    application = best.application or filled.application
    filled = replace(filled, chain=chain, other_chains=others, pins=pins, application=application)
    return _with_tickets(filled, best, survey)


def _with_raw_key(chain: ServerChain, found: Gathered) -> ServerChain:
    """Return the chain with whether the server shows a raw public key to those who ask for one."""
    reply, carried = found.survey.raw_key if found.survey is not None else None, found.raw13
    asked = [(item.session, item.exchange, item.alert) for item in (carried, reply) if item is not None]
    shown = next(((session, at) for session, at, _ in asked if session.raw_public_key and session.certificates), None)
    if shown is not None:
        how = "it signed the handshake" if shown[0].proved else "nothing shows that the server holds it"
        pin = chain.raw_public_key_pin or raw_pin(shown[0])
        return replace(chain, raw_public_key=yes_no(yes=True, reason=how, at=shown[1]), raw_public_key_pin=pin)
    if not asked:
        return chain
    at = asked[0][1]
    if all(session.certificates or alert in _REFUSALS_OF_TYPE for session, _, alert in asked):
        return replace(chain, raw_public_key=yes_no(yes=False, reason="it shows certificates, or nothing", at=at))
    return replace(chain, raw_public_key=Fact(answer=Answer.NOT_SHOWN, reason="no whole answer came", exchanges=(at,)))


def shown_session(best: Carried, survey: Survey) -> Session:
    """Return the session whose certificates are shown: a handshake's, a raw public key's, or else a question's.

    Up to TLS 1.2 certificates pass in the clear: a server that our library cannot finish with shows its own as well.
    """
    raw = survey.raw_key
    if best.session.certificates:
        return best.session
    if raw is not None and raw.session.raw_public_key:
        return raw.session
    seen = next((reply for reply in survey.replies() if reply.session.certificates), None)
    if seen is None:
        return best.session
    seen.session.proved = signs_key_exchange(seen.session, seen.random)
    return seen.session


def _schemes(survey: Survey, carried: list[Carried]) -> Offer:
    offer = survey.scheme_offer()
    used = (names.scheme_name(item.session.scheme) for item in carried if item.completed and item.session.scheme)
    return replace(offer, accepted=tuple(dict.fromkeys((*offer.accepted, *used))))


def _client(found: Gathered, survey: Survey) -> ClientAuthentication:
    best = found.best
    carried = [item for item in (found.main, *found.others, *found.trials.values()) if item is not None]
    request = next((item.session.request for item in carried if item.session.request is not None), None)
    requested = _requested(best, survey)
    return ClientAuthentication(
        state=_state(found, requested),
        requested=requested,
        authority_names=authority_texts(request.authorities) if request else (),
        signature_schemes=tuple(names.scheme_name(item) for item in request.schemes) if request else (),
        trials=(
            *(_noted(_trial(name, item, found.cut), found) for name, item in found.trials.items()),
            *_untried(found),
        ),
        fetched=found.fetched_client,
    )


def _requested(best: Carried | None, survey: Survey) -> Fact:
    """Return whether a CertificateRequest came; its absence shows only in a flight that is complete."""
    flights = [(item.session, item.exchange) for item in ([best] if best else [])]
    flights += [(reply.session, reply.exchange) for reply in survey.replies()]
    seen = next((at for session, at in flights if session.request is not None), None)
    if seen is not None:
        return yes_no(yes=True, at=seen)
    whole = next((at for session, at in flights if session.flight_done), None)
    return yes_no(yes=False, at=whole) if whole is not None else Fact(answer=Answer.NOT_SHOWN, reason="no whole flight")


def _state(found: Gathered, requested: Fact) -> ClientAuth:
    best = found.best
    if requested.answer is Answer.NO:
        return ClientAuth.NOT_ASKED
    if requested.answer is not Answer.YES or best is None or best.ours:
        return ClientAuth.UNKNOWN
    if best.alert in _NO_CERTIFICATE:
        return ClientAuth.REQUIRED
    answered = best.application.answered.answer if best.application is not None else Answer.NOT_ASKED
    if answered is Answer.YES:
        return ClientAuth.ASKED
    if answered is Answer.NO and best.application is not None:
        by_certificate = best.application.protocol != "http" or best.application.status in _WANTS_CERTIFICATE
        return ClientAuth.REQUIRED_BY_APPLICATION if by_certificate else ClientAuth.UNKNOWN
    if best.application is None and best.completed and _kept(best):
        return ClientAuth.ASKED
    return ClientAuth.UNKNOWN


def _kept(carried: Carried) -> bool:
    """Return whether the server went on after our Finished: a ticket or data in TLS 1.3, its own Finished before."""
    return bool(carried.session.tickets) or (carried.confirmed and not carried.session.tls13)


def served(carried: Carried | None) -> bool:
    """Return whether an application answered a client well."""
    return carried is not None and carried.application is not None and bool(carried.application.answered.known)


def _trial(name: str, carried: Carried, cut: AbstractSet[str] = frozenset()) -> CredentialTrial:
    at = (carried.exchange,)
    handshake = carried.facts
    if carried.ours:
        fact = Fact(answer=Answer.NOT_SHOWN, reason=carried.reason, exchanges=at)
        return CredentialTrial(credential=name, accepted=fact, handshake=handshake)
    if carried.alert in _REFUSING and carried.session.request is not None:
        fact = Fact(answer=Answer.NO, reason=f"{carried.reason}{', after our Finished' * carried.late}", exchanges=at)
        return CredentialTrial(credential=name, accepted=fact, refused_by="tls", handshake=handshake)
    if name in cut:
        reason = f"{carried.reason} each time, while the valid credential is served before and after"
        fact = Fact(answer=Answer.NO, reason=reason, exchanges=at)
        return CredentialTrial(credential=name, accepted=fact, refused_by="tls", handshake=handshake)
    if carried.application is not None:
        answered = replace(_answered(carried, carried.application), exchanges=at)
        by = "application" if answered.answer is Answer.NO else ""
        return CredentialTrial(credential=name, accepted=answered, refused_by=by, handshake=handshake)
    if carried.completed and _kept(carried) and not carried.reason:
        fact = Fact(answer=Answer.YES, reason="taken inside TLS; no application was asked", exchanges=at)
        return CredentialTrial(credential=name, accepted=fact, handshake=handshake)
    reason = carried.reason or "the endpoint says neither yes nor no"
    return CredentialTrial(
        credential=name, accepted=Fact(answer=Answer.NOT_SHOWN, reason=reason, exchanges=at), handshake=handshake
    )


def _untried(found: Gathered) -> list[CredentialTrial]:
    return [
        CredentialTrial(credential=name, accepted=Fact(answer=Answer.NOT_SHOWN, reason=f"not tried: {reason}"))
        for name, reason in found.untried.items()
    ]


def _noted(trial: CredentialTrial, found: Gathered) -> CredentialTrial:
    """Say of an expired credential whose authority it has: one of our own making is refused for that already."""
    if trial.credential != "expired":
        return trial
    whose = f"given, of the authority {found.expired_authority}"
    if "expired" in found.made:
        whose = "made here, so its authority is a foreign one too"
    said = f"{trial.accepted.reason}; it was {whose}" if trial.accepted.reason else f"it was {whose}"
    return replace(trial, accepted=replace(trial.accepted, reason=said))


def _answered(carried: Carried, application: Application) -> Fact:
    """Return whether the application served this client; a 400 is about its certificate only if one was asked for."""
    if application.protocol == "http" and application.status == _BAD_REQUEST and carried.session.request is None:
        return Fact(answer=Answer.NOT_SHOWN, reason="HTTP 400, and no client certificate was asked for")
    return application.answered


def _fresh(survey: Survey, carried: list[Carried]) -> Fact:
    """Return whether the server's randoms and key shares differ from connection to connection."""
    hellos = [(reply.session.hello, reply.exchange) for reply in survey.replies()]
    hellos += [(item.session.hello, item.exchange) for item in carried]
    seen: dict[bytes, int] = {}
    for hello, at in hellos:
        if hello is None:
            continue
        # SSL 3.0 to TLS 1.2 may put the time into the first four bytes, and the sentinel fills the last eight.
        for value in (hello.random[4:24], hello.share):
            if value and seen.setdefault(value, at) != at:
                return Fact(answer=Answer.NO, reason="the same value came twice", exchanges=(seen[value], at))
    if len(set(seen.values())) < 2:  # noqa: PLR2004 - one is nothing to compare
        return Fact(answer=Answer.NOT_SHOWN, reason="fewer than two ServerHellos came")
    return Fact(answer=Answer.YES, reason=f"{len(set(seen.values()))} connections", exchanges=tuple(seen.values())[:2])


def _resumption(resumed: Carried | None) -> Fact:
    if resumed is None:
        return Fact(reason="there was no session to resume")
    at = resumed.exchange
    if not resumed.completed:
        return Fact(answer=Answer.NOT_SHOWN, reason=resumed.reason, exchanges=(at,))
    return yes_no(yes=resumed.session.resumed or not resumed.session.certificates, at=at)


def _classic_reply(survey: Survey) -> tuple[str, Reply] | None:
    """Return the reply in the highest version below TLS 1.3 that the endpoint chose."""
    for name in _CLASSIC:
        reply = survey.versions.get(name)
        hello = reply.session.hello if reply is not None else None
        if reply is not None and hello is not None and hello.version == names.VERSIONS[name]:
            return name, reply
    return None


def _with_extensions(facts: EndpointFacts, survey: Survey) -> EndpointFacts:
    """Return the facts with what a ServerHello below TLS 1.3 shows."""
    found = _classic_reply(survey)
    hello = found[1].session.hello if found is not None else None
    if found is None or hello is None:
        return _without_classic(facts, survey)
    name, at = found[0], found[1].exchange
    facts = replace(
        facts,
        secure_renegotiation=yes_no(yes=messages.RENEGOTIATION in hello.extensions, at=at),
        extended_master_secret=yes_no(yes=messages.EMS in hello.extensions, at=at),
        session_ids=yes_no(yes=bool(hello.session_id), at=at),
        encrypt_then_mac=_encrypt_then_mac(survey, name),
    )
    if name != "TLSv1.2":
        return facts
    facts = replace(facts, compression=yes_no(yes=hello.compression != 0, at=at))
    if survey.speaks("TLSv1.3").answer is not Answer.YES:
        return facts
    return replace(facts, downgrade_sentinel=yes_no(yes=hello.sentinel == "TLSv1.2", at=at))


def _without_classic(facts: EndpointFacts, survey: Survey) -> EndpointFacts:
    if survey.speaks("TLSv1.3").answer is not Answer.YES or survey.speaks("TLSv1.2").answer is not Answer.NO:
        return facts
    return replace(facts, compression=Fact(answer=Answer.NO, reason="TLS 1.3 alone is spoken, which has none"))


def _encrypt_then_mac(survey: Survey, version: str) -> Fact:
    """Return whether CBC suites come with encrypt_then_mac; only a chosen CBC suite can show it (RFC 7366 3)."""
    found = survey.sets.get(version, {}).get("cbc")
    reply = next(iter(found.replies.values()), None) if found else None
    if reply is None or reply.session.hello is None:
        return Fact(reason="no CBC suite was accepted")
    return yes_no(yes=messages.ETM in reply.session.hello.extensions, at=reply.exchange)


def _with_tickets(facts: EndpointFacts, best: Carried, survey: Survey) -> EndpointFacts:
    session, at = best.session, best.exchange
    if not best.completed:
        return facts
    seen = bool(session.tickets) or session.ticket_seen
    return replace(
        facts,
        tickets=yes_no(yes=seen, at=at),
        ticket_count=len(session.tickets) or int(seen),
        early_data=_early_data(best, survey),
        early_data_size=max((ticket.early_data for ticket in session.tickets), default=0),
    )


def _early_data(best: Carried, survey: Survey) -> Fact:
    session = best.session
    if session.tls13:
        if not session.tickets and not best.confirmed:
            return Fact(answer=Answer.NOT_SHOWN, reason="nothing came after the handshake")
        return yes_no(yes=any(ticket.early_data for ticket in session.tickets), at=best.exchange)
    if survey.run.target.datagram or survey.speaks("TLSv1.3").answer is Answer.NO:
        return Fact(answer=Answer.NO, reason="only TLS 1.3 has it", exchanges=(best.exchange,))
    return Fact(answer=Answer.NOT_SHOWN, reason="no handshake of TLS 1.3 was completed")


def _taken(found: Gathered) -> list[Carried]:
    return [by["psk"] for by in found.keys.values() if "psk" in by and by["psk"].by_key]


def _raw_version(survey: Survey) -> Mapping[str, Fact]:
    """Return the version in which a raw public key was shown: other hellos may have met refusals alone."""
    reply = survey.raw_key
    if reply is None or reply.session.hello is None:
        return {}
    name = names.VERSION_NAMES.get(reply.session.hello.version, "")
    return {name: reply.fact(Answer.YES)} if name in survey.versions else {}


def _also(versions: Mapping[str, Fact], shown: Mapping[str, Fact]) -> Mapping[str, Fact]:
    """Return the versions with those in which something was carried through, whatever other hellos met."""
    known = {name: fact for name, fact in versions.items() if fact.answer is Answer.YES}
    return MappingProxyType({**versions, **shown, **known})


def _with_keys(facts: EndpointFacts, found: Gathered) -> EndpointFacts:
    """Return the facts with what a pre-shared key got; a version that was completed with it is spoken."""
    trials = [(version, name, item) for version, by in found.keys.items() for name, item in by.items()]
    taken = _taken(found)
    answered = (item.application for item in taken if item.application is not None)
    return replace(
        facts,
        handshakes=(*facts.handshakes, *(item.facts for item in taken)),
        psk=taken[0].fact if taken else facts.psk,
        psk_identity_hint=facts.psk_identity_hint or next((item.session.psk_hint for item in taken), ""),
        psk_trials=tuple(_key_trial(version, name, item, found.keys[version]["psk"]) for version, name, item in trials),
        application=next(answered, facts.application),
    )


def _key_trial(version: str, name: str, carried: Carried, right: Carried) -> CredentialTrial:
    """Return what one key got, beside what the `right` one did.

    Silence stays not shown, though it is how DTLS treats what does not verify. An alert before ServerHello may be about
    the suites, groups or hash that our own client speaks; only where the right key was taken with the same is it a no.
    """
    fact, by = Fact(answer=Answer.NOT_SHOWN, reason=carried.reason or "the endpoint says neither yes nor no"), ""
    compared = right.by_key or carried.session.hello is not None or carried.alert in _ABOUT_KEYS
    if carried.by_key:
        said = carried.application.answered.reason if carried.application is not None else ""
        fact = Fact(answer=Answer.YES, reason=said)
    elif carried.completed:
        fact, by = Fact(answer=Answer.NO, reason="it goes on with its certificate, and without the key"), "tls"
    elif carried.alert in _REFUSING_KEY and not carried.ours and compared:
        fact, by = Fact(answer=Answer.NO, reason=carried.reason), "tls"
    elif carried.alert in _REFUSING_KEY and not carried.ours:
        fact = replace(fact, reason=f"{carried.reason}, perhaps to the suites that our own client speaks")
    elif carried.silent and right.by_key and version.startswith("DTLS"):
        fact = replace(fact, reason=f"{fact.reason}; DTLS drops what does not verify, and the right key was answered")
    fact = replace(fact, exchanges=(carried.exchange,))
    return CredentialTrial(credential=name, accepted=fact, refused_by=by, version=version, handshake=carried.facts)


def _with_psk(facts: EndpointFacts, survey: Survey) -> EndpointFacts:
    for by_set in survey.sets.values():
        found = by_set.get("psk")
        if found is not None:
            hints = (reply.session.psk_hint for reply in found.replies.values() if reply.session.psk_hint)
            fact, later = found.answer(found.members), survey.speaks("TLSv1.3")
            if fact.answer is Answer.NO and not survey.run.target.datagram and later.answer is Answer.NOT_SHOWN:
                fact = replace(fact, answer=Answer.NOT_SHOWN, reason=f"TLSv1.3: {later.reason}")
            elif fact.answer is Answer.NO and not survey.run.target.datagram and later.answer is Answer.YES:
                fact = replace(fact, reason=f"{fact.reason} in TLS 1.2; in TLS 1.3 only a key itself can show it")
            return replace(facts, psk=fact, psk_identity_hint=next(hints, ""))
    return facts
