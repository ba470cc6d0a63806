"""Nordic packages taken apart and signed again: cryptography judges the signature over the init command."""

from __future__ import annotations

import io
import zipfile
from typing import Any

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature

from checker.crypto.staging import like
from checker.errors import UnsupportedAlgorithmError
from checker.formats._nordic_init import read_init
from checker.model.artifact import KeyFacts
from checker.trials.contract import ARTIFACT, Offer
from tests.trials import trial_kit
from tests.trials.trial_kit import Case, of_sample

GENUINE = Offer(test="T00", variant="genuine")


def members(case: Case, offer: Offer) -> dict[str, bytes]:
    with zipfile.ZipFile(io.BytesIO(case.written(offer)[ARTIFACT])) as package:
        assert package.testzip() is None
        return {name: package.read(name) for name in package.namelist()}


@pytest.mark.parametrize("name", ["good/signed.zip", "good/two-firmwares.zip", "good/signed-for-every-start.zip"])
def test_every_init_command_is_signed_by_the_new_key_and_nothing_else_changes(name: str) -> None:
    case = of_sample("nordic_dfu", name)
    offer, stranger = trial_kit.by_a_stranger(case)
    old, new = members(case, GENUINE), members(case, offer)
    assert list(old) == list(new)
    packets = [item for item in old if old[item] != new[item]]
    assert len(packets) == (2 if "two" in name else 1)
    for packet in packets:
        signed = read_init(new[packet], packet, legacy=None).signed
        assert signed is not None
        r, s = (int.from_bytes(signed.signature[at : at + 32], "little") for at in (0, 32))
        key: Any = stranger.private_key
        key.public_key().verify(encode_dss_signature(r, s), signed.message, ec.ECDSA(hashes.SHA256()))
        assert read_init(old[packet], packet, legacy=None).signed.message == signed.message  # type: ignore[union-attr]
    if "every-start" not in name:  # the second signature, for the check at every start, stays the genuine one
        assert case.believed(offer, trial_kit.trusting(case.context, stranger))
    sign = case.body.signed_by
    assert sign is not None
    with pytest.raises(UnsupportedAlgorithmError, match="the packet is for ec-p256"):
        sign(like(KeyFacts(algorithm="ed25519")))


def test_a_changed_image_is_in_a_whole_package() -> None:
    case = of_sample("nordic_dfu", "good/signed.zip")
    old = members(case, GENUINE)
    for offer in case.offers("payload"):
        new = members(case, offer)
        (changed,) = [name for name in old if old[name] != new[name]]
        assert len(trial_kit.differences(old[changed], new[changed])) == 1


def test_a_stripped_packet_holds_the_plain_command() -> None:
    case = of_sample("nordic_dfu", "good/signed.zip")
    (offer,) = [item for item in case.offers("signature") if item.test == "T05"]
    old, new = members(case, GENUINE), members(case, offer)
    (packet,) = [name for name in old if old[name] != new[name]]
    before, after = read_init(old[packet], packet, legacy=None), read_init(new[packet], packet, legacy=None)
    assert after.signed is None
    assert (before.version, before.hash, before.digest) == (after.version, after.hash, after.digest)
