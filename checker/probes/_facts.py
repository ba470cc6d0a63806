"""From the facts of an `Artifact` to the values of evidence records: keys, hashes, families, chains (PK1 … PK9)."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from checker.crypto.algorithms import algorithm, hash_facts
from checker.crypto.algorithms import known as in_table
from checker.model.artifact import AuthKind, CertificateFacts, ChainFacts, KeyFacts, Signature
from checker.model.evidence import Value
from checker.probes._records import known

SIGNATURE_FAMILIES: Final = frozenset({"classical", "hash-based", "lattice", "keyed-hash", "none"})
RECIPIENT_FAMILIES: Final = frozenset({"classical", "symmetric", "lattice", "hybrid", "other"})
WEAK_HASH_BITS: Final = 112  # collision strength: MD5 has 0, SHA-1 has 61, SHA-224 has 112 (PK8)
_CODE_SIGNING: Final = frozenset({"codesigning", "1.3.6.1.5.5.7.3.3"})
_ANY_PURPOSE: Final = frozenset({"anyextendedkeyusage", "any", "2.5.29.37.0"})


def key_values(key: KeyFacts) -> dict[str, Value] | None:
    """Return a key as evidence has it, or None where nothing is known of it."""
    if not (key.id or key.algorithm or key.name):
        return None
    return known(
        {
            "id": key.id or None,
            "name": key.name or None,
            "algorithm": key.algorithm or None,
            "bits": key.bits,
            "strength_bits": key.strength,
            "declared": key.declared,
            "published": key.published,
            "exponent": key.exponent,
        }
    )


def hash_values(name: str) -> dict[str, Value] | None:
    """Return a hash as evidence has it, or None where none is named."""
    if not name:
        return None
    facts = hash_facts(name)
    return known({"name": facts.name, "bits": facts.bits, "collision_bits": facts.collision_bits})


def identifies(name: str) -> bool:
    """Return whether an equal digest shows that it is the same file: not for a checksum, MD5 or SHA-1."""
    return in_table(name) and (hash_facts(name).collision_bits or 0) >= WEAK_HASH_BITS


def authenticator(signature: Signature) -> str:
    """Return the id in the algorithm table: `hmac` over SHA-256 is `hmac-sha-256`."""
    combined = f"{signature.algorithm}-{signature.hash}"
    return combined if signature.kind is AuthKind.MAC and in_table(combined) else signature.algorithm


def family(name: str, allowed: frozenset[str]) -> str | None:
    """Return what an algorithm's security rests on, or None where the table does not say."""
    found = algorithm(name).family if in_table(name) else ""
    return found if found in allowed else None


def quantum_resistant(name: str) -> bool | None:
    """Return whether an algorithm resists a quantum computer, or None where the table does not have it."""
    return algorithm(name).quantum_resistant if in_table(name) else None


def certificate_values(facts: CertificateFacts, position: str) -> dict[str, Value]:
    """Return one certificate as evidence has it; `position` is leaf, intermediate or anchor."""
    return {
        "position": position,
        "key": key_values(facts.key),
        "signature_algorithm": facts.signature_algorithm or None,
        "signature_hash": hash_values(facts.signature_hash),
        "ca": facts.ca,
        "key_usage": facts.key_usage,
        "extended_key_usage": facts.extended_key_usage,
        "lifetime_days": days(facts.not_before, facts.not_after),
        "not_before": facts.not_before or None,
        "not_after": facts.not_after or None,
        "quantum_resistant": _resistant(facts),
    }


def positions(chain: ChainFacts) -> tuple[str, ...]:
    """Return what each certificate of a chain is, leaf first."""
    last = len(chain.certificates) - 1
    return tuple(_position(place, last, facts, chain) for place, facts in enumerate(chain.certificates))


def _position(place: int, last: int, facts: CertificateFacts, chain: ChainFacts) -> str:
    if place == 0:
        return "leaf"
    ends = facts.key.id == chain.anchor if chain.anchor else facts.subject == facts.issuer
    return "anchor" if place == last and ends else "intermediate"


@dataclass(frozen=True, kw_only=True)
class Purpose:
    """What a leaf must be for: one of these key usages, and one of these extended key usages (empty: whichever)."""

    key_usages: frozenset[str]
    extended: frozenset[str]


def signing_purpose(declared: Iterable[str]) -> Purpose:
    """Return PK5 for Sign: digitalSignature, and codeSigning or a purpose that the description declares."""
    own = frozenset(_word(name) for name in declared) - _ANY_PURPOSE
    return Purpose(key_usages=frozenset({"digitalsignature"}), extended=own or _CODE_SIGNING)


RECIPIENT_PURPOSE: Final = Purpose(key_usages=frozenset({"keyagreement", "keyencipherment"}), extended=frozenset())


def chain_values(chain: ChainFacts, purpose: Purpose, used_at: str, transport: frozenset[str]) -> dict[str, Value]:
    """Return a path as evidence has it: PK1 to PK9, each on its own.

    Args:
        chain: the path, leaf first.
        purpose: what its leaf must be for.
        used_at: RFC 3339: the signing time where there is one, else the evaluation time.
        transport: SHA-256 of the public keys that the description declares for TLS; empty: none declared.
    """
    leaf = chain.certificates[0]
    return {
        "kind": "x509",
        "valid": chain.valid,
        "error": chain.error or None,
        "anchor_declared": bool(chain.anchor) if chain.valid is not None else None,
        "delegated": _delegated(chain),
        "ca_flags": _ca_flags(chain),
        "purpose": _fits(leaf, purpose),
        "within_validity": _within(chain.certificates, used_at),
        "leaf_days": days(leaf.not_before, leaf.not_after),
        "revocation_named": bool(leaf.crl_urls or leaf.ocsp_urls),
        "revocation_checked": chain.revoked is not None,
        "revoked": chain.revoked,
        "weakest_bits": _weakest(chain.certificates),
        "weak_hash": _weak_hash(chain),
        "separate_from_tls": _separate(chain, transport),
        "quantum_resistant": _all(_resistant(facts) for facts in chain.certificates),
        "leaf_quantum_resistant": quantum_resistant(leaf.key.algorithm),
    }


def _delegated(chain: ChainFacts) -> bool | None:
    leaf = chain.certificates[0]
    if leaf.subject == leaf.issuer or leaf.key.id == chain.anchor:
        return False
    return True if chain.valid else None


def _ca_flags(chain: ChainFacts) -> bool:
    """Return PK4: every issuer is a CA that may sign certificates and has room for the path below; the leaf is none."""
    leaf, *issuers = chain.certificates
    below = 0
    for facts in issuers:
        if facts.ca is not True or "keycertsign" not in _words(facts.key_usage):
            return False
        if facts.path_length is not None and facts.path_length < below:
            return False
        below += facts.subject != facts.issuer  # RFC 5280 6.1.4 (l): self-issued certificates do not count
    return leaf.ca is not True


def _fits(leaf: CertificateFacts, purpose: Purpose) -> bool:
    extended = _words(leaf.extended_key_usage)
    fits = bool(_words(leaf.key_usage) & purpose.key_usages)
    fits = fits and (not purpose.extended or bool(_aliases(extended) & purpose.extended))
    return fits and not extended & _ANY_PURPOSE


def _aliases(names: frozenset[str]) -> frozenset[str]:
    return names | _CODE_SIGNING if names & _CODE_SIGNING else names


def _words(names: Iterable[str]) -> frozenset[str]:
    return frozenset(_word(name) for name in names)


def _word(name: str) -> str:
    """Return a usage in one spelling: codeSigning, code_signing and "Code Signing" are the same."""
    return re.sub(r"[^a-z0-9.]", "", name.lower())


def _within(certificates: Sequence[CertificateFacts], used_at: str) -> bool | None:
    now = moment(used_at)
    spans = [(moment(facts.not_before), moment(facts.not_after)) for facts in certificates]
    if now is None:
        return None
    return _all(start <= now <= end if start and end else None for start, end in spans)


def _weakest(certificates: Sequence[CertificateFacts]) -> int | None:
    strengths = [facts.key.strength for facts in certificates]
    sure = [strength for strength in strengths if strength is not None]
    return min(sure) if sure and len(sure) == len(strengths) else None


def _weak_hash(chain: ChainFacts) -> bool | None:
    below = [facts for facts, place in zip(chain.certificates, positions(chain), strict=True) if place != "anchor"]
    bits = [_collision(facts) for facts in below]
    if any(item is not None and item < WEAK_HASH_BITS for item in bits):
        return True
    return None if None in bits else False


def _collision(facts: CertificateFacts) -> int | None:
    """Return the collision strength of a certificate's signature; without a named hash, the scheme's own strength."""
    if facts.signature_hash:
        return hash_facts(facts.signature_hash).collision_bits
    return algorithm(facts.signature_algorithm).strength if in_table(facts.signature_algorithm) else None


def _separate(chain: ChainFacts, transport: frozenset[str]) -> bool | None:
    if not transport:
        return None
    return not transport & {chain.anchor, *(facts.key.id for facts in chain.certificates)}


def _resistant(facts: CertificateFacts) -> bool | None:
    return _all([quantum_resistant(facts.key.algorithm), quantum_resistant(facts.signature_algorithm)])


def _all(answers: Iterable[bool | None]) -> bool | None:
    """Return "all" in three-valued logic."""
    items = tuple(answers)
    if False in items:
        return False
    return None if None in items else True


def days(start: str, end: str) -> int | None:
    """Return the whole days between two ISO 8601 times or dates, rounded up, or None where one is missing."""
    first, last = moment(start), moment(end)
    if first is None or last is None:
        return None
    span = last - first
    return span.days + (span.seconds > 0)


def moment(text: str) -> datetime | None:
    """Return a time with its offset; a date alone is its midnight in UTC. None where the text is neither."""
    try:
        parsed = datetime.fromisoformat(text)
    except ValueError:
        return None
    return parsed if parsed.tzinfo else datetime.fromisoformat(f"{parsed.isoformat()}+00:00")
