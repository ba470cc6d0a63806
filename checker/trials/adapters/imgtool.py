"""MCUboot's signing tool (`imgtool verify`): the hash and the signature of an image that is not encrypted."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from checker.description.model import Command
from checker.trials.answers import by_status, said
from checker.trials.contract import ARTIFACT, Adapter, Cause, Place
from checker.trials.words import path

_REASONS: Final = said(
    (r"Image has an invalid hash", Cause.DIGEST),
    (r"No signature found for the given key", Cause.SIGNATURE),  # none there, a wrong one, or one of another key
    (r"Invalid (?:image|TLV info) magic", Cause.FORMAT),
)


def _argv(_command: Command, place: Place) -> Sequence[str]:
    return ["imgtool", "verify", "-k", place.settings["key"], path(place, ARTIFACT)]


ADAPTER = Adapter(
    id="imgtool",
    title="imgtool, verifying an MCUboot image",
    program="imgtool",
    settings={"key": "the public key that it trusts, PEM"},
    required=frozenset({"key"}),
    paths=frozenset({"key"}),
    formats=frozenset({"mcuboot"}),
    unchecked="encrypted images (it decrypts nothing), versions, security counters, and bytes behind the end",
    argv=_argv,
    answer=by_status(_REASONS),
)
