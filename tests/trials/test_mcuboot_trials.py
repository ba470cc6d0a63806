"""MCUboot images taken apart and signed again: imgtool judges them under the genuine and under the new key."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives import serialization

from checker.crypto.staging import Signer, Staging, like, read_signer
from checker.errors import UnsupportedAlgorithmError
from checker.formats.contract import Context
from checker.io.sources import BytesSource
from checker.model.artifact import KeyFacts
from checker.model.terms import Outcome as Verdict
from checker.trials.contract import ARTIFACT, Change, Content, Offer, Outcome
from tests.formats.conftest import IMGTOOL, run
from tests.trials import trial_kit
from tests.trials.trial_kit import Case, of_sample

KINDS = ("rsa-2048", "rsa-3072", "ecdsa-p256", "ecdsa-p384", "ed25519")


def pem(signer: Signer) -> bytes:
    key: Any = signer.private_key
    encoding, form = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8
    return bytes(key.private_bytes(encoding, form, serialization.NoEncryption()))


def verifies(folder: Path, data: bytes, key: Path) -> bool:
    (folder / "image.bin").write_bytes(data)
    return bool(run(IMGTOOL, "verify", "-k", key, folder / "image.bin", check=False).returncode == 0)


def case_of(kit: Any, path: Path, public: Path, staging: Staging | None = None) -> Case:
    files = {ARTIFACT: BytesSource("image.bin", path.read_bytes())}
    context = Context(keys=kit.ring(keys=[public]), as_of=kit.as_of)
    return Case("image", files, context, "mcuboot", staging or Staging())


@pytest.mark.parametrize("kind", KINDS)
def test_imgtool_takes_the_genuine_image_and_refuses_every_offer(
    kit: Any, keys: Path, imgtool: Any, tmp_path: Path, kind: str
) -> None:
    path = imgtool("-k", keys / f"{kind}.pem", "-s", "12")
    case = case_of(kit, path, keys / f"{kind}.pub.pem")
    assert verifies(tmp_path, path.read_bytes(), keys / f"{kind}.pem")
    groups = ("payload", "metadata", "signature", "foreign-key")
    offers = [offer for _, offer in trial_kit.offers_of(case, *groups) if not offer.needs]
    assert len(offers) > 12
    for offer in offers:
        assert not case.believed(offer), offer.variant
        # imgtool has no opinion about an image without a signature it knows: it says so, and exits with 0.
        unsigned = offer.test == "T05" or "unknown type" in offer.variant
        assert unsigned or not verifies(tmp_path, case.written(offer)[ARTIFACT], keys / f"{kind}.pem"), offer.variant


@pytest.mark.parametrize("kind", KINDS)
def test_imgtool_takes_an_image_signed_again_under_the_new_key_only(
    kit: Any, keys: Path, imgtool: Any, tmp_path: Path, kind: str
) -> None:
    path = imgtool("-k", keys / f"{kind}.pem", "-s", "12")
    case = case_of(kit, path, keys / f"{kind}.pub.pem")
    offer, stranger = trial_kit.by_a_stranger(case)
    (tmp_path / "new.pem").write_bytes(pem(stranger))
    assert verifies(tmp_path, case.written(offer)[ARTIFACT], tmp_path / "new.pem")
    assert not verifies(tmp_path, case.written(offer)[ARTIFACT], keys / f"{kind}.pem")
    assert case.believed(offer, trial_kit.trusting(case.context, stranger))
    assert case.opened(offer).signatures[0].outcome is Verdict.KEY_UNKNOWN


@pytest.mark.parametrize("name", ["good/signed.bin", "good/rsa.bin", "good/ed25519-pure.bin", "good/encrypted.bin"])
def test_samples_signed_again_are_believed_under_the_new_key(name: str) -> None:
    case = of_sample("mcuboot", name)
    offer, stranger = trial_kit.by_a_stranger(case)
    assert case.believed(offer, trial_kit.trusting(case.context, stranger))


def test_a_changed_image_gets_a_new_hash_and_an_encrypted_one_says_why_not(kit: Any, keys: Path, imgtool: Any) -> None:
    path = imgtool("-k", keys / "ecdsa-p256.pem", "-s", "12")
    signer = read_signer((keys / "stranger.pem").read_bytes())
    case = case_of(kit, path, keys / "ecdsa-p256.pub.pem")
    body, size = case.body, len(path.read_bytes())
    assert body.resigned is not None
    change = Change(changed={ARTIFACT: Content.patched(size, body.payload[0].span.start, b"other code")})
    again = Offer(test="T26", variant="x", changed=body.resigned(signer, change).changed)
    assert case.believed(again, trial_kit.trusting(case.context, signer))
    sealed = of_sample("mcuboot", "good/encrypted.bin").body
    assert sealed.resigned is not None
    with pytest.raises(UnsupportedAlgorithmError, match="needs the decryption key"):
        sealed.resigned(signer, change)


def test_a_key_that_the_bootloader_does_not_know_is_told() -> None:
    body = of_sample("mcuboot", "good/signed.bin").body
    assert body.signed_by is not None
    for kind in ("ed448", "ml-dsa-65", "ec-p521"):
        with pytest.raises(UnsupportedAlgorithmError, match="MCUboot knows no"):
            body.signed_by(like(KeyFacts(algorithm=kind)))


def test_bytes_behind_an_ecdsa_signature_are_no_padding_unless_they_are_zeros() -> None:
    """Found by T06: 64 random bytes behind the DER signature were taken for padding, and the signature for valid."""
    case = of_sample("mcuboot", "good/signed.bin")
    body, (part,) = case.body, case.body.signatures
    assert body.with_value is not None
    value = case.files[ARTIFACT].read(part.span.start, part.span.size)
    for more, good in ((b"\0\0", True), (b"\0\1", False), (b"\1", False)):
        offer = Offer(test="T06", variant="x", changed=body.with_value(part, value + more).changed)
        assert case.believed(offer) is good, more


def test_malformed_images_are_refused_with_and_without_a_signature(kit: Any, keys: Path, imgtool: Any) -> None:
    path = imgtool("-k", keys / "ed25519.pem", "-s", "12")
    staging = Staging(signer=read_signer((keys / "ed25519.pem").read_bytes()))
    case = case_of(kit, path, keys / "ed25519.pub.pem", staging)
    offers = [*case.offers("malformed"), *case.offers("oversized")]
    assert len(offers) >= 6
    for offer in offers:
        if "behind the end" in offer.variant:
            assert "trailing-data" in {item.code for item in case.opened(offer).weaknesses}
        else:
            assert case.believed(offer) is (offer.expected is Outcome.ACCEPTED), offer.variant
