"""Jcat files: jcat-tool and otaudit agree; hostile JSON and gzip are refused in bounded time."""

from __future__ import annotations

import base64
import gzip
import hashlib
import json
import time
from pathlib import Path
from typing import Any

import pytest

from checker.errors import FormatError, LimitError, UnknownFormatError
from checker.formats import _jcat_file as files
from checker.formats._open import open_artifact
from checker.formats.contract import Context
from checker.io.folders import FolderSource
from checker.io.sources import BytesSource
from checker.model.artifact import Artifact
from checker.model.terms import Outcome
from tests.formats.conftest import AS_OF

CONTENT = b"firmware\n" * 40


def jcat(*items: Any, **more: Any) -> bytes:
    return gzip.compress(
        json.dumps({"JcatVersionMajor": 0, "JcatVersionMinor": 1, "Items": list(items)} | more).encode(),
        mtime=0,
    )


def opened(
    kit: Any, data: bytes, *, keys: list[Path] | None = None, anchors: list[Path] | None = None, **beside: bytes
) -> Artifact:
    companions = {name.replace("_", "."): BytesSource(name, content) for name, content in beside.items()}
    context = Context(keys=kit.ring(keys=keys or [], anchors=anchors or []), as_of=AS_OF, companions=companions)
    return open_artifact(BytesSource("x.jcat", data), context)


@pytest.fixture(scope="module")
def made(tool: Any, pki: Path, keys: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with `fw.bin` and `x.jcat`, which holds every kind that jcat-tool makes, by declared keys."""
    folder = tmp_path_factory.mktemp("jcat")
    (folder / "fw.bin").write_bytes(CONTENT)
    for kind in ("sha1", "sha256", "sha512"):
        tool("jcat-tool", "self-sign", "--kind", kind, "x.jcat", "fw.bin", cwd=folder)
    sign = ("jcat-tool", "--kind", "pkcs7")
    tool(*sign, "sign", "x.jcat", "fw.bin", pki / "rsa.pem", pki / "rsa.key", cwd=folder)
    tool(*sign, "--target", "sha256", "sign", "x.jcat", "fw.bin", pki / "rsa.pem", pki / "rsa.key", cwd=folder)
    tool("openssl", "pkeyutl", "-sign", "-rawin", "-inkey", keys / "ed25519.pem", "-in", "fw.bin", "-out",
         "fw.bin.ed25519", cwd=folder)  # fmt: skip
    tool("jcat-tool", "import", "x.jcat", "fw.bin", "fw.bin.ed25519", cwd=folder)
    return folder


def test_every_kind_of_jcat_tool_verifies(kit: Any, made: Path, pki: Path, keys: Path) -> None:
    data = (made / "x.jcat").read_bytes()
    image = opened(kit, data, keys=[keys / "ed25519.pub.pem"], anchors=[pki / "root.pem"], fw_bin=CONTENT)
    assert [item.outcome for item in image.signatures] == [Outcome.VALID] * 3
    assert {check.algorithm: check.authentic for check in image.digests} == {
        "sha-1": False, "sha-256": True, "sha-512": False,
    }  # fmt: skip
    assert all(check.matches for check in image.digests)
    assert image.coverage.uncovered == ()
    broken = opened(kit, data, keys=[keys / "ed25519.pub.pem"], anchors=[pki / "root.pem"], fw_bin=CONTENT + b"!")
    assert [item.outcome for item in broken.signatures] == [Outcome.INVALID] * 3
    assert broken.coverage.uncovered == broken.coverage.payload


def test_jcat_tool_agrees_on_changed_files(kit: Any, tool: Any, made: Path, tmp_path: Path) -> None:
    (tmp_path / "x.jcat").write_bytes((made / "x.jcat").read_bytes())
    for content in (CONTENT, CONTENT + b"!"):
        (tmp_path / "fw.bin").write_bytes(content)
        text = tool("jcat-tool", "verify", "x.jcat", "fw.bin", cwd=tmp_path, check=False).stdout.decode()
        image = opened(kit, (made / "x.jcat").read_bytes(), fw_bin=content)
        assert [check.matches for check in image.digests] == [
            f"PASSED {name}" in text for name in ("sha1", "sha256", "sha512")
        ]


def test_without_the_file_nothing_is_decided(kit: Any, made: Path) -> None:
    image = opened(kit, (made / "x.jcat").read_bytes())
    assert {item.outcome for item in image.signatures} == {Outcome.UNDECIDABLE}
    assert image.coverage.undecided == image.coverage.payload
    assert "give it as a companion" in image.signatures[0].note


def test_an_alias_names_the_file_too(kit: Any, made: Path) -> None:
    value = json.loads(gzip.decompress((made / "x.jcat").read_bytes()))
    value["Items"][0] |= {"Id": "another", "AliasIds": ["fw.bin"]}
    image = opened(kit, gzip.compress(json.dumps(value).encode(), mtime=0), fw_bin=CONTENT)
    assert image.signatures[0].outcome is Outcome.KEY_UNKNOWN


def test_a_folder_holds_the_files_of_its_jcat(kit: Any, made: Path, pki: Path, tmp_path: Path) -> None:
    (tmp_path / "x.jcat").write_bytes((made / "x.jcat").read_bytes())
    (tmp_path / "fw.bin").write_bytes(CONTENT)
    context = Context(keys=kit.ring(anchors=[pki / "root.pem"]), as_of=AS_OF)
    image = open_artifact(FolderSource.of(tmp_path, "folder"), context)
    assert (image.format, image.coverage.uncovered, image.coverage.size_bound) == ("jcat", (), True)
    (tmp_path / "more.bin").write_bytes(b"more")
    image = open_artifact(FolderSource.of(tmp_path, "folder"), context)
    assert sum(span.size for span in image.coverage.uncovered) == 4
    (tmp_path / "y.jcat").write_bytes((made / "x.jcat").read_bytes())
    with pytest.raises(UnknownFormatError):
        open_artifact(FolderSource.of(tmp_path, "folder"), context)
    with pytest.raises(FormatError, match="2 jcat files"):
        open_artifact(FolderSource.of(tmp_path, "folder"), context, "jcat")


def test_bytes_behind_the_gzip_stream_are_ignored(kit: Any, made: Path) -> None:
    image = opened(kit, (made / "x.jcat").read_bytes() + b"IHATECDN", fw_bin=CONTENT)
    assert all(check.matches for check in image.digests)


def test_kinds_that_are_not_verified_are_named(kit: Any) -> None:
    blobs = [{"Kind": 7, "Data": ""}, {"Kind": 42, "Data": ""}, {"Kind": 3, "Target": 77, "Data": ""}]
    image = opened(kit, jcat({"Id": "fw.bin", "Blobs": blobs}), fw_bin=CONTENT)
    assert image.facts == (
        ("jcat item", "fw.bin: bt-inclusion-proof (not verified), kind 42 (not verified), pkcs7 over 77"),
    )
    assert image.signatures[0].outcome is Outcome.UNDECIDABLE
    assert opened(kit, jcat({"Id": "x"})).facts == (("jcat item", "x: nothing"),)


def test_a_jcat_without_items_proves_nothing(kit: Any) -> None:
    image = opened(kit, jcat())
    assert image.signatures == ()
    assert kit.codes(image) == {"unsigned"}


ITEM = {"Id": "x", "Blobs": []}


@pytest.mark.parametrize(
    ("data", "text"),
    [
        (jcat(7), "no object with an Id"),
        (jcat({"Id": "x", "AliasIds": [7]}), "list of texts"),
        (jcat({"Id": "x", "Blobs": [{"Kind": 1, "Data": ""}] * 33}), "MAX_BLOBS"),
        (jcat({"Id": "x", "Blobs": [{"Kind": "a", "Data": ""}]}), "is no number"),
        (jcat({"Id": "x", "Blobs": [{"Kind": 1, "Data": "!"}]}), "not base64"),
        (jcat({"Id": "x", "Blobs": [{"Kind": 1}]}), "no object with Data"),
        (jcat(*([ITEM] * 5000)), "MAX_ITEMS"),
        (jcat(Items=None), "no list of items"),
        (gzip.compress(b'{"JcatVersionMajor":0,"Items":' + b"[" * 100_000, mtime=0), "nested deeper"),
        (gzip.compress(b'{"JcatVersionMajor":0,"Items":[],"Items":[]}', mtime=0), "occurs twice"),
        (gzip.compress(b'{"JcatVersionMajor":0,"Items":[', mtime=0), "no JSON"),
        (gzip.compress(b'{"JcatVersionMajor":0,' + b" " * 10_000_000 + b'"Items":[]}', mtime=0), "come out of"),
    ],
)
def test_hostile_catalogues_are_refused_in_time(kit: Any, data: bytes, text: str) -> None:
    started = time.process_time()
    with pytest.raises(FormatError, match=text):
        opened(kit, data, x=CONTENT)
    assert time.process_time() - started < 5


def test_a_million_items_are_refused(kit: Any) -> None:
    data = gzip.compress(b'{"JcatVersionMajor":0,"Items":[' + b"0," * 1_000_000 + b"0]}", mtime=0)
    with pytest.raises(LimitError, match="MAX_ITEMS"):
        opened(kit, data)


def test_other_gzip_files_are_no_jcat() -> None:
    for data in (gzip.compress(b"hello", mtime=0), b"\x1f\x8b\x08" + bytes(20), b""):
        assert not files.looks_like_jcat(BytesSource("x", data))


def test_every_truncation_and_flip_is_answered(kit: Any, made: Path, pki: Path) -> None:
    data = (made / "x.jcat").read_bytes()
    for size in range(0, len(data), 40):
        with pytest.raises(FormatError):
            opened(kit, data[:size], fw_bin=CONTENT)
    value = gzip.decompress(data)
    for place in range(0, len(value), 60):
        mutant = value[:place] + bytes([value[place] ^ 1]) + value[place + 1 :]
        try:
            opened(kit, gzip.compress(mutant, mtime=0), anchors=[pki / "root.pem"], fw_bin=CONTENT)
        except FormatError:
            continue


def ed25519(tool: Any, key: Path, content: bytes, folder: Path) -> dict[str, Any]:
    """A blob that signs content, by openssl."""
    (folder / "message").write_bytes(content)
    words = ("openssl", "pkeyutl", "-sign", "-rawin", "-inkey", key, "-in", folder / "message")
    return {"Kind": 9, "Data": base64.b64encode(tool(*words).stdout).decode()}


@pytest.mark.parametrize(
    "forged", [{"Kind": 3, "Target": 99, "Data": "AAAA"}, {"Kind": 9, "Target": 77, "Data": "AAAA"}]
)
def test_a_file_that_no_key_can_judge_is_not_covered_by_the_signature_of_another(
    kit: Any, tool: Any, keys: Path, tmp_path: Path, forged: Any
) -> None:
    good = {"Id": "fw.bin", "Blobs": [ed25519(tool, keys / "ed25519.pem", CONTENT, tmp_path)]}
    data = jcat(good, {"Id": "evil.bin", "Blobs": [forged]})
    public = [keys / "ed25519.pub.pem"]
    image = opened(kit, data, keys=public, fw_bin=CONTENT, evil_bin=b"evil")
    assert [item.outcome for item in image.signatures] == [Outcome.VALID, Outcome.UNDECIDABLE]
    assert image.coverage.undecided == image.coverage.payload
    assert image.coverage.size_bound is False
    clean = opened(kit, jcat(good), keys=public, fw_bin=CONTENT)
    assert (clean.coverage.uncovered, clean.coverage.undecided, clean.coverage.size_bound) == ((), (), True)
    folder = tmp_path / "folder"
    folder.mkdir()
    for name, content in {"x.jcat": data, "fw.bin": CONTENT, "evil.bin": b"evil"}.items():
        (folder / name).write_bytes(content)
    found = open_artifact(FolderSource.of(folder, "folder"), Context(keys=kit.ring(keys=public), as_of=AS_OF))
    evil = next(item for item in found.images if item.id == "evil.bin")
    assert (found.coverage.uncovered, found.coverage.undecided) == ((), (evil.span,))


def test_a_signature_over_a_weak_checksum_is_weak(kit: Any, tool: Any, keys: Path, tmp_path: Path) -> None:
    for target, digest, hash_name in ((4, "sha1", "sha-1"), (1, "sha256", "sha-512")):
        text = hashlib.new(digest, CONTENT).hexdigest().encode()
        blob = ed25519(tool, keys / "ed25519.pem", text, tmp_path) | {"Target": target}
        image = opened(kit, jcat({"Id": "fw.bin", "Blobs": [blob]}), keys=[keys / "ed25519.pub.pem"], fw_bin=CONTENT)
        assert [(item.outcome, item.hash) for item in image.signatures] == [(Outcome.VALID, hash_name)]
        assert ("weak-digest" in kit.codes(image)) == (digest == "sha1")
