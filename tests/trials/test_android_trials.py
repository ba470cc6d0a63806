"""Android packages taken apart and signed again: openssl judges the message over bytes that are cut out here."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.serialization import Encoding

from checker.crypto.staging import like
from checker.crypto.staging_paths import rogue
from checker.errors import FormatError
from checker.model.artifact import KeyFacts
from checker.trials.contract import ARTIFACT, Offer
from tests.trials import trial_kit
from tests.trials.trial_kit import of_sample

NAMES = ["good/ab.zip", "good/recovery.zip"]


def cut(data: bytes) -> tuple[bytes, bytes]:
    """Return signed bytes and message, found by the footer as recovery does (verifier.cpp)."""
    start, mark, comment = (int.from_bytes(data[at : at + 2] if at + 2 else data[at:], "little") for at in (-6, -4, -2))
    assert mark == 0xFFFF
    assert data[-comment - 22 : -comment - 18] == b"PK\5\6"
    assert int.from_bytes(data[-comment - 2 : -comment], "little") == comment
    return data[: -comment - 2], data[-start:-6]


@pytest.mark.parametrize("name", NAMES)
def test_openssl_verifies_a_package_signed_again_under_the_new_certificate(
    tool: Any, tmp_path: Path, name: str
) -> None:
    case = of_sample("android_ota", name)
    body = case.body
    assert body.signed_by is not None
    stranger = rogue(body.certificates)
    offer = Offer(test="T07", variant="x", changed=body.signed_by(stranger).changed)
    data = case.written(offer)[ARTIFACT]
    signed, message = cut(data)
    (tmp_path / "anchor").write_bytes(stranger.certificates[-1].public_bytes(Encoding.PEM))
    (tmp_path / "signed").write_bytes(signed)
    (tmp_path / "message").write_bytes(message)
    files = ("-in", tmp_path / "message", "-content", tmp_path / "signed", "-CAfile", tmp_path / "anchor")
    how = ("-binary", "-inform", "DER", "-purpose", "any", "-out", "/dev/null")
    done = tool("openssl", "cms", "-verify", *how, *files, check=False)
    assert done.returncode == 0, done.stderr
    with zipfile.ZipFile(io.BytesIO(data)) as package:
        assert package.testzip() is None
    assert case.believed(offer, trial_kit.trusting(case.context, stranger))
    assert not case.believed(offer)


def test_a_package_without_its_comment_is_a_whole_zip() -> None:
    case = of_sample("android_ota", "good/ab.zip")
    (offer,) = [item for item in case.offers("signature") if item.test == "T05"]
    with zipfile.ZipFile(io.BytesIO(case.written(offer)[ARTIFACT])) as package:
        assert package.testzip() is None
        assert package.comment == b""


def test_a_signature_that_does_not_fit_the_comment_is_told() -> None:
    body = of_sample("android_ota", "good/ab.zip").body
    assert body.with_value is not None
    with pytest.raises(FormatError, match="does not fit"):
        body.with_value(body.signatures[0], bytes(70_000))
    assert body.signed_by is not None
    assert body.signed_by(like(KeyFacts(algorithm="ec-p256"))).changed
