"""Revocation as certificates name it: where to ask, what to ask, and what a fetched list says. No I/O here.

RFC 5280 5 and 6.3 (lists), RFC 6960 4.1 (requests). Lists that are deltas, indirect, or about other certificates or
only some reasons are named, and decide nothing.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any, Final

from asn1crypto import x509 as asn1_x509
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509 import ocsp

from checker.crypto import _asn1
from checker.crypto._own_paths import signed_by
from checker.crypto.certificates import Certificate, address, rfc3339
from checker.crypto.tls.identity import LIBRARY_ERRORS
from checker.crypto.tls.staple import read_staple, revoked_fact, window
from checker.errors import FormatError
from checker.model.endpoint import Answer, Fact, RevocationAnswer, Staple
from checker.model.keys import ChainFacts

MAX_RESPONSE: Final = 64 * 1024  # bytes of an OCSP response; with a delegate's post-quantum chain some 30 KiB
MAX_LIST: Final = 8 * 1024 * 1024  # bytes of a list: some 200,000 entries
MAX_SOURCES: Final = 2  # of each kind that one certificate may send us to
_EVALUATED: Final = frozenset({"2.5.29.20", "2.5.29.35", "2.5.29.28", "2.5.29.27"})  # of lists, where critical


@dataclass(frozen=True, kw_only=True)
class Sources:
    """Where a certificate says that its revocation is told: responders, and lists with the names of their point."""

    responders: tuple[str, ...] = ()
    lists: tuple[tuple[str, tuple[str, ...]], ...] = ()  # URL, and every name of its distribution point
    odd: str = ""  # what is named and not followed


def sources(certificate: Certificate) -> Sources:
    """Return where a certificate's revocation is told. Never raises; what cannot be read is named as odd."""
    try:
        with _asn1.guarded("certificate"):
            points = list(asn1_x509.Certificate.load(certificate.der).crl_distribution_points_value or ())
            read = [_point(item) for item in points]
    except FormatError as error:
        return Sources(responders=certificate.facts.ocsp_urls[:MAX_SOURCES], odd=str(error))
    found = tuple((names[0], names) for names, odd in read if names and not odd)
    odd = next((text for _, text in read if text), "")
    return Sources(responders=certificate.facts.ocsp_urls[:MAX_SOURCES], lists=found[:MAX_SOURCES], odd=odd)


def _point(point: Any) -> tuple[tuple[str, ...], str]:  # noqa: ANN401 - asn1crypto is untyped
    name = point["distribution_point"]
    if name.name != "full_name":
        return (), "a list that is named relative to its issuer"
    urls = tuple(address(item) for item in name.chosen if item.name == "uniform_resource_identifier")
    if point["crl_issuer"].native:
        return urls, "a list by another issuer (indirect)"
    return urls, "a list of some reasons only" if point["reasons"].native else ""


def ocsp_request(certificate: Certificate, issuer: Certificate) -> bytes:
    """Return an OCSP request for one certificate, unsigned and without a nonce (RFC 6960 4.1.1).

    Raises:
        FormatError: the library cannot express the certificate's serial number.
    """
    name, key = hashlib.sha1(certificate.issuer_der), hashlib.sha1(issuer.key.raw)  # noqa: S324 - the id of RFC 5019 2.1.1
    try:
        builder = ocsp.OCSPRequestBuilder().add_certificate_by_hash(
            name.digest(),
            key.digest(),
            certificate.serial,
            hashes.SHA1(),  # noqa: S303
        )
        return builder.build().public_bytes(Encoding.DER)
    except LIBRARY_ERRORS as error:
        raise FormatError(f"no request can be made for it: {error}", field="serial number") from error


def read_response(der: bytes, certificate: Certificate, issuer: Certificate, as_of: str) -> RevocationAnswer:
    """Return what a fetched OCSP response says of a certificate. Never raises."""
    return _answer("ocsp", der, certificate, read_staple(der, certificate, issuer, as_of))


def _answer(kind: str, data: bytes, certificate: Certificate, read: Staple) -> RevocationAnswer:
    return RevocationAnswer(
        certificate=certificate.facts.sha256,
        subject=certificate.facts.subject,
        kind=kind,
        url="",
        status=read.status,
        this_update=read.this_update,
        next_update=read.next_update,
        verified=read.verified,
        current=read.current,
        about=read.about_leaf,
        revoked=revoked_fact(read),
        sha256=hashlib.sha256(data).hexdigest(),
    )


def read_list(
    data: bytes, certificate: Certificate, issuer: Certificate, point: Iterable[str], as_of: str
) -> RevocationAnswer:
    """Return what a fetched list says of a certificate, whose point has the names `point`. Never raises."""
    try:
        armoured = data.lstrip().startswith(b"-----BEGIN")
        found = x509.load_pem_x509_crl(data) if armoured else x509.load_der_x509_crl(data)
        read = _read_list(found, certificate, issuer, frozenset(point), as_of)
    except (*LIBRARY_ERRORS, FormatError) as error:
        fault = Fact(answer=Answer.NOT_SHOWN, reason=f"cannot be read: {error}")
        read = Staple(status="damaged", verified=fault)
    return _answer("crl", data, certificate, read)


def _read_list(
    found: x509.CertificateRevocationList,
    certificate: Certificate,
    issuer: Certificate,
    point: frozenset[str],
    as_of: str,
) -> Staple:
    start = rfc3339(found.last_update_utc)
    end = rfc3339(found.next_update_utc) if found.next_update_utc is not None else ""
    entry = found.get_revoked_certificate_by_serial_number(certificate.serial)
    status = _status(entry)
    return Staple(
        status=status,
        this_update=start,
        next_update=end,
        revoked_at=rfc3339(entry.revocation_date_utc) if entry is not None else "",
        verified=_signed(found.public_bytes(Encoding.DER), issuer),
        current=window(start, end, as_of),
        about_leaf=_covers(found, certificate, point, listed=status != "good"),
    )


def _status(entry: x509.RevokedCertificate | None) -> str:
    if entry is None:
        return "good"
    try:
        reason = entry.extensions.get_extension_for_class(x509.CRLReason).value.reason
    except x509.ExtensionNotFound:
        return "revoked"
    return "on_hold" if reason is x509.ReasonFlags.certificate_hold else "revoked"


def _signed(der: bytes, issuer: Certificate) -> Fact:
    usages = issuer.facts.key_usage
    if usages and "cRLSign" not in usages:
        return Fact(answer=Answer.NO, reason="the issuer's key usage does not allow to sign lists")
    signed = signed_by(der, issuer.key)
    return Fact(answer=Answer.YES if signed else Answer.NO, reason="" if signed else "not signed by the issuer's key")


def _covers(
    found: x509.CertificateRevocationList, certificate: Certificate, point: frozenset[str], *, listed: bool
) -> Fact:
    """Return whether a list is about a certificate: RFC 5280 6.3.3 (b); a delta or an indirect list decides nothing."""
    if found.issuer.public_bytes() != certificate.issuer_der:
        return Fact(answer=Answer.NO, reason="its issuer is another one")
    extensions = {item.oid.dotted_string: item for item in found.extensions}
    odd = [oid for oid, item in extensions.items() if item.critical and oid not in _EVALUATED]
    scope = "it is a delta list" if "2.5.29.27" in extensions else ""
    scope = scope or (f"it has a critical extension that is not evaluated here: {odd[0]}" if odd else "")
    place = extensions.get("2.5.29.28")
    if place is not None and not scope:
        scope = _scope(place.value, certificate, point, listed=listed)
    return Fact(answer=Answer.NOT_SHOWN if scope else Answer.YES, reason=scope)


def _scope(place: Any, certificate: Certificate, point: frozenset[str], *, listed: bool) -> str:  # noqa: ANN401 - one of a union
    """Return why a list's issuing distribution point leaves a certificate out (RFC 5280 5.2.5)."""
    if place.indirect_crl:
        return "it is an indirect list"
    if place.only_contains_attribute_certs or place.relative_name:
        return "it is about other certificates"
    authority = certificate.facts.ca is True
    if (place.only_contains_user_certs and authority) or (place.only_contains_ca_certs and not authority):
        return "it is about other kinds of certificates"
    if place.only_some_reasons and not listed:
        return "it tells some reasons only"
    names = {str(item.value) for item in place.full_name or () if isinstance(item, x509.UniformResourceIdentifier)}
    if place.full_name and not names & point:
        return "it is the list of another distribution point"
    return ""


def settled(chain: ChainFacts, answers: Iterable[RevocationAnswer]) -> ChainFacts:
    """Return a path with what was fetched about its certificates; a "good" counts only on a path that validates.

    Raises nothing; a path that a given list judged already stays as it is.
    """
    found = tuple(answers)
    bad = next((item for item in found if item.revoked.answer is Answer.YES), None)
    if bad is not None:
        leaf = bool(chain.certificates) and chain.certificates[0].sha256 == bad.certificate
        error = chain.error if "revoked" in chain.error else f"certificate revoked: {bad.subject}"
        valid = None if chain.valid is None else False
        return replace(
            chain, valid=valid, error=error, revoked=True if leaf else chain.revoked, anchor="", anchor_name=""
        )
    if chain.revoked is not None or not chain.valid:
        return chain
    leaf_answers = [item for item in found if item.certificate == chain.certificates[0].sha256]
    cleared = any(item.revoked.answer is Answer.NO for item in leaf_answers)
    return replace(chain, revoked=False) if cleared else chain
