"""RAUC bundles taken apart and signed again: rauc itself is the judge of messages, otaudit's own tree of payloads."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.serialization import Encoding

from checker.crypto.staging import Staging
from checker.crypto.staging_paths import rogue
from checker.trials.contract import ARTIFACT, Offer, Outcome
from tests.formats import samples
from tests.trials import trial_kit
from tests.trials.trial_kit import of_sample

ROOT = samples.FOLDER / "rauc" / "keys" / "root.pem"
GENUINE = Offer(test="T00", variant="genuine")
GROUPS = ("metadata", "signature", "foreign-key", "malformed", "oversized")


@pytest.fixture(scope="module")
def rauc(tool: Any, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Return what rauc says of a bundle where it refuses it; nothing where it takes it."""
    tool("rauc", "--version")
    folder = tmp_path_factory.mktemp("rauc")

    def says(data: bytes, anchor: Path) -> str:
        (folder / "x.raucb").write_bytes(data)
        command = ["rauc", f"--keyring={anchor}", "info", "x.raucb"]
        done = subprocess.run(command, cwd=folder, capture_output=True, timeout=60, check=False)
        return "" if done.returncode == 0 else (done.stdout + done.stderr).decode(errors="replace") + "refused"

    return says


@pytest.mark.parametrize("name", ["good/plain.raucb", "good/verity.raucb"])
def test_rauc_takes_the_genuine_bundle_and_refuses_every_offer(rauc: Any, name: str) -> None:
    case = of_sample("rauc", name)
    assert rauc(case.written(GENUINE)[ARTIFACT], ROOT) == ""
    groups = ("payload", *GROUPS) if "plain" in name else GROUPS  # a tree is looked at when the payload is mounted
    offers = [offer for _, offer in trial_kit.offers_of(case, *groups) if not offer.needs]
    assert len(offers) > 15
    for offer in offers:
        assert rauc(case.written(offer)[ARTIFACT], ROOT), offer.variant


@pytest.mark.parametrize("name", ["good/plain.raucb", "good/verity.raucb"])
def test_rauc_takes_a_bundle_signed_again_when_it_is_given_the_new_root(rauc: Any, tmp_path: Path, name: str) -> None:
    case = of_sample("rauc", name)
    body = case.body
    assert body.signed_by is not None
    stranger = rogue(body.certificates)
    offer = Offer(test="T07", variant="x", changed=body.signed_by(stranger).changed)
    (tmp_path / "new.pem").write_bytes(stranger.certificates[-1].public_bytes(Encoding.PEM))
    assert rauc(case.written(offer)[ARTIFACT], tmp_path / "new.pem") == ""
    assert "certificate" in rauc(case.written(offer)[ARTIFACT], ROOT)
    assert case.believed(offer, trial_kit.trusting(case.context, stranger))


def test_a_broken_manifest_that_is_signed_is_refused_by_rauc_and_by_us(rauc: Any, tmp_path: Path) -> None:
    case = of_sample("rauc", "good/verity.raucb")
    stranger = rogue(case.body.certificates)
    (tmp_path / "new.pem").write_bytes(stranger.certificates[-1].public_bytes(Encoding.PEM))
    staged = trial_kit.staged(case, Staging(signer=stranger))
    ring = trial_kit.trusting(case.context, stranger)
    offers = [offer for offer in staged.offers("malformed") if "staging signer" in offer.variant]
    assert [offer.expected for offer in offers][:2] == [Outcome.ACCEPTED, Outcome.REFUSED]
    for offer in offers:
        good = offer.expected is Outcome.ACCEPTED
        assert staged.believed(offer, ring) is good, offer.variant
        assert (rauc(staged.written(offer)[ARTIFACT], tmp_path / "new.pem") == "") is good, offer.variant


def test_an_encrypted_bundle_offers_its_ciphertexts_and_says_why_no_more() -> None:
    case = of_sample("rauc", "sealed/crypt.raucb")
    offers = case.offers("ciphertext")
    assert len(offers) >= 4
    assert not any(offer.needs for offer in offers)
    assert not any(case.believed(offer) for offer in offers if "nonce" not in offer.variant)
    assert all("envelope" in offer.needs for offer in case.offers("foreign-key"))
