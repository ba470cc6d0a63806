"""YubiKey PIV: the certificate that a YubiKey issues for a key that it has generated in one of its slots.

Source: Yubico, PIV attestation (extensions below 1.3.6.1.4.1.41482.3). A YubiKey attests no imported key, and the PIV
application exports none; it writes firmware, serial number and policy, so that a certificate without them is not its.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from checker.crypto.attestations._x509 import detects, integer, of_certificate
from checker.crypto.attestations.contract import AttestationForm, Pinned, Statement
from checker.errors import FormatError

ARC: Final = "1.3.6.1.4.1.41482.3"
_NAMES: Final = {"3": "firmware version", "7": "serial number", "8": "PIN and touch policy"}
_FIRMWARE, _POLICY = 3, 2  # bytes


def _detect(data: bytes) -> bool:
    return detects(data, ARC)


def _check(data: bytes, pinned: Pinned) -> Statement:
    return of_certificate(data, pinned, ARC, _NAMES, _whole)


def _whole(found: Mapping[str, bytes]) -> bool:
    integer(found["7"])
    if len(found["3"]) != _FIRMWARE or len(found["8"]) != _POLICY:
        raise FormatError("firmware version or policy is not of its length", field="attestation certificate")
    return True


ATTESTATION: Final = AttestationForm(
    id="yubikey-piv",
    title="YubiKey PIV attestation certificate",
    detect=_detect,
    check=_check,
    references=("Yubico, PIV attestation",),
)
