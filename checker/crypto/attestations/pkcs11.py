"""PKCS #11 attributes of a key, as its owner reports them: a JSON object, or lines `CKA_NAME: true`.

Source: OASIS PKCS #11 3.1, 4.9 (private key attributes). Nobody signs them, so that they are examined and never
verified (criteria.md 3.3). The companion `public` is the key, or its certificate.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

from checker.crypto.attestations._signers import every
from checker.crypto.attestations.contract import AttestationForm, Pinned, Statement
from checker.crypto.jose import read_json
from checker.crypto.key_files import read_public_keys
from checker.errors import FormatError

MAX_LIST: Final = 64 * 1024  # bytes; the attributes of one key are some hundred
_WANTED: Final[Mapping[str, bool]] = {
    "CKA_LOCAL": True,
    "CKA_SENSITIVE": True,
    "CKA_ALWAYS_SENSITIVE": True,
    "CKA_EXTRACTABLE": False,
    "CKA_NEVER_EXTRACTABLE": True,
}
_LINE: Final = re.compile(r"^\s*(CKA_[A-Z0-9_]+)\s*[:=]\s*(\S.*?)\s*$", re.MULTILINE)
_TRUTH: Final = {"true": True, "false": False, "CK_TRUE": True, "CK_FALSE": False}


def _detect(data: bytes) -> bool:
    return len(data) <= MAX_LIST and b"CKA_" in data and data[:1] in {b"{", b"C", b" ", b"\n"}


def _check(data: bytes, pinned: Pinned) -> Statement:
    said = _attributes(data)
    keys = read_public_keys(pinned.companions["public"], "public") if "public" in pinned.companions else ()
    answers = [None if said.get(name) is None else said[name] is wanted for name, wanted in _WANTED.items()]
    return Statement(
        genuine=True,
        fresh=True,
        key=keys[0].spki_sha256 if len(keys) == 1 else "",
        non_exportable=every(answers),
        reported=True,
    )


def _attributes(data: bytes) -> Mapping[str, bool]:
    if len(data) > MAX_LIST:
        raise FormatError(f"{len(data)} bytes, at most MAX_LIST ({MAX_LIST}) are read", field="PKCS #11 attributes")
    if data.lstrip()[:1] == b"{":
        listed = read_json(data, "PKCS #11 attributes")
        return {str(name): value for name, value in listed.items() if isinstance(value, bool)}
    try:
        pairs = _LINE.findall(data.decode("utf-8"))
    except UnicodeDecodeError:
        raise FormatError("is no text", field="PKCS #11 attributes") from None
    names = [name for name, _ in pairs]
    if not pairs or len(set(names)) != len(names):
        raise FormatError("names no attribute, or one of them twice", field="PKCS #11 attributes")
    return {name: _TRUTH[value] for name, value in pairs if value in _TRUTH}


ATTESTATION: Final = AttestationForm(
    id="pkcs11",
    title="PKCS #11 attributes as the owner reports them",
    detect=_detect,
    check=_check,
    references=("PKCS #11 3.1, 4.9",),
    rooted=False,
)
