"""A small sigstore of our own: an authority for short-lived certificates, a log, and bundles of version 0.3.

Fixed keys and deterministic ECDSA: the bytes repeat.
"""

from __future__ import annotations

import base64
import hashlib
import json
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509.oid import ExtendedKeyUsageOID, ObjectIdentifier

from samples.build import _pki
from samples.build._pki import Profile, load_key
from samples.build._tools import KEYS

AUTHORITY: Final = KEYS / "gateway-root.pem"
SIGNER: Final = KEYS / "gateway-signer-2026.pem"
LOG: Final = KEYS / "gateway-log.pem"
IDENTITY: Final = "release@acme.example"
PROVIDER: Final = "https://login.acme.example"
MOMENT: Final = datetime(2026, 9, 1, 10, 0, 30, tzinfo=UTC)
ORIGIN: Final = "log.acme.example"
_PROVIDER_OID: Final = ObjectIdentifier("1.3.6.1.4.1.57264.1.8")
_OTHERS: Final = tuple(f"another entry {number}".encode() for number in range(5))
_INDEX: Final = 2  # of the entry among the others


@dataclass(frozen=True, kw_only=True)
class Wish:
    """What a bundle shall be like; every field but the first is a fault."""

    envelope: bool = False
    body_digest: bytes | None = None  # what the log entry is about
    body_signature: bytes | None = None
    promised: int | None = None  # the time that the log signs, where it is not the one that it states
    late: int = 0  # minutes after which the log takes the signature in
    proof: bool = True
    leaf: bytes | None = None  # of the tree, where it is not the entry
    head_key: Path = LOG
    stated: bytes | None = None  # digest that the bundle states
    promise: bool = True


def sign(key: Path, data: bytes) -> bytes:
    """Sign by deterministic ECDSA with SHA-256."""
    return load_key(key).sign(data, ec.ECDSA(hashes.SHA256(), deterministic_signing=True))


def spki(key: Path) -> bytes:
    """Return the public half as SubjectPublicKeyInfo."""
    return load_key(key).public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


def authority() -> x509.Certificate:
    """Return the root certificate."""
    profile = Profile(name="Sample Identity Authority", serial=1, years=(2020, 2060), ca=True, usage=("key_cert_sign",))
    return _pki.issue(profile, AUTHORITY, None, AUTHORITY)


def short_lived() -> x509.Certificate:
    """Return a certificate of ten minutes for the identity."""
    root, key = authority(), load_key(SIGNER).public_key()
    provider = b"\x0c" + bytes([len(PROVIDER)]) + PROVIDER.encode()
    usage = dict.fromkeys(
        ("content_commitment", "key_encipherment", "data_encipherment", "key_agreement", "key_cert_sign", "crl_sign",
         "encipher_only", "decipher_only"), False)  # fmt: skip
    return (
        x509.CertificateBuilder()
        .subject_name(x509.Name([]))
        .issuer_name(root.subject)
        .public_key(key)
        .serial_number(17)
        .not_valid_before(MOMENT - timedelta(seconds=30))
        .not_valid_after(MOMENT + timedelta(minutes=9, seconds=30))
        .add_extension(x509.KeyUsage(digital_signature=True, **usage), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CODE_SIGNING]), critical=False)
        .add_extension(x509.SubjectAlternativeName([x509.RFC822Name(IDENTITY)]), critical=True)
        .add_extension(x509.UnrecognizedExtension(_PROVIDER_OID, provider), critical=False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(load_key(AUTHORITY).public_key()), critical=False
        )
        .sign(load_key(AUTHORITY), hashes.SHA256(), ecdsa_deterministic=True)
    )


def bundle(content: bytes, wish: Wish) -> bytes:
    """Return a bundle over content."""
    certificate = short_lived().public_bytes(Encoding.DER)
    digest = hashlib.sha256(content).digest()
    if wish.envelope:
        subject = {"name": "fw.bin", "digest": {"sha256": digest.hex()}}
        statement = {"_type": "https://in-toto.io/Statement/v1", "subject": [subject], "predicateType": "x"}
        payload, kind = json.dumps(statement).encode(), "application/vnd.in-toto+json"
        signature = sign(SIGNER, b"DSSEv1 %d %b %d %b" % (len(kind), kind.encode(), len(payload), payload))
        what: dict[str, Any] = {"dsseEnvelope": {"payload": b64(payload), "payloadType": kind,
                                                 "signatures": [{"sig": b64(signature)}]}}  # fmt: skip
        body = _dsse(payload, signature, certificate)
    else:
        signature = sign(SIGNER, content)
        stated = {"algorithm": "SHA2_256", "digest": b64(wish.stated or digest)}
        what = {"messageSignature": {"messageDigest": stated, "signature": b64(signature)}}
        body = _hashedrekord(wish.body_digest or digest, wish.body_signature or signature, certificate)
    material = {"certificate": {"rawBytes": b64(certificate)}, "tlogEntries": [_entry(body, wish)]}
    value = {"mediaType": "application/vnd.dev.sigstore.bundle.v0.3+json", "verificationMaterial": material, **what}
    return json.dumps(value, indent=1).encode()


def b64(data: bytes) -> str:
    """Return base64 as text."""
    return base64.b64encode(data).decode()


def _pem(certificate: bytes) -> str:
    lines = base64.encodebytes(certificate).decode().replace("\n", "")
    parts = "\n".join(lines[at : at + 64] for at in range(0, len(lines), 64))
    return b64(f"-----BEGIN CERTIFICATE-----\n{parts}\n-----END CERTIFICATE-----\n".encode())


def _hashedrekord(digest: bytes, signature: bytes, certificate: bytes) -> bytes:
    spec = {
        "data": {"hash": {"algorithm": "sha256", "value": digest.hex()}},
        "signature": {"content": b64(signature), "publicKey": {"content": _pem(certificate)}},
    }
    return json.dumps({"apiVersion": "0.0.1", "kind": "hashedrekord", "spec": spec}, separators=(",", ":")).encode()


def _dsse(payload: bytes, signature: bytes, certificate: bytes) -> bytes:
    spec = {
        "payloadHash": {"algorithm": "sha256", "value": hashlib.sha256(payload).hexdigest()},
        "signatures": [{"signature": b64(signature), "verifier": _pem(certificate)}],
    }
    return json.dumps({"apiVersion": "0.0.1", "kind": "dsse", "spec": spec}, separators=(",", ":")).encode()


def _entry(body: bytes, wish: Wish) -> dict[str, Any]:
    log_id = hashlib.sha256(spki(LOG)).digest()
    time = int((MOMENT + timedelta(minutes=wish.late)).timestamp())
    promised = {"body": b64(body), "integratedTime": wish.promised or time, "logID": log_id.hex(), "logIndex": 1000}
    promise = sign(LOG, json.dumps(promised, sort_keys=True, separators=(",", ":")).encode())
    entry: dict[str, Any] = {
        "logIndex": "1000",
        "logId": {"keyId": b64(log_id)},
        "kindVersion": {"kind": json.loads(body)["kind"], "version": "0.0.1"},
        "integratedTime": str(time),
        "canonicalizedBody": b64(body),
    }
    if wish.promise:
        entry["inclusionPromise"] = {"signedEntryTimestamp": b64(promise)}
    if wish.proof:
        entry["inclusionProof"] = _proof(body if wish.leaf is None else wish.leaf, wish.head_key, log_id)
    return entry


def _proof(leaf: bytes, key: Path, log_id: bytes) -> dict[str, Any]:
    leaves = [hashlib.sha256(b"\0" + item).digest() for item in (*_OTHERS[:_INDEX], leaf, *_OTHERS[_INDEX:])]
    root = _root(leaves)
    text = f"{ORIGIN}\n{len(leaves)}\n{b64(root)}\n"
    signed = log_id[:4] + sign(key, text.encode())
    return {
        "logIndex": str(_INDEX),
        "rootHash": b64(root),
        "treeSize": str(len(leaves)),
        "hashes": [b64(item) for item in _path(_INDEX, leaves)],
        "checkpoint": {"envelope": f"{text}\n— {ORIGIN} {b64(signed)}\n"},
    }


def _split(count: int) -> int:
    return 1 << (count - 1).bit_length() - 1  # RFC 6962 2.1: the largest power of two below


def _root(leaves: list[bytes]) -> bytes:
    if len(leaves) == 1:
        return leaves[0]
    at = _split(len(leaves))
    return hashlib.sha256(b"\1" + _root(leaves[:at]) + _root(leaves[at:])).digest()


def _path(index: int, leaves: list[bytes]) -> list[bytes]:
    if len(leaves) == 1:
        return []
    at = _split(len(leaves))
    if index < at:
        return [*_path(index, leaves[:at]), _root(leaves[at:])]
    return [*_path(index - at, leaves[at:]), _root(leaves[:at])]
