"""Attestations of our own making: tokens by cbor2 and cryptography, certificates in the layouts of their makers."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from typing import Any, Final

import cbor2
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, mldsa
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509.oid import NameOID

from checker.crypto.attestation_files import read_root
from checker.crypto.attestations.contract import Pinned
from checker.crypto.keys import PublicKey, read_public_key

AS_OF: Final = "2026-11-01T00:00:00Z"
NONCE: Final = bytes(range(32))
PROFILE: Final = "tag:psacertified.org,2023:psa#tfm"
SIGNER: Final = bytes(range(100, 132))
SECURED: Final = 0x3000
_ALGORITHMS: Final[Mapping[type, int]] = {ec.EllipticCurvePrivateKey: -7, mldsa.MLDSA65PrivateKey: -49}
_START: Final = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)


def p256() -> ec.EllipticCurvePrivateKey:
    """Return a new key on P-256."""
    return ec.generate_private_key(ec.SECP256R1())


def spki(key: Any) -> bytes:
    """Return the SubjectPublicKeyInfo of a private key's public half."""
    return bytes(key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo))


def public(key: Any) -> PublicKey:
    """Return the public half as the program reads it."""
    return read_public_key(spki(key), "key")


def cose_key(key: ec.EllipticCurvePrivateKey) -> dict[int, object]:
    """Return the COSE_Key of a key on P-256."""
    numbers = key.public_key().public_numbers()
    return {1: 2, -1: 1, -2: numbers.x.to_bytes(32, "big"), -3: numbers.y.to_bytes(32, "big")}


def psa_claims(**changes: object) -> dict[int, object]:
    """Return the claims of a secured PSA platform; `c8=…` sets claim 8, and None takes one away."""
    found: dict[int, object] = {
        10: NONCE,
        256: b"\x01" + bytes(32),
        265: PROFILE,
        2394: 1,
        2395: SECURED,
        2396: bytes(range(32)),
        2399: [{1: "BL", 2: bytes(32), 5: SIGNER}],
    }
    found |= {int(name[1:].replace("_", "-")): value for name, value in changes.items()}
    return {label: value for label, value in found.items() if value is not None}


def eat_claims(**changes: object) -> dict[int, object]:
    """Return the claims of an EAT whose platform has debugging off since the start, with the maker's own software."""
    found: dict[int, object] = {10: NONCE, 256: b"\x01" + bytes(16), 262: True, 263: 2}
    found |= {int(name[1:].replace("_", "-")): value for name, value in changes.items()}
    return {label: value for label, value in found.items() if value is not None}


def token(
    claims: object, key: Any, *, chain: Sequence[x509.Certificate] = (), protected: Mapping[int, object] | None = None
) -> bytes:
    """Return a COSE_Sign1 over claims; `chain` goes into x5chain of the unprotected header."""
    algorithm = next(number for kind, number in _ALGORITHMS.items() if isinstance(key, kind))
    head = cbor2.dumps({1: algorithm} if protected is None else dict(protected))
    payload = cbor2.dumps(claims)
    signature = sign(key, cbor2.dumps(["Signature1", head, b"", payload]))
    unprotected = {33: [item.public_bytes(Encoding.DER) for item in chain]} if chain else {}
    return bytes(cbor2.dumps(cbor2.CBORTag(18, [head, unprotected, payload, signature])))


def sign(key: Any, data: bytes) -> bytes:
    """Return COSE's form of a signature."""
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        return bytes(key.sign(data))
    r, s = decode_dss_signature(key.sign(data, ec.ECDSA(hashes.SHA256())))
    return r.to_bytes(32, "big") + s.to_bytes(32, "big")


def certificate(
    subject: str,
    key: Any,
    issuer: str,
    issuer_key: Any,
    *,
    authority: bool = False,
    extensions: Mapping[str, bytes] | None = None,
    purposes: Sequence[str] = (),
    years: int = 10,
) -> x509.Certificate:
    """Return a certificate; `extensions` are by object identifier, `purposes` dotted."""
    builder = (
        x509.CertificateBuilder()
        .subject_name(_name(subject))
        .issuer_name(_name(issuer))
        .public_key(key.public_key())
        .serial_number(int.from_bytes(subject.encode()[:8], "big") | 1)
        .not_valid_before(_START)
        .not_valid_after(_START + dt.timedelta(days=365 * years))
        .add_extension(x509.BasicConstraints(ca=authority, path_length=None), critical=True)
    )
    for oid, value in (extensions or {}).items():
        unrecognised = x509.UnrecognizedExtension(x509.ObjectIdentifier(oid), value)
        builder = builder.add_extension(unrecognised, critical=False)
    if purposes:
        usage = x509.ExtendedKeyUsage([x509.ObjectIdentifier(item) for item in purposes])
        builder = builder.add_extension(usage, critical=False)
    algorithm = hashes.SHA256() if isinstance(issuer_key, ec.EllipticCurvePrivateKey) else None
    return builder.sign(issuer_key, algorithm)


def _name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


def root(key: Any, name: str = "Maker root") -> x509.Certificate:
    """Return a self-signed root."""
    return certificate(name, key, name, key, authority=True)


def pem(*certificates: x509.Certificate) -> bytes:
    """Return certificates as PEM, in their order."""
    return b"".join(item.public_bytes(Encoding.PEM) for item in certificates)


def pinned(root_file: bytes, **changes: Any) -> Pinned:
    """Return what an attestation is checked with: our nonce, at a fixed time."""
    return Pinned(**{"ring": read_root(root_file, "root"), "as_of": AS_OF, "nonce": NONCE, **changes})
