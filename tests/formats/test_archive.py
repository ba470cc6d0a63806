from __future__ import annotations

import base64
import bz2
import gzip
import hashlib
import io
import json
import lzma
import subprocess
import tarfile
import time
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st

from checker.crypto.key_files import read_public_keys
from checker.crypto.keyring import KeyRing
from checker.errors import FormatError, LimitError, UnknownFormatError
from checker.formats import _archive_members, archive
from checker.formats._archive_lists import algorithm, decode, may_be_list, read_list
from checker.model.artifact import INEXPRESSIBLE
from checker.model.terms import Outcome
from samples.build.formats.archive import packed, sums
from tests.formats.conftest import Kit

FIRMWARE, CONFIG = b"firmware line\n" * 200, b"interval = 60\n"
FILES = {"fw.bin": FIRMWARE, "etc/config": CONFIG}


def tar(files: Mapping[str, bytes], kind: str = "") -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as pack:
        for name, data in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            pack.addfile(info, io.BytesIO(data))
    press: dict[str, Any] = {"gz": gzip.compress, "xz": lzma.compress, "bz2": bz2.compress, "": bytes}
    press["zst"] = zstandard.compress
    return bytes(press[kind](out.getvalue()))


PACK: dict[str, Callable[[Mapping[str, bytes]], bytes]] = {
    "zip": lambda files: packed(files, zipfile.ZIP_DEFLATED),
    "zip-stored": packed,
    "tar": tar,
    "tar.gz": lambda files: tar(files, "gz"),
    "tar.xz": lambda files: tar(files, "xz"),
    "tar.bz2": lambda files: tar(files, "bz2"),
    "tar.zst": lambda files: tar(files, "zst"),
}


def sha(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def listing(files: Mapping[str, bytes]) -> bytes:
    return "".join(f"{sha(data)}  {name}\n" for name, data in files.items()).encode()


def openssl_sign(data: bytes, key: Path) -> bytes:
    command = ["openssl", "dgst", "-sha256", "-sign", str(key)]
    return subprocess.run(command, input=data, capture_output=True, check=True).stdout


@pytest.fixture
def signed(keys: Path) -> Callable[[bytes], bytes]:
    return lambda data: openssl_sign(data, keys / "ecdsa-p256.pem")


@pytest.fixture
def public(keys: Path) -> dict[str, Any]:
    return {"keys": [keys / "ecdsa-p256.pub.pem"]}


@pytest.mark.parametrize("form", sorted(PACK))
def test_a_signed_list_reaches_every_member_in_every_container(kit: Any, signed: Any, public: Any, form: str) -> None:
    text = listing(FILES)
    good = {**FILES, "SHA256SUMS": text, "SHA256SUMS.sig": signed(text)}
    artifact = kit.open(PACK[form](good), **public)
    assert artifact.format == "archive"
    assert [signature.outcome for signature in artifact.signatures] == [Outcome.VALID]
    assert kit.codes(artifact) == set()
    assert not artifact.coverage.uncovered
    assert artifact.coverage.size_bound is True
    assert all(check.authentic and check.matches for image in artifact.images for check in image.digests)
    changed = kit.open(PACK[form]({**good, "fw.bin": FIRMWARE + b"!"}), **public)
    assert kit.codes(changed) == {"digest-mismatch", "unauthenticated-member"}
    assert changed.coverage.uncovered
    more = kit.open(PACK[form]({**good, "extra": b"extra"}), **public)
    assert kit.codes(more) == {"unauthenticated-member"}
    assert more.coverage.uncovered
    assert more.coverage.size_bound is False


@pytest.mark.parametrize("form", sorted(PACK))
def test_a_flipped_bit_of_the_list_or_its_signature_is_invalid(kit: Any, signed: Any, public: Any, form: str) -> None:
    text = listing(FILES)
    for files in (
        {**FILES, "SHA256SUMS": text.replace(b"fw", b"FW"), "SHA256SUMS.sig": signed(text)},
        {**FILES, "SHA256SUMS": text, "SHA256SUMS.sig": signed(text + b"x")},
    ):
        artifact = kit.open(PACK[form](files), **public)
        assert [signature.outcome for signature in artifact.signatures] == [Outcome.INVALID]
        assert artifact.coverage.uncovered == artifact.coverage.payload


def test_a_key_that_was_not_declared_is_unknown_and_a_list_without_signature_gives_integrity(
    kit: Any, signed: Any
) -> None:
    text = listing(FILES)
    unknown = kit.open(tar({**FILES, "SHA256SUMS": text, "SHA256SUMS.sig": signed(text)}))
    assert [signature.outcome for signature in unknown.signatures] == [Outcome.KEY_UNKNOWN]
    assert not any(check.authentic for image in unknown.images for check in image.digests)
    unsigned = kit.open(tar({**FILES, "SHA256SUMS": text}))
    assert kit.codes(unsigned) == {"unsigned", "integrity-only"}
    assert unsigned.coverage.uncovered == unsigned.coverage.payload
    plain = kit.open(tar(FILES))
    assert kit.codes(plain) == {"unsigned"}
    assert [signature.outcome for signature in plain.signatures] == [Outcome.ABSENT]
    assert plain.version.version is INEXPRESSIBLE
    assert plain.hardware is INEXPRESSIBLE


def test_where_sha256sum_refuses_a_list_is_told(kit: Any, tool: Any, tmp_path: Path) -> None:
    for name, data in FILES.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(data)
    good = tool("sha256sum", *FILES, cwd=tmp_path).stdout
    variants = (good, good.replace(b"fw.bin", b"fw.bim"), b"0" + good[1:] if good[:1] != b"0" else b"1" + good[1:])
    for text in variants:
        (tmp_path / "SHA256SUMS").write_bytes(text)
        accepted = tool("sha256sum", "-c", "--strict", "SHA256SUMS", cwd=tmp_path, check=False).returncode == 0
        codes = kit.codes(kit.open(tar({**FILES, "SHA256SUMS": text})))
        assert accepted is not bool(codes & {"missing-member", "digest-mismatch"})


@pytest.mark.parametrize(
    ("program", "name", "found"),
    [
        (("md5sum",), "MD5SUMS", "md5"),
        (("sha1sum",), "SHA1SUMS", "sha-1"),
        (("sha224sum",), "sha224sums.txt", "sha-224"),
        (("sha256sum",), "checksums.txt", "sha-256"),
        (("sha256sum", "-b"), "digests.txt", "sha-256"),
        (("sha384sum",), "SHA384SUMS", "sha-384"),
        (("sha512sum",), "fw.sha512sums", "sha-512"),
        (("b2sum",), "B2SUMS", "blake2b-512"),
        (("sha256sum", "--tag"), "CHECKSUM", "sha-256"),
        (("md5sum", "--tag"), "CHECKSUM.txt", "md5"),
        (("b2sum", "--tag"), "CHECKSUM.b2", "blake2b-512"),
    ],
)
def test_what_coreutils_lists_is_read(kit: Any, tool: Any, program: Any, name: str, found: str) -> None:
    tool(program[0], "--version")
    text = sums(FILES, program[0], *program[1:])
    artifact = kit.open(tar({**FILES, name: text}))
    checks = [check for image in artifact.images for check in image.digests]
    assert [(check.algorithm, check.matches) for check in checks] == [(found, True)] * 2
    weak = found in {"md5", "sha-1"}
    assert ("weak-digest" in kit.codes(artifact)) is weak
    assert ("integrity-only" in kit.codes(artifact)) is not weak


def test_a_strong_digest_beside_a_weak_one_is_no_weakness(kit: Any) -> None:
    files = {**FILES, "SHA256SUMS": listing(FILES), "MD5SUMS": sums(FILES, "md5sum")}
    assert kit.codes(kit.open(tar(files))) == {"unsigned", "integrity-only"}


def test_a_digest_in_a_file_of_its_own(kit: Any) -> None:
    artifact = kit.open(tar({"fw.bin": FIRMWARE, "fw.bin.sha256": sha(FIRMWARE).encode() + b"\n"}))
    assert [check.matches for check in artifact.images[0].digests] == [True]
    wrong = kit.open(tar({"fw.bin": FIRMWARE, "fw.bin.sha256": sha(b"x").encode()}))
    assert "digest-mismatch" in kit.codes(wrong)


def test_escaped_names_and_folders(kit: Any, tool: Any, tmp_path: Path) -> None:
    odd = "a\\b\nc"
    (tmp_path / odd).write_bytes(CONFIG)
    line = tool("sha256sum", odd, cwd=tmp_path).stdout
    assert line.startswith(b"\\")
    assert read_list("SHA256SUMS", line, []).statements[0].name == odd  # type: ignore[union-attr]
    within = kit.open(tar({"out/fw.bin": FIRMWARE, "out/SHA256SUMS": listing({"fw.bin": FIRMWARE})}))
    assert within.images[0].digests[0].matches
    dotted = kit.open(tar({"./fw.bin": FIRMWARE, "./SHA256SUMS": listing({"./fw.bin": FIRMWARE})}))
    assert dotted.images[0].digests[0].matches
    elsewhere = kit.open(tar({"a/fw.bin": FIRMWARE, "SHA256SUMS": listing({"b/fw.bin": FIRMWARE})}))
    assert "missing-member" in kit.codes(elsewhere)


# Manifests

ENTRY = {"name": "fw.bin", "sha256": sha(FIRMWARE)}
HEX, B64 = sha(FIRMWARE), base64.b64encode(hashlib.sha256(FIRMWARE).digest()).decode()
MANIFESTS: list[Any] = [
    {"files": [ENTRY]},
    {"files": {"fw.bin": {"sha256": HEX}}},
    {"files": {"fw.bin": HEX.upper()}},
    {"fw.bin": f"sha256:{HEX}"},
    {"images": [{"filename": "fw.bin", "hash": HEX, "hash_algorithm": "SHA-256"}]},
    {"images": [{"file": "https://host/path/fw.bin", "hashes": {"SHA2-256": B64}}]},
    {"images": [{"path": "fw.bin", "checksum": {"algorithm": "sha256", "value": HEX}}]},
    {"images": [{"path": "fw.bin", "checksums": [{"type": "sha256", "value": HEX}]}]},
    {"images": [{"path": "fw.bin", "integrity": f"sha256-{B64}"}]},
    [ENTRY],
]


@pytest.mark.parametrize("manifest", MANIFESTS, ids=range(len(MANIFESTS)))
def test_manifests_of_many_forms(kit: Any, signed: Any, public: Any, manifest: Any) -> None:
    text = json.dumps(manifest).encode()
    good = {"fw.bin": FIRMWARE, "manifest.json": text, "manifest.json.sig": signed(text)}
    artifact = kit.open(packed(good), **public)
    assert [check.matches for check in artifact.images[0].digests] == [True]
    assert not artifact.coverage.uncovered
    changed = kit.open(packed({**good, "fw.bin": FIRMWARE + b"!"}), **public)
    assert changed.coverage.uncovered
    assert "digest-mismatch" in kit.codes(changed)


def test_version_and_hardware_of_a_manifest(kit: Any, signed: Any, public: Any) -> None:
    text = json.dumps({"version": "1.2.3", "compatible": ["a", "b"], "files": [ENTRY]}).encode()
    good = kit.open(packed({"fw.bin": FIRMWARE, "manifest.json": text, "manifest.sig": signed(text)}), **public)
    assert (good.version.version, good.version.authentic, good.hardware) == ("1.2.3", True, ("a", "b"))
    assert good.coverage.metadata == ("version", "hardware")
    bare = kit.open(packed({"fw.bin": FIRMWARE, "manifest.json": text}), **public)
    assert (bare.version.version, bare.version.authentic) == ("1.2.3", False)
    assert bare.coverage.unprotected_metadata == ("version", "hardware")


def test_a_yaml_manifest(kit: Any) -> None:
    text = f"version: 1.10\nfiles:\n  - name: fw.bin\n    sha256: {HEX}\n".encode()
    artifact = kit.open(packed({"fw.bin": FIRMWARE, "manifest.yaml": text}))
    assert [check.matches for check in artifact.images[0].digests] == [True]
    assert artifact.version.version == "1.10"
    bomb = b"a: &a [x, x]\nb: &b [*a, *a]\n"
    assert not kit.open(packed({"fw.bin": FIRMWARE, "manifest.yaml": bomb})).images[0].digests


def test_what_only_looks_like_a_list_is_payload(kit: Any) -> None:
    for name, text in (
        ("manifest.json", b"{broken"),
        ("SHA256SUMS", b"hello\n"),
        ("checksums.txt", b"\xff\xfe"),
        ("SHA256SUMS", b""),
        ("manifest.json", b'"text"'),
        ("fw.sha256", b"abc"),
    ):
        artifact = kit.open(tar({"fw.bin": FIRMWARE, name: text}))
        assert {image.id for image in artifact.images} == {"fw.bin", name}


@pytest.mark.parametrize(
    ("word", "found"),
    [("SHA2-256", "sha-256"), ("sha_256", "sha-256"), ("sha256sum", "sha-256"), ("md5", "md5"), ("name", ""), ("", "")],
)
def test_words_for_algorithms(word: str, found: str) -> None:
    assert algorithm(word) == found


def test_digests_of_a_wrong_length_are_none() -> None:
    assert decode("00", "sha-256") == b""
    assert decode("!", "sha-256") == b""
    assert decode("0" * 64, "") == b""
    assert not may_be_list("firmware.bin")
    assert may_be_list("dir/SHA256SUMS.txt")


# Kinds of signatures


def test_a_cms_signature_over_a_manifest(kit: Any, tool: Any, pki: Path) -> None:
    text = json.dumps({"files": [ENTRY]}).encode()
    (pki / "manifest.json").write_bytes(text)
    tool("openssl", "cms", "-sign", "-binary", "-in", "manifest.json", "-signer", "rsa.pem", "-inkey", "rsa.key",
         "-outform", "DER", "-out", "manifest.p7s", cwd=pki)  # fmt: skip
    files = {"fw.bin": FIRMWARE, "manifest.json": text, "manifest.p7s": (pki / "manifest.p7s").read_bytes()}
    ring = kit.ring(anchors=[pki / "root.pem"])
    purpose = {"purpose": "email-protection"}
    (signature,) = kit.open(packed(files), ring=ring, options=purpose).signatures
    (loose,) = kit.open(packed(files), ring=ring).signatures
    assert Outcome.VALID in {signature.outcome, loose.outcome}
    changed = kit.open(packed({**files, "manifest.json": text + b" "}), ring=ring, options=purpose)
    assert changed.signatures[0].outcome is Outcome.INVALID


def test_a_member_may_have_a_signature_of_its_own(kit: Any, signed: Any, public: Any) -> None:
    artifact = kit.open(tar({"fw.bin": FIRMWARE, "fw.bin.sig": signed(FIRMWARE), "other": b"x"}), **public)
    assert [signature.outcome for signature in artifact.signatures] == [Outcome.VALID]
    assert kit.codes(artifact) == {"unauthenticated-member"}
    assert sum(span.size for span in artifact.coverage.uncovered) == 1


def test_a_signature_called_only_signature_is_of_the_only_list(kit: Any, signed: Any, public: Any) -> None:
    text = listing(FILES)
    one = kit.open(tar({**FILES, "SHA256SUMS": text, "signature.bin": signed(text)}), **public)
    assert [signature.outcome for signature in one.signatures] == [Outcome.VALID]
    two = kit.open(
        tar({**FILES, "SHA256SUMS": text, "SHA512SUMS": sums(FILES, "sha512sum"), "signature": signed(text)}), **public
    )
    assert [signature.outcome for signature in two.signatures] == [Outcome.ABSENT]


def test_a_list_may_name_another_list(kit: Any, signed: Any, public: Any) -> None:
    inner = json.dumps({"files": [ENTRY]}).encode()
    top = listing({"manifest.json": inner})
    files = {"fw.bin": FIRMWARE, "manifest.json": inner, "SHA256SUMS": top, "SHA256SUMS.sig": signed(top)}
    good = kit.open(tar(files), **public)
    assert not good.coverage.uncovered
    assert kit.codes(good) == set()
    assert good.digests[0].authentic
    changed = json.dumps({"files": [{"name": "fw.bin", "sha256": sha(b"evil")}]}).encode()
    evil = kit.open(tar({**files, "manifest.json": changed, "fw.bin": b"evil"}), **public)
    assert evil.coverage.uncovered == evil.coverage.payload
    assert "unprotected-metadata" in kit.codes(evil)


def jws(key: Path, payload: bytes, *, detached: bool = False, alg: str = "ES256") -> bytes:
    def b64(data: bytes) -> bytes:
        return base64.urlsafe_b64encode(data).rstrip(b"=")

    text = b64(json.dumps({"alg": alg}).encode()) + b"." + b64(payload)
    der = openssl_sign(text, key)
    size = der[3]
    raw = b"".join(half.lstrip(b"\0").rjust(32, b"\0") for half in (der[4 : 4 + size], der[6 + size :]))
    head, _, body = text.partition(b".")
    return head + b"." + (b"" if detached else body) + b"." + b64(raw)


def test_manifests_signed_by_a_jws(kit: Any, keys: Path, public: Any) -> None:
    text, key = json.dumps({"files": [ENTRY]}).encode(), keys / "ecdsa-p256.pem"
    for files in (
        {"fw.bin": FIRMWARE, "manifest.jws": jws(key, text)},
        {"fw.bin": FIRMWARE, "manifest.json": text, "manifest.json.sig": jws(key, text)},
        {"fw.bin": FIRMWARE, "manifest.json": text, "manifest.json.jws": jws(key, text, detached=True)},
    ):
        artifact = kit.open(packed(files), **public)
        assert [signature.outcome for signature in artifact.signatures] == [Outcome.VALID], list(files)
        assert not artifact.coverage.uncovered
        assert kit.open(packed(files)).signatures[0].outcome is Outcome.KEY_UNKNOWN
        none = {name: jws(key, text, alg="none") if "s" in name[-3:] else data for name, data in files.items()}
        assert kit.open(packed(none), **public).signatures[0].outcome is Outcome.INVALID
    other = {"fw.bin": FIRMWARE, "manifest.json": text + b" ", "manifest.json.sig": jws(key, text)}
    assert kit.open(packed(other), **public).signatures[0].outcome is Outcome.INVALID
    mac = {"fw.bin": FIRMWARE, "manifest.jws": jws(key, text, alg="HS256")}
    assert kit.open(packed(mac), **public).signatures[0].outcome is Outcome.UNDECIDABLE
    broken = {"fw.bin": FIRMWARE, "manifest.jws": b"eyJ.x"}
    assert kit.open(packed(broken), **public).signatures[0].outcome is Outcome.INVALID


def test_a_jws_by_a_key_of_the_same_kind_that_does_not_fit_is_invalid(kit: Any, keys: Path) -> None:
    text = json.dumps({"files": [ENTRY]}).encode()
    files = {"fw.bin": FIRMWARE, "manifest.jws": jws(keys / "ecdsa-p256.pem", text)}
    artifact = kit.open(packed(files), keys=[keys / "stranger.pub.pem", keys / "rsa-2048.pub.pem"])
    assert [signature.outcome for signature in artifact.signatures] == [Outcome.INVALID]
    assert artifact.signatures[0].key.name == "stranger.pub.pem"
    assert artifact.coverage.uncovered == artifact.coverage.payload


@pytest.fixture(scope="module")
def gpg(tool: Any, tmp_path_factory: pytest.TempPathFactory) -> Any:
    folder = tmp_path_factory.mktemp("gpg")
    folder.chmod(0o700)
    base = ("gpg", "--homedir", folder, "--batch", "--passphrase", "")
    tool(*base, "--quick-generate-key", "test@example", "ed25519", "sign")
    return lambda *words, data=None: tool(*base, *words, data=data).stdout


def ring_of(*texts: bytes) -> KeyRing:
    return KeyRing.of(keys=[key for text in texts for key in read_public_keys(text, "key")])


def test_openpgp_over_a_list_and_around_it(kit: Any, gpg: Any) -> None:
    text = listing(FILES)
    ring = ring_of(gpg("--armor", "--export"))
    apart = {**FILES, "SHA256SUMS": text, "SHA256SUMS.asc": gpg("--armor", "--detach-sign", data=text)}
    around = {**FILES, "SHA256SUMS": gpg("--clearsign", data=text)}
    for files in (apart, around):
        good = kit.open(tar(files), ring=ring)
        assert [signature.outcome for signature in good.signatures] == [Outcome.VALID]
        assert not good.coverage.uncovered
        assert kit.codes(good) == set()
        changed = kit.open(tar({**files, "SHA256SUMS": files["SHA256SUMS"].replace(b"fw", b"FW")}), ring=ring)
        assert [signature.outcome for signature in changed.signatures] == [Outcome.INVALID]
        assert changed.coverage.uncovered == changed.coverage.payload
        assert [signature.outcome for signature in kit.open(tar(files)).signatures] == [Outcome.KEY_UNKNOWN]
    broken = {**FILES, "SHA256SUMS": around["SHA256SUMS"][:-80]}
    assert Outcome.VALID not in {signature.outcome for signature in kit.open(tar(broken), ring=ring).signatures}


def test_lines_outside_the_signed_text_are_no_statements(kit: Any, gpg: Any) -> None:
    ring = ring_of(gpg("--armor", "--export"))
    signed_text = gpg("--clearsign", data=listing({"fw.bin": FIRMWARE}))
    files = {**FILES, "SHA256SUMS": signed_text + listing({"etc/config": CONFIG})}
    artifact = kit.open(tar(files), ring=ring)
    assert sum(span.size for span in artifact.coverage.uncovered) >= len(CONFIG)


@pytest.mark.parametrize(
    ("tool_name", "make", "sign", "ending"),
    [
        (
            "minisign",
            ("-G", "-W", "-p", "k.pub", "-s", "k.sec"),
            ("-S", "-s", "k.sec", "-m", "L", "-x", "sig"),
            ".minisig",
        ),
        (
            "signify-openbsd",
            ("-G", "-n", "-p", "k.pub", "-s", "k.sec"),
            ("-S", "-s", "k.sec", "-m", "L", "-x", "sig"),
            ".sig",
        ),
    ],
)
def test_minisign_and_signify(
    kit: Any, tool: Any, tmp_path: Path, tool_name: str, make: Any, sign: Any, ending: str
) -> None:
    text = listing(FILES)
    (tmp_path / "L").write_bytes(text)
    tool(tool_name, *make, cwd=tmp_path)
    tool(tool_name, *sign, cwd=tmp_path)
    ring = ring_of((tmp_path / "k.pub").read_bytes())
    files = {**FILES, "SHA256SUMS": text, f"SHA256SUMS{ending}": (tmp_path / "sig").read_bytes()}
    assert [item.outcome for item in kit.open(packed(files), ring=ring).signatures] == [Outcome.VALID]
    changed = kit.open(packed({**files, "SHA256SUMS": text + b"\n"}), ring=ring)
    assert [item.outcome for item in changed.signatures] == [Outcome.INVALID]


def test_a_signature_that_cannot_be_read_is_undecidable(kit: Any, tool: Any, tmp_path: Path) -> None:
    (tmp_path / "SHA256SUMS").write_bytes(listing(FILES))
    (tmp_path / "SHA256SUMS.sig").write_bytes(b"signature")
    tool("zip", "-q", "-P", "secret", "x.zip", "SHA256SUMS.sig", cwd=tmp_path)
    tool("zip", "-q", "x.zip", "SHA256SUMS", cwd=tmp_path)
    artifact = kit.open(tmp_path / "x.zip")
    assert [signature.outcome for signature in artifact.signatures] == [Outcome.UNDECIDABLE]
    empty = kit.open(tar({"SHA256SUMS": listing(FILES), "SHA256SUMS.sig": b"", "x": b"", "x.sig": b"s"}))
    assert Outcome.VALID not in {signature.outcome for signature in empty.signatures}


def test_a_signature_over_the_whole_archive_is_for_detached(kit: Any, signed: Any, public: Any) -> None:
    data = packed(FILES)
    artifact = kit.open(data, signature=signed(data), **public)
    assert artifact.format == "detached"
    assert artifact.signatures[0].outcome is Outcome.VALID
    assert artifact.images[0].inner.format == "archive"


# What lies inside, and what is odd


def test_members_are_opened_and_other_formats_keep_theirs(kit: Any, imgtool: Any) -> None:
    image = imgtool().read_bytes()
    artifact = kit.open(packed({"fw.img": image, "inner.tar": tar({"fw.img": image})}, zipfile.ZIP_DEFLATED))
    assert artifact.images[0].inner.format == "mcuboot"
    assert artifact.images[1].inner.images[0].inner.format == "mcuboot"


def test_encrypted_members_are_undecided_under_a_signed_list(
    kit: Any, tool: Any, tmp_path: Path, signed: Any, public: Any
) -> None:
    text = listing({"fw.bin": FIRMWARE})
    for name, data in {"fw.bin": FIRMWARE, "SHA256SUMS": text, "SHA256SUMS.sig": signed(text)}.items():
        (tmp_path / name).write_bytes(data)
    tool("zip", "-q", "-P", "secret", "x.zip", "fw.bin", cwd=tmp_path)
    tool("zip", "-q", "x.zip", "SHA256SUMS", "SHA256SUMS.sig", cwd=tmp_path)
    artifact = kit.open(tmp_path / "x.zip", **public)
    assert (artifact.coverage.uncovered, artifact.coverage.undecided) == ((), artifact.coverage.payload)
    assert artifact.images[0].encryption.encrypted
    assert artifact.images[0].digests[0].matches is None
    assert kit.codes(artifact) == {"weak-cipher"}


def test_a_damaged_member_is_refused_or_told(kit: Any) -> None:
    data = packed({"fw.bin": FIRMWARE})
    assert "checksum-mismatch" in kit.codes(kit.open(data.replace(FIRMWARE[:14], b"Firmware line\n", 1)))
    deflated = packed({"fw.bin": FIRMWARE}, zipfile.ZIP_DEFLATED)
    at = deflated.find(b"fw.bin") + 6
    with pytest.raises(FormatError):
        kit.open(deflated[:at] + b"\xff\xff" + deflated[at + 2 :])


def special(kind: bytes, name: str = "special", **more: Any) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as pack:
        info = tarfile.TarInfo("fw.bin")
        info.size = len(FIRMWARE)
        pack.addfile(info, io.BytesIO(FIRMWARE))
        info = tarfile.TarInfo(name)
        info.type, info.linkname = kind, more.get("target", "")
        pack.addfile(info)
    return out.getvalue()


@pytest.mark.parametrize(
    ("kind", "code"),
    [
        (tarfile.SYMTYPE, "link-member"),
        (tarfile.LNKTYPE, "link-member"),
        (tarfile.CHRTYPE, "malformed"),
        (tarfile.FIFOTYPE, "malformed"),
        (tarfile.DIRTYPE, None),
    ],
)
def test_links_and_devices_are_told_and_folders_are_not(kit: Any, kind: bytes, code: str | None) -> None:
    artifact = kit.open(special(kind, target="t" * 150))
    assert kit.codes(artifact) == {"unsigned"} | ({code} if code else set())
    assert len(artifact.images) == (2 if code else 1)


@pytest.mark.parametrize("name", ["../x", "/x", "a/../../x"])
def test_names_that_lead_out_are_refused(kit: Any, name: str) -> None:
    for data in (special(tarfile.REGTYPE, name), special(tarfile.DIRTYPE, name), special(tarfile.SYMTYPE, name)):
        with pytest.raises(FormatError, match="leads out"):
            kit.open(data)


def test_a_sparse_member_is_refused(kit: Any) -> None:
    with pytest.raises(FormatError, match="is of kind"):
        kit.open(special(tarfile.GNUTYPE_SPARSE))


def test_bytes_behind_a_tar_are_told_in_every_form(kit: Any) -> None:
    whole = tar(FILES)
    for data in (whole + b"more", gzip.compress(whole + b"more"), whole + bytes(200_000) + b"more"):
        assert "trailing-data" in kit.codes(kit.open(data))
    assert "trailing-data" not in kit.codes(kit.open(gzip.compress(whole + bytes(200_000))))


def test_names_that_mean_the_same_are_duplicates(kit: Any, signed: Any, public: Any) -> None:
    text = listing({"fw.bin": FIRMWARE})
    files = {"fw.bin": FIRMWARE, ".//fw.bin": b"evil", "SHA256SUMS": text, "SHA256SUMS.sig": signed(text)}
    artifact = kit.open(tar(files), **public)
    assert {"duplicate-member", "digest-mismatch"} <= kit.codes(artifact)
    assert len(artifact.coverage.uncovered) == 2
    with pytest.raises(FormatError, match="twice"):
        kit.open(packed({"a/b": b"1", "a//./b": b"2"}))


def test_a_manifest_without_digests_is_payload_that_steers(kit: Any, signed: Any, public: Any) -> None:
    text = listing({"fw.bin": FIRMWARE})
    files = {
        "fw.bin": FIRMWARE,
        "manifest.json": b'{"version": "9"}',
        "SHA256SUMS": text,
        "SHA256SUMS.sig": signed(text),
    }
    artifact = kit.open(packed(files), **public)
    assert kit.codes(artifact) == {"unauthenticated-member", "unprotected-metadata"}
    assert sum(span.size for span in artifact.coverage.uncovered) == 16
    assert (artifact.version.version, artifact.version.authentic) == ("9", False)


def test_a_jws_over_a_large_member_is_undecidable(kit: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("checker.formats._archive_signatures.MAX_HEADER", 100)
    token = b"eyJhbGciOiJFUzI1NiJ9..AA"
    artifact = kit.open(packed({"fw.bin": FIRMWARE, "fw.bin.jws": token}))
    assert [signature.outcome for signature in artifact.signatures] == [Outcome.UNDECIDABLE]


def test_what_is_no_archive_is_not_claimed(kit: Any) -> None:
    for data in (gzip.compress(b"no tar"), bz2.compress(b"no tar"), b"BZh9broken", b"\x28\xb5\x2f\xfd....", b"text"):
        with pytest.raises(UnknownFormatError):
            kit.open(data)


def test_a_compressed_tar_that_is_cut_short_is_refused(kit: Any) -> None:
    whole = tar({"fw.bin": hashlib.shake_256(b"x").digest(5000)}, "gz")
    for data in (whole[:-200], gzip.compress(tar({"fw.bin": FIRMWARE})[:2000])):
        with pytest.raises(FormatError):
            kit.open(data, format_id="archive")


# Hostile archives


def test_bombs_inside_bombs_end_within_bounds(kit: Any) -> None:
    data = tar({"zero": bytes(4_000_000)}, "gz")
    for _ in range(3):
        data = packed({f"{number}.tar.gz": data for number in range(10)}, zipfile.ZIP_DEFLATED)
    started = time.process_time()
    artifact = kit.open(data)
    assert time.process_time() - started < 20
    opened = sum(1 for _ in artifact.walk())
    assert opened <= _archive_members.MAX_OPENED * 2


def test_room_is_shared_by_all_archives_inside(kit: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    inner = tar({"zero": bytes(100_000)}, "gz")
    monkeypatch.setattr(_archive_members.Room, "__init__", lambda self: self.__dict__.update(left=150_000, opened=0))
    artifact = kit.open(packed({"a.tar.gz": inner, "b.zip": packed({"z": bytes(200_000)}, zipfile.ZIP_DEFLATED)}))
    assert artifact.images[0].inner is not None
    assert artifact.images[1].inner is None
    assert "inner-unreadable" in kit.codes(artifact)


def test_a_zip_that_holds_itself_ends() -> None:
    """Each level is one archive deeper than the last; MAX_DEPTH ends it."""
    data = packed({"x": b"x"})
    for _ in range(30):
        data = packed({"x.zip": data})
    started = time.process_time()
    artifact = Kit.open(data)
    assert sum(1 for _ in artifact.walk()) <= 10
    assert time.process_time() - started < 5


def test_many_members_are_counted_not_listed(kit: Any) -> None:
    count = archive.MAX_IMAGES + 500
    files = {f"f{number}": b"" for number in range(count)} | {"SHA256SUMS": listing({"f0": b""})}
    started = time.process_time()
    artifact = kit.open(tar(files))
    assert len(artifact.images) == archive.MAX_IMAGES + 1
    assert artifact.images[-1].id == "500 more"
    assert len(artifact.weaknesses) <= 3 * (archive.MAX_TOLD + 1)
    assert any(
        weakness.message == f"{count - 1 - archive.MAX_TOLD} more of this kind" for weakness in artifact.weaknesses
    )
    assert time.process_time() - started < 10


def test_lists_beyond_what_is_held_at_once_are_payload(kit: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    text = listing(FILES)
    monkeypatch.setattr(archive, "MAX_HEADER", len(text) + 10)
    artifact = kit.open(tar({**FILES, "SHA256SUMS": text, "MD5SUMS": sums(FILES, "md5sum")}))
    assert {image.id for image in artifact.images} == {*FILES, "MD5SUMS"}
    assert "unreferenced-member" in kit.codes(artifact)


def test_a_huge_pax_header_is_refused(kit: Any) -> None:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.PAX_FORMAT) as pack:
        info = tarfile.TarInfo("x")
        info.pax_headers = {"comment": "x" * 100_000}
        pack.addfile(info)
    with pytest.raises(LimitError, match="extended header"):
        kit.open(out.getvalue(), format_id="archive")


def test_a_list_with_too_many_lines_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("checker.formats._archive_lists.MAX_STATEMENTS", 1)
    assert read_list("SHA256SUMS", listing(FILES), []) is None
    assert read_list("m.json", json.dumps({"files": [ENTRY, {**ENTRY, "name": "b"}]}).encode(), []) is None


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10**6), st.integers(0, 7), st.sampled_from(sorted(PACK)))
def test_a_flipped_bit_gives_an_archive_or_a_format_error(place: int, bit: int, form: str) -> None:
    data = bytearray(PACK[form]({**FILES, "SHA256SUMS": listing(FILES)}))
    data[place % len(data)] ^= 1 << bit
    try:
        artifact = Kit.open(bytes(data))
    except FormatError:
        return
    assert all(signature.outcome is Outcome.ABSENT for signature in artifact.signatures)


@settings(max_examples=100, deadline=None)
@given(st.text(max_size=300), st.sampled_from(["SHA256SUMS", "manifest.json", "m.yaml", "a.sha256"]))
def test_any_text_is_a_list_or_none(text: str, name: str) -> None:
    read_list(name, text.encode("utf-8", "replace"), ["a"])
    read_list(name, b"{" + text.encode("utf-8", "replace"), ["a"])


# Attacks: what a stranger may add to an archive that the vendor signed


@pytest.mark.parametrize("form", sorted(PACK))
@pytest.mark.parametrize("forged", [b"\xff" * 71, bytes(range(256))])
def test_a_signature_that_nobody_can_judge_covers_nothing_beside_one_that_holds(
    kit: Any, signed: Any, public: Any, form: str, forged: bytes
) -> None:
    good = {"fw.bin": FIRMWARE, "fw.bin.sig": signed(FIRMWARE)}
    clean = kit.open(PACK[form](good), **public)
    assert (clean.coverage.uncovered, clean.coverage.undecided) == ((), ())
    artifact = kit.open(PACK[form]({**good, "evil.bin": b"evil", "evil.bin.sig": forged}), **public)
    assert Outcome.VALID in {signature.outcome for signature in artifact.signatures}
    evil = next(image for image in artifact.images if image.id == "evil.bin")
    assert evil.span in (*artifact.coverage.uncovered, *artifact.coverage.undecided)
    assert artifact.coverage.size_bound is not True
    unknown = kit.open(PACK[form]({"evil.bin": b"evil", "evil.bin.sig": forged}))
    assert unknown.coverage.uncovered == ()  # without any declared key, all of it is equally unknown


@pytest.mark.parametrize("form", sorted(PACK))
def test_an_unsigned_manifest_that_states_digests_steers_and_is_not_covered(
    kit: Any, signed: Any, public: Any, form: str
) -> None:
    text = listing(FILES)
    good = {**FILES, "SHA256SUMS": text, "SHA256SUMS.sig": signed(text)}
    steering = json.dumps({"files": [{"name": "fw.bin", "sha256": sha(FIRMWARE)}], "run": "reboot -f"}).encode()
    artifact = kit.open(PACK[form]({**good, "manifest.json": steering}), **public)
    assert "unprotected-metadata" in kit.codes(artifact)
    assert artifact.coverage.uncovered
    named = listing({**FILES, "manifest.json": steering})
    kept = {**FILES, "SHA256SUMS": named, "SHA256SUMS.sig": signed(named), "manifest.json": steering}
    covered = kit.open(PACK[form](kept), **public)
    assert covered.coverage.uncovered == ()
    assert kit.codes(covered) == set()


@pytest.mark.parametrize("form", sorted(PACK))
def test_an_empty_member_that_nobody_signed_is_not_covered(kit: Any, signed: Any, public: Any, form: str) -> None:
    text = listing(FILES)
    good = {**FILES, "SHA256SUMS": text, "SHA256SUMS.sig": signed(text)}
    artifact = kit.open(PACK[form]({**good, "allow-downgrade": b""}), **public)
    assert kit.codes(artifact) == {"unauthenticated-member"}
    assert sum(span.size for span in artifact.coverage.uncovered)
    named = listing({**FILES, "allow-downgrade": b""})
    kept = {**FILES, "allow-downgrade": b"", "SHA256SUMS": named, "SHA256SUMS.sig": signed(named)}
    assert kit.open(PACK[form](kept), **public).coverage.uncovered == ()


def test_one_encrypted_member_does_not_make_the_archive_encrypted(kit: Any, tool: Any, tmp_path: Path) -> None:
    for name in ("decoy.bin", "fw.bin"):
        (tmp_path / name).write_bytes(FIRMWARE)
    tool("zip", "-q", "-P", "secret", "x.zip", "decoy.bin", cwd=tmp_path)
    tool("zip", "-q", "x.zip", "fw.bin", cwd=tmp_path)
    artifact = kit.open(tmp_path / "x.zip")
    assert [image.encryption.encrypted for image in artifact.images] == [True, False]
    assert not any(item.encrypted for item in artifact.encryption)


def test_a_flag_does_not_encrypt(kit: Any, tool: Any, tmp_path: Path) -> None:
    content = FIRMWARE * 20
    (tmp_path / "fw.bin").write_bytes(content)
    tool("zip", "-q", "-0", "-X", "-P", "secret", "x.zip", "fw.bin", cwd=tmp_path)
    data = (tmp_path / "x.zip").read_bytes()
    assert kit.open(data).images[0].encryption.encrypted is True
    start = data.index(b"fw.bin") + 6
    plain = data[:start] + bytes(12) + content + data[start + 12 + len(content) :]
    artifact = kit.open(plain)
    assert artifact.images[0].encryption.encrypted is False
    assert "repeated-blocks" in kit.codes(artifact)


def sparse_tar(name: str, stated: str, content: bytes) -> bytes:
    """A tar whose pax header turns the stored bytes, a map and the data, into another file of another name."""
    stored = f"1\n0\n{len(content)}\n".encode().ljust(512, b"\0") + content
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.PAX_FORMAT) as pack:
        info = tarfile.TarInfo(name)
        info.size = len(stored)
        info.pax_headers = {
            "GNU.sparse.major": "1",
            "GNU.sparse.minor": "0",
            "GNU.sparse.name": stated,
            "GNU.sparse.realsize": str(len(content)),
        }
        pack.addfile(info, io.BytesIO(stored))
    return out.getvalue()


def test_a_sparse_file_of_pax_is_refused_since_readers_unpack_other_bytes(kit: Any, tool: Any, tmp_path: Path) -> None:
    data = sparse_tar("fw.bin", "evil.sh", b"#!/bin/sh\n")
    (tmp_path / "x.tar").write_bytes(data)
    tool("tar", "-xf", "x.tar", cwd=tmp_path)
    assert (tmp_path / "evil.sh").read_bytes() == b"#!/bin/sh\n"  # not what is stored, nor under its name
    with pytest.raises(FormatError, match="sparse"):
        kit.open(data)


@pytest.mark.parametrize(("kind", "command"), [("xz", "xz"), ("gz", "")])
def test_a_second_stream_behind_padding_is_not_left_out(
    kit: Any, signed: Any, public: Any, tool: Any, tmp_path: Path, kind: str, command: str
) -> None:
    text = listing(FILES)
    good = tar({**FILES, "SHA256SUMS": text, "SHA256SUMS.sig": signed(text)}).rstrip(b"\0")
    good += bytes(-len(good) % 512)
    press: Any = lzma.compress if kind == "xz" else gzip.compress
    data = press(good) + bytes(8) + press(tar({"evil.sh": b"evil"}))
    if command:
        (tmp_path / "x").write_bytes(data)
        assert b"evil.sh" in tool(command, "-dc", "x", cwd=tmp_path).stdout
    else:
        assert b"evil.sh" in gzip.decompress(data)
    try:
        artifact = kit.open(data, **public)
    except FormatError:
        return
    assert artifact.coverage.uncovered


@pytest.mark.parametrize("content", [b"#!/bin/sh\nreboot -f; true\n", b"A" * (1024 * 1024 + 1)])
def test_a_script_that_is_called_like_a_signature_is_payload(
    kit: Any, signed: Any, public: Any, content: bytes
) -> None:
    text = listing(FILES)
    good = {**FILES, "SHA256SUMS": text, "SHA256SUMS.sig": signed(text)}
    artifact = kit.open(packed({**good, "fw.bin.sign": content}), **public)
    assert [signature.outcome for signature in artifact.signatures] == [Outcome.VALID]
    assert sum(span.size for span in artifact.coverage.uncovered) == len(content)
    second = kit.open(packed({**good, "fw.bin.sign": base64.b64encode(signed(FIRMWARE))}), **public)
    assert [signature.outcome for signature in second.signatures] == [Outcome.VALID, Outcome.VALID]
    assert second.coverage.uncovered == ()
