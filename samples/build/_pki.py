"""Certificates of the samples: fixed names, serial numbers and dates; ECDSA is deterministic, ML-DSA is not."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID, ObjectIdentifier

CODE_SIGNING = ExtendedKeyUsageOID.CODE_SIGNING


def load_key(path: Path) -> ec.EllipticCurvePrivateKey:
    """Return an EC private key of the samples."""
    key = serialization.load_pem_private_key(path.read_bytes(), None)
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        msg = f"{path.name} is not an EC key"
        raise TypeError(msg)
    return key


def load_any(path: Path) -> Any:  # noqa: ANN401 - EC, ML-DSA or ML-KEM
    """Return a private key of the samples, of any kind."""
    return serialization.load_pem_private_key(path.read_bytes(), None)


@dataclass(frozen=True, kw_only=True)
class Profile:
    """What a certificate says."""

    name: str
    serial: int
    years: tuple[int, int]
    path_length: int | None = None
    ca: bool = False
    usage: tuple[str, ...] = ()
    purposes: tuple[ObjectIdentifier, ...] = ()
    crl_url: str = ""
    organisation: str = field(default="Acme Example")


def issue(profile: Profile, key: Path, issuer: x509.Certificate | None, issuer_key: Path) -> x509.Certificate:
    """Return a certificate for `key`; without an issuer it signs itself."""
    subject = _name(profile)
    signer = load_any(issuer_key)
    public = load_any(key).public_key()
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer.subject if issuer else subject)
        .public_key(public)
        .serial_number(profile.serial)
        .not_valid_before(datetime(profile.years[0], 1, 1, tzinfo=UTC))
        .not_valid_after(datetime(profile.years[1], 1, 1, tzinfo=UTC))
        .add_extension(x509.BasicConstraints(profile.ca, profile.path_length), critical=True)
        .add_extension(_usage(profile), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.public_key()), critical=False)
    )
    if profile.purposes:
        builder = builder.add_extension(x509.ExtendedKeyUsage(profile.purposes), critical=False)
    if profile.crl_url:
        point = x509.DistributionPoint([x509.UniformResourceIdentifier(profile.crl_url)], None, None, None)
        builder = builder.add_extension(x509.CRLDistributionPoints([point]), critical=False)
    signed: x509.Certificate = builder.sign(signer, **_how(signer))
    return signed


def revocation_list(issuer: x509.Certificate, issuer_key: Path, revoked: dict[int, datetime], number: int) -> bytes:
    """Return a CRL in PEM that is current from 2026 to 2028."""
    builder = (
        x509.CertificateRevocationListBuilder()
        .issuer_name(issuer.subject)
        .last_update(datetime(2026, 1, 1, tzinfo=UTC))
        .next_update(datetime(2028, 1, 1, tzinfo=UTC))
        .add_extension(x509.CRLNumber(number), critical=False)
    )
    for serial, moment in revoked.items():
        entry = x509.RevokedCertificateBuilder().serial_number(serial).revocation_date(moment).build()
        builder = builder.add_revoked_certificate(entry)
    signer = load_any(issuer_key)
    how = (
        {**_how(signer), "algorithm": hashes.SHA256()}
        if isinstance(signer, ec.EllipticCurvePrivateKey)
        else _how(signer)
    )
    signed = builder.sign(signer, **how)
    return signed.public_bytes(serialization.Encoding.PEM)


def _how(signer: Any) -> dict[str, Any]:  # noqa: ANN401 - EC or ML-DSA
    """Return the hash that a key signs certificates with; ML-DSA has its own inside."""
    if not isinstance(signer, ec.EllipticCurvePrivateKey):
        return {"algorithm": None}
    return {
        "algorithm": hashes.SHA384() if signer.key_size > 256 else hashes.SHA256(),
        "ecdsa_deterministic": True,
    }


def pem(certificate: x509.Certificate) -> bytes:
    """Return a certificate in PEM."""
    return certificate.public_bytes(serialization.Encoding.PEM)


def _name(profile: Profile) -> x509.Name:
    parts = ((NameOID.ORGANIZATION_NAME, profile.organisation), (NameOID.COMMON_NAME, profile.name))
    return x509.Name([x509.NameAttribute(oid, value) for oid, value in parts])


def _usage(profile: Profile) -> x509.KeyUsage:
    flags = dict.fromkeys(
        (
            "digital_signature",
            "content_commitment",
            "key_encipherment",
            "data_encipherment",
            "key_agreement",
            "key_cert_sign",
            "crl_sign",
            "encipher_only",
            "decipher_only",
        ),
        False,
    )
    return x509.KeyUsage(**(flags | dict.fromkeys(profile.usage, True)))
