"""Public keys of minisign and signify: an optional comment line, and base64 of `Ed`, a key id of 8 bytes and the key.

Source: jedisct1/minisign, "Minisign public key format"; OpenBSD src/usr.bin/signify/signify.c, `struct pubkey`.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterator
from dataclasses import replace
from typing import Final

from checker.crypto.key_forms.contract import KeyForm
from checker.crypto.keys import KeyTerms, PublicKey, from_ed25519
from checker.errors import KeyMaterialError

COMMENT: Final = b"untrusted comment:"
ALGORITHM: Final = b"Ed"
SIZE: Final = 42  # bytes: algorithm, key id, Ed25519 key
TEXT: Final = 56  # characters of their base64
ID: Final = slice(2, 10)
_SECRET: Final = (b"EdSc", b"EdBK", b"EdB2")  # how secret keys begin: minisign's cipher ids, signify's `BK`


def _detect(data: bytes) -> bool:
    line = data.strip()
    return data.startswith(COMMENT) or (len(line) == TEXT and (_decode(line) or b"").startswith(ALGORITHM))


def _read(data: bytes, name: str) -> Iterator[PublicKey]:
    lines = [line for line in data.strip().splitlines() if not line.startswith(COMMENT)]
    raw = _decode(lines[0].strip()) if lines else None
    if raw is None or len(raw) != SIZE or not raw.startswith(ALGORITHM):
        raise KeyMaterialError(f"{name or 'key'}: {_what(raw)}, not a minisign or signify public key")
    key = from_ed25519(raw[ID.stop :], name)
    yield replace(key, terms=KeyTerms(ids=(raw[ID].hex(),)))


def _what(raw: bytes | None) -> str:
    if raw is None:
        return "has no line of base64"
    return (
        "is a secret key" if raw.startswith(_SECRET) else f"holds {len(raw)} bytes, as a signature or secret key does"
    )


def _decode(line: bytes) -> bytes | None:
    try:
        return base64.b64decode(line, validate=True)
    except (binascii.Error, ValueError):
        return None


FORM: Final = KeyForm(
    id="minisign",
    title="minisign or signify public key",
    detect=_detect,
    read=_read,
    references=("jedisct1/minisign, Minisign public key format", "OpenBSD signify(1)"),
)
