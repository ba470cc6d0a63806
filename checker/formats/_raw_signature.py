"""Raw signatures: bytes that name neither algorithm, nor hash, nor key. What fits is found by trying.

Ruling on the outcome: VALID where a declared key fits under some scheme. INVALID where at least one declared key could
have made a signature of this kind and size, and none fits under any scheme. KEY_UNKNOWN where no declared key could
have made it, so that nothing was tried.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from types import MappingProxyType
from typing import Final

from checker.crypto.keys import PublicKey
from checker.crypto.signatures import (
    Candidate,
    Prehash,
    candidates,
    ecdsa_der,
    fits,
    needs_message,
    prehash,
    with_one_time,
)
from checker.errors import CryptoError, FormatError
from checker.formats import _common as common
from checker.io.limits import MAX_HEADER
from checker.model.artifact import KeyFacts, Signature
from checker.model.terms import Outcome

Schemes = Callable[[PublicKey], Iterable[Candidate]]
_ED25519_SIZE: Final = 64
_MAX_TEXT: Final = 256 * 1024  # bytes: the longest signature, XMSS^MT of 12 layers with SHA-512, has 104,520 of them
_SEQUENCE: Final = 0x30
_PEM: Final = re.compile(rb"-----BEGIN (PKCS7|CMS)-----([A-Za-z0-9+/=\s]*)-----END (?:PKCS7|CMS)-----")
_PGP_ARMOR: Final = b"-----BEGIN PGP SIGNATURE-----"
_PGP_SIGNATURE_TAG: Final = 2  # RFC 9580 section 5
# Version, type (over a document), public-key algorithm and hash of signatures over files (RFC 9580 9.1, 9.5).
_PGP_HEAD: Final = (frozenset({4, 6}), frozenset({0, 1}), frozenset({1, 3, 17, 19, 22, 27, 28}), frozenset(range(15)))


def rsa_schemes(key: PublicKey) -> Iterator[Candidate]:
    """Yield what SWUpdate accepts of a raw signature: RSA v1.5 or PSS, with SHA-256."""
    if key.facts.algorithm == "rsa":
        yield Candidate("rsa-pkcs1v15", "sha-256")
        yield Candidate("rsa-pss", "sha-256")


def plausible_keys(data: bytes, keys: Iterable[PublicKey]) -> tuple[PublicKey, ...]:
    """Return the keys that could have made a signature of this size and shape."""
    return tuple(key for key in keys if any(True for _ in _forms(data, key)))


def _forms(data: bytes, key: PublicKey) -> Iterator[tuple[bytes, str]]:
    """Yield the signature as the primitive wants it, and the name of the encoding."""
    algorithm, size = key.facts.algorithm, ((key.facts.bits or 0) + 7) // 8
    fixed = {"rsa": size, "ed25519": _ED25519_SIZE}.get(algorithm)
    if fixed == len(data):
        yield data, "raw"
    elif algorithm.startswith("ec"):
        if data[:1] == bytes([_SEQUENCE]) and len(data) <= 2 * size + 9:
            yield data, "DER"
        if len(data) == 2 * size:
            try:
                yield ecdsa_der(data), "raw r||s"
            except FormatError:
                return
    elif fits(key, len(data)):
        yield data, "raw"


def prehashes(data: bytes, keys: Iterable[PublicKey], schemes: Schemes = candidates) -> tuple[Prehash, ...]:
    """Return the digests, most with a prefix, that signatures over the message itself are verified by, each once."""
    pairs = ((key, scheme) for key in keys if fits(key, len(data)) for scheme in schemes(key))
    found = (_prehash(key, scheme, data) for key, scheme in pairs if needs_message(scheme.algorithm))
    return tuple(dict.fromkeys(item for item in found if item is not None))


def _prehash(key: PublicKey, scheme: Candidate, data: bytes) -> Prehash | None:
    try:
        return prehash(key, scheme.algorithm, scheme.hash, data)
    except CryptoError:
        return None


def judge(
    data: bytes,
    keys: Iterable[PublicKey],
    digests: Mapping[str, bytes],
    *,
    schemes: Schemes = candidates,
    message: bytes | None = None,
    prehashed: Mapping[Prehash, bytes] = MappingProxyType({}),
) -> Signature:
    """Return what is known of a raw signature.

    Args:
        data: the signature.
        keys: declared keys.
        digests: the content's digests by hash; schemes over other hashes are not tried.
        schemes: the schemes to try for a key.
        message: the content itself, for schemes that sign it directly; None where it is too large.
        prehashed: the answers to what `prehashes` asks for, with which such schemes need no message.
    """
    if not data.strip(b"\0"):
        return Signature(outcome=Outcome.INVALID, encoding="raw", note="the signature is empty or all zero")
    plausible = plausible_keys(data, keys)
    if not plausible:
        note = f"no declared key could have made a signature of {len(data)} bytes"
        return Signature(outcome=Outcome.KEY_UNKNOWN, encoding="raw", note=note)
    undecided = ""
    for key in plausible:
        for candidate in schemes(key):
            for form, encoding in _forms(data, key):
                outcome, note = _try(key, candidate, form, (digests, prehashed), message)
                if outcome is Outcome.VALID:
                    return with_one_time(_valid(key, candidate, encoding), key, form)
                undecided = undecided or (note if outcome is Outcome.UNDECIDABLE else "")
    names = ", ".join(key.facts.name or key.facts.id[:16] for key in plausible)
    if undecided:
        return Signature(outcome=Outcome.UNDECIDABLE, encoding="raw", note=undecided)
    facts = plausible[0].facts if len(plausible) == 1 else KeyFacts()
    note = f"fits no declared key of its kind and size under any scheme tried: {names}"
    return Signature(outcome=Outcome.INVALID, key=facts, encoding="raw", note=note)


def _valid(key: PublicKey, candidate: Candidate, encoding: str) -> Signature:
    return Signature(
        outcome=Outcome.VALID,
        algorithm=candidate.algorithm,
        hash=candidate.hash,
        key=key.facts,
        encoding=encoding,
    )


def _try(
    key: PublicKey,
    candidate: Candidate,
    form: bytes,
    answers: tuple[Mapping[str, bytes], Mapping[Prehash, bytes]],
    message: bytes | None,
) -> tuple[Outcome, str]:
    digests, prehashed = answers
    if needs_message(candidate.algorithm):
        wanted = _prehash(key, candidate, form) if prehashed else None
        if wanted is not None and wanted in prehashed:
            return common.check_prehashed(key, candidate.algorithm, candidate.hash, prehashed[wanted], form)
        if message is None:
            return Outcome.UNDECIDABLE, f"{candidate.algorithm} signs the message itself, which is too large to hold"
        return common.check_message(key, candidate.algorithm, candidate.hash, message, form)
    if candidate.hash not in digests:
        return Outcome.INVALID, ""
    return common.check_digest(key, candidate.algorithm, candidate.hash, digests[candidate.hash], form)


def looks_like_pgp(data: bytes) -> bool:
    """Return whether data is an OpenPGP signature, armoured or one packet that fills it (RFC 9580 4.2)."""
    if data.lstrip().startswith(_PGP_ARMOR):
        return True
    if len(data) < 3 or not data[0] & 0x80:  # noqa: PLR2004 - tag and length
        return False
    new = bool(data[0] & 0x40)
    tag = data[0] & 0x3F if new else data[0] >> 2 & 0x0F
    if tag != _PGP_SIGNATURE_TAG:
        return False
    return _packet_size(data, new=new) == len(data) or _is_signature_head(data, new=new)


def _is_signature_head(data: bytes, *, new: bool) -> bool:
    """Return whether a signature's body begins: several packets may follow, and the last may be cut (RFC 9580 5.2.3).

    Version, type, public-key and hash algorithm keep raw signatures apart: one in some 10^8 begins like that.
    """
    start = (2 if data[1] < 192 else 3) if new else 1 + {0: 1, 1: 2, 2: 4}.get(data[0] & 3, 0)  # noqa: PLR2004 - 4.2.1
    head = data[start : start + 4]
    return len(head) == len(_PGP_HEAD) and all(value in known for value, known in zip(head, _PGP_HEAD, strict=True))


def _packet_size(data: bytes, *, new: bool) -> int:
    if new:
        if data[1] < 192:  # noqa: PLR2004 - RFC 9580 4.2.1.1
            return 2 + data[1]
        if data[1] == 255:  # noqa: PLR2004 - 4.2.1.3
            return 6 + int.from_bytes(data[2:6], "big")
        return 3 + (data[1] - 192 << 8) + data[2] + 192 if data[1] < 224 else -1  # noqa: PLR2004 - 4.2.1.2
    size = {0: 1, 1: 2, 2: 4}.get(data[0] & 3, 0)
    return 1 + size + int.from_bytes(data[1 : 1 + size], "big") if size else -1


def from_pem(data: bytes) -> bytes | None:
    """Return the content of the first PEM block that may hold CMS (RFC 7468 sections 8 and 9), or None."""
    found = _PEM.search(data)
    return from_base64(found[2], limit=MAX_HEADER) if found else None


def from_base64(data: bytes, *, limit: int = _MAX_TEXT) -> bytes | None:
    """Return what base64 text stands for (cosign, Mender), or None where it is none."""
    if len(data) > limit or not data.isascii():
        return None
    try:
        return base64.b64decode(b"".join(data.split()), validate=True) or None
    except (binascii.Error, CryptoError, ValueError):
        return None
