"""Android payloads laid out by hand (no generator can be installed), signed and judged by openssl."""

from __future__ import annotations

import hashlib
import lzma
import shutil
import subprocess
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from checker.crypto.keyring import KeyRing
from checker.crypto.keys import read_public_key
from checker.errors import FormatError, LimitError
from checker.formats import _android_manifest, _android_partition, android_payload
from checker.formats._open import open_artifact
from checker.formats.contract import Context
from checker.io.sources import BytesSource
from checker.model.artifact import INEXPRESSIBLE, Artifact
from samples.build._tools import KEYS
from samples.build.formats._crau import (
    BLOCK,
    REPLACE,
    REPLACE_XZ,
    SOURCE_COPY,
    ZERO,
    Build,
    Part,
    Step,
    blob,
    full,
    number,
    signing,
)
from samples.build.formats.android_payload import BOOT, EC_WIDTH, SYSTEM, flip, key, partitions

pytestmark = pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl is not installed")
PLAIN = Build(partitions()).build()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("payload")
    for name in ("signer", "stranger"):
        key(made, name)
    return made


def public(private: Path) -> Any:
    done = subprocess.run(["openssl", "pkey", "-in", private, "-pubout"], capture_output=True, check=True)
    return read_public_key(done.stdout, private.stem)


@pytest.fixture(scope="module")
def build(folder: Path) -> Build:
    sign = signing(folder / "signer.pem")
    return Build(partitions(), [sign], [sign])


def opened(data: bytes, *keys: Path) -> Artifact:
    ring = KeyRing.of(keys=[public(path) for path in keys])
    return open_artifact(BytesSource("payload.bin", data), Context(keys=ring, as_of="2026-11-01T00:00:00Z"))


def outcomes(artifact: Artifact) -> list[str]:
    return [item.outcome.value for item in artifact.signatures]


def codes(artifact: Artifact) -> list[str]:
    return sorted(weakness.code for weakness in artifact.weaknesses)


def test_a_full_payload_is_read_whole(build: Build, folder: Path) -> None:
    artifact = opened(build.with_(partial=1).build(), folder / "signer.pem")
    assert outcomes(artifact) == ["valid", "valid"]
    assert (artifact.version.sequence, artifact.version.authentic) == (1_790_000_000, True)
    assert artifact.version.version is INEXPRESSIBLE
    assert [image.id for image in artifact.images] == ["boot", "system", "vendor"]
    for image, content in zip(artifact.images, (BOOT, SYSTEM, SYSTEM[: 2 * BLOCK]), strict=True):
        assert image.source is not None
        assert image.source.read(0, image.size) == content
        assert image.source.read(5000, 100) == content[5000:5100]
        assert image.source.read(image.size, 10) == b""
        assert [check.matches for check in image.digests] == [True, True]
        assert all(check.authentic for check in image.digests)
    assert ("partial update", "yes") in artifact.facts


def test_openssl_verifies_what_is_reported_as_covered(build: Build, folder: Path, tmp_path: Path) -> None:
    data = build.build()
    for found in opened(data, folder / "signer.pem").signatures:
        assert found.where is not None
        (tmp_path / "sig").write_bytes(data[found.where.start : found.where.end])
        covered = b"".join(data[span.start : span.end] for span in found.covers)
        command: list[str | Path] = [
            "openssl",
            "dgst",
            "-sha256",
            "-prverify",
            folder / "signer.pem",
            "-signature",
            tmp_path / "sig",
        ]
        for content, wanted in ((covered, 0), (covered + b"x", 1)):
            assert subprocess.run(command, input=content, capture_output=True, check=False).returncode == wanted


def test_an_ecdsa_signature_is_cut_to_its_stated_size(build: Build) -> None:
    ec = KEYS / "sensor-signing.pem"
    sign = signing(ec, EC_WIDTH)
    artifact = opened(build.with_(over_metadata=[sign], over_all=[sign]).build(), ec)
    assert outcomes(artifact) == ["valid", "valid"]
    assert {item.algorithm for item in artifact.signatures} == {"ecdsa"}

    def too_long(message: bytes) -> bytes:
        return sign(message)[:-4] + (999).to_bytes(4, "little")  # the stated size stands last

    broken = opened(build.with_(over_metadata=[too_long]).build(), ec)
    assert outcomes(broken)[0] == "invalid"
    assert "999 bytes are to be used" in broken.signatures[0].note


def test_strangers_and_unknown_keys(build: Build, folder: Path) -> None:
    data = build.build()
    assert outcomes(opened(data)) == ["key_unknown", "key_unknown"]
    other = opened(data, folder / "stranger.pem")
    assert outcomes(other) == ["invalid", "invalid"]
    assert sum(span.size for span in other.coverage.uncovered) == sum(span.size for span in other.coverage.payload)
    assert opened(data).version.authentic is None
    assert other.version.authentic is False


def test_any_of_several_signatures_is_enough_but_one_must_be(build: Build, folder: Path) -> None:
    two = [signing(folder / "stranger.pem"), signing(folder / "signer.pem")]
    data = build.with_(over_metadata=two, over_all=two).build()
    assert outcomes(opened(data, folder / "signer.pem")) == ["key_unknown", "valid", "key_unknown", "valid"]
    none = build.with_(over_metadata=[two[0]], over_all=[two[0]]).build()
    assert outcomes(opened(none, folder / "signer.pem")) == ["invalid", "invalid"]


def test_a_list_of_signatures_may_be_damaged_or_empty(build: Build, folder: Path) -> None:
    damaged = opened(build.with_(over_metadata=[lambda _: b"\x0b\x01"]).build(), folder / "signer.pem")
    assert outcomes(damaged) == ["invalid", "valid"]
    assert damaged.coverage.uncovered
    empty = opened(build.with_(over_metadata=[lambda _: number(9, 1)]).build(), folder / "signer.pem")
    assert outcomes(empty) == ["absent", "valid"]
    assert empty.coverage.uncovered == ()
    many = [lambda _: blob(1, blob(2, b"x"))] * (_android_manifest.MAX_SIGNATURES + 1)
    assert outcomes(opened(build.with_(over_metadata=many).build(), folder / "signer.pem")) == ["invalid", "valid"]


def test_metadata_alone_protects_data_by_their_digests(build: Build, folder: Path) -> None:
    only = build.with_(over_all=[])
    assert opened(only.build(), folder / "signer.pem").coverage.uncovered == ()
    changed = only.with_(change=lambda data: flip(data, 10)).build()
    artifact = opened(changed, folder / "signer.pem")
    (lost,) = artifact.coverage.uncovered
    assert lost.size == BLOCK
    assert codes(artifact) == ["digest-mismatch"]


def test_version_one_has_no_metadata_signature(folder: Path) -> None:
    content = SYSTEM[:BLOCK]
    step = number(1, REPLACE) + number(2, 0) + number(3, BLOCK) + blob(6, number(1, 0) + number(2, 1))
    step += blob(8, hashlib.sha256(content).digest())
    info = number(1, BLOCK) + blob(2, hashlib.sha256(content).digest())
    sign = signing(folder / "signer.pem")
    width = len(sign(b""))
    # AOSP's version 1 also listed the signatures themselves as an operation of the kernel.
    dummy = blob(2, number(1, REPLACE) + number(2, BLOCK) + number(3, width))
    manifest = blob(1, step) + dummy + number(3, BLOCK) + number(4, BLOCK) + number(5, width) + blob(9, info)
    head = b"CrAU" + (1).to_bytes(8, "big") + len(manifest).to_bytes(8, "big") + manifest
    data = head + content + sign(head + content)
    artifact = opened(data, folder / "signer.pem")
    assert outcomes(artifact) == ["valid"]
    assert [image.id for image in artifact.images] == ["rootfs", "kernel"]
    assert artifact.images[0].digests[1].matches is True
    assert "malformed" not in codes(artifact)
    assert outcomes(opened(flip(data, len(head) + 5), folder / "signer.pem")) == ["invalid"]


def test_deltas_cannot_be_recomputed_and_say_so() -> None:
    part = Part("boot", BOOT, [Step(SOURCE_COPY, b"", [(0, 2)])], old_hash=bytes(32), version="17")
    (image,) = opened(Build([part], minor=6).build()).images
    assert image.digests[0].matches is None
    assert "SOURCE_COPY need what is on the device" in image.note
    assert image.version.version == "17"
    artifact = opened(Build([part], minor=6).build())
    assert any("boot now has SHA-256" in text for text in artifact.version.constraints)
    assert ("kind", "delta, minor version 6") in artifact.facts


def test_facts_of_dynamic_partitions_and_apexes() -> None:
    extra = blob(15, blob(1, blob(1, b"main") + number(2, 1 << 30))) + blob(17, blob(1, b"com.acme.tz") + number(2, 7))
    facts = dict(opened(Build(partitions(), extra=extra).build()).facts)
    assert facts["dynamic partition groups"] == "main"
    assert facts["APEX packages"] == "com.acme.tz 7"


@pytest.mark.parametrize(
    ("steps", "text"),
    [
        ([Step(REPLACE, BOOT[:BLOCK], [(0, 1)])], "write 4096 of 8192"),
        ([Step(REPLACE, BOOT[:BLOCK], [(1, 1)])], "leave a gap"),
        ([Step(ZERO, b"", [(0, 2)]), Step(REPLACE, BOOT[:BLOCK], [(1, 1)])], "overlap"),
        ([Step(99, b"", [(0, 2)])], "type 99"),
    ],
)
def test_operations_that_do_not_make_the_partition_are_told(steps: list[Step], text: str) -> None:
    (image,) = opened(Build([Part("boot", BOOT, steps)]).build()).images
    assert text in image.note
    assert image.digests[-1].matches is None
    assert image.source is None


def test_unknown_operations_are_told() -> None:
    artifact = opened(Build([Part("boot", BOOT, [Step(99, b"", [(0, 2)])])]).build())
    assert "malformed" in codes(artifact)


def test_an_operation_may_write_in_pieces_and_short() -> None:
    content = BOOT[BLOCK:] + BOOT[:BLOCK] + SYSTEM[:100].ljust(BLOCK, b"\0")
    pieces = Step(REPLACE_XZ, lzma.compress(BOOT), [(1, 1), (0, 1)])
    short = Step(REPLACE, SYSTEM[:100], [(2, 1)])
    (image,) = opened(Build([Part("boot", content, [pieces, short])]).build()).images
    assert image.digests[-1].matches is True
    assert image.source is not None
    assert image.source.read(0, 3 * BLOCK) == content


def test_a_wrong_partition_hash_uncovers_all(build: Build, folder: Path) -> None:
    boot = replace(partitions()[0], new_hash=bytes(32))
    artifact = opened(build.with_(parts=[boot]).build(), folder / "signer.pem")
    assert outcomes(artifact) == ["valid", "valid"]
    assert sum(span.size for span in artifact.coverage.uncovered) == sum(
        span.size for span in artifact.coverage.payload
    )
    assert codes(artifact) == ["digest-mismatch"]


def test_missing_digests_are_told() -> None:
    bare = Part("boot", BOOT, [Step(REPLACE, BOOT, [(0, 2)], digest=b"")], new_hash=b"")
    artifact = opened(Build([bare]).build())
    assert codes(artifact) == ["missing-digest", "missing-digest", "unsigned"]
    assert artifact.images[0].digests == ()


def test_data_behind_the_signatures_are_told(build: Build) -> None:
    step = Step(REPLACE, b"behind" * 10, [(0, 1)], offset=20_000)
    part = Part("boot", BOOT, [step])
    artifact = opened(build.with_(parts=[part], tail=bytes(21_000)).build())
    assert {"malformed", "trailing-data"} <= set(codes(artifact))


@pytest.mark.parametrize(
    ("part", "text"),
    [
        ([Part("", BOOT, [])], "has no name"),
        ([Part("a", BOOT, []), Part("a", BOOT, [])], "occurs twice"),
        ([Part("a", BOOT, [Step(REPLACE, b"x", [(0, 1)], offset=1 << 40)])], "end behind the file"),
    ],
)
def test_broken_partitions_are_errors(part: list[Part], text: str) -> None:
    with pytest.raises(FormatError, match=text):
        opened(Build(part).build())


def test_xz_that_does_not_decompress_is_an_error() -> None:
    part = Part("boot", BOOT, [Step(REPLACE_XZ, lzma.compress(BOOT)[:-20], [(0, 2)])])
    with pytest.raises(FormatError, match="xz data"):
        opened(Build([part]).build())
    more = Part("boot", BOOT, [Step(REPLACE_XZ, lzma.compress(BOOT * 2), [(0, 2)])])
    with pytest.raises(LimitError):
        opened(Build([more]).build())


def test_hostile_payloads_end_soon(monkeypatch: pytest.MonkeyPatch) -> None:
    began = time.monotonic()
    bomb = Part("boot", b"", [Step(REPLACE_XZ, lzma.compress(bytes(1 << 20)), [(0, 1 << 50)])])
    assert "MAX_OUTPUT" in opened(Build([bomb]).build()).images[0].note
    huge = replace(full("boot", BOOT), steps=[Step(ZERO, b"", [(0, 1 << 60)])])
    assert "MAX_RECOMPUTED" in opened(Build([huge]).build()).images[0].note
    same = [Step(REPLACE, b"", [(0, 1)], offset=place) for place in range(3)]
    shared = [replace(step, data=b"x" * 5000, offset=index) for index, step in enumerate(same)]
    with pytest.raises(LimitError, match="share their data"):
        opened(Build([Part("boot", BOOT, shared)]).build() + b"y" * 5100)
    for name in ("MAX_PARTITIONS", "MAX_OPERATIONS", "MAX_EXTENTS"):
        with monkeypatch.context() as patch:
            patch.setattr(_android_manifest, name, 0)
            with pytest.raises(LimitError):
                opened(PLAIN)
    many = [Step(ZERO, b"", [(index, 1)]) for index in range(20_000)]
    part = Part("zero", bytes(20_000 * BLOCK), many)
    assert opened(Build([part]).build()).images[0].digests[0].matches is True
    assert time.monotonic() - began < 15


def test_alternating_extents_cost_what_they_cost() -> None:
    packed = lzma.compress(bytes(8 * BLOCK), check=lzma.CHECK_CRC32)
    even = Step(REPLACE_XZ, packed, [(2 * index, 1) for index in range(8)])
    odd = Step(REPLACE_XZ, packed, [(2 * index + 1, 1) for index in range(8)])
    part = Part("mixed", bytes(16 * BLOCK), [even, odd])
    payload = _android_manifest.read_payload(BytesSource("p", Build([part]).build()))
    made = _android_partition.content(BytesSource("p", b""), payload.partitions[0], BLOCK)
    assert isinstance(made, _android_partition.Content)
    assert made.cost == 16 * BLOCK + 16 * 8 * BLOCK


@settings(max_examples=60, deadline=None)
@given(st.integers(0, len(PLAIN) - 1), st.integers(0, 7))
def test_any_flipped_bit_gives_an_artifact_or_a_format_error(offset: int, bit: int) -> None:
    data = PLAIN[:offset] + bytes([PLAIN[offset] ^ 1 << bit]) + PLAIN[offset + 1 :]
    try:
        artifact = open_artifact(
            BytesSource("p", data), Context(keys=KeyRing.empty(), as_of="2026-11-01T00:00:00Z"), "android-payload"
        )
    except FormatError:
        return
    assert "valid" not in outcomes(artifact)


def test_the_recomputed_limit_leaves_small_partitions_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(android_payload, "MAX_RECOMPUTED", 20_000)
    boot, system, vendor = opened(PLAIN).images
    assert boot.digests[-1].matches is True
    assert system.digests[-1].matches is None
    assert vendor.note.startswith("putting all partitions together")


def test_data_without_a_digest_are_not_covered_by_a_payload_signature_that_no_key_can_judge(folder: Path) -> None:
    """The vendor's metadata and its signature, with other data and a payload signature that a stranger made."""
    bare = Part("boot", BOOT, [Step(REPLACE, BOOT, [(0, len(BOOT) // BLOCK)], digest=b"")], new_hash=b"")
    sign, other = signing(folder / "signer.pem"), signing(KEYS / "sensor-signing.pem", EC_WIDTH)
    data = Build([bare], [sign], [other]).build()
    artifact = opened(data, folder / "signer.pem")
    assert outcomes(artifact) == ["valid", "key_unknown"]
    assert artifact.coverage.uncovered == (artifact.coverage.payload[1],)
    both = opened(data, folder / "signer.pem", KEYS / "sensor-signing.pem")
    assert outcomes(both) == ["valid", "valid"]
    assert both.coverage.uncovered == ()
