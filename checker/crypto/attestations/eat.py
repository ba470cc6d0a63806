"""Entity attestation tokens of other profiles than PSA's: COSE_Sign1 over claims, or JWTs.

Source: RFC 9711. Debugging must be off (`dbgstat` 2, 3 or 4) before anything else that a token says counts; submodules
are not read.
"""

from __future__ import annotations

from typing import Final

from checker.crypto.attestations import psa
from checker.crypto.attestations._jwt import check_jwt, is_jwt
from checker.crypto.attestations._token import booted_by_maker, claims_of, cose_statement, debug_off, open_token
from checker.crypto.attestations.contract import AttestationForm, Pinned, Statement

NONCE, OEM_BOOT = 10, 262


def _detect(data: bytes) -> bool:
    if is_jwt(data):
        return True
    claims = claims_of(data)
    return claims is not None and NONCE in claims and not psa.ATTESTATION.detect(data)


def _check(data: bytes, pinned: Pinned) -> Statement:
    if is_jwt(data):
        return check_jwt(data, pinned)
    token = open_token(data, pinned)
    secure = debug_off(token.claims)
    item = token.claims.get(OEM_BOOT)
    booted = booted_by_maker(None if item is None else item.is_true, secure=secure)
    return cose_statement(token, pinned, token.claims.get(NONCE), secure=secure, booted=booted)


ATTESTATION: Final = AttestationForm(
    id="eat",
    title="entity attestation token (COSE_Sign1 or JWT)",
    detect=_detect,
    check=_check,
    references=("RFC 9711", "RFC 8392", "RFC 8747", "RFC 7519", "RFC 7800"),
)
