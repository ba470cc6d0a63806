"""Key shares of TLS 1.3 groups: curves, pure ML-KEM and the hybrids of RFC 10024; ML-KEM-512 is our own code."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Final

from cryptography.hazmat.primitives.asymmetric import ec, x448, x25519
from cryptography.hazmat.primitives.asymmetric.mlkem import MLKEM768PrivateKey, MLKEM1024PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from checker.errors import FormatError

_SEED: Final = 64  # bytes of an ML-KEM seed (FIPS 203 algorithm 16)


@dataclass(frozen=True)
class Part:
    """One elementary exchange: our public value, how many bytes the server answers, and how the two become a secret."""

    public: bytes = field(repr=False)
    size: int
    secret: Callable[[bytes], bytes] = field(repr=False)


def _montgomery(private: Any, public: Any, size: int) -> Part:  # noqa: ANN401 - X25519 and X448 share no class
    return Part(
        private.public_key().public_bytes_raw(), size, lambda share: private.exchange(public.from_public_bytes(share))
    )


def _x25519() -> Part:
    return _montgomery(x25519.X25519PrivateKey.generate(), x25519.X25519PublicKey, 32)


def _x448() -> Part:
    return _montgomery(x448.X448PrivateKey.generate(), x448.X448PublicKey, 56)


def _curve(curve: ec.EllipticCurve) -> Callable[[], Part]:
    size = 1 + 2 * ((curve.key_size + 7) // 8)

    def make() -> Part:
        private = ec.generate_private_key(curve)
        public = private.public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
        return Part(
            public,
            size,
            lambda share: private.exchange(ec.ECDH(), ec.EllipticCurvePublicKey.from_encoded_point(curve, share)),
        )

    return make


def _ml_kem(private: MLKEM768PrivateKey | MLKEM1024PrivateKey, size: int) -> Part:
    return Part(private.public_key().public_bytes_raw(), size, private.decapsulate)


_P256, _P384, _P521 = _curve(ec.SECP256R1()), _curve(ec.SECP384R1()), _curve(ec.SECP521R1())


def _768() -> Part:
    return _ml_kem(MLKEM768PrivateKey.generate(), 1088)


def _1024() -> Part:
    return _ml_kem(MLKEM1024PrivateKey.generate(), 1568)


# Parts in the order of the share and of the secret: X25519MLKEM768 has ML-KEM first, the others the curve (RFC 10024).
_GROUPS: Final[Mapping[int, tuple[Callable[[], Part], ...]]] = MappingProxyType(
    {
        0x001D: (_x25519,),
        0x001E: (_x448,),
        0x0017: (_P256,),
        0x0018: (_P384,),
        0x0019: (_P521,),
        0x0201: (_768,),
        0x0202: (_1024,),
        0x11EC: (_768, _x25519),
        0x11EB: (_P256, _768),
        0x11ED: (_P384, _1024),
    }
)
_ML_KEM_512: Final = 0x0200
SUPPORTED: Final = frozenset({*_GROUPS, _ML_KEM_512})


class Share:
    """One side's ephemeral keys for one group; made anew for each handshake, and never shown."""

    def __init__(self, group: int, random: Callable[[int], bytes]) -> None:
        self.group = group
        self._parts = (_small(random),) if group == _ML_KEM_512 else tuple(make() for make in _GROUPS[group])

    @property
    def public(self) -> bytes:
        """Return the key_exchange value of our key share."""
        return b"".join(part.public for part in self._parts)

    def secret(self, answer: bytes) -> bytes:
        """Return the shared secret of the server's share.

        Raises:
            FormatError: the share has the wrong size, or is no point or ciphertext of the group.
        """
        if len(answer) != sum(part.size for part in self._parts):
            raise FormatError(f"a key share of {len(answer)} bytes does not fit the group", field="key_share")
        found, at = b"", 0
        for part in self._parts:
            try:
                found += part.secret(answer[at : at + part.size])
            except ValueError:
                raise FormatError("the key share is no value of the group", field="key_share") from None
            at += part.size
        return found


def _small(random: Callable[[int], bytes]) -> Part:
    from checker.crypto.kem import ml_kem  # no server is known that offers this group alone

    private = ml_kem.expand("ml-kem-512", random(_SEED))
    return Part(
        ml_kem.public_key("ml-kem-512", private), 768, lambda share: ml_kem.decapsulate("ml-kem-512", private, share)
    )
