"""Encrypted CMS messages under a detached signature: who can open them, and what the device installs then."""

from __future__ import annotations

import hashlib
import shutil
from pathlib import Path
from typing import Any

import pytest

from checker.model.artifact import Artifact
from checker.model.terms import Outcome
from checker.pipeline import Options, assess
from tests.formats.conftest import ROOT

SAMPLES = ROOT / "samples" / "formats" / "detached"
SIGNER = SAMPLES / "keys" / "signer.pub.pem"
DEVICE = SAMPLES / "keys" / "device.pem"
CONTENT = (SAMPLES / "good" / "raw-ecdsa.bin").read_bytes()  # what was encrypted is what the other samples sign


def opened(kit: Any, name: str, *, keys: tuple[Path, ...] = (DEVICE,), **options: str) -> Artifact:
    path = SAMPLES / f"{name}.bin"
    signature = path.with_suffix(".sig").read_bytes()
    found: Artifact = kit.open(path, signature=signature, keys=[SIGNER], decryption=keys, options=options)
    return found


def test_the_message_is_the_file_and_its_content_the_only_image(kit: Any) -> None:
    found = opened(kit, "good/encrypted")
    image = found.images[0]
    assert (found.format, found.encryption, len(found.recipients)) == ("detached", (image.encryption,), 1)
    assert (image.encryption.mode, image.encryption.key_bits, image.encryption.decrypted) == ("gcm", 256, True)
    assert image.source is not None
    assert image.source.read(0, image.source.size) == CONTENT
    assert (image.inner, image.size) == (None, len(CONTENT))  # plain firmware of no known format
    assert found.coverage.uncovered == ()
    assert found.recipients[0].unwrapped is True


def test_without_the_key_the_message_is_not_opened_a_second_time(kit: Any) -> None:
    found = opened(kit, "good/encrypted", keys=())
    image = found.images[0]
    assert (image.inner, image.source) == (None, None)
    assert "none of 0 given keys opens" in image.note
    assert (image.encryption.encrypted, image.encryption.decrypted) == (True, None)
    assert found.signatures[0].outcome is Outcome.VALID
    assert image.span is not None
    assert found.size > image.span.end - image.span.start == len(CONTENT)


def test_a_signed_message_inside_is_opened_as_what_it_is(kit: Any) -> None:
    path = ROOT / "samples" / "formats" / "cms" / "good" / "signed-and-encrypted.p7m"
    key = path.parents[1] / "keys" / "device.pem"
    found = kit.open(path, signature=b"no signature of any key", decryption=[key])
    assert found.images[0].inner is not None
    assert found.images[0].inner.format == "cms"
    assert found.images[0].inner.images[0].encryption.encrypted is False


def test_a_damaged_message_is_an_image_that_cannot_be_opened(kit: Any) -> None:
    data = (SAMPLES / "good" / "encrypted.bin").read_bytes()[:-20]
    found = kit.open(data, signature=b"signature", keys=[SIGNER], decryption=[DEVICE])
    assert found.recipients == ()
    assert "inner-unreadable" in kit.codes(found)
    assert found.encryption[0].encrypted is None


def test_a_signature_stands_in_for_a_tag_and_a_wrong_one_does_not(kit: Any) -> None:
    assert "unauthenticated-encryption" not in kit.codes(opened(kit, "good/encrypted-cbc"))
    assert "unauthenticated-encryption" in kit.codes(opened(kit, "bad/encrypted-cbc-signature-bit"))


@pytest.fixture
def described(tmp_path: Path) -> Path:
    """A description of the message without a tag, and of the digest of what is in it."""
    for name in ("good/encrypted-cbc.bin", "good/encrypted-cbc.sig", "keys/signer.pub.pem", "keys/device.pem"):
        shutil.copy(SAMPLES / name, tmp_path)
    (tmp_path / "device.yaml").write_text(
        "otaudit: device/1\nvendor: Acme\nmodel: X\ntargets: [{id: main}]\ntrust: {images: {keys: [signer.pub.pem]}}\n"
    )
    (tmp_path / "update.yaml").write_text(
        "otaudit: update/1\ndevice: device.yaml\nid: x-1\nversion: '1'\nartifacts:\n"
        "  - file: encrypted-cbc.bin\n    signature: encrypted-cbc.sig\n    device: A\n"
        f"    decryption_key: device.pem\n    plaintext_sha256: {hashlib.sha256(CONTENT).hexdigest()}\n"
    )
    return tmp_path / "update.yaml"


def said(update: Path) -> tuple[object, list[str]]:
    found = assess(update, Options(as_of="2026-11-01T00:00:00Z"))
    records = [item for item in found.evidence.records if item.kind == "encryption" and not item.unavailable]
    return records[0].values.get("decrypted"), [item.code for item in found.observations]


def test_the_digest_that_a_description_states_decides_what_decryption_gave(described: Path) -> None:
    assert said(described) == (True, [])
    text = described.read_text()
    described.write_text(text.replace(hashlib.sha256(CONTENT).hexdigest(), "00" * 32))
    assert said(described) == (False, ["digest-mismatch"])
    described.write_text("\n".join(line for line in text.splitlines() if "plaintext" not in line))
    assert said(described)[0] is None  # nothing says what the plaintext should be, and CBC has no tag
