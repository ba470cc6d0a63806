"""T01: one bit of what will be installed is changed, in the first, the middle and the last byte of each payload.

Which refusals count: `digest`, since a signed digest covers the payload. Where the signature is over the payload itself
(`Body.direct`) many verifiers can only say `signature`, and others check a digest inside the signature first; both
count. Where the payload is ciphertext with a tag of its own and nothing else covers it, `decrypt` counts: the tag is
the digest. Not `format`: a verifier that parses a changed image before it has verified it would say that.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from checker.trials._edits import flipped, groups
from checker.trials.contract import Body, Cause, Genuine, Mutation, Offer, Part
from checker.trials.mutations._common import left_out, limited, made, missing, why

TEST: Final = "T01"


def _offers(genuine: Genuine, body: Body) -> Iterator[Offer]:
    found = {name: parts for name, parts in groups(body.payload).items() if any(part.span.size for part in parts)}
    if not found:
        yield missing(TEST, "one bit of the payload", why(body, "payload", "the artifact has no payload of its own"))
    tried, rest = limited(found)
    for name in tried:
        yield from _of(genuine, body, name, [part for part in found[name] if part.span.size])
    yield from left_out(TEST, rest)


def _of(genuine: Genuine, body: Body, name: str, parts: list[Part]) -> Iterator[Offer]:
    first, last = parts[0], parts[-1]
    middle = parts[len(parts) // 2]
    places = {
        (first.file, first.span.start, 0): ("first", first, 0),
        (middle.file, middle.span.start, _size(middle) // 2): ("middle", middle, _size(middle) // 2),
        (last.file, last.span.start, _size(last) - 1): ("last", last, _size(last) - 1),
    }
    for where, part, at in places.values():
        variant = f"one bit of the {where} byte of {name}"
        yield made(TEST, variant, causes(body), lambda part=part, at=at: flipped(genuine, body, [part], at))  # type: ignore[misc]


def _size(part: Part) -> int:
    return len(part.value) or part.span.size


def causes(body: Body) -> frozenset[Cause]:
    """Return the reasons that count for a changed payload."""
    direct = {Cause.SIGNATURE} if body.direct else set()
    sealed = {Cause.DECRYPT} if body.tagged and not body.outer else set()
    return frozenset({Cause.DIGEST, *direct, *sealed})


MUTATION: Final = Mutation(id="payload", title="changed payload", tests=(TEST,), offers=_offers)
