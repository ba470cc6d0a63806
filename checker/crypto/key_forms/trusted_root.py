"""sigstore's `trusted_root.json` as a key file: the keys of its transparency logs."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from checker.crypto import trusted_root
from checker.crypto.key_forms.contract import KeyForm
from checker.crypto.keys import PublicKey
from checker.errors import FormatError, KeyMaterialError


def _read(data: bytes, name: str) -> Iterator[PublicKey]:
    try:
        yield from trusted_root.log_keys(data, name)
    except FormatError as error:
        raise KeyMaterialError(f"{name or 'key'}: is a damaged trusted root: {error}") from error


FORM: Final = KeyForm(
    id="trusted-root",
    title="sigstore trusted root",
    detect=trusted_root.is_trusted_root,
    read=_read,
    references=("sigstore/protobuf-specs protos/sigstore_trustroot.proto",),
)
