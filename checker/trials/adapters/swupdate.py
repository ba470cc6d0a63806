"""SWUpdate's own check of an image (`swupdate -c`): signature, hardware, versions, and the digest of every member.

Seen of SWUpdate 2022.12: its exit status is 1 now and then after a success, and its last line says "was successful" now
and then after a failure, because its parts talk through sockets. What it says of the image itself is reliable.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

from checker.description.model import Command
from checker.trials.answers import judged, said
from checker.trials.contract import ARTIFACT, Adapter, Answer, Cause, Place, Run
from checker.trials.words import path

_GOOD: Final = re.compile(r"SWUPDATE successful ! SWUPDATE successful !")
_BAD: Final = re.compile(r"Image invalid or corrupted\. Not installing")
_REASONS: Final = said(
    (r"Authentication of all signatures failed", Cause.KEY),
    (r"Signature verification failed", Cause.SIGNATURE),
    (r"instead of sw-description\.sig", Cause.SIGNATURE),  # there is none where it must be
    (r"HASH mismatch|Checksum WRONG", Cause.DIGEST),
    (r"Hash not set", Cause.POLICY),
    (r"SW not compatible with hardware", Cause.COMPATIBILITY),
    (r"No (?:downgrading|reinstalling|upgrading) allowed|max-version", Cause.VERSION),
    (r"Required image file .* missing|CPIO (?:Format|Header)|instead of sw-description$", Cause.FORMAT),
)
_OPTIONS: Final = {
    "keyring": "-k",
    "purpose": "--cert-purpose",
    "signer": "--forced-signer-name",
    "hardware": "-H",
    "aes-key": "-K",
    "installed-version": "-N",
    "select": "-e",
    "config": "-f",
}


def _argv(_command: Command, place: Place) -> Sequence[str]:
    options = [word for name, value in place.settings.items() for word in (_OPTIONS[name], value)]
    return ["swupdate", "-c", "-v", *options, "-i", path(place, ARTIFACT)]


def _answer(_command: Command, run: Run) -> Answer:
    accepted = bool(_GOOD.search(run.output)) and not _BAD.search(run.output)
    return judged(run, _REASONS, accepted=accepted)


ADAPTER = Adapter(
    id="swupdate",
    title="SWUpdate, its check of an image without installing it",
    program="swupdate",
    settings={
        "keyring": "the certificates that it trusts, PEM",
        "purpose": "the purpose that a signer must have: emailProtection unless said, or codeSigning",
        "signer": "the common name that a signer must have",
        "hardware": "board and revision, such as gw200:1.0",
        "aes-key": "the file with the key of encrypted images",
        "installed-version": "the version below which it refuses",
        "select": "software and mode, such as stable,main",
        "config": "a configuration file of SWUpdate",
    },
    required=frozenset({"keyring"}),
    paths=frozenset({"keyring", "aes-key", "config"}),
    formats=frozenset({"swupdate"}),
    bundles=True,
    unchecked="what becomes of an image when it is decrypted and written, scripts, and whether the signer is revoked",
    argv=_argv,
    answer=_answer,
)
