"""OpenSSL 3.5 on what the sample generator made: the signatures, the certificate path, and the way to the image."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from asn1crypto import cms, pem

from checker.crypto import _cms_structures as asn
from checker.crypto._cms_envelope import EnvelopedMessage
from checker.crypto.keyring import KeyRing, read_decryption_key
from samples.build import golden
from tests.crypto.openssl35 import ask, received

SAMPLE = golden.SAMPLES / "quantum"
MESSAGES = sorted((SAMPLE / "artifacts").glob("*.p7m"))


def certificate(path: Path) -> bytes:
    return bytes(pem.unarmor(path.read_bytes())[2])


def signed(path: Path) -> Any:
    return cms.ContentInfo.load(path.read_bytes())["content"]


def verified(spki: bytes, attributes: bytes, signature: bytes) -> bool:
    return bool(ask("verify", key=spki, message=attributes, signature=signature))


@pytest.mark.parametrize("path", MESSAGES, ids=lambda path: path.stem)
def test_openssl_verifies_the_signature_and_its_path_and_refuses_changed_ones(path: Path) -> None:
    data = signed(path.with_suffix(".p7s"))
    certificates = {item.chosen.serial_number: item.chosen for item in data["certificates"]}
    (info,) = data["signer_infos"]
    signer = certificates[info["sid"].chosen["serial_number"].native]
    spki, attributes = signer["tbs_certificate"]["subject_public_key_info"].dump(), info["signed_attrs"].untag().dump()
    assert hashlib.sha3_512(path.read_bytes()).digest() in attributes
    signature = info["signature"].native
    assert verified(spki, attributes, signature)
    assert not verified(spki, attributes[:-1] + bytes([attributes[-1] ^ 1]), signature)
    assert not verified(spki, attributes, signature[:99] + bytes([signature[99] ^ 1]) + signature[100:])
    issuing, root = (certificate(SAMPLE / "trust" / f"{name}.crt.pem") for name in ("issuing", "root"))
    assert ask("issued", subject=signer.dump(), issuer=issuing)
    assert ask("issued", subject=issuing, issuer=root)
    assert ask("issued", subject=root, issuer=root)
    assert not ask("issued", subject=signer.dump(), issuer=root)


@dataclass(frozen=True)
class Recipient:
    """One KEMRecipientInfo, as it stands in the message."""

    ciphertext: bytes
    info: bytes
    wrapped: bytes


def recipients(path: Path) -> Iterator[Recipient]:
    _, content = asn.content_info(path.read_bytes(), frozenset({asn.AUTH_ENVELOPED}), "CMS")
    for item in content["recipients"]:
        kem = item.chosen["value"].parse(asn.KemRecipient)
        info = asn.KemOtherInfo({"wrap": kem["wrap"], "kek_length": int(kem["kek_length"].native)}).dump()
        yield Recipient(kem["ciphertext"].native, info, kem["key"].native)


@pytest.mark.parametrize("path", MESSAGES, ids=lambda path: path.stem)
def test_openssl_decapsulates_unwraps_and_opens_to_the_bytes_that_otaudit_sees(path: Path) -> None:
    year = {"3.1.0": 2025, "3.2.0": 2026}[path.stem.split("-")[1]]
    mine, other = (
        SAMPLE / "lab" / f"device-{device}-{year}.pem" for device in (path.stem[-1], "AB"["BA".index(path.stem[-1])])
    )
    (recipient,) = recipients(path)
    secret = received(ask("decapsulate", pem=mine.read_text(), ciphertext=recipient.ciphertext))
    key = received(ask("unwrap", secret=secret, info=recipient.info, wrapped=recipient.wrapped))
    message = EnvelopedMessage.parse(path.read_bytes())
    found = message.open(KeyRing.of(decryption=[read_decryption_key(mine.read_bytes(), "device")]))
    opened = received(ask("open", key=key, nonce=message.nonce, sealed=message.ciphertext, tag=message.mac))
    assert hashlib.sha256(opened).digest() == hashlib.sha256(found.content).digest()
    assert hashlib.sha256(key).hexdigest() == found.encryption.content_key_digest
    wrong = received(ask("decapsulate", pem=other.read_text(), ciphertext=recipient.ciphertext))
    with pytest.raises(ValueError, match="OpenSSL refuses"):
        ask("unwrap", secret=wrong, info=recipient.info, wrapped=recipient.wrapped)
