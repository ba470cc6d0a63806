"""T38 for CMS: broken messages are refused, and are never offered as signed."""

from __future__ import annotations

import pytest

from checker.crypto.staging import Staging
from checker.crypto.staging_paths import rogue
from tests.trials import trial_kit
from tests.trials.trial_kit import of_sample


@pytest.mark.parametrize(
    ("folder", "name"),
    [("cms", "good/signed.p7m"), ("detached", "good/cms-signer.bin"), ("android_ota", "good/ab.zip")],
)
def test_a_broken_message_is_refused_and_is_not_offered_as_signed(folder: str, name: str) -> None:
    case = of_sample(folder, name)
    staged = trial_kit.staged(case, Staging(signer=rogue(case.body.certificates)))
    offers = [offer for offer in staged.offers("malformed") if "CMS message" in offer.variant]
    assert len(offers) == 3
    assert not any(case.believed(offer) for offer in offers)
    assert not any("signed by the staging signer" in offer.variant for offer in offers)
