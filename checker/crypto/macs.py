"""Tags under secret keys over content of any size, and secret keys that everybody has.

HMAC is FIPS 198-1, KMAC256 SP 800-185, CMAC SP 800-38B, GMAC and GCM SP 800-38D, CCM SP 800-38C.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Iterable, Mapping
from functools import partial
from typing import Any, Final

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import cmac
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.ciphers.aead import AESCCM

from checker.crypto import keccak
from checker.errors import UnsupportedAlgorithmError
from checker.io.limits import MAX_HEADER

MIN_TAG: Final = 4  # bytes: SP 800-38B, SP 800-38D and SP 800-107 know no shorter tag
_BLOCK: Final = 16  # bytes of an AES block, and of the longest tag
KMAC_SIZE: Final = 64  # bytes of tag where none is named; KMAC binds the length, so that shorter tags differ
_HASHES: Final[Mapping[str, str]] = {  # id of the table → hashlib's name
    "hmac-md5": "md5",
    "hmac-sha-1": "sha1",
    "hmac-sha-224": "sha224",
    "hmac-sha-256": "sha256",
    "hmac-sha-384": "sha384",
    "hmac-sha-512": "sha512",
    "hmac-sha3-224": "sha3_224",
    "hmac-sha3-256": "sha3_256",
    "hmac-sha3-384": "sha3_384",
    "hmac-sha3-512": "sha3_512",
}
_PUBLISHED: Final = {
    "603deb1015ca71be2b73aef0857d77811f352c073b6108d72d9810a30914dff4": "the example of SP 800-38A and SP 800-38B",
    "feffe9928665731c6d6a8f9467308308feffe9928665731c6d6a8f9467308308": "the example of the GCM specification",
}
_BAD_INPUT: Final = (ValueError, TypeError, OverflowError, UnsupportedAlgorithm)


def tag_over(
    key: bytes, algorithm: str, chunks: Iterable[bytes], *, nonce: bytes = b"", size: int = KMAC_SIZE
) -> bytes:
    """Return the full tag over content that comes in pieces.

    Args:
        key: the secret.
        algorithm: `hmac-sha3-256` and the like; `kmac256`, without a customisation string; `aes-256-cmac`,
            `aes-256-gmac`, or `aes-256-gcm` and `aes-256-ccm` for the tag that encrypting the content would give. 128
            and 192 alike, and no number stands for the key's own.
        chunks: the content.
        nonce: of GMAC, GCM and CCM.
        size: bytes of a tag of KMAC or CCM, which bind it.

    Raises:
        UnsupportedAlgorithmError: nothing here computes it, key or nonce do not fit, or the content is too large for
            KMAC, which takes `keccak.MAX_MESSAGE` bytes, or for CCM, which takes `MAX_HEADER`.
    """
    mode = algorithm.removeprefix(f"aes-{len(key) * 8}-").removeprefix("aes-")
    try:
        if algorithm in _HASHES:
            return _hmac(key, _HASHES[algorithm], chunks)
        if algorithm == "kmac256":
            return keccak.kmac256(key, _gathered(chunks, keccak.MAX_MESSAGE), b"", size)
        if mode == "cmac":
            return _cmac(key, chunks)
        if mode in {"gmac", "gcm"}:
            return _gcm(key, nonce, chunks, sealed=mode == "gcm")
        if mode == "ccm":
            return _ccm(key, nonce, chunks, min(size, _BLOCK))
    except _BAD_INPUT as error:
        text = f"{algorithm} cannot use a key of {len(key)} bytes, or a nonce of {len(nonce)}, like this"
        raise UnsupportedAlgorithmError(text) from error
    raise UnsupportedAlgorithmError(f"{algorithm!r} with a key of {len(key)} bytes is not computed here")


def _hmac(key: bytes, name: str, chunks: Iterable[bytes]) -> bytes:
    running = hmac.new(key, digestmod=partial(hashlib.new, name, usedforsecurity=False))
    for chunk in chunks:
        running.update(chunk)
    return running.digest()


def _gathered(chunks: Iterable[bytes], limit: int) -> bytes:
    """Return content as a whole, and no more than one piece beyond a limit where it is longer."""
    held = bytearray()
    for chunk in chunks:
        held += chunk
        if len(held) > limit:
            break
    return bytes(held)


def _ccm(key: bytes, nonce: bytes, chunks: Iterable[bytes], size: int) -> bytes:
    content = _gathered(chunks, MAX_HEADER)
    if len(content) > MAX_HEADER:
        raise UnsupportedAlgorithmError(f"AES-CCM is computed over at most {MAX_HEADER} bytes")
    return AESCCM(key, tag_length=size).encrypt(nonce, content, None)[-size:]


def _cmac(key: bytes, chunks: Iterable[bytes]) -> bytes:
    running = cmac.CMAC(algorithms.AES(key))
    for chunk in chunks:
        running.update(chunk)
    return running.finalize()


def _gcm(key: bytes, nonce: bytes, chunks: Iterable[bytes], *, sealed: bool) -> bytes:
    running: Any = Cipher(algorithms.AES(key), modes.GCM(nonce)).encryptor()
    for chunk in chunks:
        if sealed:
            running.update(chunk)
        else:
            running.authenticate_additional_data(chunk)
    running.finalize()
    return bytes(running.tag)


def same_tag(full: bytes, tag: bytes) -> bool:
    """Return whether a tag is the left part of the full one, and no shorter than `MIN_TAG`."""
    return MIN_TAG <= len(tag) <= len(full) and hmac.compare_digest(full[: len(tag)], tag)


def known_to_all(key: bytes) -> str:
    """Return where everybody can read a secret key, or nothing: a constant, a counter, or a standard's example."""
    if len(set(key)) == 1:
        return "one byte again and again"
    if key == bytes(range(key[0], key[0] + len(key)) if key[0] + len(key) <= 256 else ()):  # noqa: PLR2004 - bytes
        return "a counter"
    return _PUBLISHED.get(key.hex(), "")
