"""COSE_Sign1 messages by a `Signer`, modelled on a genuine one (RFC 9052 section 4.2, RFC 9360).

The algorithm is the genuine one where the key can make it; key id and the use of `x5chain` are taken over.
"""

from __future__ import annotations

from typing import Final

from checker.crypto._cose_algorithms import SIGNATURES, SignatureAlgorithm
from checker.crypto._cose_message import ALG, KID, Headers
from checker.crypto.algorithms import algorithm as table_line
from checker.crypto.algorithms import known as in_table
from checker.crypto.signatures import Scheme
from checker.crypto.signing import sign
from checker.crypto.staging import Signer
from checker.errors import CryptoError, UnsupportedAlgorithmError
from checker.io.cbor import Item, Major, encode, encode_head
from checker.io.digests import Literal

_X5CHAIN: Final = 33
_SIGN1: Final = 18  # the tag
_USUAL: Final = {"ec-p256": -7, "ec-p384": -35, "ec-p521": -36}


def sign1(
    signer: Signer, content: bytes, genuine: Headers, *, payload: bytes | None = None, tagged: bool = True
) -> bytes:
    """Return a COSE_Sign1 over some content.

    Args:
        signer: who signs; its certificates go along where it has any.
        content: what is signed.
        genuine: the headers of the message that this one takes the place of.
        payload: what lies in the message itself; None where the content is detached.
        tagged: whether the message has the tag 18.

    Raises:
        UnsupportedAlgorithmError: COSE has no algorithm for such a key here.
    """
    number, algorithm = _algorithm(signer, genuine)
    kind = signer.public_key.facts.algorithm
    protected = encode_head(Major.MAP, 1) + encode(ALG) + encode(number)
    wanted = encode(["Signature1", protected, b"", content])
    name = kind if algorithm.name == "EdDSA" else algorithm.scheme
    scheme = Scheme(algorithm=name, hash=algorithm.hash, salt_length=algorithm.salt)
    value = sign(signer, (Literal(wanted),), scheme, fixed=True)
    parts = encode(protected) + _unprotected(signer, genuine) + encode(payload) + encode(value)
    head = encode_head(Major.TAG, _SIGN1) if tagged else b""
    return head + encode_head(Major.ARRAY, 4) + parts


def _algorithm(signer: Signer, genuine: Headers) -> tuple[int, SignatureAlgorithm]:
    kind = signer.public_key.facts.algorithm
    try:
        stated = genuine.algorithm()
    except CryptoError:
        stated = 0
    numbers = (stated, _USUAL.get(kind, 0), *SIGNATURES)
    for number in numbers:
        if number in SIGNATURES and kind in SIGNATURES[number].kinds:
            return number, SIGNATURES[number]
    raise UnsupportedAlgorithmError(f"COSE has no signature algorithm for {kind} here")


def _unprotected(signer: Signer, genuine: Headers) -> bytes:
    found = []
    key_id = genuine.data(KID, "kid") if KID in genuine.protected or KID in genuine.unprotected else None
    if key_id is not None:
        found.append(encode(KID) + encode(key_id))
    if signer.ders:
        chain = signer.ders
        found.append(encode(_X5CHAIN) + encode(chain[0] if len(chain) == 1 else list(chain)))
    return encode_head(Major.MAP, len(found)) + b"".join(found)


def certificates(headers: Headers) -> tuple[bytes, ...]:
    """Return the certificates of `x5chain` in DER, leaf first; none where it is absent."""
    found: Item | None = headers.find(_X5CHAIN)
    return () if found is None else tuple(item.data("x5chain") for item in found.children or (found,))


def resistant(headers: Headers) -> bool | None:
    """Return whether a signer's algorithm resists quantum computers; None where it is not known."""
    try:
        number = headers.algorithm()
    except CryptoError:
        return None
    scheme = SIGNATURES[number].scheme if number in SIGNATURES else ""
    return table_line(scheme).quantum_resistant if in_table(scheme) else None
