"""Root metadata of The Update Framework as a key file: the keys of its root role, and how many must sign together.

A single TUF key record (`{"keytype": …, "keyval": …}`), as Uptane tools write it, is read too. Who declares the file
trusts it: its own signatures are not looked at.

Source: TUF specification 1.0.33 sections 4.2 and 4.3; securesystemslib and uptane/aktualizr for the forms of keys.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any, Final

from checker.crypto.key_forms.contract import KeyForm
from checker.crypto.keys import KeyTerms, PublicKey, read_public_key
from checker.errors import FormatError, KeyMaterialError
from checker.io.limits import MAX_KEY_FILE
from checker.io.strict_json import parse

_PEM: Final = "-----BEGIN "


def public_key(record: object, name: str = "") -> PublicKey:
    """Return the key of a TUF key record: PEM, or hexadecimal or base64 of a raw Ed25519 key, a point or DER.

    Raises:
        KeyMaterialError: the record has another form, holds a private key, or a key that cannot be read.
    """
    value = record.get("keyval") if isinstance(record, Mapping) else None
    public = value.get("public") if isinstance(value, Mapping) else None
    if not isinstance(value, Mapping) or not isinstance(public, str):
        raise KeyMaterialError(f"{name or 'key'}: has no keyval with a public key in text")
    if value.get("private"):
        raise KeyMaterialError(f"{name or 'key'}: holds a private key; give only the public half here")
    return read_public_key(public.encode() if public.startswith(_PEM) else _bytes(public, name), name)


def _bytes(text: str, name: str) -> bytes:
    try:
        return bytes.fromhex(text)
    except ValueError:
        pass
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise KeyMaterialError(f"{name or 'key'}: is neither PEM nor hexadecimal nor base64") from error


def _load(data: bytes) -> Any:  # noqa: ANN401 - any JSON value
    if not data.lstrip().startswith(b"{"):
        return None
    try:
        return parse(data, "key", limit=MAX_KEY_FILE)
    except FormatError:
        return None


def _root(value: object) -> Mapping[str, Any] | None:
    signed = value.get("signed") if isinstance(value, Mapping) else None
    kind = signed.get("_type") if isinstance(signed, Mapping) else None
    return signed if isinstance(kind, str) and kind.lower() == "root" else None


def _detect(data: bytes) -> bool:
    value = _load(data)
    return isinstance(value, Mapping) and (_root(value) is not None or {"keytype", "keyval"} <= value.keys())


def _read(data: bytes, name: str) -> Iterator[PublicKey]:
    value = _load(data)
    root = _root(value)
    if root is None:
        yield public_key(value, name)
        return
    keys, role = root.get("keys"), (root.get("roles") or {}).get("root")
    if not isinstance(keys, Mapping) or not isinstance(role, Mapping):
        raise KeyMaterialError(f"{name or 'key'}: is root metadata without keys or without a root role")
    identifiers, threshold = role.get("keyids"), role.get("threshold")
    if not isinstance(identifiers, list) or type(threshold) is not int or threshold < 1:
        raise KeyMaterialError(f"{name or 'key'}: its root role has no key ids or no threshold of at least 1")
    for identifier in dict.fromkeys(str(item) for item in identifiers):
        key = public_key(keys.get(identifier), name)
        yield replace(key, terms=KeyTerms(ids=(identifier,), quorum=threshold))


FORM: Final = KeyForm(
    id="tuf-root",
    title="TUF root metadata or key record",
    detect=_detect,
    read=_read,
    references=("TUF specification 1.0.33 sections 4.2 and 4.3",),
)
