"""CMS messages that no installed tool makes: ML-DSA signers (RFC 9882), ML-KEM recipients (RFC 9629, RFC 9936)."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Final

from asn1crypto import core
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, mldsa, mlkem
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from cryptography.hazmat.primitives.kdf.x963kdf import X963KDF
from cryptography.hazmat.primitives.keywrap import aes_key_wrap
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from samples.build._pki import load_any

DATA: Final = "1.2.840.113549.1.7.1"
SIGNED_DATA: Final = "1.2.840.113549.1.7.2"
AUTH_ENVELOPED: Final = "1.2.840.113549.1.9.16.1.23"
KEM_RECIPIENT: Final = "1.2.840.113549.1.9.16.13.3"
SHA3_256: Final = "2.16.840.1.101.3.4.2.8"
SHA3_512: Final = "2.16.840.1.101.3.4.2.10"
ECDSA_SHA3_256: Final = "2.16.840.1.101.3.4.3.10"
ML_DSA_65: Final = "2.16.840.1.101.3.4.3.18"
ML_KEM_768: Final = "2.16.840.1.101.3.4.4.2"
HKDF_SHA256: Final = "1.2.840.113549.1.9.16.3.28"
ECDH_SHA256: Final = "1.3.132.1.11.1"
AES256_WRAP: Final = "2.16.840.1.101.3.4.1.45"
AES256_GCM: Final = "2.16.840.1.101.3.4.1.46"
_KEK: Final = 32  # bytes


@dataclass(frozen=True, kw_only=True)
class Signer:
    """Who signs: a certificate, its private key, and the certificates above it that go along."""

    certificate: x509.Certificate
    key: Path
    above: tuple[x509.Certificate, ...] = ()


def signed_data(content: bytes, signers: Sequence[Signer], moment: datetime, *, attached: bool = False) -> bytes:
    """Return a SignedData: ML-DSA-65 over SHA3-512, ECDSA over SHA3-256, whichever a signer's key is for."""
    infos = sorted(_signer_info(content, signer, moment) for signer in signers)
    hashed = sorted({_algorithms(load_any(signer.key))[0] for signer in signers})
    certificates = {item.public_bytes(Encoding.DER) for each in signers for item in (each.certificate, *each.above)}
    body = (
        der(0x02, b"\1"),
        der(0x31, *hashed),
        der(0x30, oid(DATA), der(0xA0, der(0x04, content)) if attached else b""),
        der(0xA0, *sorted(certificates)),
        der(0x31, *infos),
    )
    return der(0x30, oid(SIGNED_DATA), der(0xA0, der(0x30, *body)))


def _signer_info(content: bytes, signer: Signer, moment: datetime) -> bytes:
    key = load_any(signer.key)
    hashed, scheme = _algorithms(key)
    digest = hashlib.sha3_512(content) if _lattice(key) else hashlib.sha3_256(content)
    attributes = sorted(  # DER: a SET OF is sorted
        (
            _attribute("1.2.840.113549.1.9.3", oid(DATA)),
            _attribute("1.2.840.113549.1.9.5", der(0x17, moment.strftime("%y%m%d%H%M%SZ").encode())),
            _attribute("1.2.840.113549.1.9.4", der(0x04, digest.digest())),
        )
    )
    signature = der(0x04, _sign(key, der(0x31, *attributes)))
    rid = _issuer_and_serial(signer.certificate)
    return der(0x30, der(0x02, b"\1"), rid, hashed, der(0xA0, *attributes), scheme, signature)


def _lattice(key: object) -> bool:
    return isinstance(key, mldsa.MLDSA65PrivateKey)


def _algorithms(key: object) -> tuple[bytes, bytes]:
    """Return the identifiers of the digest and of the signature; RFC 9882 asks for no shorter digest with ML-DSA-65."""
    names = (SHA3_512, ML_DSA_65) if _lattice(key) else (SHA3_256, ECDSA_SHA3_256)
    return der(0x30, oid(names[0])), der(0x30, oid(names[1]))


def _sign(key: object, message: bytes) -> bytes:
    if isinstance(key, ec.EllipticCurvePrivateKey):
        digest = hashlib.sha3_256(message).digest()
        return key.sign(digest, ec.ECDSA(Prehashed(hashes.SHA3_256())))
    assert isinstance(key, mldsa.MLDSA65PrivateKey)  # noqa: S101 - the samples have no other
    return key.sign(message)


def enveloped(content: bytes, recipients: Sequence[x509.Certificate], key: bytes, nonce: bytes) -> bytes:
    """Return AuthEnvelopedData by AES-256-GCM; each certificate's key, ML-KEM-768 or EC, is a recipient."""
    sealed = AESGCM(key).encrypt(nonce, content, None)
    algorithm = der(0x30, oid(AES256_GCM), der(0x30, der(0x04, nonce), der(0x02, b"\x10")))
    encrypted = der(0x30, oid(DATA), algorithm, der(0x80, sealed[:-16]))
    infos = der(0x31, *sorted(_recipient(item, key) for item in recipients))
    body = der(0x30, der(0x02, b"\0"), infos, encrypted, der(0x04, sealed[-16:]))
    return der(0x30, oid(AUTH_ENVELOPED), der(0xA0, body))


def _recipient(certificate: x509.Certificate, content_key: bytes) -> bytes:
    public = certificate.public_key()
    if isinstance(public, mlkem.MLKEM768PublicKey):
        return _encapsulated(certificate, public, content_key)
    assert isinstance(public, ec.EllipticCurvePublicKey)  # noqa: S101 - the samples have no other
    return _agreed(certificate, public, content_key)


def _encapsulated(certificate: x509.Certificate, public: mlkem.MLKEM768PublicKey, content_key: bytes) -> bytes:
    """Return an OtherRecipientInfo of RFC 9629: encapsulate, derive, wrap."""
    secret, ciphertext = public.encapsulate()
    wrap, size = der(0x30, oid(AES256_WRAP)), der(0x02, bytes([_KEK]))
    kek = HKDF(algorithm=hashes.SHA256(), length=_KEK, salt=None, info=der(0x30, wrap, size)).derive(secret)
    info = der(
        0x30,
        der(0x02, b"\0"),
        _issuer_and_serial(certificate),
        der(0x30, oid(ML_KEM_768)),
        der(0x04, ciphertext),
        der(0x30, oid(HKDF_SHA256)),
        size,
        wrap,
        der(0x04, aes_key_wrap(kek, content_key)),
    )
    return der(0xA4, oid(KEM_RECIPIENT), info)


def _agreed(certificate: x509.Certificate, public: ec.EllipticCurvePublicKey, content_key: bytes) -> bytes:
    """Return a KeyAgreeRecipientInfo of RFC 5753: an ephemeral key, one derivation, one wrap."""
    ephemeral = ec.generate_private_key(public.curve)
    wrap = der(0x30, oid(AES256_WRAP))
    shared = der(0x30, wrap, der(0xA2, der(0x04, (_KEK * 8).to_bytes(4, "big"))))
    secret = ephemeral.exchange(ec.ECDH(), public)
    kek = X963KDF(algorithm=hashes.SHA256(), length=_KEK, sharedinfo=shared).derive(secret)
    point = ephemeral.public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
    originator = der(0xA0, der(0xA1, der(0x30, oid("1.2.840.10045.2.1")), der(0x03, b"\0", point)))
    keys = der(0x30, der(0x30, _issuer_and_serial(certificate), der(0x04, aes_key_wrap(kek, content_key))))
    return der(0xA1, der(0x02, b"\3"), originator, der(0x30, oid(ECDH_SHA256), wrap), keys)


# DER


def der(tag: int, *parts: bytes) -> bytes:
    """Return one DER value."""
    content = b"".join(parts)
    size = len(content)
    if size < 0x80:
        return bytes([tag, size]) + content
    length = size.to_bytes((size.bit_length() + 7) // 8, "big")
    return bytes([tag, 0x80 | len(length)]) + length + content


def oid(text: str) -> bytes:
    """Return an object identifier in DER."""
    return bytes(core.ObjectIdentifier(text).dump())


def _attribute(kind: str, value: bytes) -> bytes:
    return der(0x30, oid(kind), der(0x31, value))


def _issuer_and_serial(certificate: x509.Certificate) -> bytes:
    serial = bytes(core.Integer(certificate.serial_number).dump())
    return der(0x30, certificate.issuer.public_bytes(), serial)
