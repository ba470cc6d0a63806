"""OpenSSL's verification of a CMS message (`openssl cms -verify`), with the content inside it or beside it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from checker.description.model import Command
from checker.trials.answers import MISSING, OPENSSL, by_status, said
from checker.trials.contract import ARTIFACT, Adapter, Cause, Place
from checker.trials.words import path

_REASONS: Final = (
    *MISSING,
    *OPENSSL,
    *said(
        (r"no content", Cause.FORMAT),
        (r"Error reading SMIME Content Info|asn1 encoding routines|not enough data", Cause.FORMAT),
    ),
)
_DETACHED: Final = "detached"
_CRL: Final = "crl-check"


def _argv(_command: Command, place: Place) -> Sequence[str]:
    settings = place.settings
    crl = ["-crl_check"] if settings.get(_CRL) == "true" else []
    more = ["-certfile", settings["certificates"]] if "certificates" in settings else []
    trust = ["-CAfile", settings["keyring"], "-purpose", settings.get("purpose", "any"), *crl, *more]
    detached = settings.get(_DETACHED) == "true"
    message = ["-in", path(place, "signature"), "-content"] if detached else ["-in"]
    form = ["-binary", "-inform", "DER", "-out", "/dev/null"]
    return ["openssl", "cms", "-verify", *form, *trust, *message, path(place, ARTIFACT)]


ADAPTER = Adapter(
    id="openssl-cms",
    title="OpenSSL, verifying a CMS message",
    program="openssl",
    settings={
        "keyring": "the certificates that it trusts, PEM",
        "certificates": "certificates between the signer and them, PEM",
        _CRL: "true where the keyring holds lists of revoked certificates too; else no signer is revoked",
        "purpose": "the purpose that a signer must have, in OpenSSL's words: any unless said",
        _DETACHED: "true where the signature is a file beside the content",
    },
    required=frozenset({"keyring"}),
    paths=frozenset({"keyring", "certificates"}),
    formats=frozenset({"cms", "detached"}),
    unchecked="bytes behind the message, weak keys, and without a list revocation",
    argv=_argv,
    answer=by_status(_REASONS),
)
