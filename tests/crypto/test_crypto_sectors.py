from __future__ import annotations

import hashlib
import shutil
import subprocess

import pytest

from checker.crypto.sectors import aes_cbc_plain64_source
from checker.errors import DecryptionError
from checker.io.sources import BytesSource
from checker.model.artifact import Span


def test_sectors_decrypt_to_what_openssl_encrypted_one_by_one() -> None:
    if shutil.which("openssl") is None:
        pytest.skip("openssl is not installed")
    plain, key = hashlib.shake_256(b"plain").digest(4096 * 3), b"k" * 32
    sealed = b""
    for number in range(3):
        iv = (number * 8).to_bytes(16, "little").hex()
        words = ("openssl", "enc", "-aes-256-cbc", "-nopad", "-K", key.hex(), "-iv", iv)
        sealed += subprocess.run(
            words, input=plain[number * 4096 : number * 4096 + 4096], capture_output=True, check=True
        ).stdout
    source = aes_cbc_plain64_source(BytesSource("x", b"head" + sealed), Span(4, 4 + len(sealed)), key, 4096)
    assert (source.size, source.name, source.read(0, source.size)) == (len(plain), "x", plain)
    for offset, length in ((0, 1), (4090, 12), (8191, 2), (len(plain) - 1, 5), (len(plain), 1), (5, -1)):
        assert source.read(offset, length) == plain[offset : offset + max(length, 0)]


@pytest.mark.parametrize(
    ("key", "size", "sector"), [(31, 4096, 4096), (32, 4095, 4096), (32, 4096, 100), (32, 4096, 0)]
)
def test_sectors_of_a_wrong_size_are_refused(key: int, size: int, sector: int) -> None:
    with pytest.raises(DecryptionError):
        aes_cbc_plain64_source(BytesSource("x", bytes(size)), Span(0, size), bytes(key), sector)
