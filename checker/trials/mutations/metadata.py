"""T02: one bit of each signed field that steers the install is changed.

Which refusals count: `signature`; and `digest`, since CMS signs its attributes, which hold a digest of the rest, and a
verifier may tell the two apart. Not `format`, `version` or `compatibility`: who says that has acted on a field before
he knew that it is genuine, and a later change of that kind would have been believed.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from checker.trials._edits import flipped, groups
from checker.trials.contract import Body, Cause, Genuine, Mutation, Offer
from checker.trials.mutations._common import left_out, limited, made, missing, why

TEST: Final = "T02"
_CAUSES: Final = frozenset({Cause.SIGNATURE, Cause.DIGEST})


def _offers(genuine: Genuine, body: Body) -> Iterator[Offer]:
    found = {name: parts for name, parts in groups(body.metadata).items() if all(part.span.size for part in parts)}
    if not found:
        yield missing(TEST, "one bit of a signed field", why(body, "metadata", "the artifact has no signed fields"))
    tried, rest = limited(found)
    for name in tried:
        parts = found[name]
        variant = f"one bit of the last byte of {name}"
        yield made(TEST, variant, _CAUSES, lambda parts=parts: flipped(genuine, body, parts, -1))  # type: ignore[misc]
    yield from left_out(TEST, rest)


MUTATION: Final = Mutation(id="metadata", title="changed signed fields", tests=(TEST,), offers=_offers)
