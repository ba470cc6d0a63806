"""Android recovery's key files (`/res/keys`, made by dumpkey): numbers as a C literal, little-endian.

Source: AOSP bootable/recovery verifier.cpp, load_keys. Without a mark: RSA, e = 3, SHA-1; `v2`: RSA, e = 65537, SHA-1;
`v3` and `v4`: the same with SHA-256; `v5`: P-256. Several keys stand side by side, with commas between them.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from checker.crypto.key_forms.contract import KeyForm
from checker.crypto.keys import PublicKey, from_ec_point, from_rsa_numbers
from checker.errors import KeyMaterialError

MAX_WORDS: Final = 8192 // 32  # of a modulus, as in recovery
_POINT: Final = 32  # bytes of a coordinate
_MAX_NUMBERS: Final = 2 * MAX_WORDS + 2
_EXPONENTS: Final = {"": 3, "v2": 65537, "v3": 3, "v4": 65537}
_HEAD: Final = re.compile(rb"\s*(?:v[2-5]\s*)?\{\s*\d{1,3}\s*,\s*(?:0x[0-9a-fA-F]{1,8}\s*,\s*)?\{")
_KEY: Final = re.compile(
    r"\s*(v[2-5])?\s*\{\s*(\d{1,3})\s*,\s*(?:(0x[0-9a-fA-F]{1,8})\s*,\s*)?\{([-\d,\s]+)\}\s*,\s*\{([-\d,\s]+)\}\s*\}\s*,?"
)


def _detect(data: bytes) -> bool:
    return _HEAD.match(data[:200]) is not None


def _read(data: bytes, name: str) -> Iterator[PublicKey]:
    text, at = data.decode("ascii", "replace").rstrip(), 0
    while at < len(text):
        found = _KEY.match(text, at)
        if found is None:
            raise KeyMaterialError(f"{name or 'key'}: is no key of Android's recovery behind character {at}")
        yield _key(found, name)
        at = found.end()


def _key(found: re.Match[str], name: str) -> PublicKey:
    kind, count = found[1] or "", int(found[2])
    first, second = (_numbers(found[group], name) for group in (4, 5))
    if kind == "v5" and count == len(first) == len(second) == _POINT and found[3] is None:
        return from_ec_point("ec-p256", b"\x04" + _bytes(first, 1) + _bytes(second, 1), name)
    if kind in _EXPONENTS and count == len(first) <= MAX_WORDS and found[3] is not None:
        return from_rsa_numbers(int.from_bytes(_bytes(first, 4), "big"), _EXPONENTS[kind], name)
    raise KeyMaterialError(f"{name or 'key'}: says {kind or 'v1'} with {count} numbers, but holds {len(first)}")


def _numbers(text: str, name: str) -> list[int]:
    words = text.split(",")
    if len(words) > _MAX_NUMBERS:
        raise KeyMaterialError(f"{name or 'key'}: holds {len(words)} numbers, which is no key")
    try:
        return [int(word) & 0xFFFFFFFF for word in words]  # older files write words as signed numbers
    except ValueError as error:
        raise KeyMaterialError(f"{name or 'key'}: holds something that is no number") from error


def _bytes(numbers: list[int], size: int) -> bytes:
    """Return numbers, the lowest first, as big-endian bytes."""
    return b"".join((number & (1 << 8 * size) - 1).to_bytes(size, "big") for number in reversed(numbers))


FORM: Final = KeyForm(
    id="android-keys",
    title="key file of Android's recovery",
    detect=_detect,
    read=_read,
    references=("AOSP bootable/recovery verifier.cpp",),
)
