"""Delegation chains of CWTs: a declared key vouches for the next one, and the last one signs.

Source: draft-ietf-suit-trust-domains, section 4 (SUIT_Delegation); RFC 8392 (CWT claims), RFC 8747 (cnf).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

from checker.crypto import cose
from checker.crypto.certificates import instant
from checker.crypto.cose_encryption import public_share
from checker.crypto.keyring import KeyRing
from checker.crypto.keys import PublicKey, from_ec_point, from_ed25519
from checker.errors import CryptoError, FormatError, LimitError
from checker.io.cbor import Item, Key
from checker.model.terms import Outcome

EXPIRES, NOT_BEFORE, CONFIRMATION = 4, 5, 8
_COSE_KEY: Final = 1
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
    _check_time(entries, as_of)
    confirmation = entries.get(CONFIRMATION)
    held = None if confirmation is None else confirmation.map("cnf").get(_COSE_KEY)
    if held is None:
        raise FormatError("the token holds no key", offset=claims.span.start, field="cnf")
    share = public_share(held)
    if share.curve.startswith("ec-"):
        key = from_ec_point(share.curve, share.data)
    elif share.curve == "ed25519":
        key = from_ed25519(share.data)
    else:
        raise FormatError(f"a {share.curve} key cannot sign", offset=held.span.start, field="cnf")
    return key.as_declared(f"delegated by {name}")


def _check_time(entries: Mapping[Key, Item], as_of: str) -> None:
    now = instant(as_of).timestamp()
    for label, word in ((EXPIRES, "is expired"), (NOT_BEFORE, "is not yet valid")):
        item = entries.get(label)
        if item is None:
            continue
        seconds = item.integer("claims")
        if (label == EXPIRES and seconds <= now) or (label == NOT_BEFORE and seconds > now):
            raise FormatError(f"the token {word}", offset=item.span.start, field="claims")
