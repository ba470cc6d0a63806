"""The bare P-256 key of ESP-IDF's Secure Boot v1: x and y, 32 bytes each, big-endian, and nothing else.

Source: espressif/esp-idf docs/en/security/secure-boot-v1.rst ("espsecure extract-public-key"). That 64 bytes that mean
something else lie on the curve happens once in 2^256 times.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from checker.crypto.key_forms.contract import KeyForm
from checker.crypto.keys import PublicKey, from_ec_point
from checker.errors import CryptoError, FormatError

SIZE: Final = 64  # bytes


def _detect(data: bytes) -> bool:
    if len(data) != SIZE:
        return False
    try:
        return from_ec_point("ec-p256", b"\x04" + data).usable
    except (CryptoError, FormatError):
        return False


def _read(data: bytes, name: str) -> Iterator[PublicKey]:
    yield from_ec_point("ec-p256", b"\x04" + data, name)


FORM: Final = KeyForm(
    id="raw-p256",
    title="bare P-256 key",
    detect=_detect,
    read=_read,
    references=("espressif/esp-idf docs/en/security/secure-boot-v1.rst",),
)
