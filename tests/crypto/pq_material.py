"""Keys that sign in quantum-resistant ways, and certificates and messages made with them, by other implementations.

LMS is that of pq-verify, SLH-DSA that of pqcrypto, ML-DSA that of cryptography; DER is put together by hand.
"""

from __future__ import annotations

import functools
import hashlib
import itertools
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

import pytest
from asn1crypto import core, x509
from cryptography.hazmat.primitives.asymmetric import ec, mldsa
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

OIDS = {
    "hss": "1.2.840.113549.1.9.16.3.17",
    "xmss": "1.3.6.1.5.5.7.6.34",
    "xmss-mt": "1.3.6.1.5.5.7.6.35",
    "ml-dsa-44": "2.16.840.1.101.3.4.3.17",
    "ml-dsa-65": "2.16.840.1.101.3.4.3.18",
    "slh-dsa-sha2-128f": "2.16.840.1.101.3.4.3.21",
    "slh-dsa-shake-128f": "2.16.840.1.101.3.4.3.27",
    "slh-dsa-sha2-256f": "2.16.840.1.101.3.4.3.25",
    "slh-dsa-shake-256f": "2.16.840.1.101.3.4.3.31",
    "ecdsa-sha256": "1.2.840.10045.4.3.2",
}


def der(tag: int, *parts: bytes) -> bytes:
    """Return one DER value."""
    content = b"".join(parts)
    size = len(content)
    if size < 128:
        return bytes([tag, size]) + content
    length = size.to_bytes((size.bit_length() + 7) // 8, "big")
    return bytes([tag, 128 | len(length)]) + length + content


def oid(text: str) -> bytes:
    return bytes(core.ObjectIdentifier(text).dump())


def spki(identifier: str, raw: bytes) -> bytes:
    return der(0x30, der(0x30, oid(identifier)), der(0x03, b"\0", raw))


@dataclass
class Signer:
    """A private key: what signs, its public key, and the identifier of its signatures."""

    sign: Callable[[bytes], bytes] = field(repr=False)
    spki: bytes = field(repr=False)
    identifier: bytes = field(repr=False)
    raw: bytes = field(repr=False, default=b"")


def lms_tree(seed: bytes, kind: int = 5, one_time: int = 4) -> Any:
    hbs = pytest.importorskip("pq_verify.hbs", reason="pq-verify is not installed")
    return _tree(hbs, seed, kind, one_time)


@functools.cache
def _tree(hbs: Any, seed: bytes, kind: int, one_time: int) -> Any:
    size = 32 if kind < 10 or 15 <= kind < 20 else 24
    return hbs.LMSTree(kind, one_time, hashlib.sha256(seed).digest()[:size], hashlib.sha256(b"I" + seed).digest()[:16])


def hss(seed: bytes, *, start: int = 0) -> Signer:
    """Return an HSS key of one level: LMS_SHA256_M32_H5 with W8; it signs with the leaves from `start` on."""
    tree, leaves = lms_tree(seed), itertools.count(start)

    def sign(message: bytes) -> bytes:
        q = next(leaves)
        return bytes(4) + bytes(tree.sign(message, q, hashlib.sha256(b"C" + bytes([q]) + message).digest()))

    raw = (1).to_bytes(4, "big") + tree.public_key
    return Signer(sign, spki(OIDS["hss"], raw), der(0x30, oid(OIDS["hss"])), raw)


def ml_dsa(seed: bytes, name: str = "ml-dsa-65") -> Signer:
    kind: Any = {"ml-dsa-44": mldsa.MLDSA44PrivateKey, "ml-dsa-65": mldsa.MLDSA65PrivateKey}[name]
    key = kind.from_seed_bytes(hashlib.sha256(seed).digest())
    raw = key.public_key().public_bytes_raw()
    return Signer(key.sign, spki(OIDS[name], raw), der(0x30, oid(OIDS[name])), raw)


def slh_dsa(name: str = "slh-dsa-sha2-128f") -> Signer:
    sign = pytest.importorskip("pqcrypto.sign", reason="pqcrypto is not installed")
    module = getattr(sign, name.replace("-", "_"))
    public, secret = module.keygen()
    return Signer(
        lambda message: bytes(module.sign(secret, message)),
        spki(OIDS[name], bytes(public)),
        der(0x30, oid(OIDS[name])),
        bytes(public),
    )


def ecdsa(number: int) -> Signer:
    key = ec.derive_private_key(number, ec.SECP256R1())
    public = key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return Signer(lambda message: key.sign(message, ec.ECDSA(SHA256())), public, der(0x30, oid(OIDS["ecdsa-sha256"])))


def name(text: str) -> bytes:
    return bytes(x509.Name.build({"common_name": text}).dump())


def extension(identifier: str, value: bytes, *, critical: bool = True) -> bytes:
    return der(0x30, oid(identifier), der(0x01, b"\xff") if critical else b"", der(0x04, value))


CA = (
    extension("2.5.29.19", der(0x30, der(0x01, b"\xff"))),
    extension("2.5.29.15", der(0x03, b"\x01\x06")),  # keyCertSign, cRLSign
)
CODE_SIGNING = extension("2.5.29.37", der(0x30, oid("1.3.6.1.5.5.7.3.3")), critical=False)
LEAF = (extension("2.5.29.15", der(0x03, b"\x07\x80")), CODE_SIGNING)


def certificate(
    subject: str,
    key: Signer,
    issuer: str,
    signer: Signer,
    extensions: Iterable[bytes] = LEAF,
    *,
    validity: tuple[str, str] = ("240101000000Z", "400101000000Z"),
    serial: int = 7,
) -> bytes:
    """Return a DER certificate."""
    times = der(0x30, *(der(0x17, item.encode()) for item in validity))
    exts = der(0xA3, der(0x30, *extensions)) if extensions else b""
    head = der(0xA0, der(0x02, b"\2")), der(0x02, bytes([serial]))
    tbs = der(0x30, *head, signer.identifier, name(issuer), times, name(subject), key.spki, exts)
    return der(0x30, tbs, signer.identifier, der(0x03, b"\0", signer.sign(tbs)))


def revocation_list(issuer: str, signer: Signer, serials: Iterable[int]) -> bytes:
    """Return a DER certificate revocation list."""
    now = der(0x17, b"260101000000Z")
    revoked = [der(0x30, der(0x02, bytes([serial])), now) for serial in serials]
    listed = der(0x30, *revoked) if revoked else b""
    tbs = der(0x30, der(0x02, b"\1"), signer.identifier, name(issuer), now, der(0x17, b"390101000000Z"), listed)
    return der(0x30, tbs, signer.identifier, der(0x03, b"\0", signer.sign(tbs)))


def signed_data(
    content: bytes,
    signer: Signer,
    issuer: str,
    certificates: Iterable[bytes],
    *,
    attributes: bool = True,
    digest: str = "2.16.840.1.101.3.4.2.3",
    hasher: Callable[[bytes], Any] = hashlib.sha512,
    serial: int = 7,
    attached: bool = False,
) -> bytes:
    """Return CMS SignedData (RFC 5652) with one signer."""
    algorithm = der(0x30, oid(digest))
    attrs = b""
    signed = content
    if attributes:
        values = [
            der(0x30, oid("1.2.840.113549.1.9.3"), der(0x31, oid("1.2.840.113549.1.7.1"))),
            der(0x30, oid("1.2.840.113549.1.9.4"), der(0x31, der(0x04, hasher(content).digest()))),
        ]
        signed = der(0x31, *values)
        attrs = der(0xA0, *values)
    sid = der(0x30, name(issuer), der(0x02, bytes([serial])))
    info = der(0x30, der(0x02, b"\1"), sid, algorithm, attrs, signer.identifier, der(0x04, signer.sign(signed)))
    inner = der(0xA0, der(0x04, content)) if attached else b""
    data = der(
        0x30,
        der(0x02, b"\1"),
        der(0x31, algorithm),
        der(0x30, oid("1.2.840.113549.1.7.1"), inner),
        der(0xA0, *certificates),
        der(0x31, info),
    )
    return der(0x30, oid("1.2.840.113549.1.7.2"), der(0xA0, data))
