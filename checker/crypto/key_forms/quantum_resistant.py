"""Bare quantum-resistant public keys: the bytes of their own standards, without a SubjectPublicKeyInfo around them.

* LMS and HSS: RFC 8554 5.3 and 6.1; XMSS and XMSS^MT: RFC 8391 4.1.7 and 4.2.2. Both write the parameter set first.
* ML-DSA: FIPS 204 table 2 gives each set a length of its own.
* Lamport and WOTS+: the forms that `checker.crypto.hash_based` describes.

XMSS and XMSS^MT number their sets alike, so that one file may be a key of both; then both are declared. A signature is
of one of them only, and nobody can make one of the other without inverting the hash. Bare SLH-DSA keys name no set and
have the length of other keys; they are read from a SubjectPublicKeyInfo only.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from checker.crypto import post_quantum
from checker.crypto.hash_based import lamport
from checker.crypto.key_forms.contract import KeyForm
from checker.crypto.keys import PublicKey, from_raw

_STRUCTURED: Final = ("hss", "lms", "xmss", "xmss-mt", "wots")
_BY_SIZE: Final = {1312: "ml-dsa-44", 1952: "ml-dsa-65", 2592: "ml-dsa-87", lamport.KEY_SIZE: "lamport"}
_LARGEST: Final = lamport.KEY_SIZE
_SEQUENCE: Final = 0x30


def _algorithms(data: bytes) -> tuple[str, ...]:
    if not 4 < len(data) <= _LARGEST:  # noqa: PLR2004 - the number of the parameter set, and something after it
        return ()
    found = tuple(name for name in _STRUCTURED if post_quantum.load(name, data) is not None)
    if found or data[0] == _SEQUENCE or data.isascii():
        return found
    return (_BY_SIZE[len(data)],) if len(data) in _BY_SIZE else ()


def _detect(data: bytes) -> bool:
    return bool(_algorithms(data))


def _read(data: bytes, name: str) -> Iterable[PublicKey]:
    return tuple(from_raw(algorithm, data, name) for algorithm in _algorithms(data))


FORM: Final = KeyForm(
    id="quantum-resistant",
    title="bare quantum-resistant public key",
    detect=_detect,
    read=_read,
    references=("RFC 8554", "RFC 8391", "SP 800-208", "FIPS 204"),
)
