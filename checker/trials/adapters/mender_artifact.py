"""Mender's own validation of an artifact (`mender-artifact validate`): the signature and every checksum."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from checker.description.model import Command
from checker.trials.answers import by_status, said
from checker.trials.contract import ARTIFACT, Adapter, Cause, Place
from checker.trials.words import path

_REASONS: Final = said(
    (r"missing signature", Cause.SIGNATURE),
    (r"signer: (?:verification failed|error decoding signature|invalid .* (?:key|signature) size)", Cause.SIGNATURE),
    (r"invalid checksum", Cause.DIGEST),
    (r"unexpected EOF|unsupported version|Invalid structure|malformed|can not find|not part of artifact", Cause.FORMAT),
    (r"can not read|invalid header|error reading archive|EOF$", Cause.FORMAT),
)


def _argv(_command: Command, place: Place) -> Sequence[str]:
    return ["mender-artifact", "validate", "-k", place.settings["key"], path(place, ARTIFACT)]


ADAPTER = Adapter(
    id="mender-artifact",
    title="mender-artifact, validating an artifact",
    program="mender-artifact",
    settings={"key": "the public key that it trusts, PEM"},
    required=frozenset({"key"}),
    paths=frozenset({"key"}),
    formats=frozenset({"mender"}),
    bundles=True,
    unchecked="dependencies, device types, the augmented part, and files behind the end",
    argv=_argv,
    answer=by_status(_REASONS),
)
