"""minisign's own verification of a file and the signature beside it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from checker.description.model import Command
from checker.trials.answers import MISSING, by_status, said
from checker.trials.contract import ARTIFACT, Adapter, Cause, Place
from checker.trials.words import path

_REASONS: Final = (
    *MISSING,
    *said(
        (r"key id in the public key is", Cause.KEY),
        (r"signature verification failed", Cause.SIGNATURE),
        (r"base64 conversion failed|Error while reading the signature file", Cause.SIGNATURE),
        (r"Untrusted signature comment|Trusted signature comment|too long|should (?:start|end)", Cause.SIGNATURE),
        (r"Unsupported signature algorithm", Cause.SIGNATURE),
    ),
)


def _argv(_command: Command, place: Place) -> Sequence[str]:
    key, signature = place.settings["key"], path(place, "signature")
    return ["minisign", "-V", "-p", key, "-x", signature, "-m", path(place, ARTIFACT)]


ADAPTER = Adapter(
    id="minisign",
    title="minisign, verifying a file and its signature",
    program="minisign",
    settings={"key": "the public key that it trusts"},
    required=frozenset({"key"}),
    paths=frozenset({"key"}),
    formats=frozenset({"detached"}),
    unchecked="versions, and for which device a file is",
    argv=_argv,
    answer=by_status(_REASONS),
)
