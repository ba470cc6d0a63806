"""Public keys as Nordic's nrfutil shows them: 64 bytes in hexadecimal or as C code, x and y each little-endian.

Source: NordicSemiconductor/pc-nrfutil nordicsemi/dfu/signing.py (`nrfutil keys display --key pk --format hex|code`).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from checker.crypto.key_forms.contract import KeyForm
from checker.crypto.keys import PublicKey, from_ec_point
from checker.errors import KeyMaterialError

_HEX: Final = re.compile(rb"Public \(verification\) key pk:\s*([0-9A-Fa-f]+)\s*")
_CODE: Final = re.compile(rb"uint8_t\s+pk\s*\[\s*(?:64)?\s*\]\s*=\s*\{([^}]*)\}")
_BYTE: Final = re.compile(rb"0[xX]([0-9A-Fa-f]{2})\b")
_HALF: Final = 32  # bytes


def _detect(data: bytes) -> bool:
    return _HEX.search(data) is not None or _CODE.search(data) is not None


def _read(data: bytes, name: str) -> Iterator[PublicKey]:
    written, code = _HEX.search(data), _CODE.search(data)
    digits = written[1] if written else b"".join(_BYTE.findall(code[1] if code else b""))
    if len(digits) != 4 * _HALF:
        raise KeyMaterialError(f"{name or 'key'}: a key of nrfutil has 64 bytes, here are {len(digits) / 2:g}")
    raw = bytes.fromhex(digits.decode("ascii"))
    yield from_ec_point("ec-p256", b"\x04" + raw[:_HALF][::-1] + raw[_HALF:][::-1], name)


FORM: Final = KeyForm(
    id="nordic-dfu",
    title="public key of nrfutil",
    detect=_detect,
    read=_read,
    references=("NordicSemiconductor/pc-nrfutil nordicsemi/dfu/signing.py",),
)
