from __future__ import annotations

import base64
import gzip
import hashlib
import io
import json
import lzma
import subprocess
import tarfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
import zstandard

from checker.crypto.signatures import ecdsa_raw
from checker.errors import FormatError, LimitError
from checker.formats import _inflate, _mender_layout, _tar
from checker.formats._mender_header import MAX_JSON
from checker.formats.mender import FORMAT
from checker.io.sources import BytesSource
from checker.model.artifact import INEXPRESSIBLE, Artifact, Span
from checker.model.terms import Outcome

FIRMWARE = hashlib.shake_256(b"firmware").digest(40_000)
PACK: dict[str, Callable[[bytes], bytes]] = {
    "": lambda data: data,
    ".gz": lambda data: gzip.compress(data, mtime=0),
    ".xz": lzma.compress,
    ".zst": zstandard.compress,
}
INFO: dict[str, Any] = {
    "payloads": [{"type": "rootfs-image"}],
    "artifact_provides": {"artifact_name": "rel-1"},
    "artifact_depends": {"device_type": ["gw1"], "artifact_name": ["rel-0"]},
}
TYPE_INFO = {"type": "rootfs-image", "artifact_depends": {"rootfs-image.checksum": "aa"}}
Members = Sequence[tuple[str, bytes]]


def tar(members: Members, kind: bytes = tarfile.REGTYPE, form: int = tarfile.USTAR_FORMAT) -> bytes:
    """Return a tar archive made by Python's tarfile, a second implementation of the container."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=form) as archive:
        for name, data in members:
            entry = tarfile.TarInfo(name)
            entry.type, entry.size = kind, len(data) if kind == tarfile.REGTYPE else 0
            entry.linkname = "" if kind == tarfile.REGTYPE else "target"
            archive.addfile(entry, io.BytesIO(data) if kind == tarfile.REGTYPE else None)
    return out.getvalue()


def sha(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def listing(files: Mapping[str, bytes]) -> bytes:
    return "".join(f"{sha(data)}  {name}\n" for name, data in files.items()).encode()


def build(
    files: Members = (("fw.bin", FIRMWARE),),
    *,
    info: Any = None,
    suffix: str = ".gz",
    signature: Any = None,
    manifest: bytes | None = None,
    header: bytes | None = None,
    data: bytes | None = None,
    more: Members = (),
) -> bytes:
    """Return an artifact of version 3 with one payload; `signature` maps the manifest to `manifest.sig`."""
    text = json.dumps(INFO if info is None else info).encode()
    version = b'{"format":"mender","version":3}'
    inside = [("header-info", text), ("headers/0000/type-info", json.dumps(TYPE_INFO).encode())]
    header = PACK[suffix](tar(inside)) if header is None else header
    packed = PACK[suffix](tar(files)) if data is None else data
    named = {f"data/0000/{name}": content for name, content in files}
    manifest = listing({**named, f"header.tar{suffix}": header, "version": version}) if manifest is None else manifest
    members = [("version", version), ("manifest", manifest)]
    if signature is not None:
        members.append(("manifest.sig", signature(manifest)))
    before = [item for item in more if item[0] == "manifest-augment"]
    after = [item for item in more if item[0] != "manifest-augment"]
    return tar([*members, *before, (f"header.tar{suffix}", header), *after, (f"data/0000.tar{suffix}", packed)])


@pytest.fixture(scope="module")
def pems(tool: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Keys in the old forms that mender-artifact wants: `rsa.pem`, `ec.pem`, `other.pem`, and `….pub.pem`."""
    folder = tmp_path_factory.mktemp("mender-keys")
    tool("openssl", "genrsa", "-traditional", "-out", "rsa.pem", "3072", cwd=folder)
    for name in ("ec", "other"):
        tool("openssl", "ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out", f"{name}.pem", cwd=folder)
    for name in ("rsa", "ec", "other"):
        tool("openssl", "pkey", "-in", f"{name}.pem", "-pubout", "-out", f"{name}.pub.pem", cwd=folder)
    return folder


@pytest.fixture(scope="module")
def sign(tool: Any, pems: Path) -> Any:
    """Return a signer by openssl: `sign("ec")` gives DER as hardware modules do, `sign("ec", raw=True)` gives r||s."""

    def signer(key: str, *, raw: bool = False) -> Any:
        def apply(manifest: bytes) -> bytes:
            made = tool("openssl", "dgst", "-sha256", "-sign", pems / f"{key}.pem", data=manifest).stdout
            return base64.b64encode(ecdsa_raw(made, 32) if raw else made)

        return apply

    return signer


@pytest.fixture(scope="module")
def write(tool: Any, pems: Path, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Make artifacts with mender-artifact: `write("rsa", "gzip", "rootfs-image", …)` returns the path."""
    folder = tmp_path_factory.mktemp("mender")
    (folder / "fw.bin").write_bytes(FIRMWARE)
    (folder / "more.txt").write_text("more\n")
    (folder / "ArtifactInstall_Enter_00").write_text("#!/bin/sh\n")

    def make(key: str | None, compression: str, kind: str, *options: str) -> Path:
        out = folder / f"{len(list(folder.iterdir()))}.mender"
        signing = ("-k", pems / f"{key}.pem") if key else ()
        head = ("mender-artifact", "--compression", compression, "write", kind)
        quiet = ("--no-progress",) if kind == "rootfs-image" else ()
        common = ("-t", "gw1", "-t", "gw2", "-n", "rel-1", "-f", "fw.bin", "-o", out, *quiet)
        tool(*head, *common, *signing, *options, cwd=folder)
        return out

    return make


def validates(path: Path, key: Path) -> bool:
    """Ask mender-artifact itself whether it takes an artifact."""
    command = ["mender-artifact", "validate", str(path), "-k", str(key)]
    return subprocess.run(command, capture_output=True, timeout=60, check=False).returncode == 0


def outcome(artifact: Artifact) -> Outcome:
    return artifact.signatures[0].outcome


def complete(artifact: Artifact) -> bool:
    checks = [*artifact.digests, *(check for image in artifact.images for check in image.digests)]
    right = bool(checks) and all(check.matches for check in checks)
    return outcome(artifact) is Outcome.VALID and not artifact.coverage.uncovered and right


# Artifacts made by mender-artifact


@pytest.mark.parametrize(
    ("key", "compression", "version"),
    [("rsa", "gzip", "3"), ("ec", "gzip", "2"), ("ec", "lzma", "3"), ("rsa", "none", "2")],
)
def test_an_artifact_made_by_mender_is_valid_and_wholly_covered(
    kit: Any, write: Any, pems: Path, key: str, compression: str, version: str
) -> None:
    algorithm, encoding = {"rsa": ("rsa-pkcs1v15", "base64 of raw"), "ec": ("ecdsa", "base64 of raw r||s")}[key]
    path, public = write(key, compression, "rootfs-image", "-v", version), pems / f"{key}.pub.pem"
    artifact = kit.open(path, keys=[public])
    signature = artifact.signatures[0]
    assert complete(artifact)
    assert validates(path, public)
    assert (signature.algorithm, signature.hash, signature.encoding) == (algorithm, "sha-256", encoding)
    assert artifact.title.endswith(f"version {version}")
    assert (artifact.version.version, artifact.version.authentic) == ("rel-1", True)
    assert artifact.version.sequence is INEXPRESSIBLE
    assert artifact.hardware == ("gw1", "gw2")
    assert artifact.coverage.size_bound is True
    (image,) = artifact.images
    assert (image.id, image.size, image.target) == ("data/0000/fw.bin", len(FIRMWARE), "rootfs-image")
    assert image.digests[0].expected == sha(FIRMWARE)
    assert not image.encryption.encrypted
    assert artifact.encryption == ()
    assert kit.codes(artifact) == set()


def test_the_five_outcomes_but_undecidable_have_their_cases(kit: Any, write: Any, pems: Path) -> None:
    signed, plain = write("ec", "gzip", "rootfs-image"), write(None, "gzip", "rootfs-image")
    assert outcome(kit.open(signed, keys=[pems / "ec.pub.pem"])) is Outcome.VALID
    assert outcome(kit.open(signed, keys=[pems / "other.pub.pem"])) is Outcome.INVALID
    assert not validates(signed, pems / "other.pub.pem")
    assert outcome(kit.open(signed, keys=[pems / "rsa.pub.pem"])) is Outcome.KEY_UNKNOWN
    assert outcome(kit.open(signed)) is Outcome.KEY_UNKNOWN
    artifact = kit.open(plain, keys=[pems / "ec.pub.pem"])
    assert outcome(artifact) is Outcome.ABSENT
    assert artifact.coverage.uncovered == artifact.coverage.payload
    assert "unsigned" in kit.codes(artifact)
    assert set(artifact.coverage.unprotected_metadata) >= {"artifact_name", "device_type"}


def test_a_module_with_two_files_is_one_component(kit: Any, write: Any, pems: Path) -> None:
    options = (
        "-T",
        "single-file",
        "-f",
        "more.txt",
        "-N",
        "rel-0",
        "--depends",
        "a:b",
        "-s",
        "ArtifactInstall_Enter_00",
    )
    artifact = kit.open(write("ec", "gzip", "module-image", *options), keys=[pems / "ec.pub.pem"])
    assert complete(artifact)
    assert [(image.id, image.role) for image in artifact.images] == [
        ("data/0000", "image"),
        ("data/0000/fw.bin", "other"),
        ("data/0000/more.txt", "other"),
        ("scripts/ArtifactInstall_Enter_00", "script"),
    ]
    assert artifact.version.constraints == ("artifact_name rel-0", "0000: a b")
    assert "script-member" in kit.codes(artifact)
    assert {"scripts", "artifact_depends"} <= set(artifact.coverage.metadata)


def test_what_only_the_augmented_manifest_names_is_unauthenticated(kit: Any, write: Any, pems: Path) -> None:
    options = ("-T", "delta", "--augment-type", "delta", "--augment-file", "more.txt", "--augment-depends", "x:y")
    path = write("ec", "gzip", "module-image", *options)
    assert validates(path, pems / "ec.pub.pem")  # the format allows it
    artifact = kit.open(path, keys=[pems / "ec.pub.pem"])
    assert outcome(artifact) is Outcome.VALID
    assert artifact.coverage.uncovered == artifact.coverage.payload  # one compressed archive holds both files
    assert artifact.coverage.size_bound is False
    assert artifact.coverage.unprotected_metadata == ("header-augment",)
    where = {item.where for item in artifact.weaknesses if item.code == "unauthenticated-member"}
    assert where == {"data/0000/more.txt", "header-augment.tar.gz"}
    checks = {check.name: check for image in artifact.images for check in image.digests}
    assert [checks[f"data/0000/{name}"].authentic for name in ("fw.bin", "more.txt")] == [True, False]
    assert all(check.matches for check in checks.values())


def test_one_flipped_bit_anywhere_that_counts_is_found(kit: Any, write: Any, pems: Path, tmp_path: Path) -> None:
    data, ring = write("ec", "none", "rootfs-image").read_bytes(), kit.ring(keys=[pems / "ec.pub.pem"])
    agreed = 0
    for place in [*range(0, 8192, 61), *range(8192, len(data), 4099)]:
        mutant = bytearray(data)
        mutant[place] ^= 4
        try:
            proven = complete(kit.open(bytes(mutant), ring=ring))
        except FormatError:
            continue
        if not proven:
            continue
        (tmp_path / "x").write_bytes(mutant)  # padding, or a field of a tar header that nobody reads
        assert validates(tmp_path / "x", pems / "ec.pub.pem"), place
        agreed += 1
    assert agreed < 40


@pytest.mark.parametrize("suffix", ["", ".gz", ".xz"])
def test_a_changed_file_or_header_is_uncovered_though_the_signature_is_valid(
    kit: Any, sign: Any, pems: Path, suffix: str
) -> None:
    keys = [pems / "ec.pub.pem"]
    good = build(suffix=suffix, signature=sign("ec", raw=True))
    assert complete(kit.open(good, keys=keys))
    other = PACK[suffix](tar([("fw.bin", FIRMWARE[:-1] + b"x")]))
    artifact = kit.open(build(suffix=suffix, signature=sign("ec"), data=other), keys=keys)
    assert (outcome(artifact), complete(artifact)) == (Outcome.VALID, False)
    assert artifact.coverage.uncovered == artifact.coverage.payload
    assert "digest-mismatch" in kit.codes(artifact)
    text = json.dumps(INFO | {"artifact_provides": {"artifact_name": "rel-9"}}).encode()
    manifest = next(data for name, data in read_back(good) if name == "manifest")
    forged = build(
        suffix=suffix, signature=sign("ec"), manifest=manifest, header=PACK[suffix](tar([("header-info", text)]))
    )
    artifact = kit.open(forged, keys=keys)
    assert (artifact.version.version, artifact.version.authentic) == ("rel-9", False)
    assert "artifact_name" in artifact.coverage.unprotected_metadata


def read_back(data: bytes) -> Members:
    with tarfile.open(fileobj=io.BytesIO(data)) as archive:
        return [(item.name, archive.extractfile(item).read()) for item in archive]  # type: ignore[union-attr]


def test_both_encodings_of_ecdsa_are_taken_and_told_apart(kit: Any, sign: Any, pems: Path) -> None:
    keys = [pems / "ec.pub.pem"]
    for raw, encoding in ((True, "base64 of raw r||s"), (False, "base64 of DER")):
        artifact = kit.open(build(signature=sign("ec", raw=raw)), keys=keys)
        assert (outcome(artifact), artifact.signatures[0].encoding) == (Outcome.VALID, encoding)
    broken = kit.open(build(signature=lambda _: b"***"), keys=keys)
    assert (outcome(broken), broken.signatures[0].note) == (Outcome.INVALID, "manifest.sig is no base64")


def test_a_member_beside_the_manifest_is_found(kit: Any, sign: Any, pems: Path) -> None:
    keys = [pems / "ec.pub.pem"]
    files = (("fw.bin", FIRMWARE), ("evil", b"evil"))
    manifest = next(data for name, data in read_back(build()) if name == "manifest")
    artifact = kit.open(build(files, signature=sign("ec"), manifest=manifest), keys=keys)
    assert "unreferenced-member" in kit.codes(artifact)
    assert artifact.coverage.uncovered
    artifact = kit.open(build((), signature=sign("ec"), manifest=manifest), keys=keys)
    assert "missing-member" in kit.codes(artifact)
    twice = (("fw.bin", FIRMWARE), ("fw.bin", FIRMWARE[:-1] + b"x"))
    artifact = kit.open(build(twice, signature=sign("ec"), manifest=manifest), keys=keys)
    assert {"malformed", "digest-mismatch"} <= kit.codes(artifact)
    assert not complete(artifact)


def test_mender_and_otaudit_agree_about_forgeries(kit: Any, sign: Any, pems: Path, tool: Any, tmp_path: Path) -> None:
    tool("mender-artifact", "--version")
    der, raw, key = sign("ec"), sign("ec", raw=True), pems / "ec.pub.pem"
    listed = next(data for name, data in read_back(build()) if name == "manifest")
    evil = ("evil", b"evil")
    cases = {
        "good": build(signature=raw),
        "xz": build(signature=raw, suffix=".xz"),
        "plain": build(signature=raw, suffix=""),
        "signature by another key": build(signature=sign("other", raw=True)),
        "manifest changed after signing": build(signature=lambda manifest: raw(manifest + b"\n")),
        "payload changed": build((("fw.bin", FIRMWARE[1:]),), signature=raw, manifest=listed),
        "payload renamed": build((("other.bin", FIRMWARE),), signature=raw, manifest=listed),
        "payload beside": build((("fw.bin", FIRMWARE), evil), signature=raw, manifest=listed),
        "payload missing": build((), signature=raw, manifest=listed),
        "header of another release": build(info=INFO | {"artifact_depends": {}}, signature=raw, manifest=listed),
    }
    disagreeing = {"missing-member", "unreferenced-member", "malformed"}
    for name, data in cases.items():
        (tmp_path / "x").write_bytes(data)
        artifact = kit.open(data, keys=[key])
        proven = complete(artifact) and not disagreeing & kit.codes(artifact)
        assert proven is (name in {"good", "xz", "plain"}), name
        assert validates(tmp_path / "x", key) is proven, name
    assert complete(kit.open(build(signature=der), keys=[key]))  # the tool's own way of checking takes raw r||s only


def test_an_augmented_manifest_does_not_override_the_signed_one(kit: Any, sign: Any, pems: Path) -> None:
    evil = b"evil"
    more = [("manifest-augment", listing({"data/0000/fw.bin": evil}))]
    manifest = next(data for name, data in read_back(build()) if name == "manifest")
    data = build((("fw.bin", evil),), signature=sign("ec"), manifest=manifest, more=more)
    artifact = kit.open(data, keys=[pems / "ec.pub.pem"])
    assert (complete(artifact), artifact.images[0].digests[0].matches) == (False, False)


@pytest.mark.parametrize("options", [("-1",), ("-19", "--no-check"), ("-3", "--ultra", "--long=27")], ids=" ".join)
def test_what_the_zstd_tool_packed_is_read_and_a_changed_payload_is_found(
    kit: Any, sign: Any, pems: Path, tool: Any, options: tuple[str, ...]
) -> None:
    def packed(members: Members) -> bytes:
        return bytes(tool("zstd", *options, "-c", data=tar(members)).stdout)

    keys = [pems / "ec.pub.pem"]
    header = packed([("header-info", json.dumps(INFO).encode())])
    good = build(suffix=".zst", header=header, signature=sign("ec"), data=packed([("fw.bin", FIRMWARE)]))
    artifact = kit.open(good, keys=keys)
    assert (complete(artifact), artifact.version.version, kit.codes(artifact)) == (True, "rel-1", set())
    changed = build(suffix=".zst", header=header, signature=sign("ec"), data=packed([("fw.bin", b"evil")]))
    artifact = kit.open(changed, keys=keys)
    assert (outcome(artifact), complete(artifact), kit.codes(artifact)) == (Outcome.VALID, False, {"digest-mismatch"})


def test_a_damaged_zstd_archive_proves_nothing(kit: Any, sign: Any, pems: Path) -> None:
    data, keys = zstandard.compress(tar([("fw.bin", FIRMWARE)])), [pems / "ec.pub.pem"]
    assert complete(kit.open(build(suffix=".zst", signature=sign("ec"), data=data), keys=keys))
    for broken in (data[:30_000], b"\x28\xb5\x2f\xfd" + b"no frame", data[:4] + b"\xff" + data[5:]):
        with pytest.raises(FormatError, match="zstd data"):
            kit.open(build(suffix=".zst", signature=sign("ec"), data=broken), keys=keys)
    swapped = data[:9_000] + bytes([data[9_000] ^ 1]) + data[9_001:]  # inside a block that is stored as it is
    assert not complete(kit.open(build(suffix=".zst", signature=sign("ec"), data=swapped), keys=keys))


def test_a_payload_without_an_entry_in_the_header_is_malformed(kit: Any) -> None:
    assert "malformed" in kit.codes(kit.open(build(info=INFO | {"payloads": []})))
    assert "malformed" not in kit.codes(kit.open(build()))


def test_what_lies_inside_is_opened_also_from_a_compressed_archive(kit: Any, imgtool: Any, keys: Path) -> None:
    inner = imgtool("-k", keys / "ecdsa-p256.pem").read_bytes()
    for suffix in PACK:
        artifact = kit.open(build((("fw.bin", inner),), suffix=suffix), keys=[keys / "ecdsa-p256.pub.pem"])
        (image,) = artifact.images
        assert (image.inner.format, image.inner.sha256) == ("mcuboot", sha(inner))
        assert image.inner.signatures[0].outcome is Outcome.VALID
    nested = build((("inner.mender", build((("deep.mender", build((("fw.bin", inner),))),))),))
    depths = [item.format for item in kit.open(nested).walk()]
    assert depths == ["mender", "mender", "mender"]  # the innermost compressed one is not opened any more


# Hostile input


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (tar([("version", b'{"format":"mender","version":1}'), ("manifest", b"")]), "no header"),
        (tar([("version", b'{"format":"mender"}')]), "no version or no manifest"),
        (tar([("version", b'{"format":"mender"}'), ("other", b"")]), "no place here"),
        (build(manifest=b"nonsense"), "SHA256  NAME"),
        (build(manifest=2 * listing({"version": b""})), "names a file again"),
        (build(manifest=b"\xff"), "UTF-8"),
        (build(header=b"\x1f\x8bnonsense"), "is damaged"),
        (build(header=gzip.compress(tar([("header-info", b"{}")]))[:-9]), "ends before"),
        (build(header=gzip.compress(tar([("other", b"{}")]))), "not the first"),
        (build(header=gzip.compress(tar([("header-info", b"[" * 100_000)]))), "not JSON"),
        (build(header=gzip.compress(tar([("header-info", b'{"a":1,"a":2}')]))), "twice"),
        (build(header=gzip.compress(tar([("header-info", b'{"payloads":{}}')]))), "not a list"),
        (build(header=gzip.compress(tar([("header-info", b"{}"), ("header-info", b"{}")]))), "occurs twice"),
        (build(header=gzip.compress(tar([("header-info", b" " * (MAX_JSON + 1))]))), "more than"),
        (build(data=gzip.compress(tar([("../../etc/passwd", b"")]))), "leads out"),
        (build(data=gzip.compress(tar([("/etc/passwd", b"")]))), "leads out"),
        (build(data=gzip.compress(tar([("link", b"")], tarfile.SYMTYPE))), "a symbolic link"),
        (build(data=gzip.compress(tar([("link", b"")], tarfile.LNKTYPE))), "a hard link"),
        (build(data=gzip.compress(tar([("folder", b"")], tarfile.DIRTYPE))), "a folder"),
        (build(data=gzip.compress(tar([("pipe", b"")], tarfile.FIFOTYPE))), "of kind"),
        (build(data=tar([("fw.bin", FIRMWARE)])[:-20_000]), "ends behind"),
        (tar([("version", b'{"format":"mender","version":3}'), ("data/0000.tar", b""), ("manifest", b"")]), "no place"),
        (tar([("version", b'{"format":"mender","version":3}')] * 2), "no place"),
    ],
)
def test_what_breaks_the_format_is_refused_with_the_reason(kit: Any, data: bytes, message: str) -> None:
    with pytest.raises(FormatError, match=message):
        kit.open(data)


def test_a_header_bomb_is_refused_before_it_unfolds(kit: Any) -> None:
    began = time.monotonic()
    for pack in (PACK[".gz"], PACK[".xz"], PACK[".zst"]):
        bomb = pack(tar([("header-info", b"{}"), ("scripts/x", bytes(20 * 1024 * 1024))]))
        assert len(bomb) < 100_000
        with pytest.raises(LimitError, match="come out of"):
            kit.open(build(header=bomb))
    assert time.monotonic() - began < 15


def test_a_payload_bomb_is_refused_at_its_limit(kit: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_mender_layout, "MAX_INFLATED", 1024 * 1024)
    data = build(data=gzip.compress(tar([("fw.bin", bytes(2 * 1024 * 1024))])))
    with pytest.raises(LimitError, match="MAX_INFLATED"):
        kit.open(data)
    assert kit.open(build()).images


def test_a_hundred_thousand_members_are_refused_or_read_in_time(kit: Any) -> None:
    head = bytearray(tar([("data/0000.tar", b"")])[:512])
    version = tar([("version", b'{"format":"mender","version":3}'), ("manifest", b""), ("header.tar", b"")])
    began = time.monotonic()
    with pytest.raises(FormatError):
        kit.open(version.rstrip(b"\0").ljust(3 * 1024, b"\0") + bytes(head) * 100_001)
    with pytest.raises(LimitError, match="MAX_MEMBERS"):
        list(_tar.members(BytesSource("x", bytes(head) * 100_002)))
    assert time.monotonic() - began < 20


def test_many_small_files_in_one_compressed_archive_are_hashed_in_one_pass(kit: Any) -> None:
    files = [(f"f{number}", b"%d" % number) for number in range(3000)]
    began = time.monotonic()
    artifact = kit.open(build(files))
    assert time.monotonic() - began < 10
    assert len(artifact.images) == 3001
    assert all(check.matches for image in artifact.images for check in image.digests)
    assert "too many files" in artifact.images[1].note


def test_truncations_are_answered(kit: Any, sign: Any, pems: Path) -> None:
    data, ring = build(signature=sign("ec")), kit.ring(keys=[pems / "ec.pub.pem"])
    end = len(data.rstrip(b"\0"))
    for size in [*range(0, 6000, 37), *range(end - 600, end, 11)]:
        try:
            artifact = kit.open(data[:size], ring=ring)
        except FormatError:
            continue
        assert not complete(artifact) or "missing-member" in kit.codes(artifact), size
        assert artifact.coverage.size_bound is not True, size


def test_a_tar_that_is_no_mender_artifact_is_not_claimed(kit: Any) -> None:
    for data in (tar([("version", b"1.0")]), tar([("other", b'{"format":"mender"}')])):
        assert not FORMAT.detect(BytesSource("x", data), kit.context())


def test_bytes_behind_the_archive_are_said(kit: Any) -> None:
    assert "trailing-data" in kit.codes(kit.open(build() + b"more"))
    assert "trailing-data" not in kit.codes(kit.open(build()))


# Tar and decompression, against second implementations


@pytest.mark.parametrize("form", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_long_names_are_read_in_every_dialect(form: int) -> None:
    names = ["short", f"{'d' * 60}/{'n' * 60}"]
    names += ["x" * 300, "ünïcode"] if form != tarfile.USTAR_FORMAT else []
    data = tar([(name, name.encode()) for name in names], form=form)
    found = list(_tar.members(BytesSource("x", data)))
    assert [member.name for member in found] == names
    assert [data[member.span.start : member.span.end].decode() for member in found] == names


def test_gnu_tar_and_otaudit_list_the_same(tool: Any, tmp_path: Path) -> None:
    for name, size in (("a", 0), ("b", 511), ("c", 512), ("n" * 120, 70_000)):
        (tmp_path / name).write_bytes(bytes(size))
    for form in ("ustar", "gnu", "pax"):
        names = ["a", "b", "c", *(["n" * 120] if form != "ustar" else [])]
        tool("tar", f"--format={form}", "-cf", "x.tar", *names, cwd=tmp_path)
        listed = tool("tar", "-tvf", "x.tar", cwd=tmp_path).stdout.decode().splitlines()
        found = list(_tar.members(BytesSource("x", (tmp_path / "x.tar").read_bytes())))
        assert [(item.name, str(item.span.size)) for item in found] == [
            (line.split()[-1], line.split()[2]) for line in listed
        ]


@pytest.mark.parametrize(
    ("place", "value", "message"),
    [(100, b"9", "checksum"), (124, b"99999999999\0", "octal"), (345, b"\xff", "UTF-8")],
)
def test_damaged_tar_headers_are_refused(place: int, value: bytes, message: str) -> None:
    head = bytearray(tar([("name", b"")])[:512])
    head[place : place + len(value)] = value
    if message != "checksum":
        head[148:156] = b" " * 8
        head[148:156] = b"%06o\0 " % sum(head)
    with pytest.raises(FormatError, match=message):
        list(_tar.members(BytesSource("x", bytes(head))))


def test_one_empty_block_alone_does_not_end_an_archive() -> None:
    data = tar([("name", b"")])[:512]
    assert [item.name for item in _tar.members(BytesSource("x", data + bytes(512)))] == ["name"]
    with pytest.raises(FormatError, match="readers differ"):
        list(_tar.members(BytesSource("x", data + bytes(512) + data)))


def test_a_global_header_must_not_rename_members() -> None:
    out = io.BytesIO()
    headers = {"path": "evil"}
    with tarfile.open(fileobj=out, mode="w", format=tarfile.PAX_FORMAT, pax_headers=headers) as archive:
        archive.addfile(tarfile.TarInfo("good"))
    with pytest.raises(FormatError, match="global"):
        list(_tar.members(BytesSource("x", out.getvalue())))


@pytest.mark.parametrize("kind", ["gzip", "xz", "zstd"])
def test_ends_are_looked_at_again_and_again_without_a_new_pass(kind: str) -> None:
    plain = b"".join(b"%08d" % number for number in range(200_000))
    pack: Any = {"gzip": gzip.compress, "xz": lzma.compress, "zstd": zstandard.compress}[kind]
    packed, taken = pack(plain), [0]

    class Counting(BytesSource):
        def read(self, offset: int, length: int) -> bytes:
            taken[0] += min(length, max(0, len(packed) - offset))
            return super().read(offset, length)

    source = _inflate.Inflated(Counting("x", packed), Span(0, len(packed)), kind)
    for back in (8, 1, 70_000, 190_000, 64, 8, 150_000):
        for length in (1, back // 2, back, back + 9):
            assert source.read(len(plain) - back, length) == plain[len(plain) - back :][:length]
        assert source.read(len(plain) + back, 4) == b""
    assert taken[0] == len(packed)
    assert source.read(100_000, 20) == plain[100_000:100_020]
    assert taken[0] > len(packed)  # too far back for what is kept


@pytest.mark.parametrize("kind", ["gzip", "xz"])
def test_reads_in_any_order_give_what_the_standard_library_gives(kind: str) -> None:
    plain = b"".join(b"%08d" % number for number in range(200_000))
    pack = gzip.compress if kind == "gzip" else lzma.compress
    packed = pack(plain[:900_001]) + pack(plain[900_001:]) + b"trailing"  # two streams, then something else
    source = _inflate.Inflated(BytesSource("x", b"head" + packed), Span(4, 4 + len(packed)), kind)
    for offset, length in (
        (0, 5),
        (1_000_000, 70),
        (7, 9),
        (900_000, 2),
        (0, 300_000),
        (65_530, 10),
        (2**31, 4),
        (5, -3),
    ):
        assert source.read(offset, length) == plain[offset : offset + max(length, 0)], offset
    assert source.read(len(plain) - 3, 10) == plain[-3:]
    limited = _inflate.Inflated(BytesSource("x", packed), Span(0, len(packed)), kind, 1000)
    with pytest.raises(LimitError, match="more than 1000"):
        limited.read(1_200_000, 1)
