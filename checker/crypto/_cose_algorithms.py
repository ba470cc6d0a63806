"""COSE's algorithm numbers as data (IANA registry "COSE Algorithms").

Source: RFC 9053 (signatures, MACs, AEADs, key wrap, ECDH), RFC 9864 (ESP256 …, Ed25519, Ed448: the curve is fixed),
RFC 8812 (RSA, secp256k1), RFC 8230 (PS256), RFC 8778 (HSS-LMS), RFC 9459 (AES-CTR and AES-CBC, which are not
authenticated), RFC 9054 (hashes), RFC 9964 (ML-DSA).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

_NIST: Final = ("ec-p256", "ec-p384", "ec-p521")


@dataclass(frozen=True)
class SignatureAlgorithm:
    """`scheme` and `hash` are ids of the algorithm table; `kinds` are the keys that may make it."""

    name: str
    scheme: str
    hash: str
    kinds: tuple[str, ...]
    salt: int | None = None  # bytes, RSA-PSS only


@dataclass(frozen=True)
class MacAlgorithm:
    """`tag` is the tag's size in bytes."""

    name: str
    scheme: str
    hash: str
    tag: int


@dataclass(frozen=True)
class ContentAlgorithm:
    """A content cipher; `tag` in bytes is 0 where there is none, `nonce` is the size in bytes that it demands."""

    name: str
    cipher: str
    mode: str
    bits: int
    tag: int
    nonce: int | None = None

    @property
    def authenticated(self) -> bool:
        """Return whether the mode itself detects changes."""
        return bool(self.tag)


@dataclass(frozen=True)
class RecipientAlgorithm:
    """How a content key travels. `wrap` is the number of the key wrap that follows a derivation, `bits` its key's size.

    `hash` is the hash of HKDF; `kind` is `wrap`, `direct`, `ecdh` or `hkdf`.
    """

    name: str
    kind: str
    transport: str
    bits: int | None = None
    hash: str = ""
    wrap: int | None = None

    @property
    def checked(self) -> bool:
        """Return whether a key wrap says that the key is the right one."""
        return self.kind == "wrap" or self.wrap is not None


SIGNATURES: Final[Mapping[int, SignatureAlgorithm]] = {
    -7: SignatureAlgorithm("ES256", "ecdsa", "sha-256", _NIST),
    -8: SignatureAlgorithm("EdDSA", "ed25519", "sha-512", ("ed25519", "ed448")),
    -9: SignatureAlgorithm("ESP256", "ecdsa", "sha-256", ("ec-p256",)),
    -19: SignatureAlgorithm("Ed25519", "ed25519", "sha-512", ("ed25519",)),
    -35: SignatureAlgorithm("ES384", "ecdsa", "sha-384", _NIST),
    -36: SignatureAlgorithm("ES512", "ecdsa", "sha-512", _NIST),
    -37: SignatureAlgorithm("PS256", "rsa-pss", "sha-256", ("rsa",), 32),
    -38: SignatureAlgorithm("PS384", "rsa-pss", "sha-384", ("rsa",), 48),
    -39: SignatureAlgorithm("PS512", "rsa-pss", "sha-512", ("rsa",), 64),
    -46: SignatureAlgorithm("HSS-LMS", "hss", "", ("hss", "lms")),
    -47: SignatureAlgorithm("ES256K", "ecdsa", "sha-256", ("ec-secp256k1",)),
    -48: SignatureAlgorithm("ML-DSA-44", "ml-dsa-44", "", ("ml-dsa-44",)),
    -49: SignatureAlgorithm("ML-DSA-65", "ml-dsa-65", "", ("ml-dsa-65",)),
    -50: SignatureAlgorithm("ML-DSA-87", "ml-dsa-87", "", ("ml-dsa-87",)),
    -51: SignatureAlgorithm("ESP384", "ecdsa", "sha-384", ("ec-p384",)),
    -52: SignatureAlgorithm("ESP512", "ecdsa", "sha-512", ("ec-p521",)),
    -53: SignatureAlgorithm("Ed448", "ed448", "shake256", ("ed448",)),
    -257: SignatureAlgorithm("RS256", "rsa-pkcs1v15", "sha-256", ("rsa",)),
    -258: SignatureAlgorithm("RS384", "rsa-pkcs1v15", "sha-384", ("rsa",)),
    -259: SignatureAlgorithm("RS512", "rsa-pkcs1v15", "sha-512", ("rsa",)),
    -265: SignatureAlgorithm("ESB256", "ecdsa", "sha-256", ("ec-brainpoolp256r1",)),
    -267: SignatureAlgorithm("ESB384", "ecdsa", "sha-384", ("ec-brainpoolp384r1",)),
    -268: SignatureAlgorithm("ESB512", "ecdsa", "sha-512", ("ec-brainpoolp512r1",)),
    -65535: SignatureAlgorithm("RS1", "rsa-pkcs1v15", "sha-1", ("rsa",)),
}
MACS: Final[Mapping[int, MacAlgorithm]] = {
    4: MacAlgorithm("HMAC 256/64", "hmac-sha-256", "sha-256", 8),
    5: MacAlgorithm("HMAC 256/256", "hmac-sha-256", "sha-256", 32),
    6: MacAlgorithm("HMAC 384/384", "hmac-sha-384", "sha-384", 48),
    7: MacAlgorithm("HMAC 512/512", "hmac-sha-512", "sha-512", 64),
}
UNVERIFIED: Final[Mapping[int, str]] = {  # known by name only
    14: "AES-MAC 128/64",
    15: "AES-MAC 256/64",
    25: "AES-MAC 128/128",
    26: "AES-MAC 256/128",
    -260: "WalnutDSA",
    -261: "TurboSHAKE128",
    -266: "ESB320",
}
CONTENT: Final[Mapping[int, ContentAlgorithm]] = {
    1: ContentAlgorithm("A128GCM", "aes", "gcm", 128, 16),
    2: ContentAlgorithm("A192GCM", "aes", "gcm", 192, 16),
    3: ContentAlgorithm("A256GCM", "aes", "gcm", 256, 16),
    10: ContentAlgorithm("AES-CCM-16-64-128", "aes", "ccm", 128, 8, 13),
    11: ContentAlgorithm("AES-CCM-16-64-256", "aes", "ccm", 256, 8, 13),
    12: ContentAlgorithm("AES-CCM-64-64-128", "aes", "ccm", 128, 8, 7),
    13: ContentAlgorithm("AES-CCM-64-64-256", "aes", "ccm", 256, 8, 7),
    24: ContentAlgorithm("ChaCha20/Poly1305", "chacha20", "poly1305", 256, 16, 12),
    30: ContentAlgorithm("AES-CCM-16-128-128", "aes", "ccm", 128, 16, 13),
    31: ContentAlgorithm("AES-CCM-16-128-256", "aes", "ccm", 256, 16, 13),
    32: ContentAlgorithm("AES-CCM-64-128-128", "aes", "ccm", 128, 16, 7),
    33: ContentAlgorithm("AES-CCM-64-128-256", "aes", "ccm", 256, 16, 7),
    -65529: ContentAlgorithm("A256CBC", "aes", "cbc", 256, 0, 16),
    -65530: ContentAlgorithm("A192CBC", "aes", "cbc", 192, 0, 16),
    -65531: ContentAlgorithm("A128CBC", "aes", "cbc", 128, 0, 16),
    -65532: ContentAlgorithm("A256CTR", "aes", "ctr", 256, 0, 16),
    -65533: ContentAlgorithm("A192CTR", "aes", "ctr", 192, 0, 16),
    -65534: ContentAlgorithm("A128CTR", "aes", "ctr", 128, 0, 16),
}
RECIPIENTS: Final[Mapping[int, RecipientAlgorithm]] = {
    -3: RecipientAlgorithm("A128KW", "wrap", "aes-kw", 128),
    -4: RecipientAlgorithm("A192KW", "wrap", "aes-kw", 192),
    -5: RecipientAlgorithm("A256KW", "wrap", "aes-kw", 256),
    -6: RecipientAlgorithm("direct", "direct", "pre-shared"),
    -10: RecipientAlgorithm("direct+HKDF-SHA-256", "hkdf", "pre-shared", hash="sha-256"),
    -11: RecipientAlgorithm("direct+HKDF-SHA-512", "hkdf", "pre-shared", hash="sha-512"),
    -25: RecipientAlgorithm("ECDH-ES + HKDF-256", "ecdh", "ecdh-es", hash="sha-256"),
    -26: RecipientAlgorithm("ECDH-ES + HKDF-512", "ecdh", "ecdh-es", hash="sha-512"),
    -29: RecipientAlgorithm("ECDH-ES + A128KW", "ecdh", "ecdh-es", 128, "sha-256", -3),
    -30: RecipientAlgorithm("ECDH-ES + A192KW", "ecdh", "ecdh-es", 192, "sha-256", -4),
    -31: RecipientAlgorithm("ECDH-ES + A256KW", "ecdh", "ecdh-es", 256, "sha-256", -5),
}
HASHES: Final[Mapping[int, tuple[str, int | None]]] = {  # id of the table, and the bytes that are kept
    -14: ("sha-1", None),
    -15: ("sha-256", 8),
    -16: ("sha-256", None),
    -17: ("sha-512/256", None),
    -18: ("shake128", None),
    -43: ("sha-384", None),
    -44: ("sha-512", None),
    -45: ("shake256", None),
    # draft-ietf-suit-manifest-12 and older numbered its own
    1: ("sha-224", None),
    2: ("sha-256", None),
    3: ("sha-384", None),
    4: ("sha-512", None),
    5: ("sha3-224", None),
    6: ("sha3-256", None),
    7: ("sha3-384", None),
    8: ("sha3-512", None),
}
EC2_CURVES: Final[Mapping[int, tuple[str, int]]] = {  # RFC 9053 7.1.1: curve, bytes of a coordinate
    1: ("ec-p256", 32),
    2: ("ec-p384", 48),
    3: ("ec-p521", 66),
}
OKP_CURVES: Final[Mapping[int, str]] = {4: "x25519", 5: "x448", 6: "ed25519"}
COORDINATES: Final[Mapping[str, int]] = {
    **dict(EC2_CURVES.values()),
    "ec-secp256k1": 32,
    "ec-brainpoolp256r1": 32,
    "ec-brainpoolp384r1": 48,
    "ec-brainpoolp512r1": 64,
}
