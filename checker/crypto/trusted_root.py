"""sigstore's `trusted_root.json`: the keys of transparency logs, and the certificates of its authorities.

Source: sigstore/protobuf-specs protos/sigstore_trustroot.proto. The logs' keys verify logs, and nothing else.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any, Final

from checker.crypto.jose import read_json
from checker.crypto.keys import KeyTerms, PublicKey, from_spki
from checker.errors import FormatError
from checker.io.limits import MAX_KEY_FILE

MEDIA_TYPE: Final = b"application/vnd.dev.sigstore.trustedroot"
LOG_ONLY: Final = "it is the key of a transparency log"
_AUTHORITIES: Final = ("certificateAuthorities", "timestampAuthorities")


def is_trusted_root(data: bytes) -> bool:
    """Return whether data looks like such a file; looks at the content only and never raises."""
    return data.lstrip().startswith(b"{") and MEDIA_TYPE in data[:4096]


def log_keys(data: bytes, name: str = "") -> Iterator[PublicKey]:
    """Yield the logs' keys; logs of certificates are left out, since nothing here asks them.

    Raises:
        FormatError: the file is damaged.
    """
    for log in _list(_read(data), "tlogs"):
        key = from_spki(_raw(log.get("publicKey")), name)
        yield replace(key, terms=KeyTerms(refused=LOG_ONLY))


def authorities(data: bytes) -> Iterator[bytes]:
    """Yield the DER certificates of the authorities for signers and for time stamps.

    Raises:
        FormatError: the file is damaged.
    """
    root = _read(data)
    for kind in _AUTHORITIES:
        for authority in _list(root, kind):
            chain = authority.get("certChain")
            if isinstance(chain, Mapping):
                yield from (_raw(item) for item in _list(chain, "certificates"))


def _read(data: bytes) -> Mapping[str, Any]:
    root = read_json(data, "trusted root", limit=MAX_KEY_FILE)
    if not isinstance(root, Mapping):
        raise FormatError("is no object", field="trusted root")
    return root


def _list(value: Mapping[str, Any], name: str) -> list[Mapping[str, Any]]:
    found = value.get(name, [])
    if not isinstance(found, list) or not all(isinstance(item, Mapping) for item in found):
        raise FormatError("is no list of objects", field=name)
    return found


def _raw(value: Any) -> bytes:  # noqa: ANN401 - parsed JSON
    try:
        return base64.b64decode(value["rawBytes"], validate=True)
    except (TypeError, KeyError, ValueError, binascii.Error) as error:
        raise FormatError("is not base64", field="rawBytes") from error
