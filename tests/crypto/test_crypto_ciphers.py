"""Decrypting sources against openssl, and MCUboot's key wrappings against imgtool's own images."""

from __future__ import annotations

import random
import struct
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from checker.crypto.ciphers import (
    aes_cbc_source,
    aes_ctr,
    aes_ctr_source,
    aes_ecb,
    aes_xts,
    aes_xts_source,
    ecies_p256,
    ecies_x25519,
    hkdf,
    open_aead,
    unwrap_aes_kw,
    unwrap_rsa_oaep,
)
from checker.crypto.keyring import DecryptionKey, read_decryption_key
from checker.errors import DecryptionError, UnsupportedAlgorithmError
from checker.io.digests import DigestRequest, compute, digest
from checker.io.sources import BytesSource
from checker.model.artifact import Source, Span

KEY = bytes(range(32))
IV = bytes(range(100, 116))


def openssl(pki: Any, cipher: str, data: bytes, *extra: str, key: bytes = KEY, iv: bytes = IV) -> bytes:
    done = pki.run("enc", f"-{cipher}", "-K", key.hex(), "-iv", iv.hex(), *extra, data=data)
    return bytes(done.stdout)


def same_everywhere(source: Source, plain: bytes, seed: int) -> None:
    """Compare the whole, random windows, and reads beyond the end."""
    assert source.size == len(plain)
    assert source.read(0, source.size) == plain
    chooser = random.Random(seed)  # noqa: S311 - a test's sample
    for _ in range(60):
        offset, length = chooser.randrange(len(plain) + 20), chooser.randrange(70)
        assert source.read(offset, length) == plain[offset : offset + length]
    assert source.read(0, 10**9) == plain
    request = DigestRequest.over("sha-256", source)
    assert compute([request])[request] == digest("sha-256", plain)


@pytest.mark.parametrize("size", [0, 1, 15, 16, 17, 1000, 4096])
@pytest.mark.parametrize("bits", [128, 256])
def test_a_cbc_source_gives_any_window_of_the_plaintext_without_its_padding(pki: Any, size: int, bits: int) -> None:
    plain = random.Random(size).randbytes(size)  # noqa: S311 - a test's data
    sealed = openssl(pki, f"aes-{bits}-cbc", plain, key=KEY[: bits // 8])
    parent = BytesSource("image", b"HEAD" + sealed + b"TAIL")
    source = aes_cbc_source(parent, Span(4, 4 + len(sealed)), KEY[: bits // 8], IV)
    if size:
        same_everywhere(source, plain, size)
    assert source.size == size
    raw = aes_cbc_source(parent, Span(4, 4 + len(sealed)), KEY[: bits // 8], IV, padded=False)
    assert raw.size == len(sealed)
    assert raw.read(0, size) == plain


@pytest.mark.parametrize("start", [bytes(16), IV, b"\xff" * 16])
@pytest.mark.parametrize("size", [1, 16, 1000])
def test_a_ctr_source_gives_any_window_and_its_counter_wraps(pki: Any, size: int, start: bytes) -> None:
    plain = random.Random(size).randbytes(size)  # noqa: S311 - a test's data
    sealed = openssl(pki, "aes-256-ctr", plain, iv=start)
    parent = BytesSource("image", b"HEADER" + sealed)
    same_everywhere(aes_ctr_source(parent, Span(6, 6 + size), KEY, start), plain, size)


def test_a_wrong_key_shows_in_the_padding_and_wrong_sizes_are_named(pki: Any) -> None:
    sealed = openssl(pki, "aes-256-cbc", b"x" * 100)
    parent = BytesSource("image", sealed)
    with pytest.raises(DecryptionError, match="padding"):
        aes_cbc_source(parent, Span(0, len(sealed)), KEY[::-1], IV)
    with pytest.raises(DecryptionError, match="blocks of 16"):
        aes_cbc_source(parent, Span(0, len(sealed) - 1), KEY, IV)
    with pytest.raises(DecryptionError, match="16, 24 or 32"):
        aes_ctr_source(parent, Span(0, 16), KEY[:20], IV)
    with pytest.raises(DecryptionError, match="16, 24 or 32"):
        aes_cbc_source(parent, Span(0, 16), KEY, IV[:8])


def test_single_blocks_and_xts_units_agree_with_openssl(pki: Any) -> None:
    data = bytes(range(64))
    sealed = pki.run("enc", "-aes-256-ecb", "-nopad", "-K", KEY.hex(), data=data).stdout
    assert aes_ecb(KEY, sealed) == data
    with pytest.raises(DecryptionError):
        aes_ecb(KEY, sealed[:-1])
    with pytest.raises(DecryptionError):
        aes_xts(KEY, IV[:8], data)


def test_esp_flash_encryption_of_the_corpus_decrypts_to_its_published_plaintext(corpus: Path) -> None:
    """ESP-IDF: units of 1024 bits, the bytes of each reversed, the tweak is the flash address."""
    folder = corpus / "esp-idf"
    key = (folder / "256bit_key.bin").read_bytes()
    sealed, plain = ((folder / name).read_bytes() for name in ("bootloader-encrypted-aes-xts.bin", "bootloader.bin"))
    padded = sealed[: len(sealed) // 128 * 128]
    turned = BytesSource("flash", b"".join(padded[at : at + 128][::-1] for at in range(0, len(padded), 128)))
    source = aes_xts_source(
        turned,
        Span(0, turned.size),
        key,
        128,
        lambda unit: (0x1000 + unit * 128).to_bytes(16, "little"),
    )
    opened = b"".join(source.read(at, 128)[::-1] for at in range(0, source.size, 128))
    assert opened == plain[: len(opened)]


def tlvs(image: bytes) -> dict[int, bytes]:
    header, protected, size = struct.unpack_from("<HHI", image, 8)
    at = header + size + protected
    magic, total = struct.unpack_from("<HH", image, at)
    assert magic == 0x6907
    found, end, at = {}, at + total, at + 4
    while at < end:
        kind, length = struct.unpack_from("<HH", image, at)
        found[kind] = image[at + 4 : at + 4 + length]
        at += 4 + length
    return found


@pytest.mark.parametrize(
    ("kind", "bits", "sha", "tlv"),
    [
        ("rsa2048", 128, "256", 0x30),
        ("rsa2048", 256, "256", 0x30),
        ("p256", 128, "256", 0x32),
        ("p256", 256, "256", 0x32),
        ("x25519", 128, "256", 0x33),
        ("x25519", 256, "256", 0x33),
        ("x25519", 128, "512", 0x34),
    ],
)
def test_mcuboots_wrapped_keys_open_the_image_that_imgtool_made(
    pki: Any, kind: str, bits: int, sha: str, tlv: int
) -> None:
    pki.key("enc", kind)
    pki.key("enc-other", kind)
    payload = random.Random(bits).randbytes(5000)  # noqa: S311 - a test's data
    pki.write("app.bin", payload)
    signer = {"rsa2048": "leaf-rsa2048", "p256": "leaf-p256", "x25519": "leaf-ed25519"}[kind]
    pki.write("sign.key", pki.read(f"{signer}.key"))
    subprocess.run(
        [sys.executable, "-m", "imgtool.main", "sign", "-k", "sign.key", "-H", "0x200", "--pad-header", "-S", "0x10000",
         "--align", "4", "-v", "1.0.0", "-E", "enc.pub", "--encrypt-keylen", str(bits), "--hmac-sha", sha,
         "app.bin", "app.signed"],
        cwd=pki.folder, check=True, capture_output=True,
    )  # fmt: skip
    image = pki.read("app.signed")
    field = tlvs(image)[tlv]
    mine, other = (read_decryption_key(pki.read(name), name) for name in ("enc.key", "enc-other.key"))
    secret = unwrap(mine, tlv, field)
    assert len(secret) == bits // 8
    assert aes_ctr(secret, bytes(16), image[0x200 : 0x200 + 5000]) == payload
    source = aes_ctr_source(BytesSource("app", image), Span(0x200, 0x200 + 5000), secret, bytes(16))
    same_everywhere(source, payload, bits)
    with pytest.raises(DecryptionError):
        unwrap(other, tlv, field)
    with pytest.raises(DecryptionError):
        unwrap(mine, tlv, field[:-1] + bytes([field[-1] ^ 1]))
    with pytest.raises(DecryptionError, match="is a key of kind"):
        unwrap(read_decryption_key(bytes(16), "secret"), tlv, field)


def unwrap(key: DecryptionKey, tlv: int, field: bytes) -> bytes:
    if tlv == 0x30:
        return unwrap_rsa_oaep(key, field)
    if tlv == 0x32:
        return ecies_p256(key, field[:65], field[65:97], field[97:])
    size = 32 if tlv == 0x33 else 64
    hash_name = "sha-256" if tlv == 0x33 else "sha-512"
    return ecies_x25519(key, field[:32], field[32 : 32 + size], field[32 + size :], hash_name=hash_name)


def test_key_wrap_agrees_with_rfc_3394_and_a_changed_byte_is_found() -> None:
    kek, wrapped = bytes(range(16)), bytes.fromhex("1FA68B0A8112B447AEF34BD8FB5A7B829D3E862371D2CFE5")
    assert unwrap_aes_kw(kek, wrapped) == bytes.fromhex("00112233445566778899AABBCCDDEEFF")
    for at in range(len(wrapped)):
        broken = wrapped[:at] + bytes([wrapped[at] ^ 1]) + wrapped[at + 1 :]
        with pytest.raises(DecryptionError):
            unwrap_aes_kw(kek, broken)


def test_hkdf_agrees_with_rfc_5869_case_1() -> None:
    okm = hkdf(b"\x0b" * 22, 42, bytes.fromhex("f0f1f2f3f4f5f6f7f8f9"), "sha-256", bytes(range(13)))
    assert okm.hex() == "3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf34007208d5b887185865"


def test_chacha20_poly1305_agrees_with_rfc_8439() -> None:
    key = bytes(range(0x80, 0xA0))
    nonce = bytes.fromhex("070000004041424344454647")
    sealed = bytes.fromhex(
        "d31a8d34648e60db7b86afbc53ef7ec2a4aded51296e08fea9e2b5a736ee62d63dbea45e8ca9671282fafb69da92728b"
        "1a71de0a9e060b2905d6a5b67ecd3b3692ddbd7f2d778b8c9803aee328091b58fab324e4fad675945585808b4831d7bc"
        "3ff4def08e4b7a9de576d26586cec64b61161ae10b594f09e26a7e902ecbd0600691"
    )
    aad = bytes.fromhex("50515253c0c1c2c3c4c5c6c7")
    assert open_aead("chacha20-poly1305", key, nonce, sealed, aad).startswith(b"Ladies and Gentlemen")
    with pytest.raises(DecryptionError):
        open_aead("chacha20-poly1305", key, nonce, sealed, aad[:-1])
    with pytest.raises(UnsupportedAlgorithmError):
        open_aead("rot13", key, nonce, sealed)
