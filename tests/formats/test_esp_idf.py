from __future__ import annotations

import functools
import hashlib
import importlib.util
import json
import operator
import re
import struct
import subprocess
import sys
import time
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from checker.crypto.keys import read_public_key
from checker.crypto.signatures import ecdsa_raw
from checker.errors import FormatError, UnknownFormatError
from checker.formats._esp_image import looks_like_image
from checker.model.artifact import Artifact, AuthKind
from checker.model.terms import Outcome

CODE = b"".join(b"%06d: some code in a segment\n" % number for number in range(400))
CURVES = {"ecdsa-p192": (1, 24, 0, "sha256"), "ecdsa-p256": (2, 32, 0, "sha256"), "ecdsa-p384": (3, 48, 1, "sha384")}


def image(code: bytes = CODE, *, chip: int = 9, secure_version: int = 7, digest: bool = True) -> bytes:
    """Return an application image, written from the description of the format."""
    texts = (b"2.4.1", b"lamp", b"12:00:00", b"Nov  1 2026", b"v5.3", bytes(32))
    descriptor = struct.pack("<II8x32s32s16s16s32s32s", 0xABCD5432, secure_version, *texts)
    segments = [(0x3C000020, descriptor + code[: len(code) & ~3]), (0x40380000, b"\x13" * 64)]
    out = struct.pack("<BBBBIB3sHBHH4sB", 0xE9, 2, 2, 0x2F, 0x40380000, 0xEE, b"", chip, 0, 0, 199, b"", digest)
    checksum = 0xEF
    for address, data in segments:
        out += struct.pack("<II", address, len(data)) + data
        checksum ^= functools.reduce(operator.xor, data)
    out += bytes(15 - len(out) % 16) + bytes([checksum])
    return out + (hashlib.sha256(out).digest() if digest else b"")


def padded(data: bytes) -> bytes:
    return data + b"\xff" * (-len(data) % 4096)


def sector(*blocks: bytes) -> bytes:
    return b"".join(blocks).ljust(4096, b"\xff")


def sealed(block: bytes) -> bytes:
    """Return a block with its CRC and padding."""
    body = block.ljust(1196, b"\0")[:1196]
    return body + struct.pack("<I", zlib.crc32(body)) + bytes(16)


def rsa_block(tool: Any, key: Path, signed: bytes) -> bytes:
    """Return a Secure Boot v2 block over `signed`, signed by openssl."""
    found = read_public_key(key.with_suffix(".pub.pem").read_bytes()).key.public_numbers()
    salt = ("-sigopt", "rsa_padding_mode:pss", "-sigopt", "rsa_pss_saltlen:32")
    signature = tool("openssl", "dgst", "-sha256", *salt, "-sign", key, data=signed).stdout
    return sealed(
        struct.pack("<BBxx32s", 0xE7, 2, hashlib.sha256(signed).digest())
        + found.n.to_bytes(384, "little")
        + struct.pack("<I", found.e)
        + (pow(2, 6144) % found.n).to_bytes(384, "little")
        + struct.pack("<I", -pow(found.n, -1, 2**32) % 2**32)
        + signature[::-1]
    )


def ec_block(tool: Any, key: Path, signed: bytes) -> bytes:
    number, size, wide, name = CURVES[key.stem]
    point = read_public_key(key.with_suffix(".pub.pem").read_bytes()).raw[1:]
    raw = ecdsa_raw(tool("openssl", "dgst", f"-{name}", "-sign", key, data=signed).stdout, size)
    point, raw = (part[:size][::-1] + part[size:][::-1] for part in (point, raw))
    return sealed(
        struct.pack("<BBBx", 0xE7, 3, wide)
        + hashlib.new(name, signed).digest()
        + bytes([number])
        + b"".join(part.ljust(96 if wide else 64, b"\0") for part in (point, raw))
    )


@pytest.fixture(scope="session")
def signed(tool: Any, keys: Path) -> Any:
    """Sign an image with Secure Boot v2: `signed("rsa-3072", "ecdsa-p256")` holds one block for each key."""

    @functools.cache
    def make(*names: str) -> bytes:
        content = padded(image())
        make_block = {"rsa": rsa_block, "ecdsa": ec_block}
        return content + sector(
            *(make_block[name[: name.index("-")]](tool, keys / f"{name}.pem", content) for name in names)
        )

    return make


SERVE = """
import contextlib, io, json, sys
import espsecure
for line in sys.stdin:
    try:
        with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()) as said:
            espsecure.main(json.loads(line))
        print(json.dumps(""), flush=True)
    except BaseException as error:
        print(json.dumps(f"{error!r} {said.getvalue()}"), flush=True)
"""


@pytest.fixture(scope="session")
def espsecure() -> Iterator[Any]:
    """Run espsecure, all calls in one process because it starts slowly; skipped where it is not installed."""
    if importlib.util.find_spec("espsecure") is None:
        pytest.skip("espsecure is not installed")
    with subprocess.Popen([sys.executable, "-c", SERVE], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as running:

        def call(*words: str | Path, check: bool = True) -> bool:
            assert running.stdin is not None
            assert running.stdout is not None
            running.stdin.write(json.dumps([str(word) for word in words]).encode() + b"\n")
            running.stdin.flush()
            why = json.loads(running.stdout.readline())
            assert not check or not why, (words, why)
            return not why

        yield call
        running.kill()


def outcomes(artifact: Artifact) -> list[Outcome]:
    return [signature.outcome for signature in artifact.signatures]


def complete(artifact: Artifact) -> bool:
    right = all(check.matches for check in artifact.digests)
    return Outcome.VALID in outcomes(artifact) and not artifact.coverage.uncovered and right


# The corpus


def test_the_corpus_images_are_what_expected_yaml_says(kit: Any, corpus: Path, expected: Any) -> None:
    folder, seen = corpus / "esp-idf", 0
    for name, truth in expected["esp-idf"].items():
        if "signature" not in truth or not isinstance(truth, dict):
            continue
        seen += 1
        found = kit.open(folder / name, keys=[folder / truth["valid_with"]] if "valid_with" in truth else [])
        if truth["signature"] == "absent":
            assert outcomes(found) == [Outcome.ABSENT]
            assert {"unsigned", "integrity-only"} <= kit.codes(found)
            continue
        assert outcomes(found) == [Outcome.VALID]
        assert complete(found)
        signature = found.signatures[0]
        kinds = {"rsa-pss": f"RSA-{signature.key.bits}-PSS-SHA256", "ecdsa": f"ECDSA P-{signature.key.bits} SHA-256"}
        assert truth["signature"] == f"Secure Boot v2, 1 block, {kinds[signature.algorithm]}"
        assert outcomes(kit.open(folder / name)) == [Outcome.KEY_UNKNOWN]
    assert seen == 3


def test_the_encrypted_image_of_the_corpus_decrypts_to_the_one_that_expected_yaml_names(
    kit: Any, corpus: Path, expected: Any
) -> None:
    name, folder = "bootloader-encrypted-aes-xts.bin", corpus / "esp-idf"
    truth = expected["esp-idf"][name]
    clear = kit.open(folder / truth["decrypts_to"])
    address = re.search(r"0x[0-9a-f]+", truth["encryption"])
    assert address
    options = {"flash_address": address[0]}
    key = folder / "256bit_key.bin"
    found = kit.open(folder / name, decryption=[key], options=options)
    (encryption,) = found.encryption
    assert f"AES-{encryption.key_bits}-{encryption.mode.upper()}" == truth["encryption"].split(" flash")[0]
    assert (encryption.encrypted, encryption.decrypted) == (True, True)
    assert [check.actual for check in found.digests] == [check.actual for check in clear.digests]
    assert all(check.matches for check in found.digests)
    assert clear.encryption[0].encrypted is False


def test_one_flipped_bit_in_a_corpus_image_is_found(kit: Any, corpus: Path, expected: Any) -> None:
    folder = corpus / "esp-idf"
    for name in ("bootloader_signed_v2_rsa.bin", "bootloader_signed_v2_ecdsa256.bin"):
        ring = kit.ring(keys=[folder / expected["esp-idf"][name]["valid_with"]])
        data = (folder / name).read_bytes()
        block = 32768
        for place in [*range(0, block, 1201), 32767, *range(block, block + 1200, 53)]:
            mutant = bytearray(data)
            mutant[place] ^= 8
            try:
                found = kit.open(bytes(mutant), ring=ring)
            except (FormatError, UnknownFormatError):
                continue
            assert not complete(found), (name, place)


# Secure Boot v2


@pytest.mark.parametrize("name", ["rsa-3072", "ecdsa-p256", "ecdsa-p384"])
def test_a_signed_image_has_the_outcome_that_its_key_gives(kit: Any, signed: Any, keys: Path, name: str) -> None:
    data = signed(name)
    found = kit.open(data, keys=[keys / f"{name}.pub.pem"])
    signature = found.signatures[0]
    assert (found.format, outcomes(found), complete(found)) == ("esp-idf", [Outcome.VALID], True)
    assert (signature.key.name, signature.key.declared) == (f"{name}.pub.pem", True)
    assert signature.hash == ("sha-384" if name.endswith("384") else "sha-256")
    assert (found.version.version, found.version.sequence, found.version.authentic) == ("2.4.1", 7, True)
    assert found.hardware == ("ESP32-S3",)
    assert found.coverage.size_bound is True
    assert {"version", "secure_version", "chip"} <= set(found.coverage.metadata)
    assert kit.codes(found) == set()
    assert outcomes(kit.open(data)) == [Outcome.KEY_UNKNOWN]
    other = kit.open(data, keys=[keys / "stranger.pub.pem"])
    assert outcomes(other) == [Outcome.KEY_UNKNOWN]
    assert "nothing declared" in other.signatures[0].note


def test_a_block_by_a_stranger_beside_a_declared_one_counts_for_itself(kit: Any, signed: Any, keys: Path) -> None:
    found = kit.open(signed("rsa-3072", "ecdsa-p256"), keys=[keys / "ecdsa-p256.pub.pem"])
    assert outcomes(found) == [Outcome.KEY_UNKNOWN, Outcome.VALID]
    three = kit.open(signed("ecdsa-p256", "ecdsa-p384", "rsa-3072"), keys=[keys / "rsa-3072.pub.pem"])
    assert outcomes(three) == [Outcome.KEY_UNKNOWN, Outcome.KEY_UNKNOWN, Outcome.VALID]
    facts = dict(three.facts)
    assert len([name for name in facts if name.startswith("key digest")]) == 3


def test_an_unsigned_image_has_integrity_only(kit: Any) -> None:
    found = kit.open(padded(image()))
    assert outcomes(found) == [Outcome.ABSENT]
    assert found.coverage.uncovered == found.coverage.payload
    assert {"unsigned", "integrity-only"} == kit.codes(found)
    assert "integrity-only" not in kit.codes(kit.open(image(digest=False)))
    broken = bytearray(image())
    broken[400] ^= 1
    assert "digest-mismatch" in kit.codes(kit.open(bytes(broken)))


def test_a_secure_version_of_zero_is_no_rollback_counter(kit: Any) -> None:
    assert "no-rollback-counter" in kit.codes(kit.open(image(secure_version=0)))
    assert "no-rollback-counter" not in kit.codes(kit.open(image(secure_version=1)))


def resealed(data: bytes, place: int, value: bytes) -> bytes:
    """Return the image with bytes of its first block changed and the block's CRC made right again."""
    start = len(data) - 4096
    block = bytearray(data[start : start + 1216])
    block[place : place + len(value)] = value
    return data[:start] + sealed(bytes(block[:1196])) + data[start + 1216 :]


@pytest.mark.parametrize(
    ("name", "place", "value", "note"),
    [
        ("rsa-3072", 4, bytes(32), "digest is not that of the image"),
        ("rsa-3072", 36, b"\0", "modulus"),
        ("rsa-3072", 36 + 388, bytes(4), "precomputed"),
        ("rsa-3072", 36 + 772, bytes(4), "precomputed"),
        ("rsa-3072", 812, bytes(8), ""),
        ("ecdsa-p256", 36, b"\x09", "not known"),
        ("ecdsa-p256", 36, b"\x03", "not known"),
        ("ecdsa-p256", 37, bytes(64), "off the curve"),
        ("ecdsa-p256", 101, bytes(64), ""),
        ("ecdsa-p256", 1, b"\x07", "not known"),
    ],
)
def test_a_block_that_devices_refuse_is_invalid_though_its_crc_is_right(
    kit: Any, signed: Any, keys: Path, name: str, place: int, value: bytes, note: str
) -> None:
    ring = kit.ring(keys=[keys / f"{name}.pub.pem"])
    found = kit.open(resealed(signed(name), place, value), ring=ring)
    assert outcomes(found) == [Outcome.INVALID]
    assert note in found.signatures[0].note
    assert outcomes(kit.open(resealed(signed(name), 0, b"\xe7"), ring=ring)) == [Outcome.VALID]


def test_a_valid_signature_on_a_weak_curve_is_valid_and_weak(kit: Any, tool: Any, tmp_path: Path) -> None:
    key = tmp_path / "ecdsa-p192.pem"
    tool("openssl", "ecparam", "-name", "prime192v1", "-genkey", "-noout", "-out", key)
    tool("openssl", "ec", "-in", key, "-pubout", "-out", key.with_suffix(".pub.pem"))
    content = padded(image())
    found = kit.open(content + sector(ec_block(tool, key, content)), keys=[key.with_suffix(".pub.pem")])
    assert (outcomes(found), found.signatures[0].key.algorithm) == ([Outcome.VALID], "ec-p192")
    assert "weak-curve" in kit.codes(found)


def test_a_wrong_crc_makes_devices_skip_the_block(kit: Any, signed: Any, keys: Path) -> None:
    data = bytearray(signed("ecdsa-p256"))
    data[-4096 + 1190] ^= 1  # unused bytes of the block
    found = kit.open(bytes(data), keys=[keys / "ecdsa-p256.pub.pem"])
    assert (outcomes(found), "CRC" in found.signatures[0].note) == ([Outcome.INVALID], True)


def test_bytes_that_nothing_explains_are_said(kit: Any, signed: Any) -> None:
    data = signed("ecdsa-p256")
    for mutant in (data + b"more", data[:-1] + b"x"):
        assert "trailing-data" in kit.codes(kit.open(mutant))
    assert "trailing-data" in kit.codes(kit.open(image() + b"more"))
    assert "trailing-data" not in kit.codes(kit.open(data + b"\xff" * 4096))


# Secure Boot v1


def test_a_v1_signature_is_found_and_judged_with_the_declared_key(kit: Any, tool: Any, keys: Path) -> None:
    content = image()
    made = tool("openssl", "dgst", "-sha256", "-sign", keys / "ecdsa-p256.pem", data=content).stdout
    data = content + bytes(4) + ecdsa_raw(made, 32)
    for file in (data, data + bytes(12)):  # padded so that it can be encrypted
        found = kit.open(file, keys=[keys / "ecdsa-p256.pub.pem"])
        assert (outcomes(found), complete(found)) == ([Outcome.VALID], True)
        assert found.signatures[0].encoding == "raw r||s, big-endian"
        assert "trailing-data" not in kit.codes(found)
    assert outcomes(kit.open(data)) == [Outcome.KEY_UNKNOWN]
    assert outcomes(kit.open(data, keys=[keys / "ecdsa-p384.pub.pem"])) == [Outcome.KEY_UNKNOWN]
    assert outcomes(kit.open(data, keys=[keys / "stranger.pub.pem"])) == [Outcome.INVALID]
    broken = bytearray(data)
    broken[300] ^= 1
    assert outcomes(kit.open(bytes(broken), keys=[keys / "ecdsa-p256.pub.pem"])) == [Outcome.INVALID]


def test_a_keyed_digest_is_no_signature(kit: Any) -> None:
    data = bytes(range(192)) + b"\xff" * (4096 - 192) + image()
    found = kit.open(data)
    assert [(item.kind, item.outcome) for item in found.signatures] == [(AuthKind.MAC, Outcome.UNDECIDABLE)]
    assert "mac-not-signature" in kit.codes(found)
    assert found.coverage.payload[0].start == 4096
    with pytest.raises(UnknownFormatError):
        kit.open(b"\xff" * 4096 + image())


# Flash encryption


def xts(tool_key: bytes, address: int, data: bytes) -> bytes:
    """Return flash encryption of whole units, built from `cryptography` by the chip's description."""
    from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

    out = b""
    for at in range(0, len(data), 128):
        tweak = (address + at).to_bytes(16, "little")
        running = Cipher(algorithms.AES(tool_key), modes.XTS(tweak)).encryptor()
        out += running.update(data[at : at + 128][::-1])[::-1]
    return out


@pytest.mark.parametrize(("size", "bits"), [(32, 128), (64, 256)])
def test_an_encrypted_signed_image_is_judged_with_its_key(
    kit: Any, signed: Any, keys: Path, tmp_path: Path, size: int, bits: int
) -> None:
    (tmp_path / "flash.key").write_bytes(bytes(range(size)))
    (tmp_path / "other.key").write_bytes(bytes(range(1, size + 1)))
    data = xts(bytes(range(size)), 0x10000, signed("ecdsa-p256"))
    more = {"keys": [keys / "ecdsa-p256.pub.pem"], "options": {"flash_address": "0x10000"}}
    found = kit.open(data, decryption=[tmp_path / "flash.key"], **more)
    (encryption,) = found.encryption
    assert complete(found)
    assert (encryption.mode, encryption.key_bits, encryption.decrypted, encryption.authenticated) == (
        "xts",
        bits,
        True,
        True,
    )
    assert {check.over for check in found.digests} == {"plaintext"}
    assert found.version.sequence == 7
    mutant = bytearray(data)
    mutant[5000] ^= 1
    assert not complete(kit.open(bytes(mutant), decryption=[tmp_path / "flash.key"], **more))
    for wrong in ({"decryption": [tmp_path / "other.key"], **more}, more):
        closed = kit.open(data, **wrong)
        assert outcomes(closed) == [Outcome.UNDECIDABLE]
        assert (closed.encryption[0].encrypted, closed.encryption[0].decrypted) == (None, None)
        assert [check.matches for check in closed.digests] == [None]
        assert (closed.version.version, closed.coverage.size_bound) == (None, None)
    more["options"] = {"flash_address": "0x20000"}
    assert outcomes(kit.open(data, decryption=[tmp_path / "flash.key"], **more)) == [Outcome.UNDECIDABLE]


def test_a_file_is_claimed_as_encrypted_only_where_its_address_is_given(kit: Any, signed: Any) -> None:
    data = xts(bytes(range(32)), 0x10000, signed("ecdsa-p256"))
    with pytest.raises(UnknownFormatError):
        kit.open(data)
    with pytest.raises(UnknownFormatError):
        kit.open(b"plain text " * 1000, options={"flash_address": "0x10000"})
    with pytest.raises(FormatError, match="no number"):
        kit.open(data, options={"flash_address": "ten"})


def test_equal_units_show_that_the_file_is_no_xts_ciphertext(kit: Any) -> None:
    data = bytes(range(256)) * 64
    closed = kit.open(data, format_id="esp-idf", options={"flash_address": "0"})
    assert "repeated-blocks" in kit.codes(closed)


# espsecure as maker and oracle


@pytest.mark.parametrize("name", ["rsa-3072", "ecdsa-p256", "ecdsa-p384"])
def test_espsecure_and_otaudit_agree_about_its_signatures(
    kit: Any, espsecure: Any, keys: Path, tmp_path: Path, signed: Any, name: str
) -> None:
    plain, made, own = tmp_path / "plain", tmp_path / "made", tmp_path / "own"
    plain.write_bytes(image())
    own.write_bytes(signed(name))
    espsecure("sign-data", "-v", "2", "-k", keys / f"{name}.pem", "-o", made, plain)
    for path in (made, own):
        data = path.read_bytes()
        for place in (
            None,
            100,
            len(data) - 5000,
            len(data) - 4096 + 10,
            len(data) - 4096 + 200,
            len(data) - 4096 + 900,
        ):
            mutant = bytearray(data)
            if place is not None:
                mutant[place] ^= 0x40
            path.write_bytes(mutant)
            takes = espsecure("verify-signature", "-v", "2", "-k", keys / f"{name}.pub.pem", path, check=False)
            assert complete(kit.open(bytes(mutant), keys=[keys / f"{name}.pub.pem"])) is takes, (path.name, place)
        path.write_bytes(data)
        assert not espsecure("verify-signature", "-v", "2", "-k", keys / "stranger.pub.pem", path, check=False)


def test_espsecure_gives_the_key_digest_that_otaudit_shows(
    kit: Any, espsecure: Any, keys: Path, tmp_path: Path, signed: Any
) -> None:
    for name in ("rsa-3072", "ecdsa-p256", "ecdsa-p384"):
        espsecure("digest-sbv2-public-key", "-k", keys / f"{name}.pub.pem", "-o", tmp_path / name)
        facts = dict(kit.open(signed(name)).facts)
        shown = next(text for key, text in facts.items() if key.startswith("key digest"))
        assert shown == (tmp_path / name).read_bytes().hex()


def test_espsecure_makes_v1_signatures_and_keyed_digests_that_are_recognised(
    kit: Any, espsecure: Any, keys: Path, tmp_path: Path, tool: Any
) -> None:
    tool("openssl", "ec", "-in", keys / "ecdsa-p256.pem", "-out", tmp_path / "k.pem")
    (tmp_path / "plain").write_bytes(image())
    espsecure("sign-data", "-v", "1", "-k", tmp_path / "k.pem", "-o", tmp_path / "v1", tmp_path / "plain")
    assert complete(kit.open(tmp_path / "v1", keys=[keys / "ecdsa-p256.pub.pem"]))
    (tmp_path / "fuse").write_bytes(bytes(range(32)))
    options = ("-k", tmp_path / "fuse", "-o", tmp_path / "digested", tmp_path / "plain")
    espsecure("digest-secure-bootloader", *options)
    assert "mac-not-signature" in kit.codes(kit.open(tmp_path / "digested"))


@pytest.mark.parametrize(
    ("bits", "address"), [(256, 0x10000), (512, 0x10000), (256, 0x10010), (512, 0x1FFF0), (128, 0)]
)
def test_what_espsecure_encrypts_is_decrypted(
    kit: Any, espsecure: Any, tmp_path: Path, bits: int, address: int
) -> None:
    (tmp_path / "plain").write_bytes(image())
    (tmp_path / "key").write_bytes(hashlib.shake_256(b"key").digest(bits // 8))
    options = ("-x", "-k", tmp_path / "key", "-a", hex(address), "-o", tmp_path / "sealed")
    espsecure("encrypt-flash-data", *options, tmp_path / "plain")
    found = kit.open(tmp_path / "sealed", decryption=[tmp_path / "key"], options={"flash_address": str(address)})
    assert [check.matches for check in found.digests] == [True]
    assert found.encryption[0].key_bits == (256 if bits == 512 else 128)


@pytest.mark.parametrize("configuration", range(16))
def test_the_own_scheme_of_the_esp32_is_decrypted_under_every_configuration(
    kit: Any, espsecure: Any, tmp_path: Path, configuration: int
) -> None:
    address = 0x10 + 0xABCD0 * (configuration + 1)  # begins in the middle of a unit of 32 bytes
    (tmp_path / "plain").write_bytes(image(CODE * 20))
    (tmp_path / "key").write_bytes(hashlib.shake_256(b"key").digest(24 if configuration == 5 else 32))
    options = ("-k", tmp_path / "key", "-a", hex(address), "--flash-crypt-conf", str(configuration))
    espsecure("encrypt-flash-data", *options, "-o", tmp_path / "sealed", tmp_path / "plain")
    stated = {"flash_address": str(address), "flash_crypt_conf": hex(configuration)}
    found = kit.open(tmp_path / "sealed", decryption=[tmp_path / "key"], options=stated)
    assert [check.matches for check in found.digests] == [True]
    assert (found.encryption[0].mode, found.encryption[0].key_bits) == ("esp32-tweaked", 256)
    assert found.encryption[0].decrypted is True
    if configuration:  # under 0 the address plays no part
        other = kit.open(tmp_path / "sealed", decryption=[tmp_path / "key"], options=stated | {"flash_address": "0"})
        assert outcomes(other) == [Outcome.UNDECIDABLE]
    wrong = stated | {"flash_crypt_conf": str(configuration ^ 8)}
    near = kit.open(tmp_path / "sealed", decryption=[tmp_path / "key"], options=wrong)
    assert not any(check.matches for check in near.digests)


def test_without_a_configuration_xts_and_then_the_full_one_are_tried(kit: Any, espsecure: Any, tmp_path: Path) -> None:
    (tmp_path / "plain").write_bytes(image())
    (tmp_path / "key").write_bytes(bytes(range(32)))
    options = ("-k", tmp_path / "key", "-a", "0x20000", "-o", tmp_path / "sealed", tmp_path / "plain")
    for more, mode in ((), "esp32-tweaked"), (("-x",), "xts"):
        espsecure("encrypt-flash-data", *more, *options)
        found = kit.open(tmp_path / "sealed", decryption=[tmp_path / "key"], options={"flash_address": "0x20000"})
        assert found.encryption[0].mode == mode


@pytest.mark.parametrize(("configuration", "repeats"), [("0", 300), ("0xf", 0)])
def test_repeated_blocks_betray_a_configuration_of_zero(
    kit: Any, espsecure: Any, tmp_path: Path, configuration: str, repeats: int
) -> None:
    pattern = hashlib.shake_256(b"table").digest(32)  # the same 32 bytes again and again: no two halves are equal
    (tmp_path / "plain").write_bytes(image(pattern * 200))
    (tmp_path / "key").write_bytes(bytes(range(32)))
    options = ("-k", tmp_path / "key", "-a", "0x20000", "--flash-crypt-conf", configuration)
    espsecure("encrypt-flash-data", *options, "-o", tmp_path / "sealed", tmp_path / "plain")
    closed = kit.open(tmp_path / "sealed", options={"flash_address": "0x20000"})
    found = [weakness for weakness in closed.weaknesses if weakness.code == "repeated-blocks"]
    count = int(found[0].message.split()[0]) if found else 0
    assert count > repeats if repeats else count < 20  # zeros within 32 bytes repeat under every configuration
    assert closed.encryption[0].encrypted is None
    assert closed.coverage.undecided == closed.coverage.payload


@pytest.mark.parametrize(
    ("option", "value"),
    [("flash_crypt_conf", "16"), ("flash_crypt_conf", "-1"), ("flash_crypt_conf", "all"), ("key_digest", "00")],
)
def test_an_option_that_does_not_fit_is_refused(kit: Any, tmp_path: Path, option: str, value: str) -> None:
    (tmp_path / "key").write_bytes(bytes(range(32)))
    data = image() if option == "key_digest" else hashlib.shake_256(b"sealed").digest(8192)
    with pytest.raises(FormatError, match=option):
        kit.open(data, decryption=[tmp_path / "key"], options={"flash_address": "0", option: value})


def test_a_key_whose_digest_the_fuses_hold_is_declared(
    kit: Any, espsecure: Any, keys: Path, tmp_path: Path, signed: Any
) -> None:
    for name in ("rsa-3072", "ecdsa-p256", "ecdsa-p384"):
        espsecure("digest-sbv2-public-key", "-k", keys / f"{name}.pub.pem", "-o", tmp_path / name)
    digests = {name: (tmp_path / name).read_bytes().hex() for name in ("rsa-3072", "ecdsa-p256", "ecdsa-p384")}
    for name, wanted in digests.items():
        others = ",".join(digests[other] for other in digests if other != name)
        assert complete(kit.open(signed(name), options={"key_digest": f"{others}, {wanted.upper()}"}))
        assert outcomes(kit.open(signed(name), options={"key_digest": others})) == [Outcome.KEY_UNKNOWN]
        mutant = bytearray(signed(name))
        mutant[500] ^= 1
        assert outcomes(kit.open(bytes(mutant), options={"key_digest": wanted})) == [Outcome.INVALID]


@pytest.mark.parametrize("digest", [True, False])
@pytest.mark.parametrize("more", range(0, 128, 28))
def test_the_keyed_digest_of_espsecure_is_computed_and_stays_a_mac(
    kit: Any, espsecure: Any, tmp_path: Path, more: int, *, digest: bool
) -> None:
    (tmp_path / "plain").write_bytes(image(CODE[: 4000 + more], digest=digest))
    (tmp_path / "fuse").write_bytes(bytes(range(32)))
    (tmp_path / "other").write_bytes(bytes(range(1, 33)))
    espsecure("digest-secure-bootloader", "-k", tmp_path / "fuse", "-o", tmp_path / "made", tmp_path / "plain")
    data = (tmp_path / "made").read_bytes()
    found = kit.open(data, decryption=[tmp_path / "other", tmp_path / "fuse"])
    assert [(item.kind, item.outcome) for item in found.signatures] == [(AuthKind.MAC, Outcome.VALID)]
    assert {"mac-not-signature", "no-rollback-counter"} & kit.codes(found) == {"mac-not-signature"}
    assert "trailing-data" not in kit.codes(found)
    assert outcomes(kit.open(data, decryption=[tmp_path / "other"])) == [Outcome.UNDECIDABLE]
    for place in (5, 130, 4096 + 60):
        mutant = bytearray(data)
        mutant[place] ^= 1
        assert outcomes(kit.open(bytes(mutant), decryption=[tmp_path / "fuse"])) == [Outcome.UNDECIDABLE]


# Hostile input


@pytest.mark.parametrize(
    ("place", "value", "message"),
    [
        (0, b"\xe8", "not the header"),
        (1, b"\0", "not the header"),
        (1, b"\xff", "not the header"),
        (23, b"\x02", "not the header"),
        (28, b"\xff\xff\xff\x7f", "segment 0"),
        (1, b"\x10", "segment"),
    ],
)
def test_damaged_headers_are_refused_with_the_field(kit: Any, place: int, value: bytes, message: str) -> None:
    data = bytearray(image())
    data[place : place + len(value)] = value
    with pytest.raises(FormatError, match=message):
        kit.open(bytes(data), format_id="esp-idf")
    with pytest.raises(UnknownFormatError):
        kit.open(bytes(data))


def test_every_truncation_is_answered_and_none_is_proved(kit: Any, signed: Any, keys: Path) -> None:
    data, ring = signed("ecdsa-p256"), kit.ring(keys=[keys / "ecdsa-p256.pub.pem"])
    began = time.monotonic()
    for size in [*range(300), *range(300, len(data) - 4096, 509), *range(len(data) - 4096, len(data) - 2880, 41)]:
        try:
            found = kit.open(data[:size], ring=ring, format_id="esp-idf")
        except FormatError:
            continue
        assert not complete(found), size
    assert time.monotonic() - began < 20


def test_texts_of_the_descriptor_cannot_steer_a_terminal(kit: Any) -> None:
    data = image().replace(b"lamp", b"\x1b[2J")
    assert dict(kit.open(data).facts)["project"] == "?[2J"
    assert not looks_like_image(b"\xe9")
