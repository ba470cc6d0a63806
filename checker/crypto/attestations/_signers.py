"""Who signed an attestation: a path to the pinned root, and whether what signed was meant for that."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Final

from checker.crypto.algorithms import algorithm, known
from checker.crypto.attestations.contract import Pinned
from checker.crypto.certificates import Certificate
from checker.crypto.chains import assess
from checker.crypto.keys import PublicKey
from checker.errors import KeyMaterialError
from checker.model.artifact import CertificateFacts
from checker.model.terms import Outcome

MIN_NONCE: Final = 8  # bytes: the shortest that RFC 9711 4.1 allows
_SIGNING: Final = frozenset({"digitalSignature", "nonRepudiation"})
# Who was certified for one of these and nothing else was not certified to attest (RFC 5280 4.2.1.12).
_OTHER_PURPOSES: Final = frozenset(
    {"serverAuth", "clientAuth", "codeSigning", "emailProtection", "timeStamping", "OCSPSigning", "none"}
)


@dataclass(frozen=True, kw_only=True)
class Voucher:
    """Whether the pinned root stands behind a signer, and why not. `keys` are the ids of all keys up to the root."""

    genuine: bool
    note: str = ""
    signer: str = ""  # id of the key that made the statement
    keys: frozenset[str] = frozenset()
    quantum_resistant: bool | None = None
    path: tuple[CertificateFacts, ...] = ()


def by_path(chain: Sequence[Certificate], pinned: Pinned) -> Voucher:
    """Return what the pinned root says of a certificate, leaf first, at `as_of`: here the issuer makes the statement.

    Raises:
        KeyMaterialError: there is no certificate.
    """
    if not chain:
        raise KeyMaterialError("there is no certificate")
    leaf = chain[0]
    verdict = assess(leaf, pinned.ring, presented=chain[1:], as_of=pinned.as_of, purpose="")
    path = verdict.chain.certificates
    genuine = verdict.outcome is Outcome.VALID and verdict.chain.valid is not False
    note = "" if genuine else f"no path to the pinned root: {verdict.note or verdict.chain.error}"
    names = [name for facts in path for name in (facts.key.algorithm, facts.signature_algorithm)]
    return Voucher(
        genuine=genuine,
        note=note,
        signer=path[1].key.id if len(path) > 1 else leaf.key.spki_sha256,
        keys=frozenset({leaf.key.spki_sha256, *(facts.key.id for facts in path)}),
        quantum_resistant=resistant(names),
        path=path,
    )


def by_signer(chain: Sequence[Certificate], pinned: Pinned) -> Voucher:
    """Return the same of a certificate whose key signs statements; one for another purpose does not count.

    Raises:
        KeyMaterialError: there is no certificate.
    """
    found = replace(by_path(chain, pinned), signer=chain[0].key.spki_sha256)
    note = _purpose_error(chain[0].facts)
    if not found.genuine or not note:
        return found
    return replace(found, genuine=False, note=note)


def by_key(key: PublicKey, signature_algorithm: str) -> Voucher:
    """Return the voucher of a pinned bare key."""
    names = (key.facts.algorithm, signature_algorithm)
    identity = key.spki_sha256
    return Voucher(genuine=True, signer=identity, keys=frozenset({identity}), quantum_resistant=resistant(names))


def _purpose_error(facts: CertificateFacts) -> str:
    purposes, usages = set(facts.extended_key_usage), set(facts.key_usage)
    if purposes and purposes <= _OTHER_PURPOSES:
        return f"its signer was certified for another purpose: {', '.join(sorted(purposes))}"
    if usages and not usages & _SIGNING:
        return f"its signer's certificate does not allow to sign: {', '.join(sorted(usages))}"
    return ""


def resistant(names: Iterable[str]) -> bool | None:
    """Return whether all algorithms resist a quantum computer; None where the table lacks one and none fails."""
    return every(algorithm(name).quantum_resistant if known(name) else None for name in names)


def every(answers: Iterable[bool | None]) -> bool | None:
    """Return "all" in three-valued logic; None over nothing."""
    found = tuple(answers)
    if False in found:
        return False
    return None if None in found or not found else True


def too_short(pinned: Pinned) -> str:
    """Return why our nonce cannot show that anything is fresh, or nothing."""
    if not pinned.nonce:
        return "not fresh: the description gives no nonce"
    return f"not fresh: a nonce has at least {MIN_NONCE} bytes" if len(pinned.nonce) < MIN_NONCE else ""


def freshness(nonces: Sequence[bytes], pinned: Pinned) -> str:
    """Return why a statement with these nonces is not fresh, or nothing where one of them is ours."""
    note = too_short(pinned)
    if note:
        return note
    if not nonces:
        return "not fresh: it holds no nonce"
    return "" if pinned.nonce in nonces else "not fresh: it answers another nonce"
