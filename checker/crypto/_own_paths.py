"""Certificate paths with keys that OpenSSL does not know: HSS, XMSS and XMSS^MT (RFC 9802), pre-hash and composite.

OpenSSL 4 validates paths of classical, ML-DSA (RFC 9881) and SLH-DSA (RFC 9909) keys and stays in charge of those. The
checks here are the part of RFC 5280 6.1 that a signer's path needs: names, signatures, times, authority, path length.
What is not evaluated here (name constraints, policies, other critical extensions) leaves a path unknown, never valid.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final

from asn1crypto import crl, x509

from checker.crypto import _asn1
from checker.crypto.certificates import Certificate, RevocationList, signature_holds
from checker.crypto.keys import PublicKey
from checker.crypto.post_quantum import STATEFUL
from checker.crypto.signatures import one_time_keys
from checker.errors import FormatError
from checker.model.keys import OneTimeKey

MAX_DEPTH: Final = 16  # links, as in `chains`
MAX_TRIES: Final = 64  # signatures verified in one search; a real path takes two to four
_OWN: Final = ("hss", "lms", "xmss", "xmss-mt", "hash-", "ml-dsa-44-", "ml-dsa-65-", "ml-dsa-87-")
_EVALUATED: Final = frozenset({"basic_constraints", "key_usage", "extended_key_usage", "subject_alt_name"})
_NEVER: Final = frozenset({"name_constraints", "policy_constraints", "inhibit_any_policy"})


@dataclass(frozen=True, kw_only=True)
class Found:
    """A path from a signer to a declared anchor. `known` is off where something on it is not evaluated here."""

    path: tuple[Certificate, ...]
    error: str = ""
    known: bool = True


def needed(path: Iterable[Certificate]) -> bool:
    """Return whether a certificate has a key, or a signature, that OpenSSL cannot use."""
    return any(
        name.startswith(_OWN) for item in path for name in (item.facts.signature_algorithm, item.key.facts.algorithm)
    )


def search(leaf: Certificate, anchors: Sequence[Certificate], pool: Sequence[Certificate], at: str) -> Found | None:
    """Return the best path to an anchor through keys that only this program knows, or None where there is none."""
    budget = _Budget()
    paths = (path for path in _paths((leaf,), anchors, pool, budget) if needed(path))
    judged = [_judged(path, at) for path in paths]
    return min(judged, key=lambda found: (not found.known, bool(found.error)), default=None)


@dataclass
class _Budget:
    left: int = field(default=MAX_TRIES)

    def spend(self) -> bool:
        self.left -= 1
        return self.left >= 0


def _paths(
    path: tuple[Certificate, ...], anchors: Sequence[Certificate], pool: Sequence[Certificate], budget: _Budget
) -> Iterator[tuple[Certificate, ...]]:
    last = path[-1]
    if last.der in {anchor.der for anchor in anchors}:
        yield path
        return
    if len(path) >= MAX_DEPTH:
        return
    seen = {item.der for item in path}
    for issuer in (*anchors, *pool):
        if issuer.der in seen or issuer.subject_der != last.issuer_der:
            continue
        seen.add(issuer.der)
        if budget.spend() and signed_by(last.der, issuer.key):
            yield from _paths((*path, issuer), anchors, pool, budget)


def one_time_uses(path: Sequence[Certificate]) -> tuple[OneTimeKey, ...]:
    """Return the one-time keys that issuers used on a verified path, the anchor for its own certificate too."""
    found: list[OneTimeKey] = []
    for item, issuer in itertools.pairwise((*path, path[-1])):
        if issuer.facts.key.algorithm in STATEFUL and signed_by(item.der, issuer.key):
            bits = bytes(_asn1.RawCertificate.load(item.der)["signature"].contents)
            found += one_time_keys(issuer.key, bits[1:])
    return tuple(found)


def signed_by(der: bytes, key: PublicKey) -> bool:
    """Return whether a certificate or revocation list was signed with a key (RFC 5280 4.1.1.3 and 5.1.1.3)."""
    try:
        with _asn1.guarded("signed structure"):
            raw = _asn1.RawCertificate.load(der, strict=True)
            tbs, identifier = bytes(raw["tbs"].dump()), bytes(raw["algorithm"].dump())
            bits = bytes(raw["signature"].contents)
    except FormatError:
        return False
    # The identifier inside what is signed must be the one outside (RFC 5280 4.1.1.2 and 5.1.1.2).
    same = bits[:1] == b"\0" and identifier == _inner_identifier(tbs)
    return same and signature_holds(key, identifier, tbs, bits[1:])


def _inner_identifier(tbs: bytes) -> bytes:
    """Return the AlgorithmIdentifier inside a TBSCertificate or a TBSCertList: the first SEQUENCE of either."""
    return next((item for item in _asn1.elements(tbs) if item[:1] == b"\x30"), b"")


def _judged(path: tuple[Certificate, ...], at: str) -> Found:
    for depth, item in enumerate(path):
        odd = _unevaluated(item)
        if odd:
            text = f"{item.facts.subject} has an extension that is not evaluated here: {', '.join(odd)}"
            return Found(path=path, error=text, known=False)
        error = _time_error(item, at) or (_issuer_error(path, depth) if depth else "")
        if error:
            return Found(path=path, error=f"{error}: {item.facts.subject} (depth {depth})")
    return Found(path=path)


def _unevaluated(item: Certificate) -> tuple[str, ...]:
    try:
        with _asn1.guarded("certificate"):
            parsed = x509.Certificate.load(item.der)
            present = {str(each["extn_id"].native) for each in parsed["tbs_certificate"]["extensions"] or ()}
            critical = {str(each) for each in parsed.critical_extensions}
    except FormatError:
        return ("a damaged one",)
    return tuple(sorted((critical - _EVALUATED) | (present & _NEVER)))


def _time_error(item: Certificate, at: str) -> str:
    if at < item.facts.not_before:
        return "certificate is not yet valid"
    return "certificate has expired" if at > item.facts.not_after else ""


def _issuer_error(path: Sequence[Certificate], depth: int) -> str:
    """Return why a certificate may not issue the one below it (RFC 5280 6.1.4 k to n)."""
    facts, below = path[depth].facts, path[1:depth]
    is_anchor = depth == len(path) - 1
    if facts.ca is False or (facts.ca is None and not is_anchor):
        return "not marked as a certification authority"
    if facts.key_usage and "keyCertSign" not in facts.key_usage:
        return "its key usage does not allow to sign certificates"
    issued = sum(1 for item in below if item.subject_der != item.issuer_der)
    if facts.path_length is not None and issued > facts.path_length:
        return "the path below it is longer than it allows"
    return ""


def revoked(item: Certificate, issuer: Certificate, lists: Sequence[RevocationList]) -> bool | None:
    """Return whether a list of its issuer names a certificate; None where no list that the issuer signed answers.

    A list with critical extensions may be about other certificates only, so it never clears one.
    """
    signed = [each for each in lists if signed_by(each.der, issuer.key)]
    if any(item.serial in each.serials for each in signed):
        return True
    return False if any(not _partial(each) for each in signed) else None


def _partial(each: RevocationList) -> bool:
    try:
        with _asn1.guarded("certificate revocation list"):
            return bool(crl.CertificateList.load(each.der).critical_extensions)
    except FormatError:
        return True
