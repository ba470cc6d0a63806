"""Tags under AES keys over content of any size, and secret keys that everybody has (SP 800-38B, SP 800-38D)."""

from __future__ import annotations

import hmac
from collections.abc import Iterable
from typing import Any, Final

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import cmac
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

from checker.errors import UnsupportedAlgorithmError

MIN_TAG: Final = 4  # bytes: SP 800-38B and SP 800-38D know no shorter tag
_PUBLISHED: Final = {
    "603deb1015ca71be2b73aef0857d77811f352c073b6108d72d9810a30914dff4": "the example of SP 800-38A and SP 800-38B",
    "feffe9928665731c6d6a8f9467308308feffe9928665731c6d6a8f9467308308": "the example of the GCM specification",
}
_BAD_INPUT: Final = (ValueError, TypeError, OverflowError, UnsupportedAlgorithm)


def tag_over(key: bytes, algorithm: str, chunks: Iterable[bytes], *, nonce: bytes = b"") -> bytes:
    """Return the full tag over content that comes in pieces.

    Args:
        key: the AES key.
        algorithm: `aes-256-cmac`, `aes-256-gmac`, or `aes-256-gcm` for the tag that encrypting the content would give;
            128 and 192 alike.
        chunks: the content.
        nonce: of GMAC and GCM.

    Raises:
        UnsupportedAlgorithmError: nothing here computes it, or key or nonce do not fit.
    """
    mode = algorithm.removeprefix(f"aes-{len(key) * 8}-")
    try:
        if mode == "cmac":
            return _cmac(key, chunks)
        if mode in {"gmac", "gcm"}:
            return _gcm(key, nonce, chunks, sealed=mode == "gcm")
    except _BAD_INPUT as error:
        raise UnsupportedAlgorithmError(f"{algorithm} cannot use a nonce of {len(nonce)} bytes like this") from error
    raise UnsupportedAlgorithmError(f"{algorithm!r} with a key of {len(key)} bytes is not computed here")


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
