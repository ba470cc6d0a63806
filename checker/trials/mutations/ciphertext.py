"""T26: one bit of the ciphertext, tag, nonce, associated data, wrapped key or KEM ciphertext is changed.

Which refusals count: `decrypt`. A cipher without a tag (CBC, CTR) cannot notice; there a digest or signature does, and
`digest` and `signature` count too. Where the cipher has a tag *and* something authentic covers the ciphertext, a
changed one never reaches the decryption: refused as `signature` it would say nothing about the tag (PROC-E2), which is
what the test is for. So it is signed again by the staging signer, after a control that shows that this signer is
trusted; without one nothing is offered. T01 changes the same ciphertext without signing it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from checker.crypto.staging import Signer
from checker.trials._edits import flipped, groups
from checker.trials.contract import Body, Cause, Change, Genuine, Mutation, Offer, Part
from checker.trials.mutations._common import controlled, left_out, limited, made, missing, why

TEST: Final = "T26"
_NEEDS: Final = (
    "needs a staging key (staging: signer): a signature covers the ciphertext, so that a changed one is refused before "
    "it is decrypted"
)


def _offers(genuine: Genuine, body: Body) -> Iterator[Offer]:
    found = {name: parts for name, parts in groups(body.cipher).items() if all(part.span.size for part in parts)}
    if not found:
        yield missing(TEST, "changed ciphertext", why(body, "cipher", "the artifact is not encrypted"))
        return
    signer = genuine.staging.signer if body.tagged and body.outer else None
    if body.tagged and body.outer:
        if signer is None or body.resigned is None:
            yield missing(TEST, "changed ciphertext", _NEEDS if signer is None else why(body, "resigned", _NEEDS))
            return
        yield _control(body, signer)
    tried, rest = limited(found)
    for name in tried:
        yield _changed(genuine, body, name, found[name], signer)
    yield from left_out(TEST, rest)


def _control(body: Body, signer: Signer) -> Offer:
    return controlled(
        TEST, "control: unchanged, signed by the staging signer", lambda: _resigned(body, signer, Change())
    )


def _changed(genuine: Genuine, body: Body, name: str, parts: Sequence[Part], signer: Signer | None) -> Offer:
    def change() -> Change:
        new = flipped(genuine, body, parts, parts[0].span.size // 2)
        return new if signer is None else _resigned(body, signer, new)

    causes = {Cause.DECRYPT} if body.tagged else {Cause.DECRYPT, Cause.DIGEST, Cause.SIGNATURE}
    by = "" if signer is None else ", signed again by the staging signer"
    return made(TEST, f"one bit of the {name}{by}", causes, change)


def _resigned(body: Body, signer: Signer, change: Change) -> Change:
    return body.resigned(signer, change) if body.resigned is not None else change


MUTATION: Final = Mutation(id="ciphertext", title="changed ciphertext", tests=(TEST,), offers=_offers)
