"""Stapled OCSP responses (RFC 6960, RFC 6066 8): what they say, for whom, since when, and whether it is authentic."""

from __future__ import annotations

import hashlib
from typing import Final

from asn1crypto import x509 as asn1_x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509 import ocsp

from checker.crypto import _asn1
from checker.crypto.algorithms import signature_by_oid
from checker.crypto.certificates import Certificate, parse_certificate, rfc3339
from checker.crypto.keys import PublicKey
from checker.crypto.signatures import verify_message
from checker.errors import CryptoError, FormatError
from checker.model.endpoint import Answer, Fact, Staple

_MAX_DELEGATES: Final = 4  # certificates in one response; honest ones carry one
_OCSP_SIGNING: Final = "OCSPSigning"
_OCSP_SIGNING_OID: Final = "1.3.6.1.5.5.7.3.9"


def read_staple(der: bytes, leaf: Certificate, issuer: Certificate | None, as_of: str) -> Staple:
    """Return what a stapled response says of the leaf; a damaged one says nothing. Never raises."""
    try:
        response = ocsp.load_der_ocsp_response(der)
        if response.response_status is not ocsp.OCSPResponseStatus.SUCCESSFUL:
            return Staple(status=response.response_status.name.lower())
        return _read(response, leaf, issuer, as_of)
    except (*_asn1.PARSE_ERRORS, UnsupportedAlgorithm) as error:
        return Staple(status="damaged", verified=Fact(answer=Answer.NOT_SHOWN, reason=f"cannot be read: {error}"))


def _read(response: ocsp.OCSPResponse, leaf: Certificate, issuer: Certificate | None, as_of: str) -> Staple:
    start = rfc3339(response.this_update_utc)
    end = rfc3339(response.next_update_utc) if response.next_update_utc is not None else ""
    current = start <= as_of and (not end or as_of <= end)
    return Staple(
        status=response.certificate_status.name.lower(),
        this_update=start,
        next_update=end,
        verified=_verified(response, issuer, as_of),
        current=_fact(yes=current, reason=f"from {start} to {end or 'no stated end'}"),
        about_leaf=_about(response, leaf, issuer),
    )


def _fact(*, yes: bool, reason: str) -> Fact:
    return Fact(answer=Answer.YES if yes else Answer.NO, reason=reason)


def _about(response: ocsp.OCSPResponse, leaf: Certificate, issuer: Certificate | None) -> Fact:
    if response.serial_number != leaf.serial:
        return _fact(yes=False, reason="its serial number is another certificate's")
    if issuer is None:
        return Fact(answer=Answer.NOT_SHOWN, reason="the leaf's issuer is not known")
    name = response.hash_algorithm.name
    key = hashlib.new(name, issuer.key.raw).digest()
    subject = hashlib.new(name, asn1_x509.Certificate.load(leaf.der).issuer.dump()).digest()
    same = response.issuer_key_hash == key and response.issuer_name_hash == subject
    return _fact(yes=same, reason="" if same else "its issuer is another one")


def _verified(response: ocsp.OCSPResponse, issuer: Certificate | None, as_of: str) -> Fact:
    if issuer is None:
        return Fact(answer=Answer.NOT_SHOWN, reason="the leaf's issuer is not known, so nobody's key verifies it")
    oid, message = response.signature_algorithm_oid.dotted_string, response.tbs_response_bytes
    if _holds(issuer.key, oid, message, response.signature):
        return _fact(yes=True, reason="signed by the issuer")
    for item in response.certificates[:_MAX_DELEGATES]:
        delegate = parse_certificate(item.public_bytes(Encoding.DER))
        if _delegated(delegate, issuer, as_of) and _holds(delegate.key, oid, message, response.signature):
            return _fact(yes=True, reason="signed by a responder that the issuer certified")
    return _fact(yes=False, reason="neither the issuer nor a responder of its signed it")


def _delegated(delegate: Certificate, issuer: Certificate, as_of: str) -> bool:
    """Return whether the issuer itself certified a key for OCSP answers (RFC 6960 4.2.2.2)."""
    facts = delegate.facts
    purposes = set(facts.extended_key_usage)
    if not purposes & {_OCSP_SIGNING, _OCSP_SIGNING_OID} or not facts.not_before <= as_of <= facts.not_after:
        return False
    try:
        parsed = asn1_x509.Certificate.load(delegate.der)
        oid = str(parsed["signature_algorithm"]["algorithm"].dotted)
        message, signature = bytes(parsed["tbs_certificate"].dump()), bytes(parsed["signature_value"].native)
    except _asn1.PARSE_ERRORS:
        return False
    return delegate.issuer_der == issuer.subject_der and _holds(issuer.key, oid, message, signature)


def _holds(key: PublicKey, oid: str, message: bytes, signature: bytes) -> bool:
    try:
        item, digest = signature_by_oid(oid)
        verify_message(key, item.id, digest, message, signature)
    except (CryptoError, FormatError):
        return False
    return True
