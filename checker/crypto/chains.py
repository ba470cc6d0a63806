"""Certificate paths: OpenSSL builds and validates them, this module reads the verified path and reports every link.

Paths with HSS or XMSS keys, which OpenSSL does not know, are built by `_own_paths` and judged by the same rules.

How an outcome comes about for a signature whose mathematics hold:

* the signer's own key is declared (as a bare key, as a certificate, or as an anchor): `valid`. A certificate that was
  declared itself is trusted like a bare key, so its expiry is a fact of the chain and not a refusal; only a revocation
  by a given CRL overrides the declaration;
* a path to a declared anchor validates, the purpose fits and nothing on the path is revoked: `valid`;
* a path to a declared anchor exists but fails (expired, not a CA, wrong purpose, revoked …): `invalid`, since a device
  must refuse it; the note says why;
* no anchor was given, or no path leads to one: `key_unknown`.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Final

from cryptography import x509
from OpenSSL import crypto

from checker.crypto.certificates import (
    Certificate,
    RevocationList,
    instant,
    parse_certificate,
    purpose_name,
    rfc3339,
)
from checker.crypto.keyring import KeyRing
from checker.errors import FormatError
from checker.model.keys import ChainFacts, KeyFacts, OneTimeKey
from checker.model.terms import Outcome
from checker.model.value import value

MAX_PATH: Final = 16  # links; real update PKIs have two to four
# OpenSSL's X509_V_ERR_ codes which say that no path to a trusted certificate is known.
_NO_PATH: Final = frozenset({2, 18, 19, 20, 21, 27, 28})
_REVOKED: Final = 23
_NO_CRL: Final = 3
_NO_CHECK_TIME: Final = 0x200000  # X509_V_FLAG_NO_CHECK_TIME: pyOpenSSL has no name for it
_LOAD_ERRORS: Final = (crypto.Error, ValueError, TypeError, OverflowError, x509.InvalidVersion)
_SIGNING: Final = frozenset({"digitalSignature", "nonRepudiation"})
_ANY: Final = "anyExtendedKeyUsage"
# What is accepted where the user named no purposes: for signed updates also emailProtection, which is what OpenSSL's
# CMS verification and SWUpdate's default ask for.
_DEFAULTS: Final = {
    "code-signing": frozenset({"codeSigning", "emailProtection", _ANY}),
    "log": frozenset({"codeSigning", "emailProtection", _ANY}),
    "tls-server": frozenset({"serverAuth", _ANY}),
    "tls-client": frozenset({"clientAuth", _ANY}),
}


@value
class Verdict:
    """What is known of a signer: the outcome for a signature whose mathematics hold, its key, its path, and why."""

    outcome: Outcome
    key: KeyFacts
    chain: ChainFacts
    note: str = ""


@value
class _Built:
    path: tuple[Certificate, ...]
    error: str = ""
    reaches_anchor: bool = True  # False: no path to a declared anchor is known
    own: bool = False  # found and checked by this program, since OpenSSL does not know its keys
    one_time_keys: tuple[OneTimeKey, ...] = ()  # that issuers on an own path used


@value
class _Revocation:
    signer: bool | None = None
    anywhere: str = ""  # subject of a revoked certificate of the path
    note: str = ""


def assess(
    leaf: Certificate,
    ring: KeyRing,
    *,
    presented: Iterable[Certificate] = (),
    signed_at: str = "",
    as_of: str,
    purpose: str = "code-signing",
) -> Verdict:
    """Return what is known of a signer's certificate.

    `presented` are the certificates that came with the signature. The path is checked at `signed_at` (RFC 3339, an
    authentic signing time) or else at `as_of`; revocation is always checked as of `as_of`, because a signer can write
    any time into his signature. `purpose` is `code-signing`, `log`, `tls-server`, `tls-client`, or empty for none.

    Raises:
        FormatError: `as_of` or `signed_at` is no time.
    """
    now = rfc3339(instant(as_of))
    stated = rfc3339(instant(signed_at)) if signed_at else now
    at = min(stated, now)
    pool = (*presented, *ring.intermediates)
    built = _build(leaf, ring, pool, at)
    revocation = _revocation(built, ring, pool, now)
    error = built.error or _authority_error(built.path) or _purpose_error(leaf, ring.purposes, purpose)
    if revocation.anywhere:
        error = f"certificate revoked: {revocation.anywhere}"
    chain = ChainFacts(
        certificates=tuple(item.facts for item in built.path),
        valid=None if not ring.anchors else not error,
        error=error if ring.anchors or revocation.anywhere else "",
        revoked=revocation.signer,
        checked_at=at,
        expired=not leaf.facts.not_before <= at <= leaf.facts.not_after,
        one_time_keys=built.one_time_keys,
    )
    return _decide(leaf, ring, built, chain, revocation)


def _decide(leaf: Certificate, ring: KeyRing, built: _Built, chain: ChainFacts, revocation: _Revocation) -> Verdict:
    declared = ring.find(leaf.key.spki_sha256)
    if chain.valid:
        anchor = built.path[-1]
        chain = replace(chain, anchor=anchor.key.spki_sha256, anchor_name=anchor.name)
    if revocation.anywhere:
        return Verdict(outcome=Outcome.INVALID, key=leaf.key.facts, chain=chain, note=chain.error)
    if declared is not None:
        note = f"the signer's own key is declared; its path: {chain.error}" if chain.error else ""
        return Verdict(outcome=Outcome.VALID, key=declared.facts, chain=chain, note=note or revocation.note)
    if chain.valid:
        key = replace(leaf.key.facts, declared=True, name=leaf.key.facts.name or chain.anchor_name)
        return Verdict(outcome=Outcome.VALID, key=key, chain=chain, note=revocation.note)
    if not ring.anchors or not built.reaches_anchor:
        note = chain.error or "no anchor was given and the key is not declared"
        return Verdict(outcome=Outcome.KEY_UNKNOWN, key=leaf.key.facts, chain=chain, note=note)
    return Verdict(outcome=Outcome.INVALID, key=leaf.key.facts, chain=chain, note=chain.error)


def _build(leaf: Certificate, ring: KeyRing, pool: Sequence[Certificate], at: str) -> _Built:
    """Return OpenSSL's path; or an own one where that has none, and keys are in play that OpenSSL does not know."""
    built = _by_openssl(leaf, ring, pool, at)
    if not built.error or not ring.anchors:
        return built
    from checker.crypto import _own_paths as own  # with every signature scheme there is: for paths that fail only

    if not own.needed((leaf, *ring.anchors, *pool)):
        return built
    found = own.search(leaf, ring.anchors, pool, at)
    if found is None:
        return replace(built, reaches_anchor=False) if own.needed((leaf,)) else built
    used = own.one_time_uses(found.path)
    return _Built(path=found.path, error=found.error, reaches_anchor=found.known, own=True, one_time_keys=used)


def _by_openssl(leaf: Certificate, ring: KeyRing, pool: Sequence[Certificate], at: str) -> _Built:
    guess = _guess(leaf, (*ring.anchors, *pool))
    if not ring.anchors:
        return _Built(path=guess, reaches_anchor=False)
    try:
        store = _store(ring.anchors)
        store.set_time(instant(at))
        subject = crypto.load_certificate(crypto.FILETYPE_ASN1, leaf.der)
        context = crypto.X509StoreContext(store, subject, _untrusted(pool))
        verified = context.get_verified_chain()
    except crypto.X509StoreContextError as error:
        code, depth, text = _details(error)
        where = f" (depth {depth})" if depth else ""
        return _Built(path=guess, error=f"{text}{where}", reaches_anchor=code not in _NO_PATH)
    except _LOAD_ERRORS:
        return _Built(path=guess, error="OpenSSL cannot read the signer's certificate", reaches_anchor=False)
    return _Built(path=_read(verified, (leaf, *ring.anchors, *pool)))


def _details(error: crypto.X509StoreContextError) -> tuple[int, int, str]:
    code, depth, text = (*error.errors, 0, 0, "")[:3]
    return int(code), int(depth), str(text)


def _store(anchors: Iterable[Certificate]) -> crypto.X509Store:
    store = crypto.X509Store()
    store.set_flags(crypto.X509StoreFlags.PARTIAL_CHAIN)  # an intermediate that is declared is an anchor too
    for anchor in anchors:
        try:
            store.add_cert(crypto.load_certificate(crypto.FILETYPE_ASN1, anchor.der))
        except _LOAD_ERRORS:  # an anchor that OpenSSL refuses ends no path
            continue
    return store


def _untrusted(pool: Iterable[Certificate]) -> list[crypto.X509]:
    found = []
    for item in pool:
        try:
            found.append(crypto.load_certificate(crypto.FILETYPE_ASN1, item.der))
        except _LOAD_ERRORS:
            continue
    return found


def _read(verified: Iterable[crypto.X509], pool: Iterable[Certificate]) -> tuple[Certificate, ...]:
    known = {item.der: item for item in reversed(tuple(pool))}
    ders = [crypto.dump_certificate(crypto.FILETYPE_ASN1, item) for item in verified]
    return tuple(known.get(der) or parse_certificate(der) for der in ders)


def _guess(leaf: Certificate, pool: Sequence[Certificate]) -> tuple[Certificate, ...]:
    """Return the path that names suggest, for a report where OpenSSL has none."""
    path = [leaf]
    while len(path) < MAX_PATH:
        above = next((item for item in pool if item.subject_der == path[-1].issuer_der and item not in path), None)
        if above is None:
            break
        path.append(above)
    return tuple(path)


def _revocation(built: _Built, ring: KeyRing, pool: Sequence[Certificate], now: str) -> _Revocation:
    path = built.path
    if not ring.anchors:
        # Nothing verifies the lists themselves, so they cannot clear a signer; but whoever gave one believes it.
        listed = next((item.facts.subject for item in path if _is_listed(item, ring.crls)), "")
        return _Revocation(signer=True if path and _is_listed(path[0], ring.crls) else None, anywhere=listed)
    if not ring.crls:
        return _Revocation()
    if built.own:
        states = [_own_link(item, issuer, ring, now) for item, issuer in itertools.pairwise(path)]
        states.append((None, ""))  # the anchor
    else:
        states = [_link(item, ring, pool, now) for item in path]
    revoked = next((item.facts.subject for item, (state, _) in zip(path, states, strict=True) if state), "")
    signer, note = states[0] if states else (None, "")
    return _Revocation(signer=signer, anywhere=revoked, note=note)


def _is_listed(item: Certificate, crls: Sequence[RevocationList]) -> bool:
    return any(each.issuer_der == item.issuer_der and item.serial in each.serials for each in crls)


def _link(item: Certificate, ring: KeyRing, pool: Sequence[Certificate], now: str) -> tuple[bool | None, str]:
    """Return whether OpenSSL finds a certificate revoked by the CRLs of its issuer; None: no CRL answers."""
    lists = [each for each in ring.crls if each.issuer_der == item.issuer_der]
    if not lists or item.der in {anchor.der for anchor in ring.anchors if anchor.subject_der == anchor.issuer_der}:
        return None, ""
    code, text = _check_crl(item, ring, pool, lists)
    if code == _REVOKED:
        return True, "revoked"
    if code:
        return None, f"revocation could not be checked: {text}"
    return _current(lists, now)


def _current(lists: Sequence[RevocationList], now: str) -> tuple[bool | None, str]:
    if not any(not each.next_update or each.next_update >= now for each in lists):
        return None, f"the revocation list of {lists[0].issuer} ended on {lists[0].next_update}"
    return False, ""


def _own_link(item: Certificate, issuer: Certificate, ring: KeyRing, now: str) -> tuple[bool | None, str]:
    lists = [each for each in ring.crls if each.issuer_der == item.issuer_der]
    if not lists:
        return None, ""
    from checker.crypto import _own_paths as own

    state = own.revoked(item, issuer, lists)
    if state is None:
        return None, "revocation could not be checked: no whole list is signed by the issuer"
    return (True, "revoked") if state else _current(lists, now)


def _check_crl(
    item: Certificate, ring: KeyRing, pool: Sequence[Certificate], lists: Sequence[RevocationList]
) -> tuple[int, str]:
    store = _store(ring.anchors)
    # Times are judged apart: a list made after the signature would otherwise not count at the signing time.
    store.set_flags(crypto.X509StoreFlags.PARTIAL_CHAIN | crypto.X509StoreFlags.CRL_CHECK | _NO_CHECK_TIME)
    try:
        for each in lists:
            store.add_crl(x509.load_der_x509_crl(each.der))
        subject = crypto.load_certificate(crypto.FILETYPE_ASN1, item.der)
        crypto.X509StoreContext(store, subject, _untrusted(pool)).verify_certificate()
    except crypto.X509StoreContextError as error:
        code, _, text = _details(error)
        return code, text
    except _LOAD_ERRORS:
        return _NO_CRL, "OpenSSL cannot read the revocation list"
    return 0, ""


def _authority_error(path: Sequence[Certificate]) -> str:
    """Return why an issuer below the anchor may not issue; OpenSSL takes keyCertSign alone (RFC 5280 6.1.4 k)."""
    wrong = next((item for item in path[1:-1] if item.facts.ca is not True), None)
    return f"not marked as a certification authority: {wrong.facts.subject}" if wrong else ""


def _purpose_error(leaf: Certificate, accepted: Sequence[str], purpose: str) -> str:
    """Return why a certificate's usages do not fit; an absent extension restricts nothing (RFC 5280 4.2.1.12)."""
    allowed = frozenset(purpose_name(item) for item in accepted) or _DEFAULTS.get(purpose, frozenset())
    usages, purposes = leaf.facts.key_usage, leaf.facts.extended_key_usage
    if allowed and purposes and not allowed & set(purposes):
        return f"wrong purpose: extended key usage {', '.join(purposes)}"
    if purpose in {"code-signing", "log"} and usages and not _SIGNING & set(usages):
        return f"wrong purpose: key usage {', '.join(usages)}"
    return ""


def certificate_path(data: Sequence[bytes], ring: KeyRing, *, as_of: str, purpose: str = "tls-server") -> Verdict:
    """Return what is known of a presented path of DER certificates, leaf first (TLS, attestation).

    Raises:
        FormatError: there is none, or one is damaged.
    """
    if not data:
        raise FormatError("no certificate was presented", field="certificate path")
    parsed = [parse_certificate(der) for der in data[:MAX_PATH]]
    return assess(parsed[0], ring, presented=parsed[1:], as_of=as_of, purpose=purpose)
