"""CMS messages taken apart and signed again: openssl judges, and refuses each offer for itself."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.serialization import Encoding

from checker.crypto.cms_layout import layout
from checker.crypto.cms_signing import signed, signed_again
from checker.crypto.staging import Signer, Staging, like
from checker.crypto.staging_paths import rogue
from checker.errors import FormatError, UnsupportedAlgorithmError
from checker.io.digests import Literal
from checker.io.sources import BytesSource
from checker.model.artifact import KeyFacts
from checker.trials.contract import ARTIFACT, Change, Content, Offer, Outcome
from tests.formats import samples
from tests.trials import trial_kit
from tests.trials.trial_kit import Case, of_sample

ROOT = samples.FOLDER / "cms" / "keys" / "root.pem"
DAY = "1793750400"  # 2026-11-03, in seconds since 1970
ATTACHED = ["good/signed.p7m", "good/streamed.p7m"]
TESTS = ("payload", "metadata", "signature", "foreign-key")


def openssl(tool: Any, folder: Path, files: dict[str, bytes], anchor: bytes) -> str:
    """Return what openssl says; empty where it verifies."""
    for name, data in {**files, "anchor": anchor}.items():
        (folder / name).write_bytes(data)
    words = ["-in", folder / ARTIFACT]
    if "signature" in files:
        words = ["-in", folder / "signature", "-content", folder / ARTIFACT]
    command = ("openssl", "cms", "-verify", "-binary", "-inform", "DER", *words, "-CAfile", folder / "anchor")
    done = tool(*command, "-purpose", "any", "-attime", DAY, "-out", "/dev/null", check=False)
    return "" if done.returncode == 0 else done.stderr.decode()


def anchor_of(signer: Signer) -> bytes:
    return signer.certificates[-1].public_bytes(Encoding.PEM)


def cases() -> list[tuple[str, str]]:
    return [
        *(("cms", name) for name in ATTACHED),
        ("detached", "good/cms-signer.bin"),
        ("detached", "good/cms-rsa.bin"),
    ]


@pytest.mark.parametrize(("folder", "name"), cases())
def test_openssl_accepts_the_genuine_message_and_refuses_every_offer(
    tool: Any, tmp_path: Path, folder: str, name: str
) -> None:
    case = of_sample(folder, name)
    root = (samples.FOLDER / folder / "keys" / "root.pem").read_bytes()
    assert openssl(tool, tmp_path, case.written(Offer(test="T00", variant="genuine")), root) == ""
    offers = [offer for _, offer in trial_kit.offers_of(case, *TESTS) if not offer.needs]
    assert len(offers) > 12
    for offer in offers:
        files = case.written(offer)
        if folder == "detached" and "signature" not in files:
            continue  # openssl asks for the file that it is given; a device is asked by the harness
        assert openssl(tool, tmp_path, files, root), offer.variant


@pytest.mark.parametrize(("folder", "name"), cases())
def test_openssl_accepts_a_message_signed_again_under_the_new_root_only(
    tool: Any, tmp_path: Path, folder: str, name: str
) -> None:
    case = of_sample(folder, name)
    body = case.body
    assert body.signed_by is not None
    stranger = rogue(body.certificates)
    change = body.signed_by(stranger)
    files = case.written(Offer(test="T07", variant="x", changed=change.changed))
    assert openssl(tool, tmp_path, files, anchor_of(stranger)) == ""
    said = openssl(tool, tmp_path, files, (samples.FOLDER / folder / "keys" / "root.pem").read_bytes())
    assert "certificate" in said  # for the key, and not for the mathematics
    offer = Offer(test="T07", variant="x", changed=change.changed)
    assert case.believed(offer, trial_kit.trusting(case.context, stranger))
    assert not case.believed(offer)


@pytest.mark.parametrize("kind", ["rsa", "ec-p256", "ec-p521", "ed25519", "ml-dsa-65"])
@pytest.mark.parametrize("hash_name", ["", "sha-512", "sha-1"])
def test_a_signer_of_any_kind_takes_the_place_of_the_genuine_one(kind: str, hash_name: str) -> None:
    case = of_sample("cms", "good/signed.p7m")
    data = case.files[ARTIFACT].read(0, case.files[ARTIFACT].size)
    signer = like(KeyFacts(algorithm=kind, bits=2048))
    again = signed_again(data, signer, hash_name=hash_name)
    offer = Offer(test="T07", variant="x", changed={ARTIFACT: Content.whole(again)})
    found = case.opened(offer, trial_kit.trusting(case.context, signer))
    assert trial_kit.believed(found)
    if hash_name == "sha-1":
        assert found.signatures[0].hash == "sha-1" or kind in {"ed25519", "ml-dsa-65"}


def test_a_new_message_is_verified_by_openssl(tool: Any, tmp_path: Path) -> None:
    signer = rogue(of_sample("cms", "good/signed.p7m").body.certificates)
    message = signed(signer, (Literal(b"firmware"),), "sha-256", attached=b"firmware")
    assert openssl(tool, tmp_path, {ARTIFACT: message}, anchor_of(signer)) == ""
    bare = signed(like(KeyFacts(algorithm="ed25519")), (Literal(b"firmware"),), "sha-512")
    assert layout(bare).detached


def test_ecdsa_over_md5_has_no_identifier_and_says_so() -> None:
    data = (samples.FOLDER / "cms" / "good" / "signed.p7m").read_bytes()
    with pytest.raises(UnsupportedAlgorithmError, match="no object identifier"):
        signed_again(data, like(KeyFacts(algorithm="ec-p256")), hash_name="md5")


def test_the_parts_lie_where_the_layout_says() -> None:
    case = of_sample("cms", "good/signed-and-encrypted.p7m")
    message = layout(case.files[ARTIFACT].read(0, case.files[ARTIFACT].size))
    names = [name for name, _ in message.cipher]
    assert names.count("wrapped key") == 2
    assert {"ciphertext", "nonce", "tag"} <= set(names)
    sizes = {name: span.size for name, span in message.cipher}
    assert (sizes["nonce"], sizes["tag"]) == (12, 16)


@pytest.mark.parametrize("data", [b"", b"0", b"0\x80", b"0\x82\xff\xff", b"\x30\x80" * 4000, b"\x1f\x1f\0", b"0\0"])
def test_what_is_no_message_is_refused_with_a_reason(data: bytes) -> None:
    with pytest.raises(FormatError):
        layout(data)


def test_every_cut_of_a_message_is_refused_or_read_and_nothing_else() -> None:
    data = (samples.FOLDER / "cms" / "good" / "streamed.p7m").read_bytes()
    for size in range(0, len(data), 7):
        with pytest.raises(FormatError):
            layout(data[:size])


def test_a_changed_ciphertext_signed_again_reaches_the_decryption() -> None:
    """The outer signature holds, so that only the tag can refuse it: what T26 is for."""
    case = enveloped_in_signed()
    signer = rogue(case.body.certificates)
    staged = Case(case.name, case.files, case.context, staging=Staging(signer=signer))
    ring = trial_kit.trusting(case.context, signer)
    offers = staged.offers("ciphertext")
    assert [offer.expected for offer in offers] == [Outcome.ACCEPTED] + [Outcome.REFUSED] * (len(offers) - 1)
    assert len(offers) >= 5
    for offer in offers:
        found = staged.opened(offer, ring)
        assert found.signatures[0].outcome.value == "valid", offer.variant
        inner = found.images[0].inner
        opened = inner is not None and inner.encryption[0].decrypted is not False and inner.images[0].source is not None
        assert opened is (offer.expected is Outcome.ACCEPTED), offer.variant


def enveloped_in_signed() -> Case:
    """Return a signed message that holds the encrypted one of the samples."""
    sealed = of_sample("cms", "good/signed-and-encrypted.p7m")
    model = of_sample("cms", "good/signed.p7m")
    source = sealed.files[ARTIFACT]
    inner = source.read(0, source.size)
    data = (samples.FOLDER / "cms" / "good" / "signed.p7m").read_bytes()
    stranger = rogue(model.body.certificates)
    whole = signed_again(data, stranger, content=inner)
    ring = trial_kit.trusting(sealed.context, stranger)
    context = replace(sealed.context, keys=ring)
    return Case("enveloped in signed", {ARTIFACT: BytesSource("outer.p7m", whole)}, context)


def test_without_a_staging_signer_a_covered_ciphertext_is_not_offered() -> None:
    offers = enveloped_in_signed().offers("ciphertext")
    assert [bool(offer.needs) for offer in offers] == [True]
    assert "staging: signer" in offers[0].needs


def test_a_change_is_signed_again_as_it_stands() -> None:
    case = of_sample("detached", "good/cms-signer.bin")
    body = case.body
    assert body.resigned is not None
    stranger = rogue(body.certificates)
    change = body.resigned(stranger, Change(changed={ARTIFACT: Content.whole(b"another image")}))
    offer = Offer(test="T26", variant="x", changed=change.changed)
    assert case.written(offer)[ARTIFACT] == b"another image"
    assert case.believed(offer, trial_kit.trusting(case.context, stranger))
