"""Android Key Attestation: the certificate of a key in a TEE or StrongBox, with the extension KeyDescription.

Source: Android, Key and ID attestation (schema of KeyDescription, AuthorizationList and RootOfTrust, and the list of
revoked certificates). The list is needed, as the companion `revocations`: attestation keys have leaked more than once.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from asn1crypto import parser

from checker.crypto import _asn1
from checker.crypto.attestations._signers import Voucher, by_path, freshness
from checker.crypto.attestations._x509 import chain_of, detects, extensions, integer
from checker.crypto.attestations.contract import AttestationForm, Pinned, Statement
from checker.crypto.certificates import Certificate
from checker.crypto.jose import read_json
from checker.errors import FormatError

OID: Final = "1.3.6.1.4.1.11129.2.1.17"
_FIELD: Final = "KeyDescription"
_PARTS: Final = 8
_LEVEL, _KEY_LEVEL, _CHALLENGE, _HARDWARE = 1, 3, 4, 7  # places in KeyDescription
_HARDWARE_LEVELS: Final = frozenset({1, 2})  # TrustedEnvironment, StrongBox; 0 is software
_ORIGIN, _ROOT_OF_TRUST = 702, 704  # tags of AuthorizationList
_GENERATED, _VERIFIED = 0, 0
_SEQUENCE, _OCTETS, _ENUMERATED, _BOOLEAN = 16, 4, 10, 1
_MAX_ELEMENTS: Final = 256  # of one sequence; an AuthorizationList has some sixty tags


@dataclass(frozen=True)
class _Element:
    """One ASN.1 value: class, tag and content."""

    kind: int
    tag: int
    content: bytes


@dataclass(frozen=True, kw_only=True)
class _Description:
    """What the extension says. None: the hardware does not say it."""

    in_hardware: bool
    challenge: bytes
    generated: bool | None
    verified_boot: bool | None


def _detect(data: bytes) -> bool:
    return detects(data, OID)


def _check(data: bytes, pinned: Pinned) -> Statement:
    chain = chain_of(data)
    value = extensions(chain[0], OID).get("")
    if value is None:
        raise FormatError("the first certificate has no KeyDescription", field=_FIELD)
    said = _read(value)
    voucher = by_path(chain, pinned)
    stale = freshness((said.challenge,), pinned)
    note = voucher.note or _issuer_error(chain) or _revocation_error(voucher, pinned)
    return Statement(
        genuine=voucher.genuine and not note,
        fresh=not stale,
        key=chain[0].key.spki_sha256,
        signer=voucher.signer,
        non_exportable=_stays(said),
        boot_verified=said.in_hardware and said.verified_boot is True,
        quantum_resistant=voucher.quantum_resistant,
        note="; ".join(text for text in (note, stale) if text),
    )


def _stays(said: _Description) -> bool | None:
    """Return whether the key was generated in hardware; unknown where the system that asked for it was not verified."""
    if not said.in_hardware or not said.generated:
        return False
    return True if said.verified_boot else None


def _issuer_error(chain: Sequence[Certificate]) -> str:
    """Return why issuers spoil a path: an attested key could otherwise issue attestations itself."""
    attested = any(extensions(item, OID) for item in chain[1:])
    return "an issuer is itself an attested key" if attested else ""


def _revocation_error(voucher: Voucher, pinned: Pinned) -> str:
    """Return why the list of revoked certificates does not clear the path.

    Raises:
        FormatError: the list is damaged.
    """
    data = pinned.companions.get("revocations", b"")
    if not data:
        return "no `revocations`, the maker's list of revoked certificates, came with it"
    listed = read_json(data, "revocations")
    entries = listed.get("entries") if isinstance(listed, dict) else None
    if not isinstance(entries, dict):
        raise FormatError("the list of revoked certificates has no `entries`", field="revocations")
    revoked = {str(serial).lower().lstrip("0") for serial in entries}
    hit = next((facts.subject for facts in voucher.path if facts.serial.lstrip("0") in revoked), None)
    return "" if hit is None else f"the certificate of {hit or 'an unnamed subject'} is revoked"


def _read(value: bytes) -> _Description:
    """Return a KeyDescription.

    Raises:
        FormatError: it is damaged.
    """
    parts = _sequence(value)
    if len(parts) < _PARTS:
        raise FormatError(f"{_PARTS} parts are needed, here are {len(parts)}", field=_FIELD)
    levels = {_number(parts[place]) for place in (_LEVEL, _KEY_LEVEL)}
    hardware = _authorizations(parts[_HARDWARE])
    origin, root = hardware.get(_ORIGIN), hardware.get(_ROOT_OF_TRUST)
    return _Description(
        in_hardware=levels <= _HARDWARE_LEVELS,
        challenge=_demand(parts[_CHALLENGE], _OCTETS).content,
        generated=None if origin is None else integer(origin) == _GENERATED,
        verified_boot=None if root is None else _verified(root),
    )


def _authorizations(element: _Element) -> Mapping[int, bytes]:
    found: dict[int, bytes] = {}
    for item in _inside(element, _SEQUENCE):
        if item.tag in found:
            raise FormatError(f"the tag {item.tag} is there twice", field=_FIELD)
        found[item.tag] = item.content
    return found


def _verified(value: bytes) -> bool:
    """Return whether RootOfTrust says that the boot loader is locked and the system was verified by the maker's key."""
    parts = _sequence(value)
    if len(parts) < 3:  # noqa: PLR2004 - verifiedBootKey, deviceLocked, verifiedBootState; the hash came later
        raise FormatError("RootOfTrust has fewer than three parts", field=_FIELD)
    locked = _demand(parts[1], _BOOLEAN).content == b"\xff"
    return locked and _number(parts[2]) == _VERIFIED


def _number(element: _Element) -> int:
    content = _demand(element, _ENUMERATED).content
    if len(content) != 1:
        raise FormatError("an ENUMERATED of one byte is expected", field=_FIELD)
    return content[0]


def _demand(element: _Element, tag: int) -> _Element:
    if (element.kind, element.tag) != (0, tag):
        raise FormatError(f"tag {tag} is expected, here is {element.tag}", field=_FIELD)
    return element


def _sequence(data: bytes) -> tuple[_Element, ...]:
    found = _elements(data, 1)
    if not found:
        raise FormatError("a SEQUENCE is expected, and nothing is there", field=_FIELD)
    return _inside(found[0], _SEQUENCE)


def _inside(element: _Element, tag: int) -> tuple[_Element, ...]:
    return _elements(_demand(element, tag).content, _MAX_ELEMENTS)


def _elements(data: bytes, most: int) -> tuple[_Element, ...]:
    """Return the values that stand one after the other, at most so many."""
    found: list[_Element] = []
    while data:
        if len(found) == most:
            raise FormatError(f"more than {most} values", field=_FIELD)
        with _asn1.guarded(_FIELD):
            kind, _, tag, header, content, trailer = parser.parse(data)
        if trailer:
            raise FormatError("an indefinite length, which DER does not have", field=_FIELD)
        found.append(_Element(kind, tag, content))
        data = data[len(header) + len(content) :]
    return tuple(found)


ATTESTATION: Final = AttestationForm(
    id="android",
    title="Android key attestation",
    detect=_detect,
    check=_check,
    references=("Android, Key and ID attestation",),
)
