"""OCSP responses (RFC 6960), stapled (RFC 6066 8) or fetched: what they say, of whom, since when, and by whose key."""

from __future__ import annotations

import datetime as dt
import hashlib
from dataclasses import replace
from typing import Final

from asn1crypto import ocsp as asn1_ocsp
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509 import ReasonFlags, ocsp

from checker.crypto import _asn1
from checker.crypto._own_paths import signed_by
from checker.crypto.certificates import Certificate, instant, parse_certificate, rfc3339, signature_holds
from checker.crypto.keys import PublicKey
from checker.crypto.tls.identity import LIBRARY_ERRORS
from checker.errors import FormatError
from checker.model.endpoint import Answer, Fact, Staple

SKEW: Final = dt.timedelta(minutes=5)  # between a responder's clock and ours; OpenSSL's own tolerance
MAX_AGE: Final = dt.timedelta(days=7)  # of an answer without a stated end, which could be repeated for ever
_MAX_DELEGATES: Final = 4  # certificates in one response; honest ones carry one
_MAX_SINGLES: Final = 64  # answers in one response; honest ones carry one
_OCSP_SIGNING: Final = "OCSPSigning"


def read_staple(der: bytes, subject: Certificate, issuer: Certificate | None, as_of: str) -> Staple:
    """Return what an OCSP response says of a certificate; a damaged one says nothing. Never raises."""
    try:
        response = ocsp.load_der_ocsp_response(der)
        if response.response_status is not ocsp.OCSPResponseStatus.SUCCESSFUL:
            return Staple(status=response.response_status.name.lower())
        return _read(der, response, subject, issuer, as_of)
    except (*LIBRARY_ERRORS, FormatError) as error:
        return Staple(status="damaged", verified=Fact(answer=Answer.NOT_SHOWN, reason=f"cannot be read: {error}"))


def _read(
    der: bytes, response: ocsp.OCSPResponse, subject: Certificate, issuer: Certificate | None, as_of: str
) -> Staple:
    singles = [item for item, _ in zip(response.responses, range(_MAX_SINGLES), strict=False)]
    if not singles:
        return Staple(status="empty")
    single = next((item for item in singles if item.serial_number == subject.serial), singles[0])
    start = rfc3339(single.this_update_utc)
    end = rfc3339(single.next_update_utc) if single.next_update_utc is not None else ""
    revoked_at = single.revocation_time_utc
    found = Staple(
        status=single.certificate_status.name.lower(),
        this_update=start,
        next_update=end,
        revoked_at=rfc3339(revoked_at) if revoked_at is not None else "",
        verified=_verified(der, response, issuer, as_of),
        current=window(start, end, as_of),
        about_leaf=_about(der, single, subject, issuer),
    )
    on_hold = found.status == "revoked" and single.revocation_reason is ReasonFlags.certificate_hold
    return replace(found, status="on_hold") if on_hold else found


def window(start: str, end: str, as_of: str) -> Fact:
    """Return whether an answer about revocation holds at a time; `end` may be empty, `start` is allowed some skew."""
    begin, now = instant(start), instant(as_of)
    if not end:
        held = begin - SKEW <= now <= begin + MAX_AGE
        return _fact(yes=held, reason=f"from {start} without a stated end: taken for {MAX_AGE.days} days")
    return _fact(yes=begin - SKEW <= now <= instant(end), reason=f"from {start} to {end}")


def revoked_fact(answer: Staple) -> Fact:
    """Return whether an answer shows that its certificate is revoked; nothing that is not authentic decides.

    A revocation does not end, so an old answer still shows it; a hold does, and "good" does.
    """
    for fact, fault in ((answer.verified, "not authentic"), (answer.about_leaf, "not about this certificate")):
        if fact.answer is not Answer.YES:
            return _unshown(f"the answer is {fault}: {fact.reason or answer.status}")
    if answer.status == "revoked":
        return _fact(yes=True, reason=f"revoked at {answer.revoked_at}" if answer.revoked_at else "revoked")
    if answer.current.answer is not Answer.YES:
        return _unshown(f"the answer is not current: {answer.current.reason}")
    if answer.status == "on_hold":
        return _fact(yes=True, reason="on hold")
    if answer.status != "good":
        return _unshown(f"the answer is {answer.status}")
    return _fact(yes=False, reason=f"good as of {answer.this_update}")


def _fact(*, yes: bool, reason: str) -> Fact:
    return Fact(answer=Answer.YES if yes else Answer.NO, reason=reason)


def _unshown(reason: str) -> Fact:
    return Fact(answer=Answer.NOT_SHOWN, reason=reason)


def _about(der: bytes, single: ocsp.OCSPSingleResponse, subject: Certificate, issuer: Certificate | None) -> Fact:
    if single.serial_number != subject.serial:
        return _fact(yes=False, reason="its serial number is another certificate's")
    if issuer is None:
        return _unshown("the issuer is not known")
    name = single.hash_algorithm.name
    key, issued_by = hashlib.new(name, issuer.key.raw).digest(), hashlib.new(name, subject.issuer_der).digest()
    if single.issuer_key_hash != key or single.issuer_name_hash != issued_by:
        return _fact(yes=False, reason="its issuer is another one")
    if _critical(der):
        return _unshown("it has a critical extension that is not evaluated here")
    return _fact(yes=True, reason="")


def _basic(der: bytes) -> asn1_ocsp.BasicOCSPResponse:
    with _asn1.guarded("OCSP response"):
        return asn1_ocsp.OCSPResponse.load(der)["response_bytes"]["response"].parsed


def _critical(der: bytes) -> bool:
    with _asn1.guarded("OCSP response"):
        data = _basic(der)["tbs_response_data"]
        singles = [item["single_extensions"] for item in list(data["responses"])[:_MAX_SINGLES]]
        return any(bool(each["critical"].native) for found in (data["response_extensions"], *singles) for each in found)


def _verified(der: bytes, response: ocsp.OCSPResponse, issuer: Certificate | None, as_of: str) -> Fact:
    if issuer is None:
        return _unshown("the issuer is not known, so nobody's key verifies it")
    with _asn1.guarded("OCSP response"):
        identifier = bytes(_basic(der)["signature_algorithm"].dump())

    def holds(key: PublicKey) -> bool:
        return signature_holds(key, identifier, response.tbs_response_bytes, response.signature)

    if holds(issuer.key):
        return _fact(yes=True, reason="signed by the issuer")
    for item in response.certificates[:_MAX_DELEGATES]:
        delegate = parse_certificate(item.public_bytes(Encoding.DER))
        if _delegated(delegate, issuer, as_of) and holds(delegate.key):
            return _fact(yes=True, reason="signed by a responder that the issuer certified")
    return _fact(yes=False, reason="neither the issuer nor a responder of its signed it")


def _delegated(delegate: Certificate, issuer: Certificate, as_of: str) -> bool:
    """Return whether the issuer itself certified a key for OCSP answers (RFC 6960 4.2.2.2)."""
    facts = delegate.facts
    if _OCSP_SIGNING not in facts.extended_key_usage or not facts.not_before <= as_of <= facts.not_after:
        return False
    return delegate.issuer_der == issuer.subject_der and signed_by(delegate.der, issuer.key)
