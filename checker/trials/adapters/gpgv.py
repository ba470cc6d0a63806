"""GnuPG's verifier for fixed keyrings (`gpgv`): a file and the OpenPGP signature beside it."""

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
        (r"Can't check signature: No public key", Cause.KEY),
        (r"BAD signature", Cause.SIGNATURE),
        (r"Expired signature|Signature expired", Cause.TIME),
        (r"no signature found|verify signatures failed|Can't check signature", Cause.SIGNATURE),
    ),
)


def _argv(_command: Command, place: Place) -> Sequence[str]:
    return ["gpgv", "--keyring", place.settings["keyring"], path(place, "signature"), path(place, ARTIFACT)]


ADAPTER = Adapter(
    id="gpgv",
    title="gpgv, verifying a file and its OpenPGP signature",
    program="gpgv",
    settings={"keyring": "the public keys that it trusts, binary (gpg --export, without --armor)"},
    required=frozenset({"keyring"}),
    paths=frozenset({"keyring"}),
    formats=frozenset({"detached"}),
    unchecked="whether the signer's key is expired or revoked, weak digests, versions, and for which device a file is",
    argv=_argv,
    answer=by_status(_REASONS),
)
