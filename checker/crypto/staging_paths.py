"""Certificates for active tests: rogue paths that copy a genuine one, and signers below a staging authority.

Source: RFC 5280 (4.1 for the fields, 4.2 for the extensions). Serial numbers are random, as an attacker's would be.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509.oid import ExtendedKeyUsageOID, ExtensionOID, NameOID, ObjectIdentifier

from checker.crypto.keys import from_spki
from checker.crypto.staging import Signer, like
from checker.errors import KeyMaterialError, UnsupportedAlgorithmError
from checker.io.limits import MAX_CERTIFICATES
from checker.model.keys import KeyFacts

CODE_SIGNING: Final = "codeSigning"
SERVER: Final = "serverAuth"
DIGITAL_SIGNATURE: Final = "digital_signature"
CERTIFICATES: Final = "key_cert_sign"
_PURPOSES: Final = {CODE_SIGNING: ExtendedKeyUsageOID.CODE_SIGNING, SERVER: ExtendedKeyUsageOID.SERVER_AUTH}
_USAGES: Final = (
    DIGITAL_SIGNATURE,
    "content_commitment",
    "key_encipherment",
    "data_encipherment",
    "key_agreement",
    CERTIFICATES,
    "crl_sign",
    "encipher_only",
    "decipher_only",
)
_MADE_ANEW: Final = frozenset({ExtensionOID.SUBJECT_KEY_IDENTIFIER, ExtensionOID.AUTHORITY_KEY_IDENTIFIER})
_SMALL_CURVE: Final = 256  # bits; larger ones sign certificates over SHA-384


@dataclass(frozen=True, kw_only=True)
class Profile:
    """What a certificate made here says. Times are aware; `purposes` are object identifiers' dotted forms or names."""

    name: x509.Name
    not_before: dt.datetime
    not_after: dt.datetime
    ca: bool = False
    path_length: int | None = None
    usage: tuple[str, ...] = (DIGITAL_SIGNATURE,)
    purposes: tuple[str, ...] = ()


def named(text: str) -> x509.Name:
    """Return a name of one common name."""
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


def loaded(ders: Sequence[bytes]) -> tuple[x509.Certificate, ...]:
    """Return certificates of DER.

    Raises:
        KeyMaterialError: one of them is damaged or there are too many.
    """
    if len(ders) > MAX_CERTIFICATES:
        raise KeyMaterialError(f"more than {MAX_CERTIFICATES} certificates")
    try:
        return tuple(x509.load_der_x509_certificate(der) for der in ders)
    except (ValueError, TypeError) as error:
        raise KeyMaterialError("a certificate of the genuine artifact is damaged or unusual") from error


def profile_of(certificate: x509.Certificate) -> Profile:
    """Return what a genuine certificate says, so that a new one can say the same but for one thing.

    Raises:
        KeyMaterialError: its extensions are damaged.
    """
    try:
        found = {item.oid: item.value for item in certificate.extensions}
        return _profile(certificate, found)
    except (ValueError, TypeError, x509.DuplicateExtension) as error:
        raise KeyMaterialError("a certificate of the genuine artifact is damaged or unusual") from error


def _profile(certificate: x509.Certificate, found: dict[ObjectIdentifier, Any]) -> Profile:
    usage, purposes = found.get(ExtensionOID.KEY_USAGE), found.get(ExtensionOID.EXTENDED_KEY_USAGE)
    basic = found.get(ExtensionOID.BASIC_CONSTRAINTS)
    return Profile(
        name=certificate.subject,
        not_before=certificate.not_valid_before_utc,
        not_after=certificate.not_valid_after_utc,
        ca=bool(basic and basic.ca),
        path_length=basic.path_length if basic else None,
        usage=tuple(name for name in _USAGES if usage is not None and getattr(usage, f"_{name}", False)),
        purposes=tuple(item.dotted_string for item in purposes or ()),
    )


def issued(profile: Profile, key: KeyFacts, authority: Signer | None) -> Signer:
    """Return a new signer with a key like `key`, certified by an authority (None: by itself), with the whole path.

    Raises:
        UnsupportedAlgorithmError: no such key can be made here.
        KeyMaterialError: the authority has no certificate, or the profile cannot be a certificate.
    """
    new = like(key)
    if authority is not None and not authority.certificates:
        raise KeyMaterialError("the staging authority has no certificate")
    issuer = profile.name if authority is None else authority.certificates[0].subject
    own = _certificate(profile, new, issuer, authority or new)
    return Signer(private_key=new.private_key, certificates=(own, *(authority.certificates if authority else ())))


def _certificate(profile: Profile, new: Signer, issuer: x509.Name, authority: Signer) -> x509.Certificate:
    subject: Any = new.private_key
    above: Any = authority.private_key
    try:
        builder = (
            x509.CertificateBuilder()
            .subject_name(profile.name)
            .issuer_name(issuer)
            .public_key(subject.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(profile.not_before)
            .not_valid_after(profile.not_after)
            .add_extension(x509.BasicConstraints(profile.ca, profile.path_length if profile.ca else None), True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(subject.public_key()), False)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(above.public_key()), False)
        )
        for value, critical in _extensions(profile):
            builder = builder.add_extension(value, critical)
        return builder.sign(above, **_how(above))
    except (ValueError, TypeError) as error:
        raise KeyMaterialError(f"no certificate can be made so: {error}") from error


def _extensions(profile: Profile) -> list[tuple[x509.ExtensionType, bool]]:
    found: list[tuple[x509.ExtensionType, bool]] = []
    if profile.usage:
        found.append((x509.KeyUsage(**{name: name in profile.usage for name in _USAGES}), True))
    if profile.purposes:
        oids = [_PURPOSES.get(name) or ObjectIdentifier(name) for name in profile.purposes]
        found.append((x509.ExtendedKeyUsage(oids), False))
    return found


def _how(key: Any) -> dict[str, Any]:  # noqa: ANN401 - one of many key types
    """Return the hash that a key signs certificates with; EdDSA and ML-DSA have theirs inside."""
    if isinstance(key, ec.EllipticCurvePrivateKey):
        hashed = hashes.SHA256() if key.key_size <= _SMALL_CURVE else hashes.SHA384()
        return {"algorithm": hashed, "ecdsa_deterministic": True}
    return {"algorithm": hashes.SHA256() if isinstance(key, rsa.RSAPrivateKey) else None}


def key_of(certificate: x509.Certificate) -> KeyFacts:
    """Return the facts of a certificate's key."""
    return from_spki(certificate.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)).facts


def rogue(path: Sequence[bytes]) -> Signer:
    """Return a path of throw-away keys that says what a genuine one (DER, leaf first) says: names, times, usages.

    The key ids are those of the new keys. Where the genuine path ends below its root, a rogue root of that name is put
    above it.

    Raises:
        UnsupportedAlgorithmError: no such keys can be made here.
        KeyMaterialError: a genuine certificate is unusual.
    """
    if not path:
        raise UnsupportedAlgorithmError("there is no path to copy")
    copied = loaded(path)
    top = copied[-1]
    authority = _rogue_root(top)
    for certificate in reversed(copied[:-1] if top.issuer == top.subject else copied):
        authority = issued(profile_of(certificate), key_of(certificate), authority)
    return authority


def _rogue_root(top: x509.Certificate) -> Signer:
    if top.issuer == top.subject:
        return issued(profile_of(top), key_of(top), None)
    times = profile_of(top)
    profile = Profile(
        name=top.issuer,
        not_before=times.not_before,
        not_after=times.not_after,
        ca=True,
        usage=(CERTIFICATES, "crl_sign"),
    )
    return issued(profile, key_of(top), None)


def is_issued_by(signer: Signer, issuers: Sequence[bytes]) -> bool:
    """Return whether one of some certificates (DER) has issued the signer's own one, by name and by signature.

    Raises:
        KeyMaterialError: an issuer is damaged.
    """
    return bool(signer.certificates) and any(_issued(signer.certificates[0], item) for item in loaded(issuers))


def _issued(certificate: x509.Certificate, issuer: x509.Certificate) -> bool:
    try:
        certificate.verify_directly_issued_by(issuer)
    except (ValueError, TypeError, InvalidSignature, UnsupportedAlgorithm):
        return False
    return True
