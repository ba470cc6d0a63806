from __future__ import annotations

from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from checker.crypto.key_files import read_public_keys
from checker.crypto.keys import from_spki, read_public_key
from checker.errors import KeyMaterialError

FOLDER = Path(__file__).parent / "published"


def rsa_text(key: rsa.RSAPublicKey, mark: str, *, signed: bool = False) -> str:
    """Return the text that dumpkey writes; the second list (R squared) is not read by anybody."""
    modulus = key.public_numbers().n
    words = [modulus >> 32 * index & 0xFFFFFFFF for index in range(key.key_size // 32)]
    shown = [word - (1 << 32) if signed and word >> 31 else word for word in words]
    numbers = ",".join(map(str, shown))
    return f"{mark}{{{len(words)},0xdeadbeef,{{{numbers}}},{{{numbers}}}}}"


def ec_text(key: ec.EllipticCurvePublicKey) -> str:
    point = key.public_numbers()
    lists = (",".join(str(byte) for byte in value.to_bytes(32, "little")) for value in (point.x, point.y))
    return f"v5 {{32,{','.join(f'{{{numbers}}}' for numbers in lists)}}}"


def spki(key: rsa.RSAPublicKey | ec.EllipticCurvePublicKey) -> bytes:
    return key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


def test_aosps_own_file_is_the_key_of_its_certificate() -> None:
    (found,) = read_public_keys((FOLDER / "aosp-testkey-v3.txt").read_bytes(), "keys")
    wanted = read_public_key((FOLDER / "aosp-testkey.pub.pem").read_bytes())
    assert found.spki_sha256 == wanted.spki_sha256
    assert "AOSP testkey" in found.facts.published


@pytest.mark.parametrize(("mark", "exponent"), [("", 3), ("v2 ", 65537), ("v3 ", 3), ("v4 ", 65537)])
def test_each_version_has_its_exponent(mark: str, exponent: int) -> None:
    key = rsa.generate_private_key(exponent, 2048).public_key()
    for signed in (False, True):
        (found,) = read_public_keys(rsa_text(key, mark, signed=signed).encode(), "keys")
        assert found == from_spki(spki(key), "keys")


def test_several_keys_of_several_kinds() -> None:
    keys = (rsa.generate_private_key(65537, 2048).public_key(), ec.generate_private_key(ec.SECP256R1()).public_key())
    text = f"{rsa_text(keys[0], 'v4 ')},{ec_text(keys[1])}\n"
    assert [item.spki for item in read_public_keys(text.encode(), "keys")] == [spki(key) for key in keys]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{2,0x1,{1},{1}}", "with 2 numbers, but holds 1"),
        ("v5 {1,{1},{1}}", "v5 with 1 numbers"),
        ("{1,0x1,{1},{1}} and more", "behind character 16"),
        ("{1,0x1,{1,,},{1}}", "no number"),
        ("{1,0x1,{" + "1," * 600 + "1},{1}}", "which is no key"),
        ("{1,0x1,{", "behind character 0"),
    ],
)
def test_broken_files_are_refused(text: str, message: str) -> None:
    with pytest.raises(KeyMaterialError, match=message):
        read_public_keys(text.encode(), "keys")
