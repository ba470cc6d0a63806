"""Client identities for mutual TLS: the valid one, and three of the same shape that a server must refuse.

Private keys live here only as objects; nothing of them reaches a transcript, a report or an exception text.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Final

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, load_der_private_key, load_pem_private_key
from cryptography.x509.oid import NameOID

from checker.crypto import _asn1
from checker.crypto.certificates import instant, parse_certificate
from checker.errors import KeyMaterialError

CREDENTIALS: Final = ("none", "valid", "foreign_ca", "expired", "self_signed")
MAX_PSK: Final = 512  # bytes; OpenSSL takes as many
MAX_IDENTITY: Final = 256  # bytes, as OpenSSL takes
# What cryptography raises on damaged certificates, lists and responses.
LIBRARY_ERRORS: Final = (
    *_asn1.PARSE_ERRORS,
    UnsupportedAlgorithm,
    x509.InvalidVersion,
    x509.DuplicateExtension,
    x509.UnsupportedGeneralNameType,
)
_DAY: Final = dt.timedelta(days=1)


@dataclass(frozen=True)
class ClientIdentity:
    """A certificate path, leaf first, and the leaf's private key, which is never shown."""

    certificates: tuple[bytes, ...]
    key: Any = field(repr=False, compare=False)
    name: str = ""

    @property
    def ends(self) -> dt.datetime:
        """Return the last instant at which its leaf is valid."""
        return x509.load_der_x509_certificate(self.certificates[0]).not_valid_after_utc

    @property
    def authority(self) -> str:
        """Return who issued its leaf, as text."""
        return parse_certificate(self.certificates[0]).facts.issuer


@dataclass(frozen=True)
class PreSharedKey:
    """A key that a server knows by an identity. The identity is sent in the clear; the key is never shown."""

    identity: str
    key: bytes = field(repr=False, compare=False)


def read_psk(data: bytes, identity: str, name: str = "pre-shared key") -> PreSharedKey:
    """Return a pre-shared key from a file that holds it in hexadecimal.

    Raises:
        KeyMaterialError: it holds anything else, or the identity is too long. The text shows nothing of the key.
    """
    try:
        key = bytes.fromhex(data.decode("ascii").strip())
    except ValueError:
        raise KeyMaterialError(f"{name}: holds no key in hexadecimal") from None
    if not 1 <= len(key) <= MAX_PSK or len(identity.encode()) > MAX_IDENTITY:
        raise KeyMaterialError(f"{name}: a key has 1 to {MAX_PSK} bytes, an identity at most {MAX_IDENTITY}")
    return PreSharedKey(identity, key)


def read_identity(certificate: bytes, key: bytes, name: str = "client identity") -> ClientIdentity:
    """Return a client identity from PEM (or DER) certificates and an unencrypted private key.

    Raises:
        KeyMaterialError: one of them cannot be read, or they do not belong together. The text shows nothing of the key.
    """
    leaf, *above = _certificates(certificate, name)
    try:
        private: Any = (load_pem_private_key if b"-----BEGIN" in key else load_der_private_key)(key, password=None)
        same = private.public_key() == leaf.public_key()
    except LIBRARY_ERRORS:
        raise KeyMaterialError(f"{name}: the key is no unencrypted private key in PEM or DER") from None
    if not same:
        raise KeyMaterialError(f"{name}: the key does not belong to the certificate")
    return ClientIdentity(tuple(_der(item) for item in (leaf, *above)), private, name)


def _certificates(data: bytes, name: str) -> list[x509.Certificate]:
    try:
        if b"-----BEGIN" in data:
            return x509.load_pem_x509_certificates(data)
        return [x509.load_der_x509_certificate(data)]
    except LIBRARY_ERRORS as error:
        raise KeyMaterialError(f"{name}: holds no certificate that can be read: {error}") from error


def _der(item: x509.Certificate) -> bytes:
    return item.public_bytes(Encoding.DER)


def credentials(identity: ClientIdentity, as_of: str) -> Iterator[tuple[str, ClientIdentity | None]]:
    """Yield the five client credentials of tls.md 3.3 by name; three are made from the valid one's subject and names.

    Foreign: as the valid one, by another authority of the same name. Expired: by that authority too, since nobody here
    has the right one's key; its window ended a day before `as_of`. Self-signed: its own issuer.
    """
    now = instant(as_of)
    yield "none", None
    yield "valid", identity
    yield "foreign_ca", _forged(identity, (now - _DAY, now + 30 * _DAY))
    yield "expired", _forged(identity, (now - 60 * _DAY, now - _DAY))
    yield "self_signed", _forged(identity, (now - _DAY, now + 30 * _DAY), own_issuer=True)


def _forged(
    identity: ClientIdentity, window: tuple[dt.datetime, dt.datetime], *, own_issuer: bool = False
) -> ClientIdentity:
    model = x509.load_der_x509_certificate(identity.certificates[0])
    key, authority = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    issuer = model.subject if own_issuer else _issuer(model)
    builder = (
        x509.CertificateBuilder()
        .subject_name(model.subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(window[0])
        .not_valid_after(window[1])
    )
    for extension in model.extensions:
        if isinstance(extension.value, (x509.SubjectAlternativeName, x509.ExtendedKeyUsage, x509.KeyUsage)):
            builder = builder.add_extension(extension.value, extension.critical)
    signed = builder.sign(key if own_issuer else authority, hashes.SHA256())
    return ClientIdentity((_der(signed),), key)


def _issuer(model: x509.Certificate) -> x509.Name:
    if list(model.issuer) and model.issuer != model.subject:
        return model.issuer
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "another authority")])
