"""Files with a signature beside them: minisign, signify and openssl judge each offer, and what was signed again."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Any

import pytest

from checker.crypto.staging import Signer
from checker.errors import FormatError
from checker.trials.contract import ARTIFACT, Offer
from tests.formats import samples
from tests.trials import trial_kit
from tests.trials.trial_kit import Case, of_sample

KEYS = samples.FOLDER / "detached" / "keys"
GENUINE = Offer(test="T00", variant="genuine")
GROUPS = ("payload", "metadata", "signature", "foreign-key")
# signature: public key and tool
TOOLS = {
    "good/minisign.bin": ("minisign.pub", "minisign"),
    "good/minisign-legacy.bin": ("minisign.pub", "minisign"),
    "good/signify.bin": ("signify.pub", "signify-openbsd"),
    "good/raw-ecdsa.bin": ("signer.pub.pem", "openssl"),
    "good/cosign.bin": ("signer.pub.pem", "openssl"),
}


def takes(tool: Any, folder: Path, which: str, files: dict[str, bytes], key: bytes) -> bool:
    """Ask a tool whether it takes a file with its signature under a key."""
    for name, data in {**files, "key": key}.items():
        (folder / name).write_bytes(data)
    where = {name: folder / name for name in (ARTIFACT, "signature", "key")}
    if which == "minisign":
        command = ["minisign", "-V", "-m", where[ARTIFACT], "-x", where["signature"], "-p", where["key"]]
    elif which == "signify-openbsd":
        command = [which, "-V", "-m", where[ARTIFACT], "-x", where["signature"], "-p", where["key"]]
    else:
        command = ["openssl", "dgst", "-sha256", "-verify", where["key"], "-signature", where["signature"]]
        command.append(where[ARTIFACT])
    return bool(tool(*command, check=False).returncode == 0)


def as_the_tool_wants(name: str, files: dict[str, bytes]) -> dict[str, bytes]:
    """Return the files with cosign's base64 taken off, which openssl does not read."""
    if "cosign" in name and "signature" in files:
        return {**files, "signature": base64.b64decode(files["signature"])}
    return files


def new_key(case: Case, name: str, stranger: Signer) -> bytes:
    """Return the stranger's public key as the tool wants it; minisign's has the key id of the genuine signature."""
    if TOOLS[name][1] == "openssl":
        return trial_kit.public_pem(stranger)
    lines = case.files["signature"].read(0, 9999).split(b"\n")
    head = base64.b64decode(lines[1])[2:10]
    return b"untrusted comment: new\n" + base64.b64encode(b"Ed" + head + stranger.public_key.raw) + b"\n"


@pytest.mark.parametrize("name", TOOLS)
def test_the_tool_takes_the_genuine_file_and_refuses_every_offer(tool: Any, tmp_path: Path, name: str) -> None:
    case, (key, which) = of_sample("detached", name), TOOLS[name]
    public = (KEYS / key).read_bytes()
    assert takes(tool, tmp_path, which, as_the_tool_wants(name, case.written(GENUINE)), public)
    offers = [offer for _, offer in trial_kit.offers_of(case, *GROUPS) if not offer.needs]
    assert len(offers) >= 8
    for offer in offers:
        files = as_the_tool_wants(name, case.written(offer))
        (tmp_path / "signature").unlink(missing_ok=True)
        # `openssl dgst` reads as many bytes of a signature file as the key's signatures have, and never sees the rest.
        unseen = which == "openssl" and "too long" in offer.variant
        assert unseen or not takes(tool, tmp_path, which, files, public), offer.variant


@pytest.mark.parametrize("name", TOOLS)
def test_the_tool_takes_a_file_signed_again_under_the_new_key(tool: Any, tmp_path: Path, name: str) -> None:
    case, which = of_sample("detached", name), TOOLS[name][1]
    offer, stranger = trial_kit.by_a_stranger(case)
    files = as_the_tool_wants(name, case.written(offer))
    assert files[ARTIFACT] == case.written(GENUINE)[ARTIFACT]
    assert takes(tool, tmp_path, which, files, new_key(case, name, stranger))
    assert not takes(tool, tmp_path, which, files, (KEYS / TOOLS[name][0]).read_bytes())


@pytest.mark.parametrize("name", [name for name in TOOLS if "minisign" not in name and "signify" not in name])
def test_a_raw_signature_made_again_is_believed_under_the_new_key_only(name: str) -> None:
    case = of_sample("detached", name)
    offer, stranger = trial_kit.by_a_stranger(case)
    assert case.believed(offer, trial_kit.trusting(case.context, stranger))
    assert not case.believed(offer)


def test_while_the_scheme_is_not_known_a_raw_signature_is_not_made_again() -> None:
    case = of_sample("detached", "good/raw-ecdsa.bin")
    unknown = trial_kit.without_keys(case)
    body = unknown.body
    assert body.signed_by is None
    (offer,) = unknown.offers("foreign-key")
    assert "its scheme is not known" in offer.needs
    assert case.body.signed_by is not None


@pytest.mark.parametrize("name", ["rsa", "ed25519", "p256"])
def test_gpg_takes_the_genuine_file_and_refuses_every_offer(tool: Any, tmp_path: Path, name: str) -> None:
    case = of_sample("detached", f"good/openpgp-{name}.bin")
    home = ("env", f"GNUPGHOME={tmp_path}", "gpg", "--batch", "--no-auto-key-retrieve")
    tool("gpg", "--version")
    tool(*home, "--import", KEYS / f"{name}.asc")

    def good(offer: Offer) -> bool:
        files = case.written(offer)
        for item, data in files.items():
            (tmp_path / item).write_bytes(data)
        done = tool(*home, "--status-fd", "1", "--verify", tmp_path / "signature", tmp_path / ARTIFACT, check=False)
        return b"GOODSIG" in done.stdout or b"EXPKEYSIG" in done.stdout

    assert good(GENUINE)
    offers = [offer for _, offer in trial_kit.offers_of(case, "payload", "metadata", "signature") if not offer.needs]
    assert {offer.test for offer in offers} == {"T01", "T02", "T05", "T06"}
    for offer in offers:
        assert offer.test == "T05" or not good(offer), offer.variant
    (offer,) = case.offers("foreign-key")
    assert "fingerprint" in offer.needs


def test_a_file_without_its_signature_beside_it_is_not_taken_apart() -> None:
    with pytest.raises(FormatError, match="not taken apart"):
        _ = of_sample("detached", "good/signify-embedded.bin").body
