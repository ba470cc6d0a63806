"""ESP-IDF images taken apart and signed again: espsecure is the judge of signatures, otaudit's parser of sums."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from checker.crypto.staging import like
from checker.errors import OtauditError, UnsupportedAlgorithmError
from checker.model.artifact import KeyFacts
from checker.trials.contract import ARTIFACT, Offer
from tests.formats import samples
from tests.formats.test_esp_idf import espsecure
from tests.trials import trial_kit
from tests.trials.trial_kit import of_sample

__all__ = ["espsecure"]  # a fixture
KEYS = samples.FOLDER / "esp_idf" / "keys"
NAMES = {"good/signed-v2-ecdsa.bin": "signer.pub.pem", "good/signed-v2-rsa.bin": "rsa.pub.pem"}
GENUINE = Offer(test="T00", variant="genuine")


@pytest.fixture
def takes(espsecure: Any, tmp_path: Path) -> Any:
    """Ask espsecure whether it takes an image under a key."""

    def ask(data: bytes, key: Path) -> bool:
        (tmp_path / "image.bin").write_bytes(data)
        return bool(espsecure("verify-signature", "-v", "2", "-k", key, tmp_path / "image.bin", check=False))

    return ask


@pytest.mark.parametrize("name", NAMES)
def test_espsecure_takes_the_genuine_image_and_refuses_every_offer(takes: Any, name: str) -> None:
    case, key = of_sample("esp_idf", name), KEYS / NAMES[name]
    assert takes(case.written(GENUINE)[ARTIFACT], key)
    offers = [o for _, o in trial_kit.offers_of(case, "payload", "metadata", "signature", "foreign-key")]
    offers = [offer for offer in offers if not offer.needs]
    assert len(offers) > 12
    for offer in offers:
        assert not takes(case.written(offer)[ARTIFACT], key), offer.variant


@pytest.mark.parametrize("name", NAMES)
def test_espsecure_takes_an_image_signed_again_under_the_new_key(takes: Any, tmp_path: Path, name: str) -> None:
    case = of_sample("esp_idf", name)
    offer, stranger = trial_kit.by_a_stranger(case)
    (tmp_path / "new.pem").write_bytes(trial_kit.public_pem(stranger))
    assert takes(case.written(offer)[ARTIFACT], tmp_path / "new.pem")
    assert not takes(case.written(offer)[ARTIFACT], KEYS / NAMES[name])
    assert case.believed(offer, trial_kit.trusting(case.context, stranger))


@pytest.mark.parametrize("name", NAMES)
def test_checksum_and_appended_digest_are_right_in_every_offer(name: str) -> None:
    """A device that stops at one of them, which no key protects, has not looked at the signature."""
    case = of_sample("esp_idf", name)
    for _, offer in trial_kit.offers_of(case, "payload", "metadata"):
        data = case.written(offer)[ARTIFACT]
        image = case.opened(offer)
        (appended,) = [check for check in image.digests if check.name == "appended SHA-256"]
        assert appended.matches, offer.variant
        assert checksum_is_right(data), offer.variant


def checksum_is_right(data: bytes) -> bool:
    at, found = 24, 0xEF
    for _ in range(data[1]):
        length = int.from_bytes(data[at + 4 : at + 8], "little")
        for byte in data[at + 8 : at + 8 + length]:
            found ^= byte
        at += 8 + length
    return data[at + 15 - at % 16] == found


def test_a_key_that_the_chip_does_not_know_is_told() -> None:
    body = of_sample("esp_idf", "good/signed-v2-ecdsa.bin").body
    assert body.signed_by is not None
    with pytest.raises(UnsupportedAlgorithmError, match="knows no keys of ed25519"):
        body.signed_by(like(KeyFacts(algorithm="ed25519")))


def test_the_downgrade_of_a_hybrid_is_the_file_without_its_resistant_block(takes: Any) -> None:
    case = of_sample("esp_idf", "good/hybrid-ml-dsa.bin")
    (offer,) = [offer for offer in case.offers("downgrade") if offer.test == "T12" and offer.changed]
    whole, left = case.written(GENUINE)[ARTIFACT], case.written(offer)[ARTIFACT]
    assert left == whole[:-8192]
    assert takes(left, KEYS / "signer.pub.pem")  # who asks for the classical signature only takes it
    assert [item.algorithm for item in case.opened(offer).signatures] == ["ecdsa"]


def test_nothing_that_is_offered_to_a_hybrids_verifier_has_both_signatures_valid() -> None:
    case = of_sample("esp_idf", "good/hybrid-ml-dsa.bin")
    assert [item.outcome.value for item in case.artifact.signatures] == ["valid", "valid"]
    offers = [o for _, o in trial_kit.offers_of(case, "payload", "metadata", "signature", "foreign-key")]
    offers = [offer for offer in offers if not offer.needs]
    assert len(offers) > 12
    for offer in offers:
        try:
            found = [item.outcome.value for item in case.opened(offer).signatures]
        except OtauditError:
            continue
        assert found != ["valid", "valid"], offer.variant
