from __future__ import annotations

import hashlib
import io
import json
import struct
import subprocess
import sys
import zipfile
import zlib
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from checker.crypto.keyring import KeyRing
from checker.errors import FormatError
from checker.formats import nordic_dfu
from checker.formats._nordic_init import read_init
from checker.formats._open import open_artifact
from checker.formats.contract import Context
from checker.io.sources import BytesSource
from checker.model.artifact import Artifact
from checker.model.terms import Outcome
from samples.build.formats.nordic_dfu import Packet, blob, der_to_raw, number, package
from tests.formats.conftest import AS_OF

IMAGE = b"nordic firmware " * 64
PACKET = Packet(image=IMAGE)


def opened(dat: bytes, image: bytes = IMAGE, kind: str = "application", **more: Any) -> Artifact:
    data = package({kind: (image, dat)})
    context = Context(keys=KeyRing.of(keys=more.get("keys", ())), as_of=AS_OF)
    return open_artifact(BytesSource("x.zip", data), context)


def openssl(key: Path) -> Any:
    """Sign as openssl does: DER → r || s; Ed25519 as it is."""

    def sign(message: bytes) -> bytes:
        if key.stem == "ed25519":
            (key.parent / "message").write_bytes(message)
            command = ["openssl", "pkeyutl", "-sign", "-rawin", "-inkey", str(key), "-in", str(key.parent / "message")]
            return subprocess.run(command, capture_output=True, check=True).stdout
        command = ["openssl", "dgst", "-sha256", "-sign", str(key)]
        return der_to_raw(subprocess.run(command, input=message, capture_output=True, check=True).stdout)

    return sign


def test_the_package_of_the_corpus(kit: Any, corpus: Path, expected: Any) -> None:
    assert expected["nordic-dfu-zip"]["test_package.zip"] == {"init_packet": "unsigned", "sha256": "matches"}
    artifact = kit.open(corpus / "nordic-dfu-zip" / "test_package.zip")
    assert artifact.format == "nordic-dfu"
    assert [signature.outcome for signature in artifact.signatures] == [Outcome.ABSENT]
    (image,) = artifact.images
    assert [check.matches for check in image.digests] == [True]
    assert kit.codes(artifact) == {"unsigned", "integrity-only"}
    assert (artifact.version.version, artifact.hardware) == ("0", ("52",))
    assert artifact.version.constraints == ("SoftDevice 0x008c",)
    assert artifact.coverage.uncovered == artifact.coverage.payload


def test_what_openssl_signed_is_valid_and_near_misses_are_not(kit: Any, keys: Path) -> None:
    dat = PACKET.signed(openssl(keys / "ecdsa-p256.pem"))
    data = package({"application": (IMAGE, dat)})
    good = kit.open(data, keys=[keys / "ecdsa-p256.pub.pem"])
    assert good.signatures[0].outcome is Outcome.VALID
    assert not good.coverage.uncovered
    assert good.version.authentic
    assert good.coverage.size_bound
    both = kit.open(data, keys=[keys / "stranger.pub.pem", keys / "ecdsa-p256.pub.pem"])
    assert both.signatures[0].key.name == "ecdsa-p256.pub.pem"
    stranger = kit.open(data, keys=[keys / "stranger.pub.pem"])
    assert stranger.signatures[0].outcome is Outcome.INVALID
    assert stranger.coverage.uncovered
    unknown = kit.open(data, keys=[keys / "rsa-2048.pub.pem", keys / "ed25519.pub.pem"])
    assert unknown.signatures[0].outcome is Outcome.KEY_UNKNOWN
    assert not unknown.images[0].digests[0].authentic
    big = dat.replace(dat[-64:], dat[-64:-32][::-1] + dat[-32:][::-1])
    wrong = kit.open(package({"application": (IMAGE, big)}), keys=[keys / "ecdsa-p256.pub.pem"])
    assert wrong.signatures[0].outcome is Outcome.INVALID


def test_ed25519_and_schemes_that_are_not_known(kit: Any, keys: Path) -> None:
    sign = openssl(keys / "ed25519.pem")
    public = [keys / "ed25519.pub.pem"]
    (good,) = kit.open(package({"application": (IMAGE, PACKET.signed(sign, 1))}), keys=public).signatures
    assert (good.outcome, good.algorithm) == (Outcome.VALID, "ed25519")
    other = replace(PACKET, version=8).signed(lambda _: sign(PACKET.init()), 1)
    assert kit.open(package({"application": (IMAGE, other)}), keys=public).signatures[0].outcome is Outcome.INVALID
    unknown = kit.open(package({"application": (IMAGE, PACKET.signed(sign, 2))}), keys=public)
    assert unknown.signatures[0].outcome is Outcome.UNDECIDABLE
    assert not unknown.coverage.uncovered
    short = blob(2, blob(1, PACKET.command()) + number(2, 0) + blob(3, b"short"))
    assert opened(short).signatures[0].outcome is Outcome.INVALID


def test_a_signature_that_the_bootloader_keeps_is_judged_over_the_image(kit: Any, keys: Path) -> None:
    sign = openssl(keys / "ecdsa-p256.pem")
    raw = sign(IMAGE)
    for data, outcome in (
        (raw[:32][::-1] + raw[32:][::-1], Outcome.VALID),
        (raw, Outcome.INVALID),
        (b"short", Outcome.INVALID),
    ):
        dat = replace(PACKET, validation=(3, data)).signed(sign)
        artifact = kit.open(package({"application": (IMAGE, dat)}), keys=[keys / "ecdsa-p256.pub.pem"])
        assert [signature.outcome for signature in artifact.signatures] == [Outcome.VALID, outcome]
    digest = hashlib.sha256(IMAGE).digest()
    (image,) = opened(replace(PACKET, validation=(2, digest[::-1])).unsigned()).images
    assert [check.matches for check in image.digests] == [True, True]
    assert "digest-mismatch" in {
        weakness.code for weakness in opened(replace(PACKET, validation=(2, digest)).unsigned()).weaknesses
    }


@pytest.mark.parametrize(
    ("packet", "codes"),
    [
        (PACKET, {"integrity-only", "unsigned"}),
        (replace(PACKET, debug=True), {"integrity-only", "unsigned", "debug-build", "version-check-off"}),
        (replace(PACKET, hardware=0xFFFFFFFF), {"integrity-only", "unsigned", "no-hardware-id"}),
        (replace(PACKET, hash_kind=0), {"missing-digest", "unsigned"}),
        (replace(PACKET, hash_kind=1, digest=bytes(4)), {"checksum-only", "unsigned", "digest-mismatch"}),
        (replace(PACKET, hash_kind=2), {"integrity-only", "unsigned"}),
        (replace(PACKET, hash_kind=4, digest=hashlib.sha512(IMAGE).digest()), {"integrity-only", "unsigned"}),
        (replace(PACKET, size=1), {"integrity-only", "unsigned", "malformed"}),
        (replace(PACKET, kind=2), {"integrity-only", "unsigned", "malformed"}),
    ],
)
def test_what_a_packet_says_is_told(kit: Any, packet: Packet, codes: set[str]) -> None:
    assert kit.codes(opened(packet.unsigned())) == codes


def test_a_crc_under_a_signature_protects_nothing(kit: Any, keys: Path) -> None:
    crc = zlib.crc32(IMAGE).to_bytes(4, "big")
    dat = replace(PACKET, hash_kind=1, digest=crc).signed(openssl(keys / "ecdsa-p256.pem"))
    artifact = kit.open(package({"application": (IMAGE, dat)}), keys=[keys / "ecdsa-p256.pub.pem"])
    assert artifact.images[0].digests[0].matches
    assert artifact.coverage.uncovered == artifact.coverage.payload


def test_a_digest_that_is_not_computed_leaves_the_image_undecided(kit: Any, keys: Path) -> None:
    dat = replace(PACKET, hash_kind=2).signed(openssl(keys / "ecdsa-p256.pem"))
    artifact = kit.open(package({"application": (IMAGE, dat)}), keys=[keys / "ecdsa-p256.pub.pem"])
    assert artifact.images[0].digests[0].matches is None
    assert (artifact.coverage.uncovered, artifact.coverage.undecided) == ((), artifact.coverage.payload)
    assert artifact.coverage.size_bound is None


def test_softdevice_and_bootloader_have_both_sizes() -> None:
    artifact = opened(replace(PACKET, kind=3).unsigned(), kind="softdevice_bootloader")
    assert "malformed" not in {weakness.code for weakness in artifact.weaknesses}


# Legacy packets


def legacy(tool: Path, folder: Path, *options: str) -> bytes:
    (folder / "app.bin").write_bytes(IMAGE)
    command = [str(tool), "dfu", "genpkg", "--application", "app.bin", *options, "app.zip"]
    subprocess.run(command, cwd=folder, check=True, capture_output=True)
    return (folder / "app.zip").read_bytes()


@pytest.fixture
def nrfutil(tmp_path: Path) -> Any:
    tool = Path(sys.executable).parent / "adafruit-nrfutil"
    if not tool.exists():
        pytest.skip("adafruit-nrfutil is not installed")
    return lambda *options: legacy(tool, tmp_path, *options)


def test_what_adafruit_nrfutil_packed(kit: Any, nrfutil: Any) -> None:
    artifact = kit.open(nrfutil("--dev-type", "0x52", "--dev-revision", "1", "--sd-req", "0x4F,0x5A"))
    assert kit.codes(artifact) == {"unsigned", "checksum-only", "no-rollback-counter"}
    assert artifact.hardware == ("82 revision 1",)
    assert artifact.version.constraints == ("SoftDevice 0x004f", "SoftDevice 0x005a")
    assert artifact.images[0].digests[0].matches
    assert artifact.title.endswith("(legacy)")


@pytest.mark.parametrize("length", [False, True])
def test_legacy_packets_with_a_sha_256(kit: Any, *, length: bool) -> None:
    """Encoded by adafruit-nrfutil's own class: its genpkg cannot write the manifest of these versions on Python 3."""
    tool = pytest.importorskip("nordicsemi.dfu.init_packet")
    field = tool.PacketField
    values = {
        field.DEVICE_TYPE: 0xFFFF,
        field.DEVICE_REVISION: 0xFFFF,
        field.APP_VERSION: 4,
        field.REQUIRED_SOFTDEVICES_ARRAY: [0xFFFE],
        field.NORDIC_PROPRIETARY_OPT_DATA_EXT_PACKET_ID: tool.INIT_PACKET_USES_HASH,
        field.NORDIC_PROPRIETARY_OPT_DATA_FIRMWARE_HASH: hashlib.sha256(IMAGE).digest(),
    }
    if length:
        values[field.NORDIC_PROPRIETARY_OPT_DATA_FIRMWARE_LENGTH] = len(IMAGE)
    artifact = opened(tool.Packet(values).generate_packet())
    assert kit.codes(artifact) == {"unsigned", "integrity-only", "no-hardware-id"}
    assert artifact.images[0].digests[0].matches
    assert artifact.version.sequence == 4


def legacy_packet(*, kind: int, tail: bytes) -> bytes:
    return struct.pack("<HHIHHI", 82, 0xFFFF, 5, 1, 0xFFFE, kind) + tail


def test_a_legacy_signature_is_big_endian_and_over_all_before_it(kit: Any, keys: Path) -> None:
    head = legacy_packet(kind=2, tail=struct.pack("<I", len(IMAGE)) + hashlib.sha256(IMAGE).digest())
    signature = openssl(keys / "ecdsa-p256.pem")(head)
    for data, outcome in ((signature, Outcome.VALID), (signature[::-1], Outcome.INVALID)):
        artifact = kit.open(package({"application": (IMAGE, head + data)}), keys=[keys / "ecdsa-p256.pub.pem"])
        assert artifact.signatures[0].outcome is outcome
        assert bool(artifact.coverage.uncovered) is (outcome is Outcome.INVALID)


@pytest.mark.parametrize(
    "data",
    [
        legacy_packet(kind=3, tail=b""),
        legacy_packet(kind=0, tail=b"\0\0\0"),
        legacy_packet(kind=1, tail=bytes(31)),
        struct.pack("<HHIH", 82, 1, 5, 9),
        b"\0" * 5,
    ],
)
def test_a_legacy_packet_that_is_damaged_is_refused(data: bytes) -> None:
    with pytest.raises(FormatError):
        read_init(data, "x.dat", legacy=True)


# Refusals


@pytest.mark.parametrize(
    "dat",
    [
        b"",
        PACKET.unsigned() + PACKET.signed(lambda _: bytes(64)),
        blob(1, number(1, 0) + blob(2, PACKET.init())),
        blob(1, PACKET.command() + blob(2, PACKET.init())),
        blob(2, blob(1, PACKET.command()) + blob(1, PACKET.command()) + blob(3, bytes(64))),
        blob(1, number(1, 1) + blob(2, PACKET.init() + blob(8, number(1, 3) + blob(2, bytes(32))))),
        blob(2, b""),
        b"\xff" * 40,
    ],
)
def test_a_packet_that_says_two_things_or_nothing_is_refused(dat: bytes) -> None:
    with pytest.raises(FormatError):
        opened(dat)


@pytest.mark.parametrize(
    "manifest",
    [
        b"{",
        b"[]",
        b'{"manifest": []}',
        b'{"manifest": {}}',
        b'{"manifest": {"application": 1}}',
        b'{"manifest": {"application": {"dat_file": "a"}}}',
        b'{"manifest": {"unheard-of": {"bin_file": "a"}}}',
    ],
)
def test_a_manifest_without_a_firmware_is_no_nordic_package(kit: Any, manifest: bytes) -> None:
    data = package({"application": (IMAGE, PACKET.unsigned())}, more={"other": b"x"})
    real = json.dumps(
        {"manifest": {"application": {"bin_file": "application.bin", "dat_file": "application.dat"}}}, indent=4
    )
    out = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(data)) as old, zipfile.ZipFile(out, "w") as new:
        assert old.read("manifest.json") == real.encode()
        new.writestr("manifest.json", manifest)
    source = BytesSource("x", out.getvalue())
    assert not nordic_dfu.FORMAT.detect(source, kit.context())
    with pytest.raises(FormatError, match=r"manifest|JSON"):
        open_artifact(source, kit.context(), "nordic-dfu")


def test_compressed_members_and_a_wrong_crc(kit: Any) -> None:
    packed, out = package({"application": (IMAGE, PACKET.unsigned())}), io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(packed)) as old, zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as new:
        for name in old.namelist():
            new.writestr(name, old.read(name))
        new.comment = b"c"
    data = out.getvalue()
    assert kit.codes(kit.open(data)) == {"unsigned", "integrity-only"}
    assert kit.codes(kit.open(data + b"more")) == {"unsigned", "integrity-only", "trailing-data"}
    crc = zlib.crc32(IMAGE).to_bytes(4, "little")
    assert data.count(crc) == 2
    assert "checksum-mismatch" in kit.codes(kit.open(data.replace(crc, b"1234")))


def test_a_zip_of_another_kind_is_not_claimed(kit: Any) -> None:
    assert not nordic_dfu.FORMAT.detect(BytesSource("x", b"no zip"), kit.context())
    assert not nordic_dfu.FORMAT.detect(BytesSource("x", b"PK\x03\x04 broken"), kit.context())


def test_an_init_packet_of_absurd_length_is_refused() -> None:
    with pytest.raises(FormatError, match="MAX_INIT"):
        opened(bytes(nordic_dfu.MAX_INIT + 1))


@settings(max_examples=150, deadline=None)
@given(st.integers(0, 10**6), st.integers(0, 7))
def test_a_flipped_bit_of_a_packet_gives_an_init_or_a_format_error(place: int, bit: int) -> None:
    data = bytearray(PACKET.signed(lambda _: bytes(64)))
    data[place % len(data)] ^= 1 << bit
    for legacy in (True, False, None):
        try:
            read_init(bytes(data), "x.dat", legacy=legacy)
        except FormatError:
            continue


@pytest.mark.parametrize("kind", [1, 2])
def test_a_firmware_that_no_key_can_judge_is_not_covered_by_the_signature_of_another(
    kit: Any, keys: Path, kind: int
) -> None:
    sign = openssl(keys / "ecdsa-p256.pem")
    evil = b"evil softdevice " * 64
    forged = replace(PACKET, image=evil, kind=1).signed(lambda _: bytes(64), kind)
    public = [keys / "ecdsa-p256.pub.pem"]
    data = package({"application": (IMAGE, PACKET.signed(sign)), "softdevice": (evil, forged)})
    artifact = kit.open(data, keys=public)
    softdevice = next(image for image in artifact.images if image.target == "softdevice")
    assert artifact.coverage.undecided == (softdevice.span,)
    assert artifact.coverage.size_bound is None
    assert artifact.coverage.metadata == ()
    honest = replace(PACKET, image=evil, kind=1).signed(sign)
    good = kit.open(package({"application": (IMAGE, PACKET.signed(sign)), "softdevice": (evil, honest)}), keys=public)
    assert (good.coverage.uncovered, good.coverage.undecided) == ((), ())


def test_a_boot_signature_does_not_sign_the_init_packet(kit: Any, keys: Path) -> None:
    """The vendor's signature over the image, kept for every start, lies in a packet that a stranger made."""
    raw = openssl(keys / "ecdsa-p256.pem")(IMAGE)
    validation = (3, raw[:32][::-1] + raw[32:][::-1])
    dat = replace(PACKET, version=99, validation=validation).signed(lambda _: bytes(64), 2)
    artifact = kit.open(package({"application": (IMAGE, dat)}), keys=[keys / "ecdsa-p256.pub.pem"])
    assert [item.outcome for item in artifact.signatures] == [Outcome.UNDECIDABLE, Outcome.VALID]
    assert artifact.coverage.undecided == artifact.coverage.payload
    assert artifact.version.authentic is not True
