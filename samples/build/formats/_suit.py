"""SUIT envelopes and COSE messages put together with cbor2 and cryptography: what the generators and tests share.

Nothing of otaudit is used here, so that a misreading in the checker is not made twice in silence.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import cbor2
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from cryptography.hazmat.primitives.keywrap import aes_key_wrap

VENDOR: Final = bytes.fromhex("fa6b4a53d5ad5fdfbe9de663e4d41ffe")
CLASS: Final = bytes.fromhex("1492af1425695e48bf429b2d51f2ab45")
ES256, EDDSA, PS256, HMAC_256, A128GCM, A128KW, ECDH_ES_A128KW, A128CTR = -7, -8, -37, 5, 1, -3, -29, -65534
SHA_256: Final = -16
REPORT: Final = 15  # SUIT_Rep_Policy: report everything
Block = Callable[[bytes], bytes]  # from the encoded SUIT_Digest to an authentication block


def digest(data: bytes, *, name: str = "sha256", number: int = SHA_256) -> list[Any]:
    """Return a SUIT_Digest."""
    return [number, hashlib.new(name, data).digest()]


def wrapped(value: Any) -> bytes:  # noqa: ANN401 - whatever CBOR can hold
    """Return a value encoded, to lie in a byte string."""
    return cbor2.dumps(value)


@dataclass
class Plan:
    """One update of one component: what a manifest says, and what lies beside it. `None` leaves a part out."""

    firmware: bytes
    uri: str = "#firmware.bin"
    sequence: int | None = 7
    identities: Mapping[int, bytes] = field(default_factory=lambda: {1: VENDOR, 2: CLASS})
    compared: Sequence[int] = (1, 2)
    image: list[Any] | None = None  # SUIT_Digest; of the firmware where it is not given
    size: int | None = -1  # -1: that of the firmware
    parameters: Mapping[int, Any] = field(default_factory=dict)
    conditions: Sequence[Any] = ()
    matched: bool = True
    entries: Mapping[int, Any] = field(default_factory=dict)  # more of the manifest
    sealed: bytes | None = None  # what is delivered in place of the firmware
    info: bytes | None = None  # COSE_Encrypt

    def install(self) -> list[Any]:
        """Return the command sequence that gets the image."""
        parameters: dict[int, Any] = {21: self.uri}
        if self.info is not None:
            parameters[19] = self.info
        return [20, parameters, 21, 2, *([3, REPORT] if self.matched else [])]

    def common(self) -> dict[int, Any]:
        """Return the common part: one component, and what is known of it."""
        image = digest(self.firmware) if self.image is None else self.image
        parameters: dict[int, Any] = dict(self.identities)
        if image:
            parameters[3] = wrapped(image)
        if self.size is not None:
            parameters[14] = len(self.firmware) if self.size < 0 else self.size
        shared: list[Any] = [20, parameters | dict(self.parameters)]
        for number in self.compared:
            shared += [number, REPORT]
        return {2: [[b"\x00"]], 4: wrapped([*shared, *self.conditions])}

    def manifest(self, **parts: Any) -> dict[int, Any]:  # noqa: ANN401 - whatever CBOR can hold
        """Return the manifest; `install` may be given as what stands there instead."""
        found: dict[int, Any] = {1: 1}
        if self.sequence is not None:
            found[2] = self.sequence
        found[3] = wrapped(self.common())
        if self.matched:
            found[7] = wrapped([3, REPORT])
        found[20] = parts.get("install", wrapped(self.install()))
        return found | dict(self.entries)

    def payloads(self) -> dict[str, bytes]:
        """Return what lies in the envelope."""
        content = self.firmware if self.sealed is None else self.sealed
        return {self.uri: content} if self.uri.startswith("#") else {}


def envelope(
    manifest: Mapping[int, Any],
    blocks: Sequence[Block],
    beside: Mapping[Any, Any] | None = None,
    *,
    tagged: bool = True,
    stated: list[Any] | None = None,
) -> bytes:
    """Return an envelope around a manifest, with the authentication blocks over its digest."""
    inner = wrapped(wrapped(dict(manifest)))
    value = wrapped(digest(inner) if stated is None else stated)
    wrapper = wrapped([value, *(block(value) for block in blocks)])
    whole = {2: wrapper, 3: wrapped(dict(manifest)), **(beside or {})}
    return wrapped(cbor2.CBORTag(107, whole) if tagged else whole)


def packed(plan: Plan, *blocks: Block, **more: Any) -> bytes:  # noqa: ANN401 - options of `envelope`
    """Return a plan's manifest and payload in an envelope."""
    return envelope(plan.manifest(), blocks, plan.payloads(), **more)


# COSE


def protected(values: Mapping[int, Any]) -> bytes:
    """Return a protected header."""
    return wrapped(dict(values)) if values else b""


def raw_signature(key: Any, data: bytes) -> bytes:  # noqa: ANN401 - one of cryptography's private keys
    """Return a signature as COSE writes it: r and s side by side, Ed25519's own, or RSA-PSS; all with SHA-256."""
    if isinstance(key, ed25519.Ed25519PrivateKey):
        return key.sign(data)
    if isinstance(key, rsa.RSAPrivateKey):
        return key.sign(data, padding.PSS(padding.MGF1(hashes.SHA256()), 32), hashes.SHA256())
    size = -(-key.curve.key_size // 8)
    found = key.sign(data, ec.ECDSA(hashes.SHA256(), deterministic_signing=True))
    return b"".join(number.to_bytes(size, "big") for number in decode_dss_signature(found))


def algorithm_of(key: Any) -> int:  # noqa: ANN401 - one of cryptography's private keys
    """Return the algorithm's number for a key."""
    return (
        EDDSA if isinstance(key, ed25519.Ed25519PrivateKey) else PS256 if isinstance(key, rsa.RSAPrivateKey) else ES256
    )


def sign1(key: Any, inside: Mapping[int, Any] | None = None, outside: Mapping[int, Any] | None = None) -> Block:  # noqa: ANN401
    """Return a COSE_Sign1 with a detached payload."""
    header = protected({1: algorithm_of(key)} if inside is None else inside)

    def make(content: bytes) -> bytes:
        signature = raw_signature(key, wrapped(["Signature1", header, b"", content]))
        return wrapped(cbor2.CBORTag(18, [header, dict(outside or {}), None, signature]))

    return make


def sign(*keys: Any) -> Block:  # noqa: ANN401 - cryptography's private keys
    """Return a COSE_Sign with a signature by each key."""

    def make(content: bytes) -> bytes:
        signers = []
        for key in keys:
            header = protected({1: algorithm_of(key)})
            data = wrapped(["Signature", b"", header, b"", content])
            signers.append([header, {}, raw_signature(key, data)])
        return wrapped(cbor2.CBORTag(98, [b"", {}, None, signers]))

    return make


def mac0(secret: bytes) -> Block:
    """Return a COSE_Mac0 by HMAC-SHA-256."""
    header = protected({1: HMAC_256})

    def make(content: bytes) -> bytes:
        tag = hmac.digest(secret, wrapped(["MAC0", header, b"", content]), "sha256")
        return wrapped(cbor2.CBORTag(17, [header, {}, None, tag]))

    return make


def mac(key: bytes, secret: bytes) -> Block:
    """Return a COSE_Mac whose key is wrapped by A128KW."""
    header = protected({1: HMAC_256})

    def make(content: bytes) -> bytes:
        tag = hmac.digest(key, wrapped(["MAC", header, b"", content]), "sha256")
        return wrapped(cbor2.CBORTag(97, [header, {}, None, tag, [by_wrap(key, secret)]]))

    return make


def by_wrap(key: bytes, secret: bytes, name: bytes = b"") -> list[Any]:
    """Return a recipient by AES key wrap."""
    return [b"", {1: A128KW, **({4: name} if name else {})}, aes_key_wrap(secret, key)]


def by_ecdh(
    key: bytes, public: ec.EllipticCurvePublicKey, ephemeral: ec.EllipticCurvePrivateKey, other: bytes | None
) -> list[Any]:
    """Return a recipient by ECDH-ES + A128KW (RFC 9053 5.2, 6.4); `other` is SuppPubInfo.other."""
    header = protected({1: ECDH_ES_A128KW})
    context = [A128KW, [None] * 3, [None] * 3, [128, header, *([] if other is None else [other])]]
    shared = ephemeral.exchange(ec.ECDH(), public)
    wrapping = HKDF(algorithm=hashes.SHA256(), length=16, salt=None, info=wrapped(context)).derive(shared)
    numbers = ephemeral.public_key().public_numbers()
    x, y = (number.to_bytes(32, "big") for number in (numbers.x, numbers.y))
    return [header, {-1: {1: 2, -1: 1, -2: x, -3: y}}, aes_key_wrap(wrapping, key)]


def encrypt(
    plain: bytes, key: bytes, iv: bytes, recipients: list[Any], algorithm: int = A128GCM
) -> tuple[bytes, bytes]:
    """Return the ciphertext, and the COSE_Encrypt that says how it was made."""
    if algorithm == A128CTR:
        running = Cipher(algorithms.AES(key), modes.CTR(iv)).encryptor()
        header, outside = b"", {1: algorithm, 5: iv}
        sealed = running.update(plain) + running.finalize()
    else:
        header, outside = protected({1: algorithm}), {5: iv}
        sealed = AESGCM(key).encrypt(iv, plain, wrapped(["Encrypt", header, b""]))
    return sealed, wrapped(cbor2.CBORTag(96, [header, outside, None, recipients]))
