"""Public key files of every form: the usual ones (`keys`), and those of `key_forms`, found by content."""

from __future__ import annotations

from typing import Final

from checker.crypto.key_forms.contract import KeyForm
from checker.crypto.keys import PublicKey, read_public_key
from checker.discovery import discover
from checker.errors import KeyMaterialError
from checker.io.limits import MAX_KEY_FILE

_PACKAGE: Final = "checker.crypto.key_forms"


def read_public_keys(data: bytes, name: str = "") -> tuple[PublicKey, ...]:
    """Return the public keys of a file: one of a PEM, DER or raw file, several where its form holds several.

    Raises:
        KeyMaterialError: it is of no known form, breaks its form, or holds a private key.
    """
    form = None if len(data) > MAX_KEY_FILE else _form(data)
    if form is None:
        return (read_public_key(data, name),)
    found = tuple(form.read(data, name))
    if not found:
        raise KeyMaterialError(f"{name or 'key'}: is a {form.title} without a public key")
    return found


def _form(data: bytes) -> KeyForm | None:
    return next((form for form in discover(_PACKAGE, "FORM", KeyForm) if form.detect(data)), None)
