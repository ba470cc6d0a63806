"""T07: the artifact is signed again, correctly, by a key that the device does not trust.

Which refusals count: `key` and `signature`. A verifier with a path says that the path leads nowhere (`key`). One with a
pinned key cannot tell a foreign signature from a wrong one: all that it can say is `signature`, and that is the right
reason, since the re-signing is known to be right (the anatomy's tests show each tool accept it under the new key).
Not `time`: a copied path has the genuine times. Not `digest` or `format`: those would be for a fault of the offer.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Final

from checker.crypto.staging import Signer, like
from checker.trials.contract import Body, Cause, Change, Genuine, Mutation, Offer
from checker.trials.mutations._common import copied_path, made, missing, signing_key, why

TEST: Final = "T07"
_CAUSES: Final = frozenset({Cause.KEY, Cause.SIGNATURE})
_BARE: Final = "signed by a new key of the same kind"
_COPIED: Final = "signed by a new key under a path that copies every name of the genuine one"


def _offers(genuine: Genuine, body: Body) -> Iterator[Offer]:
    sign = body.signed_by
    if sign is None:
        yield missing(TEST, _BARE, why(body, "signed_by", "the format is not signed again here"))
        return
    if body.certificates:
        yield made(TEST, _COPIED, _CAUSES, _signed(sign, lambda: copied_path(body)))
    yield made(TEST, _BARE, _CAUSES, _signed(sign, lambda: like(signing_key(genuine))))


def _signed(sign: Callable[[Signer], Change], signer: Callable[[], Signer]) -> Callable[[], Change]:
    return lambda: sign(signer())


MUTATION: Final = Mutation(id="foreign-key", title="signed by a stranger", tests=(TEST,), offers=_offers)
