"""Mender artifacts taken apart and signed again: mender-artifact is the judge."""

from __future__ import annotations

import io
import re
import subprocess
import tarfile
from pathlib import Path
from typing import Any

import pytest

from checker.trials.contract import ARTIFACT, Offer
from tests.formats import samples
from tests.trials import trial_kit
from tests.trials.trial_kit import of_sample

KEYS = samples.FOLDER / "mender" / "keys"
NAMES = ["good/signed.mender", "good/rsa.mender", "good/gzip.mender", "good/xz.mender"]
GENUINE = Offer(test="T00", variant="genuine")


@pytest.fixture(scope="module")
def mender(tool: Any, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Return what mender-artifact says of an artifact where it refuses it; nothing where it takes it."""
    tool("mender-artifact", "--version")
    path = tmp_path_factory.mktemp("mender") / "x.mender"

    def says(data: bytes, key: Path) -> str:
        path.write_bytes(data)
        command = ["mender-artifact", "validate", str(path), "-k", str(key)]
        done = subprocess.run(command, capture_output=True, timeout=60, check=False)
        return "" if done.returncode == 0 else (done.stdout + done.stderr).decode(errors="replace") + "refused"

    return says


def key_of(name: str) -> Path:
    return KEYS / ("rsa.pub.pem" if "rsa" in name else "signer.pub.pem")


@pytest.mark.parametrize("name", NAMES)
def test_mender_takes_the_genuine_artifact_and_refuses_every_offer(mender: Any, name: str) -> None:
    case = of_sample("mender", name)
    assert mender(case.written(GENUINE)[ARTIFACT], key_of(name)) == ""
    offers = [o for _, o in trial_kit.offers_of(case, "payload", "metadata", "signature", "foreign-key", "malformed")]
    offers = [offer for offer in offers if not offer.needs]
    assert len(offers) > 15
    for offer in offers:
        said = mender(case.written(offer)[ARTIFACT], key_of(name))
        assert said, offer.variant
        if offer.test == "T01":  # the payload was packed again, so that nothing but the digest refuses it
            assert re.search("checksum", said), (offer.variant, said)


@pytest.mark.parametrize("name", NAMES)
def test_mender_takes_an_artifact_signed_again_under_the_new_key(mender: Any, tmp_path: Path, name: str) -> None:
    case = of_sample("mender", name)
    offer, stranger = trial_kit.by_a_stranger(case)
    (tmp_path / "new.pem").write_bytes(trial_kit.public_pem(stranger))
    assert mender(case.written(offer)[ARTIFACT], tmp_path / "new.pem") == ""
    assert mender(case.written(offer)[ARTIFACT], key_of(name))
    assert case.believed(offer, trial_kit.trusting(case.context, stranger))


def test_a_packed_payload_differs_in_one_bit_and_its_archive_is_whole() -> None:
    case = of_sample("mender", "good/gzip.mender")
    genuine = payload(case.written(GENUINE)[ARTIFACT])
    offers = case.offers("payload")
    assert len(offers) == 3
    places = [trial_kit.differences(genuine, payload(case.written(offer)[ARTIFACT])) for offer in offers]
    assert [len(found) for found in places] == [1, 1, 1]
    assert [found[0] for found in places] == [0, len(genuine) // 2, len(genuine) - 1]


def payload(data: bytes) -> bytes:
    with tarfile.open(fileobj=io.BytesIO(data)) as outer:
        packed = outer.extractfile("data/0000.tar.gz")
        assert packed is not None
        with tarfile.open(fileobj=io.BytesIO(packed.read())) as inner:
            found = inner.extractfile("fw.bin")
            assert found is not None
            return found.read()


def test_a_payload_in_zstd_says_why_it_is_not_changed() -> None:
    (offer,) = of_sample("mender", "good/zstd.mender").offers("payload")
    assert "zstd" in offer.needs
