"""Signing for active tests: throw-away keys that nobody trusts, and staging keys that a device under test does.

otaudit signs nothing but what it offers to a verifier (criteria.md section 7, rule 5: K0 needs no key, K1 one that the
device under test trusts). Private keys never appear in a repr, a report or an exception's text.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from cryptography import x509


@dataclass(frozen=True, kw_only=True)
class Signer:
    """A private key, and the certificates that lead from it to an anchor, its own first; empty for a bare key."""

    private_key: object = field(repr=False)
    certificates: tuple[x509.Certificate, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Staging:
    """What the description lends to the active tests; all of it may be missing.

    `signer` is one that the device under test trusts, `authority` a CA that it trusts and that may issue signers for a
    test, `revoked` a signer that it must have learnt to refuse.
    """

    signer: Signer | None = None
    authority: Signer | None = None
    revoked: Signer | None = None
