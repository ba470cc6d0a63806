"""T05 and T06: signatures left out, emptied, zeroed, random, too long, and of an algorithm that is none.

Which refusals count. T05: `signature`; and `policy`, since "must be signed" is a policy in some verifiers' words. T06:
`signature`. A value of another length, zeros where DER was, or an unknown algorithm may honestly be refused as
`format`, an unknown algorithm as `policy` or `key` too (no key of that kind). Random values keep the length, and for
ECDSA the encoding, so that only the mathematics can refuse them.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from checker.crypto.signatures import ecdsa_der, ecdsa_raw
from checker.errors import FormatError
from checker.trials._edits import groups
from checker.trials.contract import Body, Cause, Change, Genuine, Mutation, Offer, Part
from checker.trials.mutations._common import left_out, limited, made, missing, why

STRIP, DAMAGE = "T05", "T06"
_LONGER: Final = 64  # bytes behind a value that has its own length already
_MAX_VALUE: Final = 1024 * 1024  # bytes: the largest signatures (SLH-DSA, Lamport) have some tens of thousands
_HALF: Final = 66  # bytes of r or s on the largest curve, P-521
_SIGNATURE: Final = frozenset({Cause.SIGNATURE})
_SHAPE: Final = frozenset({Cause.SIGNATURE, Cause.FORMAT, Cause.SIZE})
_ALGORITHM: Final = frozenset({Cause.SIGNATURE, Cause.FORMAT, Cause.POLICY, Cause.KEY})


def _offers(genuine: Genuine, body: Body) -> Iterator[Offer]:
    yield _stripped(body)
    found = groups(body.signatures)
    if not found or body.with_value is None:
        yield missing(
            DAMAGE, "a damaged signature", why(body, "signatures", "the artifact has no signature of its own")
        )
    else:
        tried, rest = limited(found)
        for name in tried:
            yield from _damaged(genuine, body, found[name][0])
        yield from left_out(DAMAGE, rest)
    for words, change in body.algorithms.items():
        yield made(DAMAGE, words, _ALGORITHM, lambda change=change: change)  # type: ignore[misc]


def _stripped(body: Body) -> Offer:
    if body.stripped is None:
        text = why(body, "stripped", "the artifact has no signature that could be left out")
        return missing(STRIP, "without any signature", text)
    return made(STRIP, "without any signature", {Cause.SIGNATURE, Cause.POLICY}, lambda: body.stripped or Change())


def _damaged(genuine: Genuine, body: Body, part: Part) -> Iterator[Offer]:
    old = part.value or genuine.files[part.file].read(part.span.start, min(part.span.size, _MAX_VALUE))
    encoded = _is_ecdsa_der(old)
    variants = {
        **({} if body.fixed else {"empty": (b"", _SHAPE)}),
        "all zero": (bytes(len(old)), _SHAPE if encoded else _SIGNATURE),
        "random": (_random(genuine, old), _SIGNATURE),
        **({} if body.padded or body.fixed else {"too long": (old + genuine.random(_LONGER), _SHAPE)}),
        **({"ECDSA with r = s = 0": (ecdsa_der(bytes(len(old) // 2 * 2)), _SHAPE)} if encoded else {}),
    }
    for words, (value, causes) in variants.items():
        if value != old and body.with_value is not None:
            yield made(DAMAGE, f"{part.name}: {words}", causes, lambda value=value: _with(body, part, value))  # type: ignore[misc]


def _with(body: Body, part: Part, value: bytes) -> Change:
    return body.with_value(part, value) if body.with_value is not None else Change()


def _is_ecdsa_der(value: bytes) -> bool:
    try:
        ecdsa_raw(value, _HALF)
    except FormatError:
        return False
    return True


def _random(genuine: Genuine, old: bytes) -> bytes:
    """Return a random value of the same length; for ECDSA in DER, two random numbers that are well encoded."""
    if not _is_ecdsa_der(old):
        return genuine.random(len(old))
    size = max(len(ecdsa_raw(old, _HALF)[:_HALF].lstrip(b"\0")) - 1, 2)  # below the order, whatever the curve
    return ecdsa_der(b"".join(b"\1" + genuine.random(size - 1) for _ in range(2)))


MUTATION: Final = Mutation(
    id="signature", title="signatures left out or damaged", tests=(STRIP, DAMAGE), offers=_offers
)
