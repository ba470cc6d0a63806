"""Delegation chains of CWTs: a declared key vouches for the next one, and the last one signs.

Source: draft-ietf-suit-trust-domains, section 4 (SUIT_Delegation); RFC 8392 (CWT claims), RFC 8747 (cnf).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

from checker.crypto import cose
from checker.crypto.cwt import check_time, confirmed_key
from checker.crypto.keyring import KeyRing
from checker.crypto.keys import PublicKey
from checker.crypto.signatures import candidates
from checker.errors import CryptoError, FormatError, LimitError
from checker.io.cbor import Item
from checker.model.terms import Outcome

MAX_TOKENS: Final = 32  # of all chains of one envelope; the published examples have one


@dataclass(frozen=True)
class Delegated:
    """The keys that chains lead to, and why others lead nowhere."""

    keys: tuple[PublicKey, ...] = ()
    notes: tuple[str, ...] = ()


def follow(chains: Item, ring: KeyRing, as_of: str) -> Delegated:
    """Return the keys that a declared key vouches for, directly or through others.

    Raises:
        FormatError: the chains are no arrays.
        LimitError: there are more than `MAX_TOKENS` tokens.
    """
    keys: list[PublicKey] = []
    notes: list[str] = []
    for tokens in _chains(chains):
        try:
            keys.append(_last(tokens, ring, as_of))
        except (CryptoError, FormatError) as error:
            notes.append(str(error))
    return Delegated(tuple(keys), tuple(notes))


def _chains(item: Item) -> tuple[Sequence[Item], ...]:
    found = tuple(chain.array("delegation") for chain in item.array("delegation"))
    if sum(len(tokens) for tokens in found) > MAX_TOKENS:
        message = f"more than MAX_TOKENS ({MAX_TOKENS}) tokens"
        raise LimitError(message, offset=item.span.start, field="delegation")
    return found


def _last(tokens: Sequence[Item], ring: KeyRing, as_of: str) -> PublicKey:
    """Return the key at the end of a chain.

    Raises:
        FormatError: a token is damaged, not signed by the key before it, or not valid at `as_of`.
        CryptoError: a key or algorithm cannot be used.
    """
    found: PublicKey | None = None
    for token in tokens:
        message = cose.parse(token.wrapped("CWT"), untagged="Sign1")
        if message.kind != "Sign1" or message.payload is None:
            raise FormatError("a token is a COSE_Sign1 with its claims", offset=token.span.start, field="CWT")
        trusted = ring if found is None else replace(ring, keys=(found,), anchors=())
        (signature,) = cose.Judge(message.payload.data("claims"), trusted, as_of).run(message)
        if signature.outcome is not Outcome.VALID:
            why = signature.note or "it does not verify"
            raise FormatError(f"no declared key vouches for the token: {why}", offset=token.span.start, field="CWT")
        found = _confirmed(message.payload.wrapped("claims"), signature.key.name, as_of)
    if found is None:
        raise FormatError("a chain has no token", field="delegation")
    return found


def _confirmed(claims: Item, name: str, as_of: str) -> PublicKey:
    entries = claims.map("claims")
    check_time(entries, as_of)
    key = confirmed_key(entries)
    if key is None:
        raise FormatError("the token holds no key", offset=claims.span.start, field="cnf")
    if not candidates(key):
        raise FormatError(f"a {key.facts.algorithm} key cannot sign", offset=claims.span.start, field="cnf")
    return key.as_declared(f"delegated by {name}")
