from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from checker.crypto.esp_flash import esp32_digest_source, esp32_source, esp_xts_source
from checker.crypto.key_files import read_public_keys
from checker.errors import DecryptionError, KeyMaterialError
from checker.io.sources import BytesSource

CORPUS = Path(__file__).resolve().parents[2] / ".." / "shared" / "corpus" / "esp-idf"


@pytest.fixture
def vector() -> tuple[bytes, bytes, bytes]:
    """Key, plaintext and ciphertext of a public project; the image is encrypted for the flash address 0x1000."""
    if not CORPUS.is_dir():
        pytest.skip("the folder ../shared/corpus is absent")
    names = ("256bit_key.bin", "bootloader.bin", "bootloader-encrypted-aes-xts.bin")
    key, plain, sealed = ((CORPUS / name).read_bytes() for name in names)
    return key, plain, sealed


def test_a_published_image_decrypts_in_whole_and_in_parts(vector: tuple[bytes, bytes, bytes]) -> None:
    key, plain, sealed = vector
    source = esp_xts_source(BytesSource("x", sealed), key, 0x1000)
    assert (source.name, source.size, source.read(0, source.size)) == ("x", len(plain), plain)
    for offset, length in (
        (0, 1),
        (127, 2),
        (128, 128),
        (5, 1000),
        (len(plain) - 1, 9),
        (len(plain), 1),
        (3, -1),
        (-1, 2),
    ):
        assert source.read(offset, length) == (plain[offset : offset + max(length, 0)] if offset >= 0 else b"")


def test_a_part_decrypts_at_its_own_address(vector: tuple[bytes, bytes, bytes]) -> None:
    key, plain, sealed = vector
    for start in (16, 112, 128, 4096 + 48):
        part = esp_xts_source(BytesSource("x", sealed[start : start + 320]), key, 0x1000 + start)
        assert part.read(0, 320) == plain[start : start + 320]
        assert part.read(100, 30) == plain[start + 100 : start + 130]
        assert part.read(0, 320) != esp_xts_source(BytesSource("x", part.read(0, 320)), key, 0x1000).read(0, 320)


def test_another_address_or_key_gives_other_bytes(vector: tuple[bytes, bytes, bytes]) -> None:
    key, plain, sealed = vector
    source = BytesSource("x", sealed)
    assert esp_xts_source(source, key, 0x2000).read(0, 64) != plain[:64]
    assert esp_xts_source(source, hashlib.sha256(key).digest(), 0x1000).read(0, 64) != plain[:64]


@pytest.mark.parametrize(
    ("key", "size", "address", "message"),
    [
        (bytes(range(24)), 32, 0, "32 or 64"),
        (bytes(32), 32, 0, "different halves"),
        (bytes(range(32)), 33, 0, "blocks of 16"),
        (bytes(range(32)), 32, 8, "multiple of 16"),
        (bytes(range(32)), 32, -16, "multiple of 16"),
        (bytes(range(32)), 32, 1 << 32, "multiple of 16"),
    ],
)
def test_what_does_not_fit_is_refused(key: bytes, size: int, address: int, message: str) -> None:
    with pytest.raises(DecryptionError, match=message):
        esp_xts_source(BytesSource("x", bytes(size)), key, address)


@pytest.mark.parametrize(
    ("key", "size", "address", "configuration", "message"),
    [
        (16, 32, 0, 15, "24 or 32"),
        (32, 33, 0, 15, "blocks of 16"),
        (32, 32, 8, 15, "multiple of 16"),
        (32, 32, (1 << 24) - 16, 15, "multiple of 16"),
        (32, 32, 0, 16, "four bits"),
    ],
)
def test_what_does_not_fit_the_esp32_is_refused(
    key: int, size: int, address: int, configuration: int, message: str
) -> None:
    with pytest.raises(DecryptionError, match=message):
        esp32_source(BytesSource("x", bytes(size)), bytes(key), address, configuration)


def test_parts_of_the_esp32s_plaintext_are_those_of_the_whole() -> None:
    sealed = hashlib.shake_256(b"sealed").digest(320)
    source = esp32_source(BytesSource("x", sealed), bytes(range(32)), 0x10010, 15)
    mixed = esp32_digest_source(BytesSource("x", sealed), bytes(range(32)))
    for view in (source, mixed):
        whole = view.read(0, 320)
        assert (view.name, view.size, len(set(whole)) > 100) == ("x", 320, True)
        for offset, length in ((0, 16), (15, 2), (16, 32), (31, 200), (319, 9), (320, 1), (5, -1)):
            assert view.read(offset, length) == whole[offset : offset + max(length, 0)]
        assert view.read(-1, 4) == b""
    part = esp32_source(BytesSource("x", sealed[48:]), bytes(range(32)), 0x10010 + 48, 15)
    assert part.read(0, 272) == source.read(48, 272)


def test_the_keyed_digest_takes_whole_blocks_and_one_key_size() -> None:
    for key, size in ((32, 15), (24, 16)):
        with pytest.raises(DecryptionError, match="32 bytes and whole blocks"):
            esp32_digest_source(BytesSource("x", bytes(size)), bytes(key))


def test_a_bare_key_is_a_point_of_the_curve_and_nothing_else_is() -> None:
    # The base point of P-256, SP 800-186 section 3.2.1.3.
    point = bytes.fromhex(
        "6b17d1f2e12c4247f8bce6e563a440f277037d812deb33a0f4a13945d898c296"
        "4fe342e2fe1a7f9b8ee7eb4a7c0f9e162bce33576b315ececbb6406837bf51f5"
    )
    (key,) = read_public_keys(point, "fuse")
    assert (key.facts.algorithm, key.facts.name, key.raw[1:]) == ("ec-p256", "fuse", point)
    for other in (point[:-1] + b"\xf4", point[::-1], point[:-1]):
        with pytest.raises(KeyMaterialError):
            read_public_keys(other, "fuse")
