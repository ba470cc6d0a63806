"""One examined endpoint as a tree on the terminal, for `otaudit probe`: four answers, each with its reason."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Final

from checker.model.endpoint import (
    DTLS_VERSIONS,
    TLS_VERSIONS,
    Answer,
    Application,
    ClientAuth,
    CredentialTrial,
    EndpointFacts,
    Fact,
    Handshake,
    Offer,
    Reach,
    RevocationAnswer,
    ServerChain,
)
from checker.model.keys import CertificateFacts
from checker.report._tree import Node, draw

_WORDS: Final = {
    Answer.YES: "yes",
    Answer.NO: "no",
    Answer.NOT_SHOWN: "not shown",
    Answer.NOT_ASKED: "not asked",
}
_REACH: Final = {
    Reach.TLS: "speaks {protocol}",
    Reach.PSK_ONLY: "speaks {protocol}, with pre-shared keys only",
    Reach.PQ_ONLY: "speaks {protocol}, with quantum-resistant groups only",
    Reach.REFUSED: "refused: nothing listens at this port",
    Reach.UNREACHABLE: "not reachable",
    Reach.SILENT: "silent: nothing came before the deadline, which says neither yes nor no",
    Reach.PLAINTEXT: "speaks another protocol in plain text",
    Reach.GARBAGE: "answers with bytes that are neither TLS nor text",
    Reach.RESET: "reset the connection without a byte",
    Reach.CLOSED: "closed the connection without a byte",
    Reach.RATE_LIMITED: "answered first and then no more: it limits the rate",
    Reach.ERROR: "not examined: the fault is on our side",
}
_CLIENT: Final = {
    ClientAuth.NOT_ASKED: "not asked for",
    ClientAuth.ASKED: "asked for, and served without",
    ClientAuth.REQUIRED: "required inside TLS",
    ClientAuth.REQUIRED_BY_APPLICATION: "required by the application above TLS",
    ClientAuth.UNKNOWN: "not known",
}
_VERSIONS: Final = (*TLS_VERSIONS, *DTLS_VERSIONS)  # oldest first
_LONG: Final = 12  # names of a list that are shown; the JSON has all


def endpoint_tree(facts: EndpointFacts, more: Iterable[Node] = (), *, colour: bool, width: int) -> str:
    """Return what an endpoint showed as an indented tree; `more` are further branches, such as profiles."""
    return draw([_endpoint(facts, more)], colour=colour, width=width)


def _endpoint(facts: EndpointFacts, more: Iterable[Node]) -> Node:
    protocol = "DTLS" if facts.protocol == "dtls" else "TLS"
    said = _REACH[facts.reach].format(protocol=protocol)
    reason = f" ({facts.reason})" if facts.reason else ""
    below = (
        [*_protocol(facts), *_session(facts), *_behaviour(facts), *_application(facts.application)]
        if facts.speaks
        else []
    )
    cost = f"{facts.connections} connections, {facts.round_trips} round trips in sequence, {facts.milliseconds:.0f} ms"
    below += [*more, ("cost", cost, "dim", [])]
    return f"{facts.scheme}://{_host(facts.host)}:{facts.port}", f"{said}{reason}", "" if facts.speaks else "red", below


def _host(host: str) -> str:
    return f"[{host}]" if ":" in host else host


def _protocol(facts: EndpointFacts) -> Iterator[Node]:
    yield "versions", "", "", [_fact(name, facts.versions[name]) for name in _VERSIONS if name in facts.versions]
    for version in _VERSIONS:
        if version in facts.suites:
            yield _offer(f"suites of {version}", facts.suites[version])
    yield _offer("groups", facts.groups)
    schemes = facts.signature_schemes
    if schemes.accepted or schemes.classes:
        yield _offer("signature schemes", schemes)
    for item in facts.offenders:
        version = f" of {item.version}" if item.version else ""
        yield f"offending {item.kind}", f"{item.name}{version}: {', '.join(item.classes)}", "red", []


def _offer(label: str, offer: Offer) -> Node:
    """Return a list with one answer per class, in the order of the names: a record read back looks the same."""
    return label, _offered(offer), "", [_fact(name, fact) for name, fact in sorted(offer.classes.items())]


def _offered(offer: Offer) -> str:
    names = ", ".join(offer.accepted[:_LONG])
    more = f" and {len(offer.accepted) - _LONG} more" if len(offer.accepted) > _LONG else ""
    rest = "" if offer.complete else " (there may be more: not every one was asked for)"
    return f"{names or 'none seen'}{more}{rest}"


def _fact(label: str, fact: Fact) -> Node:
    reason = f": {fact.reason}" if fact.reason else ""
    return label, f"{_WORDS[fact.answer]}{reason}", "" if fact.known is not None else "dim", []


def _facts(named: Mapping[str, Fact]) -> list[Node]:
    return [_fact(label, fact) for label, fact in named.items() if fact.answer is not Answer.NOT_ASKED]


def _session(facts: EndpointFacts) -> Iterator[Node]:
    for item in facts.handshakes:
        yield "handshake", _handshake(item), "green" if item.completed.known else "yellow", []
    chain, pins = facts.chain, facts.pins
    for shown in (chain, *facts.other_chains):
        if shown.sent:
            yield _path(shown)
    if pins.leaf:
        answers = {"declared pin matches": pins.matches, "backup pin": pins.backup}
        yield "pins", f"leaf {pins.leaf}", "", _facts(answers)


def _path(chain: ServerChain) -> Node:
    answers = {
        "in order": chain.in_order,
        "an issuer is missing": chain.missing_intermediate,
        "anchor sent": chain.anchor_sent,
        "path to a declared anchor": chain.path_valid,
        "name matches": chain.name_matches,
        "dates hold": chain.within_validity,
        "for TLS servers": chain.server_auth,
        "MD5 or SHA-1": chain.weak_hash,
        "revoked": chain.revoked,
        "OCSP answer stapled": chain.stapled,
        "raw public key": chain.raw_public_key,
    }
    names = f"{len(chain.sent)} certificates for {', '.join(chain.names) or 'no name'}"
    below = [*(_certificate(item) for item in chain.sent), *_facts(answers), *_fetched(chain.fetched)]
    return "path", names, "", below


def _fetched(answers: Iterable[RevocationAnswer]) -> Iterator[Node]:
    for item in answers:
        reason = f" ({item.revoked.reason})" if item.revoked.reason else ""
        said = f"{item.subject} revoked: {_WORDS[item.revoked.answer]}{reason}"
        yield f"{item.kind.upper()} {item.url}".strip(), said, "" if item.revoked.known is not None else "dim", []


def _handshake(item: Handshake) -> str:
    if not item.completed.known:
        return f"not completed: {item.completed.reason or _WORDS[item.completed.answer]}"
    parts = (item.version, item.suite, item.group, item.signature_scheme, item.alpn and f"ALPN {item.alpn}")
    return f"completed: {', '.join(part for part in parts if part)} (by {item.carried_by})"


def _certificate(item: CertificateFacts) -> Node:
    key = f"{item.key.algorithm} {item.key.bits or '?'} bits"
    text = f"{item.subject}, {key}, signed by {item.signature_algorithm} {item.signature_hash}".rstrip()
    return "certificate", f"{text}, {item.not_before[:10]} to {item.not_after[:10]}", "", []


def _behaviour(facts: EndpointFacts) -> Iterator[Node]:
    client = facts.client
    trials = [_trial(item) for item in client.trials]
    below = [*_facts({"requested": client.requested}), *trials, *_fetched(client.fetched)]
    yield "client certificate", _CLIENT[client.state], "", below
    if facts.psk.answer is not Answer.NOT_ASKED:
        label, text, tone, _ = _fact("pre-shared keys", facts.psk)
        hint = f", hint {facts.psk_identity_hint}" if facts.psk_identity_hint else ""
        yield label, text + hint, tone, [_trial(item) for item in facts.psk_trials]
    yield from _facts(
        {
            "fresh challenge": facts.fresh_challenge,
            "session ids": facts.session_ids,
            "tickets": facts.tickets,
            "resumption": facts.resumption,
            "0-RTT": facts.early_data,
            "renegotiation info": facts.secure_renegotiation,
            "extended master secret": facts.extended_master_secret,
            "encrypt-then-MAC": facts.encrypt_then_mac,
            "compression": facts.compression,
            "downgrade sentinel": facts.downgrade_sentinel,
            "same service without TLS": facts.plaintext_twin,
        }
    )


def _trial(item: CredentialTrial) -> Node:
    by = f" by {item.refused_by}" if item.refused_by else ""
    reason = f": {item.accepted.reason}" if item.accepted.reason else ""
    word = {True: "served", False: f"refused{by}", None: _WORDS[item.accepted.answer]}[item.accepted.known]
    version = f" in {item.version}" if item.version else ""
    return f"credential {item.credential}{version}", f"{word}{reason}", "", []


def _application(item: Application) -> Iterator[Node]:
    if item.answered.answer is Answer.NOT_ASKED:
        return
    skew = "" if item.clock_skew is None else f"{item.clock_skew:+.0f} s from ours"
    extra = {"redirect": item.redirect, "server date": f"{item.server_date} {skew}".strip()}
    below: list[Node] = [(label, text, "", []) for label, text in extra.items() if text]
    status = "" if item.status is None else f" {item.status}"
    yield item.protocol, f"{_WORDS[item.answered.answer]}{status} {item.text}".strip(), "", below
