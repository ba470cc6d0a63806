"""OpenPGP certificates (RFC 9580 10.1), binary or armoured: the keys that make signatures, with their terms."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from checker.crypto import openpgp
from checker.crypto.key_forms.contract import KeyForm
from checker.crypto.keys import PublicKey
from checker.errors import FormatError, KeyMaterialError

_ARMOUR: Final = b"-----BEGIN PGP "
_VERSIONS: Final = frozenset({4, 5, 6})
_TAGS: Final = frozenset({openpgp.PUBLIC_KEY, *openpgp.SECRET_KEYS})


def _detect(data: bytes) -> bool:
    if data.lstrip().startswith(_ARMOUR):
        return True
    try:
        first = next(openpgp.packets(data), None) if data[:1] >= b"\x80" else None
    except FormatError:
        return False
    return first is not None and first.kind in _TAGS and first.body[:1] != b"" and first.body[0] in _VERSIONS


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
