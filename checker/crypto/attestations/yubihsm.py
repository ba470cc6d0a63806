"""YubiHSM 2: the certificate that the module issues for a key that it holds.

Source: YubiHSM 2 User Guide, Core Concepts, Attestation (extensions below 1.3.6.1.4.1.41482.4) and Capability.
A module writes all seven extensions, so that a certificate without one of them shows nothing of its key.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from checker.crypto.attestations._x509 import bits, detects, integer, of_certificate
from checker.crypto.attestations.contract import AttestationForm, Pinned, Statement

ARC: Final = "1.3.6.1.4.1.41482.4"
_NAMES: Final = {
    "1": "firmware version",
    "2": "serial number",
    "3": "origin",
    "4": "domains",
    "5": "capabilities",
    "6": "object id",
    "9": "label",
}
_GENERATED: Final = 0x01  # 0x02: imported; 0x10: imported under wrap, whatever it was before
_EXPORTABLE_UNDER_WRAP: Final = 16  # the number of the capability's bit
_CAPABILITIES, _DOMAINS, _ORIGIN = 8, 2, 1  # bytes


def _detect(data: bytes) -> bool:
    return detects(data, ARC)


def _check(data: bytes, pinned: Pinned) -> Statement:
    return of_certificate(data, pinned, ARC, _NAMES, _stays)


def _stays(found: Mapping[str, bytes]) -> bool:
    """Return whether the key was generated in the module and cannot leave it, not even wrapped."""
    integer(found["2"])
    integer(found["6"])
    bits(found["4"], _DOMAINS)
    capabilities = bits(found["5"], _CAPABILITIES)
    return bits(found["3"], _ORIGIN) == _GENERATED and not capabilities >> _EXPORTABLE_UNDER_WRAP & 1


ATTESTATION: Final = AttestationForm(
    id="yubihsm",
    title="YubiHSM 2 attestation certificate",
    detect=_detect,
    check=_check,
    references=("YubiHSM 2 User Guide, Attestation",),
)
