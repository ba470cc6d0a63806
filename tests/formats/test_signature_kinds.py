"""minisign, signify and OpenPGP beside a file: what the real tools accept and refuse, otaudit does too."""

from __future__ import annotations

import base64
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from checker.crypto.key_files import read_public_keys
from checker.crypto.key_forms import minisign as minisign_keys
from checker.crypto.keyring import KeyRing
from checker.errors import KeyMaterialError, UnknownFormatError
from checker.formats._signatures import contract
from checker.model.artifact import INEXPRESSIBLE, Artifact
from checker.model.terms import Outcome
from tests.crypto.test_openpgp import V6_CERTIFICATE, V6_SIGNATURE
from tests.formats.conftest import run

CONTENT = b"firmware 2.4.1\n" * 60


def _ring(*keys: bytes) -> KeyRing:
    return KeyRing.of(keys=[key for data in keys for key in read_public_keys(data, "declared")])


def _only(kit: Any, signature: bytes, ring: KeyRing, content: bytes = CONTENT) -> Artifact:
    image = kit.open(content, signature=signature, ring=ring)
    assert image.format == "detached"
    return image  # type: ignore[no-any-return]


# minisign and signify


@pytest.fixture(scope="module")
def minisign(tool: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("minisign")
    (folder / "fw").write_bytes(CONTENT)
    for name in ("a", "b"):
        tool("minisign", "-G", "-W", "-p", f"{name}.pub", "-s", f"{name}.key", cwd=folder)
    for kind, option in (("legacy", "-l"), ("prehashed", "-H")):
        tool(
            "minisign",
            "-S",
            option,
            "-s",
            "a.key",
            "-m",
            "fw",
            "-x",
            f"{kind}.sig",
            "-t",
            "version: v2.4.1",
            cwd=folder,
        )
    return folder


def _accepts(folder: Path, signature: bytes, content: bytes = CONTENT) -> bool:
    (folder / "t").write_bytes(content)
    (folder / "t.sig").write_bytes(signature)
    return bool(run("minisign", "-V", "-p", "a.pub", "-m", "t", "-x", "t.sig", cwd=folder, check=False).returncode == 0)


@pytest.mark.parametrize("kind", ["legacy", "prehashed"])
def test_minisign_and_otaudit_agree_on_every_change(kit: Any, minisign: Path, kind: str) -> None:
    data, ring = (minisign / f"{kind}.sig").read_bytes(), _ring((minisign / "a.pub").read_bytes())
    lines = data.splitlines()
    cases = [data, data.replace(b"\n", b"\r\n"), data.replace(b"2.4.1", b"2.4.2"), b"\n".join(lines[:2])]
    for number, place in ((1, 0), (1, 5), (1, 30), (3, 9)):
        raw = bytearray(base64.b64decode(lines[number]))
        raw[place] ^= 1
        cases.append(b"\n".join([*lines[:number], base64.b64encode(raw), *lines[number + 1 :]]) + b"\n")
    if kind == "legacy":
        del cases[3]  # without its comment it is a signature of signify, by the same key over the same file
    for case in cases:
        valid = _only(kit, case, ring).signatures[0].outcome is Outcome.VALID
        assert valid is _accepts(minisign, case), case
    assert not _accepts(minisign, data, CONTENT + b"!")
    assert _only(kit, data, ring, CONTENT + b"!").signatures[0].outcome is Outcome.INVALID


def test_the_trusted_comment_is_the_version_only_where_its_signature_holds(kit: Any, minisign: Path) -> None:
    data, ring = (minisign / "prehashed.sig").read_bytes(), _ring((minisign / "a.pub").read_bytes())
    image = _only(kit, data, ring)
    assert (image.version.version, image.version.authentic) == ("2.4.1", True)
    assert ("trusted comment", "version: v2.4.1") in image.facts
    forged = _only(kit, data.replace(b"2.4.1", b"9.9.9"), ring)
    assert forged.signatures[0].outcome is Outcome.INVALID
    assert forged.version.version is INEXPRESSIBLE
    assert ("trusted comment (not verified)", "version: v9.9.9") in forged.facts


def test_an_unknown_key_and_a_bare_key_are_different_answers(kit: Any, minisign: Path) -> None:
    data = (minisign / "legacy.sig").read_bytes()
    for ring in (KeyRing.empty(), _ring((minisign / "b.pub").read_bytes())):
        (signature,) = _only(kit, data, ring).signatures
        assert signature.outcome is Outcome.KEY_UNKNOWN
        assert "no declared key has the key id" in signature.note
    (key,) = read_public_keys((minisign / "a.pub").read_bytes())
    assert _only(kit, data, _ring(key.raw)).signatures[0].outcome is Outcome.VALID


def test_legacy_signatures_of_large_files_stay_undecided(
    kit: Any, minisign: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(contract, "MAX_MESSAGE", len(CONTENT) - 1)
    ring = _ring((minisign / "a.pub").read_bytes())
    assert _only(kit, (minisign / "legacy.sig").read_bytes(), ring).signatures[0].outcome is Outcome.UNDECIDABLE
    assert _only(kit, (minisign / "prehashed.sig").read_bytes(), ring).signatures[0].outcome is Outcome.VALID


def test_minisign_key_files_in_every_form(minisign: Path) -> None:
    text = (minisign / "a.pub").read_bytes()
    (whole,), (bare,) = read_public_keys(text), read_public_keys(text.splitlines()[1] + b"\n")
    assert whole.terms is not None
    assert (whole.spki, whole.terms) == (bare.spki, bare.terms)
    with pytest.raises(KeyMaterialError, match=r"secret key|bytes"):
        read_public_keys((minisign / "a.key").read_bytes())
    with pytest.raises(KeyMaterialError, match="74 bytes"):
        read_public_keys((minisign / "legacy.sig").read_bytes())
    for damaged in (b"untrusted comment: x\n", b"untrusted comment: x\n!!\n"):
        with pytest.raises(KeyMaterialError, match="no line of base64"):
            read_public_keys(damaged)
    assert not minisign_keys.FORM.detect(b"x" * minisign_keys.TEXT)


@pytest.mark.parametrize(
    "data",
    [
        b"untrusted comment: x\n",
        b"untrusted comment: x\n!!\n",
        b"untrusted comment: " + b"x" * 9000,
        b"untrusted comment: x\n" + base64.b64encode(b"Ed" + bytes(72)) + b"\ntrusted comment: y\n",
        b"untrusted comment: x\n" + base64.b64encode(b"Ed" + bytes(72)) + b"\ntrusted comment: y\nAAAA\n",
    ],
)
def test_damaged_minisign_files_are_invalid_and_say_why(kit: Any, data: bytes) -> None:
    (signature,) = _only(kit, data, KeyRing.empty()).signatures
    assert signature.outcome is Outcome.INVALID
    assert "damaged" in signature.note


def test_a_lone_signature_file_is_named_as_such(kit: Any, minisign: Path) -> None:
    with pytest.raises(UnknownFormatError, match="minisign or signify key or signature"):
        kit.open((minisign / "legacy.sig").read_bytes())
    with pytest.raises(UnknownFormatError, match="OpenPGP signature"):
        kit.open(V6_SIGNATURE)


def test_signify_and_otaudit_agree(kit: Any, tool: Any, tmp_path: Path) -> None:
    (tmp_path / "fw").write_bytes(CONTENT)
    tool("signify-openbsd", "-G", "-n", "-p", "k.pub", "-s", "k.sec", cwd=tmp_path)
    tool("signify-openbsd", "-S", "-s", "k.sec", "-m", "fw", "-x", "fw.sig", cwd=tmp_path)
    tool("signify-openbsd", "-S", "-e", "-s", "k.sec", "-m", "fw", "-x", "fw.whole", cwd=tmp_path)
    ring = _ring((tmp_path / "k.pub").read_bytes())
    signature = (tmp_path / "fw.sig").read_bytes()
    for content in (CONTENT, CONTENT[:-1]):
        (tmp_path / "fw").write_bytes(content)
        done = tool("signify-openbsd", "-V", "-p", "k.pub", "-m", "fw", "-x", "fw.sig", cwd=tmp_path, check=False)
        found = _only(kit, signature, ring, content).signatures[0]
        assert (found.outcome is Outcome.VALID) is (done.returncode == 0)
        assert found.encoding == "signify"
    whole = (tmp_path / "fw.whole").read_bytes()
    image = kit.open(whole, ring=ring)
    assert image.signatures[0].outcome is Outcome.VALID
    assert sum(span.size for span in image.coverage.payload) == len(CONTENT)
    assert kit.open(whole + b"!", ring=ring).signatures[0].outcome is Outcome.INVALID


# OpenPGP


@pytest.fixture(scope="module")
def gpg() -> Iterator[Any]:
    if shutil.which("gpg") is None:
        pytest.skip("gpg is not installed")
    home = Path(tempfile.mkdtemp(prefix="ot"))
    (home / "fw").write_bytes(CONTENT)

    def call(*words: str | Path, at: str = "20260101T000000!", check: bool = True) -> Any:
        head = ("gpg", "--homedir", home, "--batch", "--yes", "--quiet", "--faked-system-time", at)
        return run(*head, "--pinentry-mode", "loopback", "--passphrase", "", *words, check=check)

    call.home = home  # type: ignore[attr-defined]
    call("--quick-gen-key", "a <a@x>", "ed25519", "sign", "never")
    call("--quick-gen-key", "ends <ends@x>", "ed25519", "sign", "2026-03-01")
    yield call
    run("gpgconf", "--homedir", home, "--kill", "all")
    shutil.rmtree(home, ignore_errors=True)


def _sign(gpg: Any, *options: str, name: str = "a", at: str = "20260201T000000!") -> bytes:
    return bytes(gpg("-u", f"{name}@x", *options, "--output", "-", "--detach-sign", gpg.home / "fw", at=at).stdout)


def _exported(gpg: Any, name: str = "a") -> KeyRing:
    return _ring(gpg("--export", f"{name}@x").stdout)


def test_gpg_and_otaudit_agree_on_flipped_bits(kit: Any, gpg: Any) -> None:
    data, ring = _sign(gpg), _exported(gpg)
    for place in range(0, len(data), 7):
        mutant = bytearray(data)
        mutant[place] ^= 4
        (gpg.home / "m.sig").write_bytes(mutant)
        accepted = (
            gpg("--verify", gpg.home / "m.sig", gpg.home / "fw", at="20261201T000000!", check=False).returncode == 0
        )
        found = kit.open(CONTENT, signature=bytes(mutant), ring=ring).signatures[0].outcome
        assert (found is Outcome.VALID) <= accepted, place
    assert kit.open(CONTENT, signature=data, ring=ring).signatures[0].outcome is Outcome.VALID


def test_text_signatures_do_not_care_for_line_ends(kit: Any, gpg: Any) -> None:
    data, ring = _sign(gpg, "--textmode"), _exported(gpg)
    for content in (CONTENT, CONTENT.replace(b"\n", b"\r\n")):
        assert kit.open(content, signature=data, ring=ring).signatures[0].outcome is Outcome.VALID
    assert kit.open(CONTENT + b"x", signature=data, ring=ring).signatures[0].outcome is Outcome.INVALID
    binary = _sign(gpg)
    changed = CONTENT.replace(b"\n", b"\r\n")
    assert kit.open(changed, signature=binary, ring=ring).signatures[0].outcome is Outcome.INVALID


def test_text_signatures_of_large_files_stay_undecided(kit: Any, gpg: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(contract, "MAX_MESSAGE", 10)
    data = _sign(gpg, "--textmode")
    assert kit.open(CONTENT, signature=data, ring=_exported(gpg)).signatures[0].outcome is Outcome.UNDECIDABLE
    assert kit.open(CONTENT, signature=data).signatures[0].outcome is Outcome.KEY_UNKNOWN


def test_an_expired_key_refuses_what_it_signed_before(kit: Any, gpg: Any) -> None:
    image = kit.open(CONTENT, signature=_sign(gpg, name="ends"), ring=_exported(gpg, "ends"))
    assert image.signatures[0].outcome is Outcome.INVALID
    assert kit.codes(image) == {"signer-expired"}
    assert "before that" in image.signatures[0].note


def test_a_signature_older_than_its_key_is_refused(kit: Any, gpg: Any) -> None:
    data = _sign(gpg, "--ignore-time-conflict", at="20250601T000000!")
    (signature,) = kit.open(CONTENT, signature=data, ring=_exported(gpg)).signatures
    assert signature.outcome is Outcome.INVALID
    assert "before its key" in signature.note


def test_several_signatures_in_one_file_are_judged_each(kit: Any, gpg: Any) -> None:
    data = _sign(gpg) + _sign(gpg, name="ends")
    found = kit.open(CONTENT, signature=data, ring=_exported(gpg)).signatures
    assert [item.outcome for item in found] == [Outcome.VALID, Outcome.KEY_UNKNOWN]


def test_a_bare_key_without_certificate_verifies_too(kit: Any, gpg: Any) -> None:
    (key,) = _exported(gpg).keys
    data = _sign(gpg)
    assert kit.open(CONTENT, signature=data, ring=_ring(key.spki)).signatures[0].outcome is Outcome.VALID
    assert kit.open(CONTENT + b"x", signature=data, ring=_ring(key.spki)).signatures[0].outcome is Outcome.KEY_UNKNOWN


def test_clearsigned_text_of_gpg_and_of_the_standard(kit: Any, gpg: Any) -> None:
    (gpg.home / "t").write_bytes(b"version 2.4.1  \n- dash\nFrom me\n\n")
    whole = gpg("-u", "a@x", "--output", "-", "--clear-sign", gpg.home / "t", at="20260201T000000!").stdout
    ring = _exported(gpg)
    assert kit.open(whole, ring=ring).signatures[0].outcome is Outcome.VALID
    assert kit.open(whole.replace(b"\n", b"\r\n"), ring=ring).signatures[0].outcome is Outcome.VALID
    assert kit.open(whole.replace(b"2.4.1", b"2.4.2"), ring=ring).signatures[0].outcome is Outcome.INVALID
    text = b"What we need from the grocery store:\n\n- - tofu\n- - vegetables\n- - noodles\n\n"
    sample = b"-----BEGIN PGP SIGNED MESSAGE-----\n\n" + text + V6_SIGNATURE
    assert kit.open(sample, ring=_ring(V6_CERTIFICATE)).signatures[0].outcome is Outcome.VALID


def test_a_clearsigned_text_without_its_signature_is_damaged(kit: Any) -> None:
    from checker.errors import FormatError

    with pytest.raises(FormatError, match="no signature"):
        kit.open(b"-----BEGIN PGP SIGNED MESSAGE-----\n\nhello\n")
    with pytest.raises(FormatError, match="no end of headers"):
        kit.open(b"-----BEGIN PGP SIGNED MESSAGE-----\nHash: SHA256")


@pytest.mark.parametrize(
    ("data", "outcome", "text"),
    [
        (b"\xc2\x05\x03\x05\x00\x01\x02", Outcome.UNDECIDABLE, "version 3"),
        (b"\xc2\x0a\x04\x00\x16\x08\x00\x00\x00\x00\xab\xcd" + b"\xb4\x01x", Outcome.INVALID, "type 13"),
        (b"\xc2\x0a\x04\x10\x16\x08\x00\x00\x00\x00\xab\xcd", Outcome.INVALID, "not over a file"),
        (b"\xc2\x0a\x04\x00\x63\x08\x00\x00\x00\x00\xab\xcd", Outcome.UNDECIDABLE, "algorithm 99"),
        (b"\xc2\x0a\x04\x00\x16\x03\x00\x00\x00\x00\xab\xcd", Outcome.UNDECIDABLE, "pgp"),
        (b"\xc2\x0a\x04\x00\x16\x08\x00\x00\x00\x00\xab\xcd", Outcome.KEY_UNKNOWN, "does not name"),
        (b"-----BEGIN PGP SIGNATURE-----\n\n-----END PGP SIGNATURE-----\n", Outcome.INVALID, "0 packets"),
    ],
)
def test_odd_openpgp_signatures_are_told_apart(kit: Any, data: bytes, outcome: Outcome, text: str) -> None:
    (signature,) = kit.open(CONTENT, signature=data).signatures
    assert (signature.outcome, signature.encoding) == (outcome, "OpenPGP")
    assert text in signature.note
