"""Raw signatures by a `Signer`: over a digest, or over a message of any size that is read once and never held.

Source: RFC 8017 (RSA), FIPS 186-5 (ECDSA), RFC 8032 (EdDSA), FIPS 204 section 6.2 (ML-DSA over its message
representative). `signatures` verifies what this module makes.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any, Final

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed, decode_dss_signature

from checker.crypto.schemes import INNER_HASH, Scheme
from checker.crypto.signatures import hash_object
from checker.crypto.staging import Signer
from checker.errors import LimitError, UnsupportedAlgorithmError
from checker.io.digests import DigestRequest, Literal, Piece, compute
from checker.io.limits import MAX_HEADER

Message = Sequence[Piece | Literal]
USUAL_HASH: Final = "sha-256"
_FAMILIES: Final[Mapping[str, tuple[str, ...]]] = {"rsa": ("rsa-pkcs1v15", "rsa-pss"), "ec": ("ecdsa",)}


def fits(signer: Signer, algorithm: str) -> bool:
    """Return whether a signer's key can make signatures of an algorithm (an id of the algorithm table)."""
    return algorithm in _schemes(signer)


def usual_scheme(signer: Signer, hash_name: str = USUAL_HASH) -> Scheme:
    """Return the scheme that a key of this kind signs with where nothing else is asked for."""
    name = _schemes(signer)[0]
    inner = name in INNER_HASH or name.startswith("ml-dsa")
    return Scheme(algorithm=name, hash=INNER_HASH.get(name, "") if inner else hash_name)


def _schemes(signer: Signer) -> tuple[str, ...]:
    kind = signer.public_key.facts.algorithm
    return _FAMILIES.get("ec" if kind.startswith("ec-") else kind, (kind,))


def sign(signer: Signer, message: Message, scheme: Scheme, *, fixed: bool = False) -> bytes:
    """Return a signature over a message in pieces. EdDSA hashes it twice, so it may have `MAX_HEADER` bytes there.

    Args:
        signer: whose key signs.
        message: what is signed, in order.
        scheme: algorithm, hash and salt length; PSS salts are as long as the hash where none is stated.
        fixed: for ECDSA: r and s at the curve's width, one behind the other, instead of DER.

    Raises:
        UnsupportedAlgorithmError: the key cannot make such a signature.
        LimitError: the message is too large for EdDSA.
    """
    if not fits(signer, scheme.algorithm):
        kind = signer.public_key.facts.algorithm
        raise UnsupportedAlgorithmError(f"a key of {kind} makes no {scheme.algorithm} signature")
    key: Any = signer.private_key
    if scheme.algorithm in INNER_HASH:
        return bytes(key.sign(_whole(message)))
    if scheme.algorithm.startswith("ml-dsa"):
        return bytes(key.sign_mu(_representative(signer, message)))
    request = DigestRequest(scheme.hash, tuple(message))
    return sign_digest(signer, compute((request,))[request], scheme, fixed=fixed)


def sign_digest(signer: Signer, digest: bytes, scheme: Scheme, *, fixed: bool = False) -> bytes:
    """Return an RSA or ECDSA signature over a digest; ECDSA takes its nonce from key and digest (RFC 6979).

    Raises:
        UnsupportedAlgorithmError: the scheme signs no digest, or the library refuses the hash.
    """
    key: Any = signer.private_key
    hashed = Prehashed(hash_object(scheme.hash))
    try:
        if isinstance(key, ec.EllipticCurvePrivateKey):
            value = key.sign(digest, ec.ECDSA(hashed, deterministic_signing=True))
            return _fixed(value, (key.key_size + 7) // 8) if fixed else value
        if isinstance(key, rsa.RSAPrivateKey):
            return key.sign(digest, _padding(scheme), hashed)
    except (UnsupportedAlgorithm, ValueError) as error:
        raise UnsupportedAlgorithmError(f"{scheme.algorithm} over {scheme.hash} cannot be made here") from error
    raise UnsupportedAlgorithmError(f"{scheme.algorithm} signs the message itself")


def _padding(scheme: Scheme) -> padding.AsymmetricPadding:
    if scheme.algorithm == "rsa-pkcs1v15":
        return padding.PKCS1v15()
    mask = padding.MGF1(hash_object(scheme.mgf_hash or scheme.hash))
    return padding.PSS(mask, padding.PSS.DIGEST_LENGTH if scheme.salt_length is None else scheme.salt_length)


def _fixed(value: bytes, size: int) -> bytes:
    r, s = decode_dss_signature(value)
    return r.to_bytes(size, "big") + s.to_bytes(size, "big")


def _representative(signer: Signer, message: Message) -> bytes:
    """Return mu of FIPS 204 algorithm 7 line 6, with an empty context."""
    tr = hashlib.shake_256(signer.public_key.raw).digest(64)
    request = DigestRequest("shake256", (Literal(tr + b"\0\0"), *message))
    return compute((request,))[request]


def _whole(message: Message) -> bytes:
    total = sum(len(part.data) if isinstance(part, Literal) else part.span.size for part in message)
    if total > MAX_HEADER:
        raise LimitError(f"EdDSA reads its message twice; {total} bytes are more than MAX_HEADER", field="message")
    return b"".join(
        part.data if isinstance(part, Literal) else part.source.read(part.span.start, part.span.size)
        for part in message
    )
