"""The server's certificates as it sent them, each property judged apart, and one path verdict (tls.md 4.1)."""

from __future__ import annotations

import base64
import itertools
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Final

from checker.crypto.certificates import Certificate, instant, parse_certificate, rfc3339
from checker.crypto.chains import Verdict, assess
from checker.crypto.keyring import KeyRing
from checker.crypto.keys import PublicKey, from_spki
from checker.crypto.tls.certificate_names import Names, subject_names
from checker.crypto.tls.session import Session
from checker.errors import FormatError
from checker.model.endpoint import Answer, Fact, Pins, RevocationAnswer, ServerChain, Staple
from checker.model.keys import ChainFacts
from checker.transport.target import Options

MAX_PATH: Final = 16  # certificates that are judged; real chains have two to four
_WEAK_HASHES: Final = frozenset({"md2", "md4", "md5", "sha-1"})
_SERVER: Final = frozenset({"serverAuth", "anyExtendedKeyUsage"})


Link = tuple[Certificate, Certificate]  # a certificate and its issuer


def yes_no(*, yes: bool, reason: str = "", at: int | None = None) -> Fact:
    """Return a decided fact."""
    return Fact(answer=Answer.YES if yes else Answer.NO, reason=reason, exchanges=() if at is None else (at,))


def pin_of(key: PublicKey) -> str:
    """Return the pin of a key: `sha256/` and the base64 of SHA-256 over its SubjectPublicKeyInfo (RFC 7469 2.4)."""
    return "sha256/" + base64.b64encode(bytes.fromhex(key.spki_sha256)).decode()


def describe(
    session: Session, name: str, options: Options, at: int, fetched: tuple[RevocationAnswer, ...] = ()
) -> tuple[ServerChain, Pins]:
    """Return what a session's certificates are, and how declared pins meet them. Never raises.

    `fetched` is what responders and lists said of them (`transport.revocation`).
    """
    if not session.certificates:
        return ServerChain(), Pins(declared=options.pins)
    if session.raw_public_key:
        return _raw(session, options, at)
    try:
        sent = tuple(parse_certificate(der) for der in session.certificates[:MAX_PATH])
        verdict = assess(sent[0], options.ring, presented=sent[1:], as_of=options.as_of, purpose="tls-server")
    except FormatError as error:
        damaged = Fact(answer=Answer.NOT_SHOWN, reason=f"a certificate is damaged: {error}", exchanges=(at,))
        return ServerChain(path_valid=damaged, sizes=tuple(map(len, session.certificates))), Pins(declared=options.pins)
    judge = _Judge(sent, verdict, options, at)
    chain = judge.chain(session, name, fetched)
    return chain, _pins(_keys(sent, judge.verdict), options, judge.verdict)


def undecided(session: Session, options: Options) -> tuple[Link, ...]:
    """Return the links of the path of which responders and lists are to be asked: a certificate and its issuer each.

    A staple or a given list may decide one already; damaged certificates name no place to ask.
    """
    try:
        sent = tuple(parse_certificate(der) for der in session.certificates[:MAX_PATH])
        verdict = assess(sent[0], options.ring, presented=sent[1:], as_of=options.as_of, purpose="tls-server")
    except FormatError:
        return ()
    judge = _Judge(sent, verdict, options, 0)
    links = open_links(judge.path, options.ring, options.as_of)
    return links[1:] if links and judge.decided(session) and links[0][0] is sent[0] else links


def client_links(certificates: Sequence[bytes], options: Options) -> tuple[Link, ...]:
    """Return the same of the client identity's path, which the anchors of devices verify."""
    ring = options.device_ring or options.ring
    try:
        given = tuple(parse_certificate(der) for der in certificates[:MAX_PATH])
        verdict = (
            assess(given[0], ring, presented=given[1:], as_of=options.as_of, purpose="tls-client") if given else None
        )
    except FormatError:
        return ()
    if verdict is None or verdict.chain.revoked is not None:
        return ()
    return open_links(
        path_below(given[0], verdict, (*given[1:], *ring.intermediates, *ring.anchors)), ring, options.as_of
    )


def open_links(path: Sequence[Certificate], ring: KeyRing, as_of: str) -> tuple[Link, ...]:
    """Return the links of a path for whose issuers no list was given that still holds."""
    now = rfc3339(instant(as_of))
    listed = {each.issuer_der for each in ring.crls if not each.next_update or each.next_update >= now}
    return tuple((item, issuer) for item, issuer in itertools.pairwise(path) if item.issuer_der not in listed)


def path_below(leaf: Certificate, verdict: Verdict, pool: Iterable[Certificate]) -> tuple[Certificate, ...]:
    """Return the path upwards from a leaf in which each certificate was shown to be signed by the next one.

    That of a verdict that holds is taken as it is; elsewhere names suggest the issuer, and its key must fit.
    """
    known = tuple(pool)
    if verdict.chain.valid:
        by_sha = {item.facts.sha256: item for item in (leaf, *known)}
        return tuple(by_sha[facts.sha256] for facts in verdict.chain.certificates if facts.sha256 in by_sha)
    from checker.crypto._own_paths import signed_by  # with every signature scheme there is: for paths that fail only

    path = [leaf]
    while len(path) < MAX_PATH and not _self_issued(path[-1]):
        above = [item for item in known if item.subject_der == path[-1].issuer_der and item not in path]
        issuer = next((item for item in above[:MAX_PATH] if signed_by(path[-1].der, item.key)), None)
        if issuer is None:
            break
        path.append(issuer)
    return tuple(path)


def raw_pin(session: Session) -> str:
    """Return the pin of a raw public key, or nothing where it is damaged."""
    try:
        return pin_of(from_spki(session.certificates[0]))
    except FormatError:
        return ""


def _raw(session: Session, options: Options, at: int) -> tuple[ServerChain, Pins]:
    seen = yes_no(yes=True, reason="RFC 7250", at=at)
    try:
        key = from_spki(session.certificates[0])
    except FormatError as error:
        return ServerChain(raw_public_key=seen, path_valid=_unshown(str(error))), Pins(declared=options.pins)
    chain = ServerChain(raw_public_key=seen, raw_public_key_pin=pin_of(key), weakest_bits=key.facts.strength)
    pins = _pins((key,), options, None)
    if pins.matches.answer is Answer.YES and not session.proved:
        pins = replace(pins, matches=_unshown("the key is shown; nothing shows that the server holds it"))
    return chain, pins


def _unshown(reason: str) -> Fact:
    return Fact(answer=Answer.NOT_SHOWN, reason=reason)


class _Judge:
    def __init__(self, sent: tuple[Certificate, ...], verdict: Verdict, options: Options, at: int) -> None:
        self._sent = sent
        self.verdict = verdict
        self._options = options
        self._at = at
        self._now = rfc3339(instant(options.as_of))
        self.path = path_below(sent[0], verdict, (*sent[1:], *options.ring.intermediates, *options.ring.anchors))

    def decided(self, session: Session) -> bool:
        """Return whether a staple or a given list says already whether the leaf is revoked."""
        return any(fact.known is not None for fact, _ in self._said(self._staple(session), ()))

    def _staple(self, session: Session) -> Staple | None:
        if not session.staple:
            return None
        from checker.crypto.tls.staple import read_staple  # loaded where a server staples

        return read_staple(session.staple, self._sent[0], self.path[1] if len(self.path) > 1 else None, self._now)

    def chain(self, session: Session, name: str, fetched: tuple[RevocationAnswer, ...]) -> ServerChain:
        sent, leaf = self._sent, self._sent[0]
        mine = {item.facts.sha256 for item in self.path}
        fetched = tuple(item for item in fetched if item.certificate in mine)
        found = subject_names(leaf)
        staple = self._staple(session)
        revoked, revoked_by = self._revoked(staple, fetched)
        self.verdict = replace(self.verdict, chain=self._settled(revoked, staple, fetched))
        return ServerChain(
            sent=tuple(item.facts for item in sent),
            sizes=tuple(len(der) for der in session.certificates),
            in_order=self._in_order(),
            missing_intermediate=self._missing(),
            anchor_sent=self._fact(any(_self_issued(item) for item in sent[1:])),
            self_signed_leaf=self._fact(_self_issued(leaf)),
            path=self.verdict.chain,
            path_valid=self._path(),
            name_matches=self._name(found, name),
            names=found.texts,
            within_validity=self._window(),
            server_auth=self._purpose(),
            weak_hash=self._weak_hash(),
            weakest_bits=_weakest(sent),
            revoked=revoked,
            revoked_by=revoked_by,
            fetched=fetched,
            stapled=self._fact(staple is not None),
            staple=staple,
        )

    def _fact(self, yes: bool, reason: str = "") -> Fact:  # noqa: FBT001 - a predicate's value
        return yes_no(yes=yes, reason=reason, at=self._at)

    def _in_order(self) -> Fact:
        pairs = zip(self._sent, self._sent[1:], strict=False)
        bad = next((lower for lower, upper in pairs if lower.issuer_der != upper.subject_der), None)
        return self._fact(bad is None, "" if bad is None else f"what follows {bad.facts.subject} is not its issuer")

    def _missing(self) -> Fact:
        """Return whether the sent chain ends below anything that is known (an anchor, or a self-issued certificate)."""
        ring, top = self._options.ring, self._sent[0]
        known = {item.subject_der for item in ring.anchors}
        for _ in self._sent:
            above = next((item for item in self._sent if item.subject_der == top.issuer_der and item is not top), None)
            if above is None:
                break
            top = above
        if _self_issued(top) or {top.issuer_der, top.subject_der} & known:
            return self._fact(yes=False)
        if not known:
            return _unshown("no anchor was declared that the chain should end at")
        helpers = (*ring.intermediates, *self._own_authorities())
        if any(item.subject_der == top.issuer_der for item in helpers):
            return self._fact(yes=True, reason=f"the issuer of {top.facts.subject}, {top.facts.issuer}, was not sent")
        reason = f"{top.facts.issuer}, which issued {top.facts.subject}, was not sent and is no declared anchor"
        return _unshown(f"{reason}: an intermediate is missing, or the authority is not one of yours")

    def _own_authorities(self) -> tuple[Certificate, ...]:
        """Return the authorities above the client's identity: known, and for this question enough; never trusted."""
        identity = self._options.identity
        return tuple(parse_certificate(der) for der in identity.certificates[1:]) if identity is not None else ()

    def _path(self) -> Fact:
        chain, ring = self.verdict.chain, self._options.ring
        if not ring.anchors:
            return Fact(reason="no anchor was declared")
        return self._fact(bool(chain.valid), chain.error)

    def _name(self, found: Names, name: str) -> Fact:
        if found.error:
            return _unshown(found.error)
        matches = found.match(name)
        reason = "" if matches else f"{name} is none of {', '.join(found.texts[:8]) or 'no subject alternative name'}"
        return self._fact(matches, reason)

    def _window(self) -> Fact:
        for item in self._sent:
            facts = item.facts
            if self._now < facts.not_before:
                return self._fact(yes=False, reason=f"{facts.subject} is valid only from {facts.not_before}")
            if self._now > facts.not_after:
                return self._fact(yes=False, reason=f"{facts.subject} ended on {facts.not_after}")
        return self._fact(yes=True)

    def _purpose(self) -> Fact:
        purposes = self._sent[0].facts.extended_key_usage
        return self._fact(not purposes or bool(_SERVER & set(purposes)), ", ".join(purposes) or "no restriction")

    def _weak_hash(self) -> Fact:
        weak = next((i for i in self._sent if not _self_issued(i) and i.facts.signature_hash in _WEAK_HASHES), None)
        return self._fact(weak is not None, f"{weak.facts.subject}: {weak.facts.signature_hash}" if weak else "")

    def _revoked(self, staple: Staple | None, fetched: tuple[RevocationAnswer, ...]) -> tuple[Fact, str]:
        """Return whether a certificate of the path is revoked, and by what that is known.

        Any authentic "revoked" decides. A "good" about the leaf decides where the path to an anchor validates:
        elsewhere its authority is only one that the server named.
        """
        said = self._said(staple, fetched)
        for answer in (Answer.YES, Answer.NO):
            hit = next(((fact, by) for fact, by in said if fact.answer is answer), None)
            if hit is not None and (answer is Answer.YES or self.verdict.chain.valid):
                return hit
            if hit is not None:
                return _unshown(f"{hit[0].reason}, but no path to a declared anchor validates"), ""
        open_facts = [fact for fact, _ in said if fact.answer is Answer.NOT_SHOWN]
        return (open_facts[0] if open_facts else Fact(reason=self._why_unasked())), ""

    def _said(self, staple: Staple | None, fetched: tuple[RevocationAnswer, ...]) -> list[tuple[Fact, str]]:
        """Return every source's word, the leaf's before those of the certificates above it."""
        chain, leaf = self.verdict.chain, self._sent[0].facts.sha256
        said: list[tuple[Fact, str]] = []
        if staple is not None:
            fact = _stapled(staple)
            said.append((replace(fact, reason=f"by the staple: {fact.reason}", exchanges=(self._at,)), "staple"))
        if chain.revoked is not None or "revoked" in chain.error:
            gone = bool(chain.revoked) or "revoked" in chain.error
            said.append((self._fact(gone, chain.error or "by the issuer's list"), "crl"))
        for item in fetched:
            fact = replace(
                item.revoked, reason=f"{item.subject}: {item.revoked.reason}" + f" ({item.url})" * bool(item.url)
            )
            if item.certificate == leaf or fact.answer is Answer.YES:
                said.append((fact, item.kind))
        return said

    def _why_unasked(self) -> str:
        facts = self._sent[0].facts
        if not facts.ocsp_urls and not facts.crl_urls:
            return "no staple came, no list was given, and the certificate names no place to ask"
        return "no staple came, no list was given, and nothing was fetched"

    def _settled(self, revoked: Fact, staple: Staple | None, fetched: tuple[RevocationAnswer, ...]) -> ChainFacts:
        """Return the path with what staple and answers say of it."""
        chain = self.verdict.chain
        if fetched:
            from checker.crypto.tls.revocation import settled

            chain = settled(chain, fetched)
        said = _stapled(staple).known if staple is not None else None
        if said is True:
            error = f"certificate revoked: {self._sent[0].facts.subject}"
            valid = None if chain.valid is None else False
            return replace(chain, valid=valid, error=error, revoked=True, anchor="", anchor_name="")
        return replace(chain, revoked=False) if said is False and revoked.answer is Answer.NO else chain


def _stapled(staple: Staple) -> Fact:
    from checker.crypto.tls.staple import revoked_fact

    return revoked_fact(staple)


def _self_issued(item: Certificate) -> bool:
    return item.subject_der == item.issuer_der


def _weakest(sent: Sequence[Certificate]) -> int | None:
    known = [item.key.facts.strength for item in sent if item.key.facts.strength is not None]
    return min(known) if len(known) == len(sent) else None


def _keys(sent: Sequence[Certificate], verdict: Verdict) -> tuple[PublicKey, ...]:
    """Return the keys of the verified path, or of what was sent where no path is verified."""
    if not verdict.chain.valid:
        return tuple(item.key for item in sent)
    by_sha = {item.facts.sha256: item.key for item in sent}
    return tuple(by_sha[facts.sha256] for facts in verdict.chain.certificates if facts.sha256 in by_sha)


def _pins(keys: tuple[PublicKey, ...], options: Options, verdict: Verdict | None) -> Pins:
    leaf, *issuers = [pin_of(key) for key in keys]
    if verdict is not None and verdict.chain.valid:
        issuers += _anchor_pins(verdict, options.ring, {leaf, *issuers})
    declared = frozenset(options.pins)
    if not declared:
        return Pins(leaf=leaf, issuers=tuple(issuers), matches=Fact(reason="no pin was declared"))
    hit_leaf, hit_issuer = leaf in declared, bool(declared & set(issuers))
    trusted = verdict is None or bool(verdict.chain.valid)
    reason = "" if trusted else "the chain is as it was sent: no verified path"
    matches = yes_no(yes=hit_leaf or hit_issuer, reason=reason)
    if hit_issuer and not hit_leaf and not trusted:
        matches = _unshown(
            "a pinned key is only among the certificates that were sent; nothing shows that it issued the leaf"
        )
    return Pins(
        leaf=leaf,
        issuers=tuple(issuers),
        declared=options.pins,
        matches=matches,
        matches_leaf=yes_no(yes=hit_leaf),
        matches_issuer=yes_no(yes=hit_issuer, reason=reason),
        backup=yes_no(yes=bool(declared - {leaf, *issuers})),
    )


def _anchor_pins(verdict: Verdict, ring: KeyRing, seen: Iterable[str]) -> list[str]:
    anchor = next((item.key for item in ring.anchors if item.key.spki_sha256 == verdict.chain.anchor), None)
    pin = pin_of(anchor) if anchor is not None else ""
    return [pin] if pin and pin not in set(seen) else []
