"""Content keys of MCUboot's ENC TLVs, and the symmetric keys that a user declared.

Source: mcu-tools/mcuboot docs/encrypted_images.md: RSA-OAEP with SHA-256; AES-KW; ECIES over P-256 or X25519 as
ephemeral public key | HMAC tag | encrypted key.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Final

from checker.crypto.ciphers import ecies_p256, ecies_x25519, unwrap_aes_kw, unwrap_rsa_oaep
from checker.crypto.keyring import DecryptionKey, KeyRing
from checker.errors import CryptoError
from checker.formats import _mcuboot_layout as mcu
from checker.io.digests import digest
from checker.model.artifact import KeyFacts, Recipient

_P256_POINT: Final = 65  # bytes, uncompressed
_X25519_KEY: Final = 32
_KEY_ALGORITHMS: Final = {
    mcu.ENC_RSA: ("rsa", "rsa"),
    mcu.ENC_KW: ("secret", "aes"),
    mcu.ENC_EC256: ("ec", "ec-p256"),
    mcu.ENC_X25519: ("x25519", "x25519"),
    mcu.ENC_X25519_SHA512: ("x25519", "x25519"),
}


@dataclass(frozen=True)
class Secret:
    """A symmetric key and the IV that stood beside it, if any."""

    name: str
    key: bytes = field(repr=False)
    iv: bytes | None = field(repr=False)


def symmetric_keys(ring: KeyRing) -> Iterator[Secret]:
    """Yield the declared symmetric keys."""
    for secret in ring.secrets:
        yield Secret(secret.name, secret.secret, secret.iv or None)


@dataclass(frozen=True)
class _Parts:
    """The three parts of an ENC TLV; RSA and AES-KW have only the last."""

    ephemeral: bytes
    tag: bytes = field(repr=False)
    wrapped: bytes = field(repr=False)


def _split(kind: int, data: bytes) -> _Parts:
    point = {mcu.ENC_EC256: _P256_POINT, mcu.ENC_X25519: _X25519_KEY, mcu.ENC_X25519_SHA512: _X25519_KEY}.get(kind, 0)
    tag = point and (64 if kind == mcu.ENC_X25519_SHA512 else 32)
    return _Parts(data[:point], data[point : point + tag], data[point + tag :])


def unwrap_mcuboot(kind: int, data: bytes, key_bits: int | None, ring: KeyRing) -> tuple[bytes | None, Recipient]:
    """Return the content key of an ENC TLV, where a declared key opens it, and the facts of the wrapping.

    Args:
        kind: the TLV's type.
        data: its value.
        key_bits: the AES key size that the header's flags demand; a key of another size is refused.
        ring: declared keys.
    """
    parts = _split(kind, data)
    holder, algorithm = _KEY_ALGORITHMS[kind]
    mine = [key for key in ring.decryption if key.kind == holder]
    for key in mine:
        content = _open(kind, parts, key)
        if content is not None and key_bits in {None, len(content) * 8}:
            return content, _recipient(kind, parts, key.facts, unwrapped=True)
    return None, _recipient(kind, parts, KeyFacts(algorithm=algorithm), unwrapped=False if mine else None)


def _open(kind: int, parts: _Parts, key: DecryptionKey) -> bytes | None:
    ways: dict[int, Callable[[], bytes]] = {
        mcu.ENC_RSA: lambda: unwrap_rsa_oaep(key, parts.wrapped),
        mcu.ENC_KW: lambda: unwrap_aes_kw(key.secret, parts.wrapped),
        mcu.ENC_EC256: lambda: ecies_p256(key, parts.ephemeral, parts.tag, parts.wrapped),
        mcu.ENC_X25519: lambda: ecies_x25519(key, parts.ephemeral, parts.tag, parts.wrapped),
        mcu.ENC_X25519_SHA512: lambda: ecies_x25519(
            key, parts.ephemeral, parts.tag, parts.wrapped, hash_name="sha-512"
        ),
    }
    try:
        return ways[kind]()
    except CryptoError:
        return None


def _recipient(kind: int, parts: _Parts, key: KeyFacts, *, unwrapped: bool | None) -> Recipient:
    return Recipient(
        algorithm=mcu.ENC[kind],
        key=key,
        ephemeral=digest("sha-256", parts.ephemeral).hex() if parts.ephemeral else "",
        wrapped=digest("sha-256", parts.wrapped).hex(),
        unwrapped=unwrapped,
        wrapping_bits=_wrapping_bits(parts, key),
    )


def _wrapping_bits(parts: _Parts, key: KeyFacts) -> int | None:
    """Return the size of the key that encrypts the content key: ECIES derives one as long as the content key."""
    if parts.ephemeral:
        return len(parts.wrapped) * 8
    return key.bits if key.algorithm == "aes" else None
