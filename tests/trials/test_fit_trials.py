"""FIT images taken apart and signed again: dtc reads the trees, otaudit's parser judges the signatures."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from checker.crypto.staging import Staging, like
from checker.errors import UnsupportedAlgorithmError
from checker.model.artifact import KeyFacts
from checker.model.terms import Outcome as Verdict
from checker.trials.contract import ARTIFACT, Change, Content, Offer, Outcome
from tests.trials import trial_kit
from tests.trials.trial_kit import of_sample

NAMES = trial_kit.good_samples("fit")


@pytest.mark.parametrize("name", NAMES)
def test_an_image_signed_again_is_believed_under_the_new_key_only(name: str) -> None:
    case = of_sample("fit", name)
    offer, stranger = trial_kit.by_a_stranger(case)
    assert case.believed(offer, trial_kit.trusting(case.context, stranger))
    assert not case.believed(offer)
    sign = case.body.signed_by
    assert sign is not None
    with pytest.raises(UnsupportedAlgorithmError, match="is for"):
        sign(like(KeyFacts(algorithm="ed25519")))


@pytest.mark.parametrize("name", NAMES)
def test_without_signatures_the_tree_is_whole_and_has_no_signature_node(tool: Any, tmp_path: Path, name: str) -> None:
    case = of_sample("fit", name)
    (offer,) = [item for item in case.offers("signature") if item.test == "T05"]
    data = case.written(offer)[ARTIFACT]
    (tmp_path / "x.dtb").write_bytes(data)
    text = tool("dtc", "-I", "dtb", "-O", "dts", tmp_path / "x.dtb").stdout
    assert b"signature" not in text.replace(b"signature of", b"")
    assert b"conf" in text
    assert {item.outcome for item in case.opened(offer).signatures} == {Verdict.ABSENT}


def test_a_changed_tree_is_signed_as_it_stands() -> None:
    case = of_sample("fit", "good/rsa2048.itb")
    body = case.body
    (load,) = [part for part in body.metadata if part.name == "property load"][:1]
    stranger = trial_kit.like_signer(case)
    staged = trial_kit.staged(case, Staging(signer=stranger))
    assert body.resigned is not None
    size = case.files[ARTIFACT].size
    change = Change(changed={ARTIFACT: Content.patched(size, load.span.start, b"\x12\x34\x56\x78")})
    offer = Offer(test="T26", variant="x", changed=body.resigned(stranger, change).changed)
    ring = trial_kit.trusting(case.context, stranger)
    assert case.believed(offer, ring)
    for item in staged.offers("malformed"):
        assert staged.believed(item, ring if "staging" in item.variant else None) is (
            item.expected is Outcome.ACCEPTED
        ), item.variant
