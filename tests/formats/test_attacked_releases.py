"""The whole way, from a description to its rows: what a stranger adds to a signed release must not lift any row.

Each release is assessed as the vendor made it, and again with an addition: something of the stranger's own, with a
signature that no key can judge, beside what the vendor signed.
"""

from __future__ import annotations

import base64
import gzip
import hashlib
import json
import shutil
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from checker.model.assessment import Assessment
from checker.model.terms import Verdict
from checker.pipeline import Options, assess
from samples.build.formats.archive import packed
from samples.build.formats.azure_adu import deployment, manifest, new_key, signed
from samples.build.formats.fit import Bench, configuration, image, signature, tree
from samples.build.formats.nordic_dfu import Packet, der_to_raw, package

DEVICE = """otaudit: device/1
vendor: Acme
model: X1
trust:
  images: {keys: [signer.pub.pem]}
"""
UPDATE = """otaudit: update/1
device: device.yaml
id: x1-1
version: "1"
artifacts:
  - {file: release.bin%s}
"""
FIRMWARE, EVIL = b"firmware line\n" * 200, b"evil firmware\n" * 200

Release = Callable[..., dict[str, bytes]]  # what the files hold; `release.bin` is the artifact


class Vendor:
    """The vendor's keys, and how it signs."""

    def __init__(self, folder: Path, tool: Any) -> None:
        self.folder, self.tool = folder, tool
        tool("openssl", "genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256", "-out", self.key("ec"))
        tool("openssl", "genpkey", "-algorithm", "ed25519", "-out", self.key("ed"))

    def room(self) -> Path:
        """Return a new folder."""
        return Path(tempfile.mkdtemp(dir=self.folder))

    def key(self, name: str) -> Path:
        """Return the path of a private key."""
        return self.folder / f"{name}.pem"

    def sign(self, data: bytes) -> bytes:
        """Return an ECDSA signature in DER."""
        return bytes(self.tool("openssl", "dgst", "-sha256", "-sign", self.key("ec"), data=data).stdout)

    def sign_ed(self, data: bytes) -> bytes:
        """Return an Ed25519 signature."""
        (self.folder / "message").write_bytes(data)
        words = ("openssl", "pkeyutl", "-sign", "-rawin", "-inkey", self.key("ed"), "-in", self.folder / "message")
        return bytes(self.tool(*words).stdout)

    def public(self, key: Path) -> bytes:
        """Return a public half."""
        return bytes(self.tool("openssl", "pkey", "-in", key, "-pubout").stdout)


def archive_members(vendor: Vendor, *, attacked: bool) -> dict[str, bytes]:
    files = {"fw.bin": FIRMWARE, "fw.bin.sig": vendor.sign(FIRMWARE)}
    more = {"radio.bin": EVIL, "radio.bin.sig": bytes(range(256))}
    return {
        "signer.pub.pem": vendor.public(vendor.key("ec")),
        "release.bin": packed(files | (more if attacked else {})),
    }


def archive_manifest(vendor: Vendor, *, attacked: bool) -> dict[str, bytes]:
    sums = f"{hashlib.sha256(FIRMWARE).hexdigest()}  fw.bin\n".encode()
    files = {"fw.bin": FIRMWARE, "SHA256SUMS": sums, "SHA256SUMS.sig": vendor.sign(sums)}
    text = {"files": [{"name": "fw.bin", "sha256": hashlib.sha256(FIRMWARE).hexdigest()}], "run": "reboot -f"}
    more = {"manifest.json": json.dumps(text).encode()}
    return {
        "signer.pub.pem": vendor.public(vendor.key("ec")),
        "release.bin": packed(files | (more if attacked else {})),
    }


def nordic(vendor: Vendor, *, attacked: bool) -> dict[str, bytes]:
    good = Packet(image=FIRMWARE).signed(lambda message: der_to_raw(vendor.sign(message)))
    evil = Packet(image=EVIL, kind=1).signed(lambda _: bytes(64), 2)
    firmwares = {"application": (FIRMWARE, good)} | ({"softdevice": (EVIL, evil)} if attacked else {})
    return {"signer.pub.pem": vendor.public(vendor.key("ec")), "release.bin": package(firmwares)}


def jcat(vendor: Vendor, *, attacked: bool) -> dict[str, bytes]:
    blob = {"Kind": 9, "Data": base64.b64encode(vendor.sign_ed(FIRMWARE)).decode()}
    items = [{"Id": "fw.bin", "Blobs": [blob]}]
    files = {"signer.pub.pem": vendor.public(vendor.key("ed")), "fw.bin": FIRMWARE}
    if attacked:
        items.append({"Id": "evil.bin", "Blobs": [{"Kind": 3, "Target": 99, "Data": "AAAA"}]})
        files["evil.bin"] = EVIL
    text = json.dumps({"JcatVersionMajor": 0, "JcatVersionMinor": 1, "Items": items}).encode()
    return files | {"release.bin": gzip.compress(text)}


def azure(vendor: Vendor, *, attacked: bool) -> dict[str, bytes]:
    root, signer = new_key(vendor.folder, "root"), new_key(vendor.folder, "online")
    value = manifest({"fw.bin": FIRMWARE})
    if attacked:  # the vendor itself forgot a digest
        value["files"]["f1"] = {"fileName": "evil.bin", "sizeInBytes": len(EVIL)}
    text = json.dumps(value)
    files = {"signer.pub.pem": vendor.public(root), "fw.bin": FIRMWARE, "evil.bin": EVIL}
    return files | {"release.bin": deployment(text, signed(text, root, signer))}


def fit(vendor: Vendor, *, attacked: bool) -> dict[str, bytes]:
    bench = Bench(vendor.room())
    images = [image(name, "kernel") for name in ("kernel", "fdt", *(["ramdisk"] if attacked else []))]
    more = configuration("conf-2", signature("sha256,ecdsa256", "ec", images='"kernel"'))
    more = more.replace('kernel = "kernel"', 'kernel = "ramdisk"')
    data = bench.make(tree(images, [configuration(), *([more] if attacked else [])]))
    if attacked:
        data = bench.put(data, "-t s", "/configurations", "default", "conf-2")
    return {"signer.pub.pem": vendor.public(bench.keys / "dev.key"), "release.bin": data}


RELEASES: Mapping[str, Release] = {
    "archive-members": archive_members,
    "archive-manifest": archive_manifest,
    "nordic": nordic,
    "jcat": jcat,
    "azure": azure,
    "fit": fit,
}


@pytest.fixture(scope="module")
def vendor(tool: Any, tmp_path_factory: pytest.TempPathFactory) -> Vendor:
    return Vendor(tmp_path_factory.mktemp("vendor"), tool)


def assessed(files: Mapping[str, bytes], folder: Path) -> Assessment:
    folder.mkdir()
    for name, data in files.items():
        (folder / name).write_bytes(data)
    beside = sorted(files.keys() - {"release.bin", "signer.pub.pem"})
    companions = f", companions: {{{', '.join(f'{name}: {name}' for name in beside)}}}" if beside else ""
    (folder / "device.yaml").write_text(DEVICE)
    (folder / "update.yaml").write_text(UPDATE % companions)
    return assess(folder / "update.yaml", Options(as_of="2026-11-30T00:00:00Z"))


def verdicts(found: Assessment) -> dict[str, Verdict]:
    return {finding.requirement.id: finding.judgement().verdict for finding in found.findings}


@pytest.mark.parametrize("name", sorted(RELEASES))
def test_what_a_stranger_adds_lifts_no_row(vendor: Vendor, tmp_path: Path, name: str) -> None:
    if name == "fit" and any(shutil.which(word) is None for word in ("mkimage", "dtc", "fdtput")):
        pytest.skip("mkimage or dtc is not installed")
    clean = assessed(RELEASES[name](vendor, attacked=False), tmp_path / "clean")
    attacked = assessed(RELEASES[name](vendor, attacked=True), tmp_path / "attacked")
    good, bad = verdicts(clean), verdicts(attacked)
    assert all(good[f"SIGN-B{number}"] is Verdict.PASS for number in (1, 2, 3, 4)), good
    assert bad["SIGN-B1"] is Verdict.PASS  # something in it is still the vendor's own
    assert bad["SIGN-B2"] is not Verdict.PASS
    risen = {id_ for id_, verdict in bad.items() if verdict is Verdict.PASS and good[id_] is not Verdict.PASS}
    assert risen == set()
    for before, after in zip(clean.rows, attacked.rows, strict=True):
        assert after.tier().rank <= before.tier().rank, after.step
