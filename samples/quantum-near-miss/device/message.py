"""Opens an update: a detached CMS signature by ML-DSA, and AES-256-GCM under ML-KEM-768 to this very pump.

Nothing inside is believed before the signature holds, and a signer is nobody before the path from the pump's anchor to
him holds. `policy.json` says which algorithms the pump accepts at all.
RFC 5652 (CMS), RFC 9882 (ML-DSA in CMS), RFC 9629 and RFC 9936 (ML-KEM in CMS), RFC 5083 and 5084 (AES-GCM in CMS).
"""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from itertools import pairwise
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.exceptions import InvalidSignature, InvalidTag
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, mldsa
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from cryptography.hazmat.primitives.keywrap import InvalidUnwrap, aes_key_unwrap
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from cryptography.x509.oid import ExtendedKeyUsageOID
from der import BITS, INTEGER, OCTETS, SEQUENCE, SET, Der, malformed
from slots import RefusedError

DATA = "1.2.840.113549.1.7.1"
SIGNED_DATA = "1.2.840.113549.1.7.2"
AUTH_ENVELOPED = "1.2.840.113549.1.9.16.1.23"
CONTENT_TYPE = "1.2.840.113549.1.9.3"
MESSAGE_DIGEST = "1.2.840.113549.1.9.4"
SIGNING_TIME = "1.2.840.113549.1.9.5"
KEM_RECIPIENT = "1.2.840.113549.1.9.16.13.3"
ML_KEM_768 = "2.16.840.1.101.3.4.4.2"
HKDF_SHA256 = "1.2.840.113549.1.9.16.3.28"
AES256_WRAP = "2.16.840.1.101.3.4.1.45"
AES256_GCM = "2.16.840.1.101.3.4.1.46"
NAMES = {  # of what a policy may accept or refuse; nothing else is known here
    "1.2.840.113549.2.5": "md5",
    "1.3.14.3.2.26": "sha1",
    "2.16.840.1.101.3.4.2.1": "sha256",
    "2.16.840.1.101.3.4.2.8": "sha3_256",
    "2.16.840.1.101.3.4.2.10": "sha3_512",
    "1.2.840.113549.1.1.11": "rsa-sha256",
    "1.2.840.10045.4.3.2": "ecdsa-sha256",
    "1.2.840.10045.4.3.3": "ecdsa-sha384",
    "2.16.840.1.101.3.4.3.10": "ecdsa-sha3-256",
    "2.16.840.1.101.3.4.3.12": "ecdsa-sha3-512",
    "1.3.101.112": "ed25519",
    "2.16.840.1.101.3.4.3.18": "ml-dsa-65",
}
ECDSA = {"ecdsa-sha256": hashes.SHA256(), "ecdsa-sha3-256": hashes.SHA3_256(), "ecdsa-sha3-512": hashes.SHA3_512()}
MAX_PATH = 4  # certificates from the signer to below the anchor
KEK_SIZE = 32  # bytes
KNOWN = (x509.BasicConstraints, x509.KeyUsage, x509.ExtendedKeyUsage)  # the conditions that are checked here

Certificate = x509.Certificate


@dataclass(frozen=True)
class Trust:
    """What the pump holds: its anchor, revocation lists, its own keys by name, its policy, and the time."""

    anchor: Certificate
    lists: tuple[x509.CertificateRevocationList, ...]
    own: dict[tuple[bytes, int], Any]  # by issuer and serial number of their certificates
    policy: dict[str, list[str]]
    clock: datetime

    @classmethod
    def load(cls, folder: Path, clock: datetime) -> Trust:
        """Return what lies in the memory of a pump."""
        certificates = [_certificate(path) for path in sorted((folder / "keys").glob("*.crt.pem"))]
        keys = [load_pem_private_key(path.read_bytes(), None) for path in sorted((folder / "keys").glob("*.key.pem"))]
        lists = sorted((folder / "trust").glob("*.crl.pem"))
        return cls(
            anchor=_certificate(folder / "trust" / "anchor.crt.pem"),
            lists=tuple(x509.load_pem_x509_crl(path.read_bytes()) for path in lists),
            own={_name(item): key for item, key in zip(certificates, keys, strict=True)},
            policy=json.loads((folder / "policy.json").read_text()),
            clock=clock,
        )


def _certificate(path: Path) -> Certificate:
    return x509.load_pem_x509_certificate(path.read_bytes())


def _name(certificate: Certificate) -> tuple[bytes, int]:
    return certificate.issuer.public_bytes(), certificate.serial_number


def open_update(message: bytes, signature: bytes, trust: Trust) -> bytes:
    """Return the image inside a message, after everything that surrounds it was verified.

    Raises:
        RefusedError: with the first reason that was found.
    """
    try:
        verify(message, signature, trust)
        return decrypt(message, trust)
    except RefusedError:
        raise
    except Exception as error:  # noqa: BLE001 - however a library complains, the pump goes on
        raise malformed(type(error).__name__) from None


# The signature


def verify(message: bytes, signature: bytes, trust: Trust) -> None:
    """Check a detached signature over a message: who, by what algorithms, is it right, and over this message."""
    version, digests, certificates, info = _signed_data(signature)
    signer = _signer(version, info, certificates)
    check_path(signer, certificates, trust)
    digest = _allowed(info.algorithm(), "digests", trust)
    if digest not in digests:
        raise malformed("the digest is not announced")
    attributes = b"\x31" + info.whole(0xA0)[1:]  # RFC 5652 5.4: signed as a SET
    scheme = _allowed(info.algorithm(), "signatures", trust)
    _check(signer.public_key(), scheme, info.take(OCTETS), attributes)
    info.end()
    if not hmac.compare_digest(hashlib.new(digest, message).digest(), _stated_digest(attributes)):
        raise RefusedError("digest", "the message is not the one that was signed")


def _signed_data(data: bytes) -> tuple[int, list[str], list[Certificate], Der]:
    """Return the version, the announced digests, the certificates and the only signer's information."""
    signed = _content(data, SIGNED_DATA)
    version, announced, digests = signed.integer(), signed.enter(SET), []
    while announced.tag:
        digests.append(NAMES.get(announced.algorithm(), ""))
    detached = signed.enter(SEQUENCE)
    if detached.oid() != DATA:
        raise malformed("something else than data is signed")
    detached.end()
    certificates = list(_certificates(signed.enter(0xA0))) if signed.tag == 0xA0 else []
    signers = signed.enter(SET)
    signed.end()
    if not signers.tag:
        raise RefusedError("signature", "nobody signed")
    info = signers.enter(SEQUENCE)
    signers.end()
    return version, digests, certificates, info


def _content(data: bytes, kind: str) -> Der:
    """Return what is inside a ContentInfo of this kind."""
    outer = Der(data)
    info = outer.enter(SEQUENCE)
    outer.end()
    if info.oid() != kind:
        raise malformed("another kind of message")
    wrapped = info.enter(0xA0)
    info.end()
    inner = wrapped.enter(SEQUENCE)
    wrapped.end()
    return inner


def _certificates(carried: Der) -> Iterator[Certificate]:
    while carried.tag:
        data = carried.whole(SEQUENCE)
        parts = Der(data).enter(SEQUENCE)
        parts.take(SEQUENCE)
        parts.algorithm()
        if not parts.take(BITS).startswith(b"\0"):  # the library takes signatures with unused bits
            raise malformed("a signature of a certificate is no whole number of bytes")
        parts.end()
        yield x509.load_der_x509_certificate(data)


def _signer(version: int, info: Der, certificates: list[Certificate]) -> Certificate:
    """Return the certificate that the signer is named by (RFC 5652 5.1, 5.3: its version says how)."""
    if info.integer() != version or version != (1 if info.tag == SEQUENCE else 3):
        raise malformed("a version does not fit")
    if version != 1:
        raise RefusedError("key", "the signer is named by a bare key, and none is known here")
    name = _issuer_and_serial(info)
    for item in certificates:
        if _name(item) == name:
            return item
    raise RefusedError("key", "the certificate of the signer is missing")


def _issuer_and_serial(info: Der) -> tuple[bytes, int]:
    inner = info.enter(SEQUENCE)
    name = inner.whole(SEQUENCE), inner.integer()
    inner.end()
    return name


def _allowed(dotted: str, what: str, trust: Trust) -> str:
    """Return the name of an algorithm that the policy of the pump accepts."""
    name = NAMES.get(dotted)
    if name is None:
        raise RefusedError("signature", f"nobody here knows the algorithm {dotted}")
    if name not in trust.policy[what]:
        raise RefusedError("policy", f"{name} is not accepted; accepted are {', '.join(trust.policy[what])}")
    return name


def _check(key: object, scheme: str, signature: bytes, message: bytes) -> None:
    try:
        if scheme == "ml-dsa-65" and isinstance(key, mldsa.MLDSA65PublicKey):
            key.verify(signature, message)
        elif scheme in ECDSA and isinstance(key, ec.EllipticCurvePublicKey):
            key.verify(signature, message, ec.ECDSA(ECDSA[scheme]))
        else:
            raise RefusedError("signature", f"the key of the signer is not for {scheme}")
    except (InvalidSignature, ValueError):
        raise RefusedError("signature", "it is wrong") from None


def _stated_digest(attributes: bytes) -> bytes:
    """Return the digest of the signed attributes, after they are known to be signed."""
    found: dict[str, Der] = {}
    each = Der(attributes).enter(SET)
    while each.tag:
        attribute = each.enter(SEQUENCE)
        kind, values = attribute.oid(), attribute.enter(SET)
        attribute.end()
        if kind in found or kind not in (CONTENT_TYPE, MESSAGE_DIGEST, SIGNING_TIME):
            raise malformed("an attribute is repeated or unknown")
        found[kind] = values
    if CONTENT_TYPE not in found or MESSAGE_DIGEST not in found or found[CONTENT_TYPE].oid() != DATA:
        raise malformed("a signed attribute is missing")
    digest = found[MESSAGE_DIGEST].take(OCTETS)
    found[MESSAGE_DIGEST].end()
    return digest


# The path from the anchor to the signer (RFC 5280 6.1)


def check_path(signer: Certificate, carried: list[Certificate], trust: Trust) -> None:
    """Check that the anchor vouches for a signer, today, for signing code."""
    path = _path(signer, carried, trust.anchor)
    _check_purpose(signer)
    for certificate in path:
        _check_time(certificate, trust.clock)
    for below, issuer in enumerate(path[1:]):
        _check_authority(issuer, below)
    for certificate, issuer in pairwise(path):
        _allowed(certificate.signature_algorithm_oid.dotted_string, "signatures", trust)
        _check_not_revoked(certificate, issuer, trust)


def _path(signer: Certificate, carried: list[Certificate], anchor: Certificate) -> list[Certificate]:
    """Return the certificates from a signer to the anchor."""
    path = [signer]
    while path[-1] != anchor:
        above = next((item for item in (anchor, *carried) if item not in path and _issued(path[-1], item)), None)
        if above is None or len(path) > MAX_PATH:
            raise RefusedError("key", "no path leads from the signer to the anchor of this pump")
        path.append(above)
    if len(path) == 1:
        raise RefusedError("key", "the anchor itself signs no updates")
    return path


def _issued(certificate: Certificate, issuer: Certificate) -> bool:
    try:
        certificate.verify_directly_issued_by(issuer)
    except (ValueError, TypeError, InvalidSignature):
        return False
    return True


def _extension(certificate: Certificate, kind: type[Any]) -> Any:  # noqa: ANN401 - one class for each extension
    """Return what an extension says, None where it is missing; a critical one that nobody here knows is refused."""
    if any(item.critical and not isinstance(item.value, KNOWN) for item in certificate.extensions):
        raise RefusedError("key", "a certificate of the path has a condition that this pump does not know")
    return next((item.value for item in certificate.extensions if isinstance(item.value, kind)), None)


def _check_purpose(signer: Certificate) -> None:
    usage, purposes = _extension(signer, x509.KeyUsage), _extension(signer, x509.ExtendedKeyUsage)
    basic = _extension(signer, x509.BasicConstraints)
    code = purposes is not None and list(purposes) == [ExtendedKeyUsageOID.CODE_SIGNING]
    if not code or usage is None or not usage.digital_signature or (basic is not None and basic.ca):
        raise RefusedError("key", "the certificate of the signer is not for signing code")


def _check_authority(issuer: Certificate, below: int) -> None:
    """Check that a certificate may issue others, with so many authorities below it."""
    usage, basic = _extension(issuer, x509.KeyUsage), _extension(issuer, x509.BasicConstraints)
    if usage is None or not usage.key_cert_sign or basic is None or not basic.ca:
        raise RefusedError("key", "a certificate of the path may not issue the one below it")
    if basic.path_length is not None and below > basic.path_length:
        raise RefusedError("key", "a certificate of the path has more authorities below it than it allows")


def _check_time(certificate: Certificate, clock: datetime) -> None:
    if not certificate.not_valid_before_utc <= clock <= certificate.not_valid_after_utc:
        raise RefusedError("time", "a certificate of the path is not valid today")


def _check_not_revoked(certificate: Certificate, issuer: Certificate, trust: Trust) -> None:
    key: Any = issuer.public_key()
    for item in trust.lists:
        if item.issuer == issuer.subject and item.is_signature_valid(key):
            until = item.next_update_utc
            if until is None or until < trust.clock:
                raise RefusedError("time", "the revocation list is out of date")
            if item.get_revoked_certificate_by_serial_number(certificate.serial_number) is not None:
                raise RefusedError("key", "a certificate of the path is revoked")
            return
    raise RefusedError("key", "no revocation list speaks for a certificate of the path")


# The envelope


def decrypt(message: bytes, trust: Trust) -> bytes:
    """Return the image in a message that is encrypted to this pump."""
    envelope = _content(message, AUTH_ENVELOPED)
    if envelope.integer() != 0:
        raise malformed("another version of an envelope")
    recipients = envelope.enter(SET)
    nonce, sealed = _sealed(envelope.enter(SEQUENCE))
    tag = envelope.take(OCTETS)
    envelope.end()
    try:
        return AESGCM(_content_key(recipients, trust)).decrypt(nonce, sealed + tag, None)
    except InvalidTag:
        raise RefusedError("decrypt", "the tag of AES-GCM is wrong") from None


def _sealed(content: Der) -> tuple[bytes, bytes]:
    """Return nonce and ciphertext of the encrypted content."""
    kind, cipher = content.oid(), content.enter(SEQUENCE)
    sealed = content.take(0x80)
    content.end()
    if (kind, cipher.oid()) != (DATA, AES256_GCM):
        raise RefusedError("policy", "the content is not encrypted with AES-256-GCM")
    settings = cipher.enter(SEQUENCE)
    cipher.end()
    nonce = settings.take(OCTETS)
    if len(nonce) != 12 or settings.integer() != 16:
        raise RefusedError("policy", "AES-GCM has another nonce or tag than this pump demands")
    settings.end()
    return nonce, sealed


def _content_key(recipients: Der, trust: Trust) -> bytes:
    """Return the key of the content from the only recipient that is this pump."""
    while recipients.tag:
        if recipients.tag != 0xA4:  # of another kind than RFC 9629, for somebody else
            recipients.take(recipients.tag)
            continue
        other = recipients.enter(0xA4)
        if other.oid() == KEM_RECIPIENT:
            info = other.enter(SEQUENCE)
            version, name = info.integer(), _issuer_and_serial(info)
            if version == 0 and name in trust.own:
                return _unwrapped(info, trust.own[name])
    raise RefusedError("decrypt", "the message is for another pump")


def _unwrapped(info: Der, own: Any) -> bytes:  # noqa: ANN401 - a private key for ML-KEM-768
    """Decapsulate, derive, unwrap (RFC 9629 section 2)."""
    kem, ciphertext, kdf, size = info.algorithm(), info.take(OCTETS), info.algorithm(), info.whole(INTEGER)
    wrap = info.whole(SEQUENCE)
    if (kem, kdf, Der(wrap).algorithm(), Der(size).integer()) != (ML_KEM_768, HKDF_SHA256, AES256_WRAP, KEK_SIZE):
        raise RefusedError("policy", "the key travels by another way than ML-KEM-768 and AES-256")
    wrapped = info.take(OCTETS)
    info.end()
    try:
        secret = own.decapsulate(ciphertext)
        context = bytes([SEQUENCE, len(wrap) + len(size)]) + wrap + size  # CMSORIforKEMOtherInfo
        kek = HKDF(algorithm=hashes.SHA256(), length=KEK_SIZE, salt=None, info=context).derive(secret)
        return aes_key_unwrap(kek, wrapped)
    except (ValueError, InvalidUnwrap):
        raise RefusedError("decrypt", "the key of the content cannot be unwrapped") from None
