"""OpenPGP certificates (RFC 9580 10.1), binary or armoured: the keys that make signatures, with their terms."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from checker.crypto import openpgp
from checker.crypto.key_forms.contract import KeyForm
from checker.crypto.keys import PublicKey
from checker.errors import FormatError, KeyMaterialError

_ARMOUR: Final = b"-----BEGIN PGP "
_VERSIONS: Final = frozenset({4, 6})
_ALGORITHMS: Final = frozenset({1, 2, 3, 16, 17, 18, 19, 22, 25, 26, 27, 28})  # RFC 9580 9.1
_LEAST: Final = 44  # bytes of a version 6 Ed25519 key without anything else; bare keys of 32 bytes are shorter
_TAGS: Final = frozenset({openpgp.PUBLIC_KEY, *openpgp.SECRET_KEYS})


def _detect(data: bytes) -> bool:
    if data.lstrip().startswith(_ARMOUR):
        return True
    try:
        first = next(openpgp.packets(data), None) if data[:1] >= b"\x80" and len(data) >= _LEAST else None
    except FormatError:
        return False
    if first is None or first.kind not in _TAGS or len(first.body) < 6:  # noqa: PLR2004 - version, time, algorithm
        return False
    return first.body[0] in _VERSIONS and first.body[5] in _ALGORITHMS


def _read(data: bytes, name: str) -> Iterator[PublicKey]:
    try:
        yield from openpgp.read_keys(data, name)
    except FormatError as error:
        raise KeyMaterialError(f"{name or 'key'}: is no OpenPGP certificate that can be read: {error}") from error


FORM: Final = KeyForm(
    id="openpgp",
    title="OpenPGP certificate",
    detect=_detect,
    read=_read,
    references=("RFC 9580 section 10.1", "RFC 4880 section 11.1"),
)
