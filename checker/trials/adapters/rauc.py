"""RAUC's own extraction of a bundle (`rauc extract`): the signature, and of a verity bundle every block of the payload.

`rauc info` looks at the signature alone, and takes a verity bundle whose payload was changed.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from checker.description.model import Command
from checker.trials.answers import OPENSSL, by_status, said
from checker.trials.contract import ARTIFACT, Adapter, Cause, Place
from checker.trials.words import path

_REASONS: Final = (
    *said(
        (r"bundle payload is corrupted|Verification of data area failed", Cause.DIGEST),
        (r"(?:Signature|Payload) size .* exceeds bundle size|is not a multiple of .*invalid", Cause.SIZE),
        (r"Invalid bundle format", Cause.FORMAT),
    ),
    *OPENSSL,
    *said(
        (r"failed to decrypt", Cause.DECRYPT),
        (r"signature verification failed", Cause.SIGNATURE),
        (r"Failed to (?:seek|read|load|parse|check)|unexpected end|too short", Cause.FORMAT),
    ),
)
_OPTIONS: Final = {"keyring": "--keyring", "intermediate": "--intermediate", "config": "--conf"}


def _argv(_command: Command, place: Place) -> Sequence[str]:
    options = [f"{_OPTIONS[name]}={value}" for name, value in place.settings.items()]
    return ["rauc", "extract", *options, path(place, ARTIFACT), str(place.folder / "extracted")]


ADAPTER = Adapter(
    id="rauc",
    title="RAUC, extracting a bundle without installing it",
    program="rauc",
    settings={
        "keyring": "the certificates that it trusts, PEM",
        "intermediate": "a certificate between the signer and them",
        "config": "a system configuration of RAUC, for check-crl and check-purpose",
    },
    required=frozenset({"keyring"}),
    paths=frozenset({"keyring", "intermediate", "config"}),
    formats=frozenset({"rauc"}),
    bundles=True,
    unchecked="the digests of single images, the compatible string, versions, and without a configuration revocation",
    argv=_argv,
    answer=by_status(_REASONS),
)
