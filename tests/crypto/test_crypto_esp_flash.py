from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from checker.crypto.esp_flash import esp_xts_source
from checker.errors import DecryptionError
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
