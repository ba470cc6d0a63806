"""Makes the samples of COSE messages as files, with cbor2 and cryptography (see `_suit.py`)."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import cbor2
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_private_key

from samples.build._tools import KEYS, firmware, key_bytes
from samples.build.formats import _suit as suit
from samples.build.formats._faults import flipped, fresh

SIGNER: Final = KEYS / "gateway-signer-2026.pem"
STRANGER: Final = KEYS / "gateway-signer-2025.pem"
SMALL: Final = KEYS / "camera-signing.pem"  # RSA with 1024 bits
DEVICE: Final = KEYS / "gateway-A.pem"
CONTENT: Final = firmware("cose", 1024)
CONTENT_KEY: Final = key_bytes("cose content", 16)
SECRET: Final = key_bytes("cose secret", 16)
NONCE: Final = key_bytes("cose nonce", 12)


def load(path: Path) -> Any:  # noqa: ANN401 - one of cryptography's private keys
    """Return a private key."""
    return load_pem_private_key(path.read_bytes(), None)


def attached(block: suit.Block, content: bytes = CONTENT, *, shown: bytes | None = None) -> bytes:
    """Return a signed message with its content inside; `shown` stands there in place of what was signed."""
    message = cbor2.loads(block(content))
    parts = list(message.value)
    parts[2] = content if shown is None else shown
    return cbor2.dumps(cbor2.CBORTag(message.tag, parts))


def sealed(recipients: list[Any], algorithm: int = suit.A128GCM, content: bytes = CONTENT) -> tuple[bytes, bytes]:
    """Return an encrypted message without its ciphertext, and the ciphertext."""
    iv = NONCE if algorithm == suit.A128GCM else NONCE.ljust(16, b"\0")
    ciphertext, info = suit.encrypt(content, CONTENT_KEY, iv, recipients, algorithm)
    return info, ciphertext


def joined(info: bytes, ciphertext: bytes) -> bytes:
    """Return an encrypted message with its ciphertext inside."""
    message = cbor2.loads(info)
    parts = list(message.value)
    parts[2] = ciphertext
    return cbor2.dumps(cbor2.CBORTag(message.tag, parts))


def build(folder: Path) -> None:
    """Write `good/`, `bad/` and `keys/` below `folder`."""
    fresh(folder)
    edwards = ed25519.Ed25519PrivateKey.from_private_bytes(key_bytes("cose ed25519", 32))
    for name, key in (("signer", load(SIGNER)), ("small", load(SMALL)), ("ed25519", edwards)):
        public = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
        (folder / "keys" / f"{name}.pub.pem").write_bytes(public)
    (folder / "keys" / "secret.hex").write_text(f"{SECRET.hex()}\n")
    (folder / "keys" / "device.pem").write_bytes(DEVICE.read_bytes())
    for name, data in (*_good(edwards), *_bad()):
        (folder / name).write_bytes(data)


def _good(edwards: ed25519.Ed25519PrivateKey) -> Iterator[tuple[str, bytes]]:
    signer = load(SIGNER)
    yield "good/signed.cose", attached(suit.sign1(signer))
    yield "good/two-signers.cose", attached(suit.sign(signer, edwards))
    yield "good/detached.cose", suit.sign1(signer)(CONTENT)
    yield "good/content.bin", CONTENT
    yield "good/mac.cose", attached(suit.mac0(SECRET))
    yield "good/mac-with-recipient.cose", attached(suit.mac(key_bytes("cose mac", 32), SECRET))
    info, ciphertext = sealed([suit.by_wrap(CONTENT_KEY, SECRET, b"device")])
    yield "good/encryption-info.cose", info
    yield "good/ciphertext.bin", ciphertext
    yield "good/encrypted.cose", joined(info, ciphertext)
    ephemeral = ec.derive_private_key(int.from_bytes(key_bytes("cose ephemeral", 31), "big"), ec.SECP256R1())
    recipient = suit.by_ecdh(CONTENT_KEY, load(DEVICE).public_key(), ephemeral, None)
    yield "good/encrypted-ecdh-es.cose", joined(*sealed([recipient]))


def _bad() -> Iterator[tuple[str, bytes]]:
    signer = load(SIGNER)
    good = attached(suit.sign1(signer))
    wrapped = [suit.by_wrap(CONTENT_KEY, SECRET, b"device")]
    info, ciphertext = sealed(wrapped)
    yield "bad/signature-bit-flipped.cose", flipped(good, -9)
    yield "bad/content-bit-flipped.cose", flipped(good, 500)
    yield "bad/another-content.cose", attached(suit.sign1(signer), shown=CONTENT[::-1])
    yield "bad/signed-by-a-stranger.cose", attached(suit.sign1(load(STRANGER)))
    yield "bad/weak-key.cose", attached(suit.sign1(load(SMALL)))
    yield "bad/algorithm-unprotected.cose", attached(suit.sign1(signer, {}, {1: suit.ES256}))
    yield "bad/bytes-behind.cose", good + b"more"
    yield "bad/another-secret.cose", attached(suit.mac0(key_bytes("another secret", 16)))
    yield "bad/ciphertext-bit-flipped.cose", joined(info, flipped(ciphertext, 99))
    yield (
        "bad/encrypted-to-a-stranger.cose",
        joined(*sealed([suit.by_wrap(CONTENT_KEY, key_bytes("another secret", 16))])),
    )
    yield "bad/counter-mode.cose", joined(*sealed(wrapped, suit.A128CTR))
    yield "bad/repeated-blocks.cose", joined(info, key_bytes("cose block", 16) * 70)
    yield "bad/readable-ciphertext.cose", joined(info, key_bytes("cose text", 1200).hex().encode())
    yield "bad/truncated.cose", good[:-40]
    yield "bad/three-elements.cose", cbor2.dumps(cbor2.CBORTag(18, cbor2.loads(good).value[:3]))
