"""JSON Web Keys and sets of them: `{"kty": …}` and `{"keys": […]}`; a key is named after its `kid`.

Source: RFC 7517 sections 4 and 5.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, Final

from checker.crypto.jose import read_json, read_jwk
from checker.crypto.key_forms.contract import KeyForm
from checker.crypto.keys import PublicKey
from checker.errors import FormatError, KeyMaterialError

MAX_KEYS: Final = 100  # of one set
_MARK: Final = re.compile(rb'"kty"\s*:')


def _detect(data: bytes) -> bool:
    return data.lstrip()[:1] == b"{" and _MARK.search(data) is not None


def _read(data: bytes, name: str) -> Iterator[PublicKey]:
    try:
        value: Any = read_json(data, "JWK")
    except FormatError as error:
        raise KeyMaterialError(f"{name or 'key'}: {error}") from error
    keys = value.get("keys", [value])
    if not isinstance(keys, list) or len(keys) > MAX_KEYS:
        raise KeyMaterialError(f"{name or 'key'}: `keys` is no list of at most {MAX_KEYS} keys")
    for key in keys:
        said = key.get("kid") if isinstance(key, dict) else None
        yield read_jwk(key, said if isinstance(said, str) and said else name)


FORM: Final = KeyForm(
    id="jwk", title="JSON Web Key or set of them", detect=_detect, read=_read, references=("RFC 7517 section 5",)
)
