"""T10: a signer that has been revoked signs the artifact.

Which refusals count: `key`. A signer of a foreign authority would be refused for the same reason without any
revocation, so the revoked signer has to be certified by an authority of the genuine path, or by the staging authority;
otherwise nothing is offered. Of a bare key nobody can show that it was trusted once; there `signature` counts too, and
that the device has forgotten it is all that is tested.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from checker.crypto.staging import Signer
from checker.crypto.staging_paths import is_issued_by
from checker.errors import OtauditError
from checker.trials.contract import Body, Cause, Genuine, Mutation, Offer
from checker.trials.mutations._common import made, missing, why

TEST: Final = "T10"
VARIANT: Final = "signed by a revoked signer"
_NEEDS: Final = "needs a staging key (staging: revoked), a signer that the device must have learnt to refuse"
_FOREIGN: Final = "the revoked signer is certified by no authority of the genuine path, nor by the staging authority"


def _offers(genuine: Genuine, body: Body) -> Iterator[Offer]:
    sign, signer = body.signed_by, genuine.staging.revoked
    text = ""
    if sign is None:
        text = why(body, "signed_by", "the format is not signed again here")
    elif signer is None:
        text = _NEEDS
    elif body.certificates:
        text = _doubt(genuine, body, signer)
    if text or sign is None or signer is None:
        yield missing(TEST, VARIANT, text)
        return
    causes = {Cause.KEY} if body.certificates else {Cause.KEY, Cause.SIGNATURE}
    yield made(TEST, VARIANT, causes, lambda: sign(signer))


def _doubt(genuine: Genuine, body: Body, signer: Signer) -> str:
    authority = genuine.staging.authority
    known = (*body.certificates[1:], *(authority.ders if authority else ()))
    try:
        fitting = is_issued_by(signer, known)
    except OtauditError as error:
        return str(error)
    return "" if fitting else _FOREIGN


MUTATION: Final = Mutation(id="revoked", title="signed by a revoked signer", tests=(TEST,), offers=_offers)
