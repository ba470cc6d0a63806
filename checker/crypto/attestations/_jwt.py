"""Entity attestation tokens as JWTs (RFC 9711 with RFC 7519): claims by name, times in seconds, keys as JWKs.

A nonce is a text there: it is ours where the text itself, or what it is the base64url of, is our nonce.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping, Sequence
from typing import Any, Final

from checker.crypto.attestations._signers import Voucher, by_key, by_signer
from checker.crypto.attestations._token import MAX_NONCES, MAX_TOKEN, Bound, booted_by_maker, bound_by_nonce, statement
from checker.crypto.attestations.contract import Pinned, Statement
from checker.crypto.certificates import Certificate, instant, parse_certificate
from checker.crypto.jose import Jws, from_base64url, looks_like_jws, parse_jws, read_json, read_jwk, verify_jws
from checker.errors import FormatError, InvalidSignatureError, LimitError
from checker.io.limits import MAX_CERTIFICATES

_FIELD: Final = "JWT"
_DEBUG_STATES: Final[Mapping[str, bool | None]] = {  # RFC 9711 4.2.9, as `_token` has them by number
    "enabled": False,
    "disabled": None,
    "disabled-since-boot": True,
    "disabled-permanently": True,
    "disabled-fully-and-permanently": True,
}


def is_jwt(data: bytes) -> bool:
    """Return whether a file is a compact JWS whose claims hold `eat_nonce`; never raises."""
    if len(data) > MAX_TOKEN or not looks_like_jws(data) or data.lstrip()[:1] == b"{":
        return False
    try:
        return "eat_nonce" in _claims(parse_jws(data)[0])
    except FormatError:
        return False


def _claims(jws: Jws) -> Mapping[str, Any]:
    claims = read_json(jws.payload, _FIELD)
    if not isinstance(claims, dict):
        raise FormatError("the claims are no object", field=_FIELD)
    return claims


def check_jwt(data: bytes, pinned: Pinned) -> Statement:
    """Return what a JWT says.

    Raises:
        FormatError: it or a claim is damaged.
        UnsupportedAlgorithmError: its algorithm is a MAC, or not known here.
        CryptoError: the key of `cnf` cannot be used.
    """
    (jws,) = parse_jws(data)
    claims = _claims(jws)
    found = _nonces(claims)
    secure = _debug_off(claims)
    own_software = claims.get("oemboot")
    booted = booted_by_maker(None if own_software is None else own_software is True, secure=secure)
    voucher, bound = _voucher(jws, claims, pinned), _bound(claims, found, pinned)
    return statement(voucher, pinned, found, bound, secure=secure, booted=booted)


def _voucher(jws: Jws, claims: Mapping[str, Any], pinned: Pinned) -> Voucher:
    chain = _chain(jws.header.get("x5c"))
    try:
        _check_time(claims, pinned.as_of)
        if chain:
            verify_jws(jws, chain[0].key)
            return by_signer(chain, pinned)
        return _by_pinned_key(jws, pinned)
    except InvalidSignatureError as error:
        return Voucher(genuine=False, note=f"its signature does not verify: {error}")
    except FormatError as error:
        return Voucher(genuine=False, note=error.message)


def _by_pinned_key(jws: Jws, pinned: Pinned) -> Voucher:
    for key in pinned.ring.verifiers:
        try:
            scheme = verify_jws(jws, key)
        except InvalidSignatureError:
            continue
        return by_key(key, scheme.algorithm)
    return Voucher(genuine=False, note="its signature is by no pinned key, and no certificate came with it")


def _chain(value: Any) -> tuple[Certificate, ...]:  # noqa: ANN401 - parsed JSON
    if value is None:
        return ()
    if not isinstance(value, list) or len(value) > MAX_CERTIFICATES or not all(isinstance(item, str) for item in value):
        raise FormatError("is no list of certificates", field="JWT x5c")
    try:
        return tuple(parse_certificate(base64.b64decode(item, validate=True)) for item in value)
    except (binascii.Error, ValueError) as error:
        raise FormatError("is no base64", field="JWT x5c") from error


def _check_time(claims: Mapping[str, Any], as_of: str) -> None:
    now = instant(as_of).timestamp()
    for name, word in (("exp", "is expired"), ("nbf", "is not yet valid")):
        seconds = claims.get(name)
        if seconds is None:
            continue
        if not isinstance(seconds, int) or isinstance(seconds, bool):
            raise FormatError(f"{name} is no whole number of seconds", field=_FIELD)
        if (name == "exp" and seconds <= now) or (name == "nbf" and seconds > now):
            raise FormatError(f"the token {word}", field=_FIELD)


def _nonces(claims: Mapping[str, Any]) -> tuple[bytes, ...]:
    """Return the nonces, each as its text and, where it is one, as what its base64url stands for."""
    value = claims.get("eat_nonce")
    texts: list[Any] = value if isinstance(value, list) else [value]
    if not all(isinstance(text, str) for text in texts):
        raise FormatError("is no text and no list of texts", field="eat_nonce")
    if len(texts) > MAX_NONCES:
        raise LimitError(f"more than MAX_NONCES ({MAX_NONCES}) nonces", field="eat_nonce")
    return tuple(form for text in texts for form in _forms(text))


def _forms(text: str) -> Sequence[bytes]:
    plain = text.encode("utf-8", "replace")
    try:
        return (plain, from_base64url(plain, "eat_nonce"))
    except FormatError:
        return (plain,)


def _debug_off(claims: Mapping[str, Any]) -> bool | None:
    state = claims.get("dbgstat")
    if state is None:
        return None
    if not isinstance(state, str) or state not in _DEBUG_STATES:
        raise FormatError("is none of the words of RFC 9711", field="dbgstat")
    return _DEBUG_STATES[state]


def _bound(claims: Mapping[str, Any], found: Sequence[bytes], pinned: Pinned) -> Bound:
    confirmed = claims.get("cnf", {})
    if not isinstance(confirmed, dict):
        raise FormatError("is no object", field="cnf")
    if "jwk" in confirmed:
        return Bound(key=read_jwk(confirmed["jwk"]).spki_sha256, by_claim=True)
    return bound_by_nonce(found, pinned)
