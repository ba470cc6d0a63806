"""Verify one signature or tag over a digest or a message: return nothing, or raise.

Weak algorithms are verified like others (MD5, SHA-1, RSA-512): what is weak is told by facts, not by a refusal.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

from cryptography.exceptions import InternalError, InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import dsa, ec, ed448, ed25519, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed, encode_dss_signature

from checker.crypto import _asn1, macs, post_quantum
from checker.crypto.keys import PublicKey
from checker.crypto.post_quantum import Prehash
from checker.crypto.schemes import INNER_HASH
from checker.errors import FormatError, InvalidSignatureError, UnsupportedAlgorithmError
from checker.io import digests
from checker.model.artifact import OneTimeKey, Signature

__all__ = ["Candidate", "Prehash"]

_HASHES: Final[Mapping[str, hashes.HashAlgorithm]] = {
    "md5": hashes.MD5(),  # noqa: S303 - verified because real updates still carry it; the rules refuse it
    "sha-1": hashes.SHA1(),  # noqa: S303 - the same
    "sha-224": hashes.SHA224(),
    "sha-256": hashes.SHA256(),
    "sha-384": hashes.SHA384(),
    "sha-512": hashes.SHA512(),
    "sha-512/224": hashes.SHA512_224(),
    "sha-512/256": hashes.SHA512_256(),
    "sha3-224": hashes.SHA3_224(),
    "sha3-256": hashes.SHA3_256(),
    "sha3-384": hashes.SHA3_384(),
    "sha3-512": hashes.SHA3_512(),
}
_EDDSA: Final[Mapping[str, type]] = {"ed25519": ed25519.Ed25519PublicKey, "ed448": ed448.Ed448PublicKey}
_CANDIDATE_HASHES: Final = (
    "sha-256",
    "sha-512",
    "sha-384",
    "sha3-256",
    "sha3-512",
    "sha3-384",
    "sha-224",
    "sha-1",
    "md5",
)
_BAD_INPUT: Final = (ValueError, TypeError, OverflowError, UnsupportedAlgorithm, InternalError)


@dataclass(frozen=True, order=True)
class Candidate:
    """A scheme that a raw signature may use. `hash` is empty where the scheme takes the message itself."""

    algorithm: str
    hash: str


def needs_message(algorithm: str) -> bool:
    """Return whether a plain digest of the message is not enough to verify it; `prehash` says what may be."""
    pure = post_quantum.handles(algorithm) and not algorithm.startswith(post_quantum.PREHASHED)
    return algorithm in _EDDSA or pure


def candidates(key: PublicKey) -> tuple[Candidate, ...]:
    """Return the schemes to try for a raw signature that names none, most usual first; none for an unusable key."""
    kind = key.facts.algorithm
    if kind in _EDDSA:
        return (Candidate(kind, INNER_HASH[kind]),)
    if post_quantum.handles(kind):
        found = post_quantum.schemes(kind, key.key) if key.usable else ()
        return tuple(Candidate(*item) for item in found)
    schemes: tuple[str, ...] = ()
    if isinstance(key.key, rsa.RSAPublicKey):
        schemes = ("rsa-pkcs1v15", "rsa-pss")
    elif isinstance(key.key, ec.EllipticCurvePublicKey):
        schemes = ("ecdsa",)
    elif isinstance(key.key, dsa.DSAPublicKey):
        schemes = ("dsa",)
    return tuple(Candidate(scheme, name) for name in _CANDIDATE_HASHES for scheme in schemes)


def verify_digest(
    key: PublicKey,
    algorithm: str,
    hash: str,  # noqa: A002 - the field's own word, as in Signature.hash
    digest: bytes,
    signature: bytes,
    *,
    salt_length: int | None = None,
    mgf_hash: str = "",
) -> None:
    """Verify a signature over a digest that was computed elsewhere.

    `salt_length` (bytes) and `mgf_hash` are PSS's; unset, any salt length is accepted and MGF1 uses `hash`.

    Raises:
        InvalidSignatureError: the signature does not verify.
        UnsupportedAlgorithmError: the scheme, hash or key cannot be used, or the scheme needs the message.
    """
    if needs_message(algorithm):
        raise UnsupportedAlgorithmError(f"{algorithm} signs the message itself; its digest is not enough")
    if post_quantum.handles(algorithm):
        verify_prehashed(key, algorithm, hash, digest, signature)
        return
    taken = hash_object(hash)
    if len(digest) != taken.digest_size:
        raise InvalidSignatureError(f"a {hash} digest has {taken.digest_size} bytes, here are {len(digest)}")
    _verify(key, algorithm, signature, digest, Prehashed(taken), _padding(algorithm, hash, salt_length, mgf_hash))


def prehash(
    key: PublicKey,
    algorithm: str,
    hash: str,  # noqa: A002 - the field's own word, as in Signature.hash
    signature: bytes,
    *,
    context: bytes = b"",
) -> Prehash:
    """Return the one digest that `verify_prehashed` needs, so that the message is read once and never held.

    A format yields `DigestRequest(found.hash, (Literal(found.prefix), *pieces))` and hands the answer on. Only Ed25519
    and Ed448 hash the message in a way that the library does not let a caller do for it.

    Raises:
        InvalidSignatureError: the signature cannot be one of this key and algorithm.
        UnsupportedAlgorithmError: the scheme needs the message itself, or the key or hash cannot be used.
    """
    if not post_quantum.handles(algorithm):
        if needs_message(algorithm):
            raise UnsupportedAlgorithmError(f"{algorithm} signs the message itself, which has to be given whole")
        return Prehash(hash)
    _usable(key)
    return post_quantum.prehash(_family(key, algorithm), key.key, algorithm, hash, signature, context or key.context)


def verify_prehashed(
    key: PublicKey,
    algorithm: str,
    hash: str,  # noqa: A002 - the field's own word, as in Signature.hash
    digest: bytes,
    signature: bytes,
    *,
    context: bytes = b"",
) -> None:
    """Verify a signature by the digest that `prehash` asked for.

    Raises:
        InvalidSignatureError: the signature does not verify.
        UnsupportedAlgorithmError: the scheme, hash or key cannot be used.
    """
    if not post_quantum.handles(algorithm):
        verify_digest(key, algorithm, hash, digest, signature)
        return
    _usable(key)
    post_quantum.verify(_family(key, algorithm), key.key, algorithm, hash, digest, signature, context or key.context)


def fits(key: PublicKey, size: int) -> bool:
    """Return whether a raw quantum-resistant signature by this key can have this size in bytes."""
    return (
        key.usable
        and post_quantum.handles(key.facts.algorithm)
        and post_quantum.fits(key.facts.algorithm, key.key, size)
    )


def one_time_keys(key: PublicKey, signature: bytes) -> tuple[OneTimeKey, ...]:
    """Return the one-time keys that a verified signature used, the one over the message last; none without state.

    Raises:
        InvalidSignatureError: the signature is not of this key's form.
    """
    return post_quantum.one_time(key.key, signature) if post_quantum.handles(key.facts.algorithm) else ()


def with_one_time(found: Signature, key: PublicKey, signature: bytes) -> Signature:
    """Return a verified signature with the one-time keys that it used; unchanged where its scheme has no state."""
    used = one_time_keys(key, signature)
    return replace(found, one_time_keys=used, one_time_index=used[-1].index) if used else found


def _family(key: PublicKey, algorithm: str) -> str:
    if not post_quantum.handles(key.facts.algorithm):
        raise InvalidSignatureError(f"a {key.facts.algorithm} key cannot make {algorithm} signatures")
    return key.facts.algorithm


def verify_message(  # noqa: PLR0913 - a signature has that many parts
    key: PublicKey,
    algorithm: str,
    hash: str,  # noqa: A002 - the field's own word, as in Signature.hash
    message: bytes,
    signature: bytes,
    *,
    salt_length: int | None = None,
    mgf_hash: str = "",
    context: bytes = b"",
) -> None:
    """Verify a signature over a message. `context` is that of ML-DSA and SLH-DSA (FIPS 204 5.2, FIPS 205 10.2).

    `hash` is ignored where the scheme has its own: EdDSA, LMS, XMSS, and the pure forms of ML-DSA and SLH-DSA.

    Raises:
        InvalidSignatureError: the signature does not verify.
        UnsupportedAlgorithmError: the scheme, hash or key cannot be used.
    """
    if post_quantum.handles(algorithm):
        wanted = prehash(key, algorithm, hash, signature, context=context)
        digest = digests.digest(wanted.hash, wanted.prefix + message)
        verify_prehashed(key, algorithm, hash, digest, signature, context=context)
    elif algorithm in _EDDSA:
        _fits(key, algorithm, _EDDSA[algorithm])
        _attempt(lambda: key.key.verify(signature, message))
    else:
        _verify(key, algorithm, signature, message, hash_object(hash), _padding(algorithm, hash, salt_length, mgf_hash))


def _verify(
    key: PublicKey,
    algorithm: str,
    signature: bytes,
    data: bytes,
    how: Any,  # noqa: ANN401 - a hash or a prehash of cryptography
    pad: Any,  # noqa: ANN401 - PKCS #1 v1.5 or PSS
) -> None:
    if algorithm in {"rsa-pkcs1v15", "rsa-pss"}:
        _fits(key, algorithm, rsa.RSAPublicKey)
        _attempt(lambda: key.key.verify(signature, data, pad, how))
    elif algorithm == "ecdsa":
        _fits(key, algorithm, ec.EllipticCurvePublicKey)
        _attempt(lambda: key.key.verify(signature, data, ec.ECDSA(how)))
    elif algorithm == "dsa":
        _fits(key, algorithm, dsa.DSAPublicKey)
        _attempt(lambda: key.key.verify(signature, data, how))
    else:
        raise UnsupportedAlgorithmError(f"signatures with {algorithm!r} cannot be verified here")


def _usable(key: PublicKey) -> None:
    if key.key is None:
        raise UnsupportedAlgorithmError(f"a key of kind {key.facts.algorithm!r} like this one cannot be used here")


def _fits(key: PublicKey, algorithm: str, kind: type) -> None:
    _usable(key)
    if not isinstance(key.key, kind):
        raise InvalidSignatureError(f"a {key.facts.algorithm} key cannot make {algorithm} signatures")


def _attempt(verify: Any) -> None:  # noqa: ANN401 - a callable without arguments
    try:
        verify()
    except InvalidSignature as error:
        raise InvalidSignatureError("the signature does not verify") from error
    except UnsupportedAlgorithm as error:
        raise UnsupportedAlgorithmError(f"the library cannot verify this: {error}") from error
    except _BAD_INPUT as error:
        raise InvalidSignatureError(f"the signature cannot be of this key: {error}") from error


def hash_object(name: str) -> hashes.HashAlgorithm:
    """Return the library's object for a hash of the algorithm table.

    Raises:
        UnsupportedAlgorithmError: it has none that signatures use.
    """
    if name not in _HASHES:
        raise UnsupportedAlgorithmError(f"signatures over {name or 'no hash'!r} cannot be verified here")
    return _HASHES[name]


def _padding(algorithm: str, hash_name: str, salt_length: int | None, mgf_hash: str) -> Any:  # noqa: ANN401
    if algorithm != "rsa-pss":
        return padding.PKCS1v15()
    salt = padding.PSS.AUTO if salt_length is None else salt_length
    return padding.PSS(padding.MGF1(hash_object(mgf_hash or hash_name)), salt)


def ecdsa_der(raw: bytes, *, little_endian: bool = False) -> bytes:
    """Return the DER form (RFC 3279 2.2.3) of an ECDSA signature r || s of two equal halves.

    ESP-IDF and Nordic write each number little-endian.

    Raises:
        FormatError: the length is odd or zero.
    """
    half, odd = divmod(len(raw), 2)
    if odd or not half:
        raise FormatError(f"r || s has two equal halves, here are {len(raw)} bytes", field="ECDSA signature")
    order = "little" if little_endian else "big"
    return encode_dss_signature(int.from_bytes(raw[:half], order), int.from_bytes(raw[half:], order))  # type: ignore[arg-type]


def ecdsa_signature(r: int, s: int) -> bytes:
    """Return the DER form (RFC 3279 2.2.3) of an ECDSA signature of two numbers."""
    return bytes(encode_dss_signature(r, s))


def ecdsa_raw(der: bytes, size: int) -> bytes:
    """Return r || s, each of `size` bytes, of a DER signature.

    Raises:
        FormatError: it is not two non-negative integers that fit.
    """
    numbers = _asn1.integer_strings(der)
    if len(numbers) != 2 or any(n < 0 or n.bit_length() > size * 8 for n in numbers):  # noqa: PLR2004 - r and s
        raise FormatError(f"not two numbers of at most {size} bytes", field="ECDSA signature")
    return b"".join(number.to_bytes(size, "big") for number in numbers)


def verify_mac(key_bytes: bytes, algorithm: str, message: bytes, tag: bytes, *, nonce: bytes = b"") -> None:
    """Verify a message authentication code; a shorter tag is compared with the left part of the full one.

    KMAC256 is without a customisation string, and its tag is computed for the very length that is given.

    `algorithm` is an id of the table: `hmac-sha-256`, `hmac-sha3-256`, `aes-cmac`, `aes-gmac` … (GMAC takes `nonce`).

    Raises:
        InvalidSignatureError: the tag is wrong, shorter than 4 bytes or longer than the full one.
        UnsupportedAlgorithmError: nothing here computes it, or the key's size does not fit.
    """
    size = min(max(len(tag), macs.MIN_TAG), macs.KMAC_SIZE)
    if not macs.same_tag(macs.tag_over(key_bytes, algorithm, (message,), nonce=nonce, size=size), tag):
        raise InvalidSignatureError(f"the {algorithm} tag does not verify")


def compute_mac(key_bytes: bytes, algorithm: str, message: bytes, *, nonce: bytes = b"") -> bytes:
    """Return the full tag.

    Raises:
        UnsupportedAlgorithmError: nothing here computes it, or the key's size does not fit.
    """
    return macs.tag_over(key_bytes, algorithm, (message,), nonce=nonce)
