"""The server's certificates as it sent them, each property judged apart, and one path verdict (tls.md 4.1)."""

from __future__ import annotations

import base64
from collections.abc import Iterable, Sequence
from typing import Final

from checker.crypto.certificates import Certificate, instant, parse_certificate, rfc3339
from checker.crypto.chains import Verdict, assess
from checker.crypto.keyring import KeyRing
from checker.crypto.keys import PublicKey, from_spki
from checker.crypto.tls.certificate_names import Names, subject_names
from checker.crypto.tls.session import Session
from checker.errors import FormatError
from checker.model.endpoint import Answer, Fact, Pins, ServerChain, Staple
from checker.transport.target import Options

MAX_PATH: Final = 16  # certificates that are judged; real chains have two to four
_WEAK_HASHES: Final = frozenset({"md2", "md4", "md5", "sha-1"})
_SERVER: Final = frozenset({"serverAuth", "anyExtendedKeyUsage"})


def yes_no(*, yes: bool, reason: str = "", at: int | None = None) -> Fact:
    """Return a decided fact."""
    return Fact(answer=Answer.YES if yes else Answer.NO, reason=reason, exchanges=() if at is None else (at,))


def pin_of(key: PublicKey) -> str:
    """Return the pin of a key: `sha256/` and the base64 of SHA-256 over its SubjectPublicKeyInfo (RFC 7469 2.4)."""
    return "sha256/" + base64.b64encode(bytes.fromhex(key.spki_sha256)).decode()


def describe(session: Session, name: str, options: Options, at: int) -> tuple[ServerChain, Pins]:
    """Return what a session's certificates are, and how declared pins meet them. Never raises."""
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
    return _Judge(sent, verdict, options, at).chain(session, name), _pins(_keys(sent, verdict), options, verdict)


def _raw(session: Session, options: Options, at: int) -> tuple[ServerChain, Pins]:
    seen = yes_no(yes=True, reason="RFC 7250", at=at)
    try:
        key = from_spki(session.certificates[0])
    except FormatError as error:
        return ServerChain(raw_public_key=seen, path_valid=_unshown(str(error))), Pins(declared=options.pins)
    chain = ServerChain(raw_public_key=seen, raw_public_key_pin=pin_of(key), weakest_bits=key.facts.strength)
    return chain, _pins((key,), options, None)


def _unshown(reason: str) -> Fact:
    return Fact(answer=Answer.NOT_SHOWN, reason=reason)


class _Judge:
    def __init__(self, sent: tuple[Certificate, ...], verdict: Verdict, options: Options, at: int) -> None:
        self._sent = sent
        self._verdict = verdict
        self._options = options
        self._at = at
        self._now = rfc3339(instant(options.as_of))

    def chain(self, session: Session, name: str) -> ServerChain:
        sent, leaf = self._sent, self._sent[0]
        found = subject_names(leaf)
        staple = self._staple(session.staple) if session.staple else None
        revoked, revoked_by = self._revoked(staple)
        return ServerChain(
            sent=tuple(item.facts for item in sent),
            sizes=tuple(len(der) for der in session.certificates),
            in_order=self._in_order(),
            missing_intermediate=self._missing(),
            anchor_sent=self._fact(any(_self_issued(item) for item in sent[1:])),
            self_signed_leaf=self._fact(_self_issued(leaf)),
            path=self._verdict.chain,
            path_valid=self._path(),
            name_matches=self._name(found, name),
            names=found.texts,
            within_validity=self._window(),
            server_auth=self._purpose(),
            weak_hash=self._weak_hash(),
            weakest_bits=_weakest(sent),
            revoked=revoked,
            revoked_by=revoked_by,
            stapled=self._fact(staple is not None),
            staple=staple,
            raw_public_key=self._fact(yes=False),
        )

    def _fact(self, yes: bool, reason: str = "") -> Fact:  # noqa: FBT001 - a predicate's value
        return yes_no(yes=yes, reason=reason, at=self._at)

    def _staple(self, der: bytes) -> Staple:
        from checker.crypto.tls.staple import read_staple  # with every signature scheme there is; few servers staple

        return read_staple(der, self._sent[0], self._issuer(), self._now)

    def _issuer(self) -> Certificate | None:
        pool = (*self._sent[1:], *self._options.ring.intermediates, *self._options.ring.anchors)
        return next((item for item in pool if item.subject_der == self._sent[0].issuer_der), None)

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
        chain, ring = self._verdict.chain, self._options.ring
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

    def _revoked(self, staple: Staple | None) -> tuple[Fact, str]:
        """Return whether the leaf is revoked; a staple counts where it is authentic, current and about the leaf."""
        if staple is not None and _speaks(staple):
            return self._fact(staple.status == "revoked", f"by the staple of {staple.this_update}"), "staple"
        revoked = self._verdict.chain.revoked
        if revoked is not None:
            return self._fact(revoked, self._verdict.chain.error or "by the issuer's list"), "crl"
        if "revoked" in self._verdict.chain.error:
            return self._fact(yes=True, reason=self._verdict.chain.error), "crl"
        if staple is not None:
            return _unshown("the staple is not authentic, not current, or of another certificate"), ""
        return Fact(reason="no staple came and no list was given"), ""


def _speaks(staple: Staple) -> bool:
    whole = (staple.verified, staple.about_leaf, staple.current)
    return staple.status in {"good", "revoked"} and all(fact.answer is Answer.YES for fact in whole)


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
