"""Claims of CBOR Web Tokens that several messages share: times (RFC 8392 3.1) and confirmed keys (RFC 8747 3.1)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from checker.crypto.certificates import instant
from checker.crypto.cose_keys import read_cose_key
from checker.crypto.keys import PublicKey
from checker.errors import FormatError
from checker.io.cbor import Item, Key

EXPIRES, NOT_BEFORE, CONFIRMATION = 4, 5, 8
CNF_KEY, CNF_KEY_ID = 1, 3
_MAX_KEY_ID: Final = 1024  # bytes


def check_time(claims: Mapping[Key, Item], as_of: str) -> None:
    """Check that a token is valid at a time (RFC 3339).

    Raises:
        FormatError: it is expired, or not yet valid, or says so in anything but whole seconds.
    """
    now = instant(as_of).timestamp()
    for label, word in ((EXPIRES, "is expired"), (NOT_BEFORE, "is not yet valid")):
        item = claims.get(label)
        if item is None:
            continue
        seconds = item.integer("claims")
        if (label == EXPIRES and seconds <= now) or (label == NOT_BEFORE and seconds > now):
            raise FormatError(f"the token {word}", offset=item.span.start, field="claims")


def confirmed_key(claims: Mapping[Key, Item]) -> PublicKey | None:
    """Return the key that `cnf` holds as a COSE_Key, or None where it holds none.

    Raises:
        FormatError: the claim is no map, or the key is of a kind that is not read.
    """
    held = _confirmation(claims).get(CNF_KEY)
    return None if held is None else read_cose_key(held)


def confirmed_key_id(claims: Mapping[Key, Item]) -> bytes:
    """Return the key id that `cnf` holds, or nothing.

    Raises:
        FormatError: the claim is no map, or the key id is no byte string.
    """
    held = _confirmation(claims).get(CNF_KEY_ID)
    return b"" if held is None else held.data("cnf", limit=_MAX_KEY_ID)


def _confirmation(claims: Mapping[Key, Item]) -> Mapping[Key, Item]:
    item = claims.get(CONFIRMATION)
    return {} if item is None else item.map("cnf")
