"""DSSE envelopes over update logs (secure-systems-lab/dsse, protocol version 1)."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from checker.crypto.keys import PublicKey
from checker.crypto.signatures import verify_message
from checker.errors import CryptoError

LOG_TYPE: Final = "application/vnd.otaudit.update-log+jsonl"  # the payload is the whole log
HEAD_TYPE: Final = "application/vnd.otaudit.log-head+json"  # the payload is {"head": …, "events": …}
MAX_SIGNATURES: Final = 16


class EnvelopeError(ValueError):
    """Something is not a DSSE envelope of the expected type; the message says what is wrong."""


@dataclass(frozen=True, kw_only=True)
class Opened:
    """An envelope's payload, and the key that one of its signatures is valid under (None: none of those declared)."""

    payload: bytes
    key: PublicKey | None


def open_envelope(envelope: Mapping[str, Any], payload_type: str, keys: Sequence[PublicKey]) -> Opened:
    """Return the payload of an envelope and which of `keys` signed it.

    The payload type is inside what is signed, so a signature over anything else never counts for a log.

    Raises:
        EnvelopeError: it is not an envelope with a payload of `payload_type`.
    """
    if envelope.get("payloadType") != payload_type:
        raise EnvelopeError(f"payloadType is not {payload_type}")
    payload = _base64(envelope.get("payload"), "payload")
    signatures = envelope.get("signatures")
    if not isinstance(signatures, list) or not 0 < len(signatures) <= MAX_SIGNATURES:
        raise EnvelopeError(f"signatures is not a list of 1 to {MAX_SIGNATURES}")
    message = pae(payload_type, payload)
    for item in signatures:
        signature = _base64(item.get("sig") if isinstance(item, dict) else None, "sig")
        for key in keys:
            if verifies(key, message, signature):
                return Opened(payload=payload, key=key)
    return Opened(payload=payload, key=None)


def pae(payload_type: str, payload: bytes) -> bytes:
    """Return the pre-authentication encoding: what a DSSE signature is over (DSSE protocol, "Signature Definition")."""
    kind = payload_type.encode()
    return b"DSSEv1 %d %b %d %b" % (len(kind), kind, len(payload), payload)


def verifies(key: PublicKey, message: bytes, signature: bytes) -> bool:
    """Return whether a signature is valid under a key, with the scheme that the key's type implies."""
    return any(_valid(key, scheme, digest, message, signature) for scheme, digest in schemes(key))


def schemes(key: PublicKey) -> tuple[tuple[str, str], ...]:
    """Return the (signature algorithm, hash) pairs that a DSSE signature by this key may use."""
    algorithm = key.facts.algorithm
    if algorithm == "rsa":
        return (("rsa-pss", "sha-256"), ("rsa-pkcs1v15", "sha-256"))
    if algorithm.startswith("ec-"):
        return (("ecdsa", {"ec-p384": "sha-384", "ec-p521": "sha-512"}.get(algorithm, "sha-256")), ("ecdsa", "sha-256"))
    return ((algorithm, ""),)


def _valid(key: PublicKey, scheme: str, digest: str, message: bytes, signature: bytes) -> bool:
    try:
        verify_message(key, scheme, digest, message, signature)
    except CryptoError:
        return False
    return True


def _base64(value: object, name: str) -> bytes:
    """Return the bytes of a base64 text, in the standard or the URL-safe alphabet (both are allowed by DSSE)."""
    if not isinstance(value, str):
        raise EnvelopeError(f"{name} is missing")
    try:
        plain = value.replace("-", "+").replace("_", "/")
        return base64.b64decode(plain + "=" * (-len(plain) % 4), validate=True)
    except (binascii.Error, ValueError) as error:
        raise EnvelopeError(f"{name} is not base64") from error
