"""Makes the samples of jcat files: by jcat-tool, with signatures of openssl and GnuPG."""

from __future__ import annotations

import gzip
import json
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from samples.build._tools import firmware, public_half, require, run
from samples.build.formats._faults import certified, cms, flipped, fresh
from samples.build.formats._openpgp import Gpg

FIRMWARE: Final = firmware("jcat", 600)
MOMENT: Final = "2026-10-01 12:00:00"


def build(folder: Path) -> None:
    """Write `good/`, `bad/` and `keys/` below `folder`."""
    require("jcat-tool", "openssl", "gpg", "faketime")
    fresh(folder)
    with tempfile.TemporaryDirectory(prefix="ot") as name:
        work = Path(name)
        signer = Signer(folder, work)
        (work / "firmware.bin").write_bytes(FIRMWARE)
        signer.catalogue(work / "pkcs7.jcat", ["firmware.bin"], ("pkcs7",))
        signer.catalogue(work / "all.jcat", ["firmware.bin"], ("pkcs7", "gpg", "ed25519"))
        signer.catalogue(work / "target.jcat", ["firmware.bin"], ("target",))
        _write(folder, work)
        signer.close()


class Signer:
    """Signs files in every way that a jcat holds."""

    def __init__(self, folder: Path, work: Path) -> None:
        self.work = work
        self.person = certified(folder, work)["signer"]
        (work / "g").mkdir(mode=0o700)
        self.gpg = Gpg(work / "g")
        self.gpg.make("lvfs", "ed25519")
        self.gpg.export("lvfs", folder / "keys" / "lvfs.asc")
        run(["openssl", "genpkey", "-algorithm", "ed25519", "-out", work / "ed25519.key"])
        public_half(work / "ed25519.key", folder / "keys" / "ed25519.pub.pem")

    def close(self) -> None:
        """Stop what runs."""
        self.gpg.close()

    def catalogue(self, target: Path, names: list[str], kinds: tuple[str, ...], *, sums: tuple[str, ...] = ()) -> None:
        """Write a jcat with checksums and signatures of files in the work folder."""
        for name in names:
            for kind in sums or ("sha1", "sha256"):
                run(["jcat-tool", "self-sign", "--kind", kind, target.name, name], cwd=self.work, at=MOMENT)
            for kind in kinds:
                self._sign(target, name, kind)

    def _sign(self, target: Path, name: str, kind: str) -> None:
        content = self.work / name
        if kind == "target":  # the signature is over the text of the checksum
            words = ["jcat-tool", "--kind", "pkcs7", "--target", "sha256", "sign", target.name, name]
            run([*words, self.person.certificate, self.person.key], cwd=self.work, at=MOMENT)
            return
        suffix = {"pkcs7": "p7b", "gpg": "asc"}.get(kind, kind)
        signature = self.work / f"{name}.{suffix}"
        if kind == "pkcs7":
            cms(self.person, content, self.work / "sig")
            run(["openssl", "pkcs7", "-inform", "DER", "-in", self.work / "sig", "-out", signature])
        elif kind == "gpg":
            self.gpg.sign("lvfs", content, signature, "--armor")
        else:
            words = ["openssl", "pkeyutl", "-sign", "-rawin", "-inkey", str(self.work / "ed25519.key")]
            run([*words, "-in", content, "-out", signature])
        run(["jcat-tool", "import", target.name, name, signature.name], cwd=self.work, at=MOMENT)


def read(path: Path) -> dict[str, Any]:
    """Return a jcat's JSON."""
    found: dict[str, Any] = json.loads(gzip.decompress(path.read_bytes()))
    return found


def write(path: Path, value: dict[str, Any]) -> None:
    """Write a jcat."""
    path.write_bytes(gzip.compress(json.dumps(value).encode(), mtime=0))


def blob(value: dict[str, Any], kind: int) -> dict[str, Any]:
    """Return the first item's blob of a kind."""
    found: dict[str, Any] = next(item for item in value["Items"][0]["Blobs"] if item["Kind"] == kind)
    return found


def _write(folder: Path, work: Path) -> None:
    good, bad = folder / "good", folder / "bad"
    for name in ("pkcs7", "all", "target"):
        shutil.copy(work / f"{name}.jcat", good / f"{name}.jcat")
    (good / "firmware.bin").write_bytes(FIRMWARE)
    (bad / "bit.bin").write_bytes(flipped(FIRMWARE, 33))
    for place, content in ((good / "folder", FIRMWARE), (bad / "folder", flipped(FIRMWARE, 33))):
        place.mkdir()
        shutil.copy(work / "pkcs7.jcat", place / "firmware.jcat")
        (place / "firmware.bin").write_bytes(content)
    more = bad / "folder-more"
    shutil.copytree(good / "folder", more)
    (more / "other.bin").write_bytes(b"nobody signed this\n")
    less = bad / "folder-less"
    less.mkdir()
    shutil.copy(work / "pkcs7.jcat", less / "firmware.jcat")
    changes: dict[str, Callable[[dict[str, Any]], object]] = {
        "checksum-only": lambda v: v["Items"][0].update(Blobs=[b for b in v["Items"][0]["Blobs"] if b["Kind"] != 3]),
        "wrong-sha256": lambda v: blob(v, 1).update(Data="00" * 32),
        "signature-changed": lambda v: blob(v, 3).update(Data=_changed(blob(v, 3)["Data"])),
        "twice": lambda v: v["Items"].append(v["Items"][0]),
        "no-items": lambda v: v.update(Items=7),
        "no-data": lambda v: blob(v, 3).pop("Data"),
    }
    for name, change in changes.items():
        value = read(work / "pkcs7.jcat")
        change(value)
        write(bad / f"{name}.jcat", value)
    shutil.copy(work / "pkcs7.jcat", bad / "other-file.jcat")
    shutil.copy(work / "pkcs7.jcat", bad / "no-file.jcat")
    shutil.copy(work / "pkcs7.jcat", bad / "no-anchor.jcat")
    whole = (work / "pkcs7.jcat").read_bytes()
    (bad / "cut.jcat").write_bytes(whole[: len(whole) // 2])


def _changed(pem: str) -> str:
    lines = pem.split("\n")
    lines[-4] = lines[-4][:10] + ("A" if lines[-4][10] != "A" else "B") + lines[-4][11:]
    return "\n".join(lines)
