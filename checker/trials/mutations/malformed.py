"""T38: malformed structures: deep nesting, settings twice, huge lengths, unknown critical fields, as formats have them.

As an attacker without a key sends them (K0), and, where there is a staging signer, signed by it, so that the parser
behind the signature meets them too (K1; before it a control shows that the signer is trusted). A broken structure of
the signature itself cannot be signed.

Which refusals count: the row of criteria.md asks for a refusal without a crash, and no class of reason. `format` and
`size` say what is wrong; `signature` and `digest` are right where these are looked at first, which they should be.
Signed, `signature` is no honest reason any more. A crash or a hang is never one.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Final

from checker.trials.contract import Body, Cause, Change, Genuine, Mutation, Offer
from checker.trials.mutations._common import controlled, made, missing, why

TEST: Final = "T38"
_PARSED: Final = frozenset({Cause.FORMAT, Cause.SIZE, Cause.DIGEST})
_FIRST: Final = frozenset({*_PARSED, Cause.SIGNATURE})


def _offers(genuine: Genuine, body: Body) -> Iterator[Offer]:
    if not body.malformed and not body.broken:
        text = why(body, "malformed", "no malformed variants are known for this format")
        yield missing(TEST, "malformed structures", text)
    for words, change in {**body.broken, **body.malformed}.items():
        yield made(TEST, words, _FIRST, partial(_same, change))
    signer, resigned = genuine.staging.signer, body.resigned
    if not body.malformed or signer is None or resigned is None:
        return
    signed = [
        made(TEST, f"{words}, signed by the staging signer", _PARSED, partial(resigned, signer, change))
        for words, change in body.malformed.items()
    ]
    offered = [offer for offer in signed if not offer.needs]  # what cannot be signed is no signed structure
    if offered:
        yield controlled(TEST, "control: unchanged, signed by the staging signer", partial(resigned, signer, Change()))
    yield from offered


def _same(change: Change) -> Change:
    return change


MUTATION: Final = Mutation(id="malformed", title="malformed structures", tests=(TEST,), offers=_offers)
