"""Entity attestation tokens of other profiles than PSA's: COSE_Sign1 over claims.

Source: RFC 9711. Debugging must be off (`dbgstat` 2, 3 or 4) before anything else that a token says counts; submodules
are not read.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from checker.crypto.attestations import psa
from checker.crypto.attestations._token import claims_of, debug_off, open_token, statement
from checker.crypto.attestations.contract import AttestationForm, Pinned, Statement
from checker.io.cbor import Item, Key

NONCE, OEM_BOOT = 10, 262


def _detect(data: bytes) -> bool:
    claims = claims_of(data)
    return claims is not None and NONCE in claims and not psa.ATTESTATION.detect(data)


def _check(data: bytes, pinned: Pinned) -> Statement:
    token = open_token(data, pinned)
    secure = debug_off(token.claims)
    booted = _booted(token.claims, secure=secure)
    return statement(token, pinned, token.claims.get(NONCE), secure=secure, booted=booted)


def _booted(claims: Mapping[Key, Item], *, secure: bool | None) -> bool | None:
    """Return whether the maker's own software was started (`oemboot`) on a platform that nobody can debug."""
    item = claims.get(OEM_BOOT)
    if item is None:
        return False if secure is False else None
    return secure if item.is_true else False


ATTESTATION: Final = AttestationForm(
    id="eat",
    title="entity attestation token (COSE_Sign1)",
    detect=_detect,
    check=_check,
    references=("RFC 9711", "RFC 8392", "RFC 8747"),
)
