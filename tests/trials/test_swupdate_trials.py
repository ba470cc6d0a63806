"""SWUpdate images taken apart and signed again: swupdate itself (`-c`, a check without an install) is the judge."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.serialization import Encoding

from checker.crypto.staging import Staging
from checker.crypto.staging_paths import rogue
from checker.errors import FormatError
from checker.formats._cpio import read_archive, sum_matches, sum_request
from checker.io.digests import compute
from checker.io.sources import BytesSource
from checker.trials.contract import ARTIFACT, Offer, Outcome
from tests.formats import samples
from tests.trials import trial_kit
from tests.trials.trial_kit import of_sample

ROOT = samples.FOLDER / "swupdate" / "keys" / "root.pem"
GENUINE = Offer(test="T00", variant="genuine")


@pytest.fixture(scope="module")
def swupdate(tool: Any, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Return what swupdate says of an image, where it refuses it; nothing where it takes it."""
    tool("swupdate", "--version", check=False)
    folder = tmp_path_factory.mktemp("swupdate")

    def says(data: bytes, anchor: Path, wanted: str = "") -> str:
        (folder / "x.swu").write_bytes(data + bytes(-len(data) % 512))  # it waits for the padding that cpio writes
        command = ["swupdate", "-c", "-v", "-H", "board:1.0", "-i", "x.swu", "-k", str(anchor)]
        environment = {"PATH": os.environ["PATH"], "TMPDIR": str(folder)}  # its sockets lie there
        for _ in range(2):  # its parts talk through sockets and miss each other now and then on a busy machine
            done = subprocess.run(command, capture_output=True, timeout=60, check=False, cwd=folder, env=environment)
            said = (done.stdout + done.stderr).decode(errors="replace")
            if "SWUPDATE successful" in said:
                return ""
            if wanted and re.search(wanted, said):
                break
        return said

    return says


def test_swupdate_takes_the_genuine_image_and_refuses_every_offer(swupdate: Any) -> None:
    case = of_sample("swupdate", "good/signed.swu")
    assert swupdate(case.written(GENUINE)[ARTIFACT], ROOT) == ""
    wanted = {"T01": "HASH mismatch", "T05": "sw-description.sig|[Ss]ignature", "T07": "[Vv]erif|certificate"}
    tried = [offer for _, offer in trial_kit.offers_of(case, "payload", "metadata", "signature", "foreign-key")]
    assert len(tried) > 20
    for offer in tried:
        pattern = wanted.get(offer.test, "ERROR")
        said = swupdate(case.written(offer)[ARTIFACT], ROOT, pattern)
        assert re.search(pattern, said), (offer.variant, said)


def test_swupdate_takes_an_image_signed_again_when_it_is_given_the_new_root(swupdate: Any, tmp_path: Path) -> None:
    case = of_sample("swupdate", "good/signed.swu")
    body = case.body
    assert body.signed_by is not None
    stranger = rogue(body.certificates)
    offer = Offer(test="T07", variant="x", changed=body.signed_by(stranger).changed)
    (tmp_path / "new.pem").write_bytes(stranger.certificates[-1].public_bytes(Encoding.PEM))
    assert swupdate(case.written(offer)[ARTIFACT], tmp_path / "new.pem") == ""
    assert swupdate(case.written(offer)[ARTIFACT], ROOT)
    assert case.believed(offer, trial_kit.trusting(case.context, stranger))


def test_a_raw_signature_is_made_again_under_the_new_key() -> None:
    case = of_sample("swupdate", "good/raw-rsa.swu")
    offer, stranger = trial_kit.by_a_stranger(case)
    assert case.believed(offer, trial_kit.trusting(case.context, stranger))
    assert not case.believed(offer)


def test_the_sums_of_the_archive_are_right_in_every_offer() -> None:
    """A verifier that stops at a sum, which no key protects, has not looked at the digest."""
    case = of_sample("swupdate", "good/swugenerator.swu")
    seen = 0
    for _, offer in trial_kit.offers_of(case, "payload", "metadata", "signature", "foreign-key"):
        source = BytesSource("x", case.written(offer)[ARTIFACT])
        try:
            archive = read_archive(source)
        except FormatError:
            continue
        for member in archive.members:
            request = sum_request(source, member)
            assert sum_matches(member, compute((request,))[request]), (offer.variant, member.name)
            seen += member.checksum is not None
    assert seen > 20


def test_a_changed_description_is_signed_as_it_stands() -> None:
    case = of_sample("swupdate", "good/signed.swu")
    stranger = rogue(case.body.certificates)
    staged = trial_kit.staged(case, Staging(signer=stranger))
    ring = trial_kit.trusting(case.context, stranger)
    offers = [offer for offer in staged.offers("malformed") if "signed by the staging signer" in offer.variant]
    assert offers[0].expected is Outcome.ACCEPTED
    assert staged.believed(offers[0], ring)
    assert len(offers) == 5
    for offer in offers[1:]:
        assert not staged.believed(offer, ring), offer.variant
