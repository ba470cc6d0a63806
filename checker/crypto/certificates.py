"""Certificates: facts of every link, read with asn1crypto so that weak and odd ones are told apart, not refused."""

from __future__ import annotations

import datetime as dt
import hashlib
from dataclasses import dataclass, field, replace
from typing import Any, Final

from asn1crypto import algos, x509

from checker.crypto import _asn1
from checker.crypto.algorithms import by_oid, signature_by_oid
from checker.crypto.keys import PublicKey, from_spki
from checker.crypto.schemes import INNER_HASH, Scheme
from checker.errors import CryptoError, FormatError, UnsupportedAlgorithmError
from checker.model.keys import CertificateFacts

PSS_OID: Final = "1.2.840.113549.1.1.10"
_NAMES: Final = {
    "2.5.4.3": "CN",
    "2.5.4.6": "C",
    "2.5.4.7": "L",
    "2.5.4.8": "ST",
    "2.5.4.10": "O",
    "2.5.4.11": "OU",
    "2.5.4.5": "serialNumber",
    "0.9.2342.19200300.100.1.25": "DC",
    "1.2.840.113549.1.9.1": "emailAddress",
}
_PURPOSES: Final = {
    "1.3.6.1.5.5.7.3.1": "serverAuth",
    "1.3.6.1.5.5.7.3.2": "clientAuth",
    "1.3.6.1.5.5.7.3.3": "codeSigning",
    "1.3.6.1.5.5.7.3.4": "emailProtection",
    "1.3.6.1.5.5.7.3.8": "timeStamping",
    "1.3.6.1.5.5.7.3.9": "OCSPSigning",
    "2.5.29.37.0": "anyExtendedKeyUsage",
}
_USAGES: Final = {
    "digital_signature": "digitalSignature",
    "non_repudiation": "nonRepudiation",
    "key_encipherment": "keyEncipherment",
    "data_encipherment": "dataEncipherment",
    "key_agreement": "keyAgreement",
    "key_cert_sign": "keyCertSign",
    "crl_sign": "cRLSign",
    "encipher_only": "encipherOnly",
    "decipher_only": "decipherOnly",
}


@dataclass(frozen=True)
class Certificate:
    """A certificate that parses: facts, DER, key, and the names as DER for matching."""

    facts: CertificateFacts
    der: bytes = field(repr=False)
    key: PublicKey
    subject_der: bytes = field(repr=False)
    issuer_der: bytes = field(repr=False)
    serial: int
    key_id: bytes = field(repr=False, default=b"")
    name: str = ""

    def as_declared(self, name: str = "") -> Certificate:
        """Return the same certificate, its key marked as declared."""
        key = self.key.as_declared(name or self.name)
        return replace(self, key=key, facts=replace(self.facts, key=key.facts), name=name or self.name)


@dataclass(frozen=True)
class RevocationList:
    """A certificate revocation list (RFC 5280 5): issuer, times (RFC 3339), DER. Its signature is not yet checked."""

    der: bytes = field(repr=False)
    issuer: str
    issuer_der: bytes = field(repr=False)
    this_update: str
    next_update: str
    serials: frozenset[int] = field(repr=False)
    name: str = ""


def parse_certificate(der: bytes, name: str = "") -> Certificate:
    """Return one DER certificate with all its facts.

    Raises:
        FormatError: it is damaged.
    """
    with _asn1.guarded("certificate"):
        parsed = x509.Certificate.load(der, strict=True)
        tbs = parsed["tbs_certificate"]
        spki = bytes(tbs["subject_public_key_info"].dump())
    key = from_spki(spki, name)
    with _asn1.guarded("certificate"):
        return Certificate(
            facts=_facts(parsed, der, key),
            der=der,
            key=key,
            subject_der=_normal(tbs["subject"]),
            issuer_der=_normal(tbs["issuer"]),
            serial=int(tbs["serial_number"].native),
            key_id=bytes(parsed.key_identifier or b""),
            name=name,
        )


def _normal(name: Any) -> bytes:  # noqa: ANN401 - asn1crypto is untyped
    return bytes(name.dump())


def _facts(parsed: Any, der: bytes, key: PublicKey) -> CertificateFacts:  # noqa: ANN401 - asn1crypto is untyped
    tbs = parsed["tbs_certificate"]
    scheme = _scheme_or_oid(bytes(parsed["signature_algorithm"].dump()))
    constraints = parsed.basic_constraints_value
    usage, purposes = parsed.key_usage_value, parsed.extended_key_usage_value
    return CertificateFacts(
        sha256=hashlib.sha256(der).hexdigest(),
        subject=_text(tbs["subject"]),
        issuer=_text(tbs["issuer"]),
        serial=f"{int(tbs['serial_number'].native):x}",
        key=key.facts,
        signature_algorithm=scheme.algorithm,
        signature_hash=scheme.hash,
        not_before=rfc3339(tbs["validity"]["not_before"].native),
        not_after=rfc3339(tbs["validity"]["not_after"].native),
        ca=None if constraints is None else bool(constraints["ca"].native),
        path_length=None if constraints is None else constraints["path_len_constraint"].native,
        key_usage=() if usage is None else tuple(sorted(_USAGES[item] for item in usage.native)),
        extended_key_usage=() if purposes is None else _purpose_names(purposes),
        crl_urls=_urls(parsed.crl_distribution_points_value),
        ocsp_urls=_responders(parsed.authority_information_access_value),
    )


def _purpose_names(purposes: Any) -> tuple[str, ...]:  # noqa: ANN401 - asn1crypto is untyped
    # An empty extension allows nothing, while an absent one allows everything; they must not look alike.
    return tuple(purpose_name(item.dotted) for item in purposes) or ("none",)


def purpose_name(text: str) -> str:
    """Return the usual name of an extended key usage's object identifier, or the text itself."""
    return _PURPOSES.get(text, text)


def _urls(points: Any) -> tuple[str, ...]:  # noqa: ANN401 - asn1crypto is untyped
    if points is None:
        return ()
    found = []
    for point in points:
        names = point["distribution_point"]
        if names.name == "full_name":
            found += [address(item) for item in names.chosen if item.name == "uniform_resource_identifier"]
    return tuple(found)


def _responders(access: Any) -> tuple[str, ...]:  # noqa: ANN401 - asn1crypto is untyped
    found = [item["access_location"] for item in access or () if item["access_method"].native == "ocsp"]
    return tuple(address(item) for item in found if item.name == "uniform_resource_identifier")


def address(name: Any) -> str:  # noqa: ANN401 - asn1crypto is untyped
    """Return the address of a GeneralName as it stands there: asn1crypto rewrites it, and refuses odd ones."""
    return bytes(name.chosen.contents).decode("ascii", "backslashreplace")


def _text(name: Any) -> str:  # noqa: ANN401 - asn1crypto is untyped
    parts = []
    for relative in name.chosen:
        for pair in relative:
            oid = pair["type"].dotted
            value = "".join(c if c.isprintable() else "?" for c in str(pair["value"].native))
            parts.append(f"{_NAMES.get(oid, oid)}={value}")
    return ", ".join(parts)


def rfc3339(value: dt.datetime) -> str:
    """Return an instant as RFC 3339 text in UTC, whole seconds.

    Raises:
        ValueError: the value is no instant (asn1crypto has a type of its own for the year 0).
    """
    if not isinstance(value, dt.datetime):
        raise ValueError(f"no instant: {value}")  # noqa: TRY004 - the parser's error type, converted by the caller
    value = value.replace(tzinfo=dt.UTC) if value.tzinfo is None else value  # never the machine's own time zone
    return value.astimezone(dt.UTC).strftime("%Y-%m-%dT%H:%M:%SZ").rjust(20, "0")


def instant(text: str) -> dt.datetime:
    """Return the aware UTC time of RFC 3339 text.

    Raises:
        FormatError: it is not RFC 3339.
    """
    try:
        value = dt.datetime.fromisoformat(text)
    except ValueError as error:
        raise FormatError(f"not a date and time: {text!r}", field="time") from error
    return value.replace(tzinfo=dt.UTC) if value.tzinfo is None else value.astimezone(dt.UTC)


def scheme_of(identifier: bytes, digest: str = "") -> Scheme:
    """Return the signature scheme of a DER AlgorithmIdentifier.

    `digest` is the hash named beside it (CMS), for identifiers that fix none (RFC 5652 5.3).

    Raises:
        UnsupportedAlgorithmError: the table does not have it.
        FormatError: its PSS parameters are damaged.
    """
    with _asn1.guarded("signature algorithm"):
        raw = _asn1.RawAlgorithm.load(identifier)
        oid, params = str(raw["algorithm"].dotted), _asn1.parameters(raw)
    item, fixed = signature_by_oid(oid)
    if oid == PSS_OID:
        return _pss(params, oid)
    return Scheme(algorithm=item.id, hash=fixed or INNER_HASH.get(item.id, digest), oid=oid)


def _pss(params: bytes, oid: str) -> Scheme:
    with _asn1.guarded("RSASSA-PSS parameters"):
        loaded = algos.RSASSAPSSParams.load(params, strict=True) if params else algos.RSASSAPSSParams()
        hash_oid = str(loaded["hash_algorithm"]["algorithm"].dotted)
        mask = loaded["mask_gen_algorithm"]
        mask_oid = str(mask["parameters"]["algorithm"].dotted)
        if mask["algorithm"].native != "mgf1":
            raise ValueError("the mask generation function is not MGF1")
        salt = int(loaded["salt_length"].native)
    return Scheme(
        algorithm="rsa-pss",
        hash=by_oid(hash_oid, "hash").id,
        mgf_hash=by_oid(mask_oid, "hash").id,
        salt_length=salt,
        oid=oid,
    )


def signature_holds(key: PublicKey, identifier: bytes, message: bytes, signature: bytes) -> bool:
    """Return whether a key made a signature by the scheme of a DER AlgorithmIdentifier. Never raises."""
    from checker.crypto.signatures import verify_message  # every scheme there is: for what OpenSSL did not judge

    try:
        scheme = scheme_of(identifier)
        salt, mask = scheme.salt_length, scheme.mgf_hash
        verify_message(key, scheme.algorithm, scheme.hash, message, signature, salt_length=salt, mgf_hash=mask)
    except (CryptoError, FormatError):
        return False
    return True


def _scheme_or_oid(identifier: bytes) -> Scheme:
    try:
        return scheme_of(identifier)
    except (UnsupportedAlgorithmError, FormatError):
        oid = str(_asn1.RawAlgorithm.load(identifier)["algorithm"].dotted)
        return Scheme(algorithm=oid, hash="", oid=oid)


def parse_crl(der: bytes, name: str = "") -> RevocationList:
    """Return one DER certificate revocation list.

    Raises:
        FormatError: it is damaged.
    """
    from asn1crypto import crl  # most runs have no list

    with _asn1.guarded("certificate revocation list"):
        tbs = crl.CertificateList.load(der, strict=True)["tbs_cert_list"]
        revoked = tbs["revoked_certificates"]
        next_update = tbs["next_update"].native
        return RevocationList(
            der=der,
            issuer=_text(tbs["issuer"]),
            issuer_der=_normal(tbs["issuer"]),
            this_update=rfc3339(tbs["this_update"].native),
            next_update="" if next_update is None else rfc3339(next_update),
            serials=frozenset(int(item["user_certificate"].native) for item in revoked or ()),
            name=name,
        )
