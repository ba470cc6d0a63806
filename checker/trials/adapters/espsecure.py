"""Espressif's tool for Secure Boot (`espsecure verify-signature`): the signature blocks behind an image.

It is a program of its own, started as a process and never imported.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from checker.description.model import Command
from checker.trials.answers import by_status, said
from checker.trials.contract import ARTIFACT, Adapter, Cause, Place
from checker.trials.words import path

_REASONS: Final = said(
    (r"image digest does not match", Cause.DIGEST),
    (r"Signature could not be verified with the provided key|Signature is not valid", Cause.SIGNATURE),
    (r"Invalid datafile\. Data size", Cause.SIZE),
    (r"Invalid signature (?:block|version)|no valid signature block", Cause.SIGNATURE),
)


def _argv(_command: Command, place: Place) -> Sequence[str]:
    version, key = place.settings.get("version", "2"), place.settings["key"]
    return ["espsecure", "verify-signature", "--version", version, "--keyfile", key, path(place, ARTIFACT)]


ADAPTER = Adapter(
    id="espsecure",
    title="espsecure, verifying the signature of an ESP-IDF image",
    program="espsecure",
    settings={"key": "the public key that it trusts, PEM", "version": "of Secure Boot: 2 unless said, or 1"},
    required=frozenset({"key"}),
    paths=frozenset({"key"}),
    formats=frozenset({"esp-idf"}),
    unchecked="the image's own structure and checksum, the key's digest in a block, flash encryption, and versions",
    argv=_argv,
    answer=by_status(_REASONS),
)
