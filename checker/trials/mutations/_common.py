"""What the groups of tests share: offers made of changes, and words for what could not be prepared."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from checker.crypto.staging import Signer
from checker.crypto.staging_paths import rogue
from checker.errors import OtauditError
from checker.model.artifact import KeyFacts
from checker.model.terms import Outcome as Verdict
from checker.trials.contract import Body, Cause, Change, Genuine, Offer, Outcome

MAX_PARTS = (
    16  # groups of parts of one sort that are tried; the rest is named in a `needs` offer, never dropped in silence
)


def offered(test: str, variant: str, change: Change, causes: Iterable[Cause]) -> Offer:
    """Return the offer of a changed artifact that must be refused."""
    return Offer(
        test=test, variant=variant, causes=frozenset(causes), changed=dict(change.changed), without=change.without
    )


def control(test: str, variant: str, change: Change) -> Offer:
    """Return the offer of a changed artifact that must be accepted: a refusal is for the tested reason then."""
    return Offer(
        test=test,
        variant=variant,
        expected=Outcome.ACCEPTED,
        control=True,
        changed=dict(change.changed),
        without=change.without,
    )


def missing(test: str, variant: str, why: str) -> Offer:
    """Return an offer that offers nothing, and says why."""
    return Offer(test=test, variant=variant, needs=why)


def why(body: Body, name: str, otherwise: str) -> str:
    """Return the anatomy's reason for a field that is empty."""
    return body.notes.get(name, otherwise)


def made(test: str, variant: str, causes: Iterable[Cause], make: Callable[[], Change]) -> Offer:
    """Return the offer of what `make` returns; what it cannot make becomes a reason in words."""
    try:
        return offered(test, variant, make(), causes)
    except OtauditError as error:
        return missing(test, variant, str(error))


def controlled(test: str, variant: str, make: Callable[[], Change]) -> Offer:
    """Return the control of what `make` returns; what it cannot make becomes a reason in words."""
    try:
        return control(test, variant, make())
    except OtauditError as error:
        return missing(test, variant, str(error))


def signing_key(genuine: Genuine) -> KeyFacts:
    """Return the key of the genuine artifact's first signature; empty facts where it is not known."""
    found = [item for item in genuine.artifact.signatures if item.outcome is not Verdict.ABSENT]
    return found[0].key if found else KeyFacts()


def copied_path(body: Body) -> Signer:
    """Return a path of throw-away keys that copies every name, time and usage of the genuine one."""
    return rogue(body.certificates)


def limited(groups: Iterable[str]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return the first `MAX_PARTS` names, and the rest."""
    names = tuple(groups)
    return names[:MAX_PARTS], names[MAX_PARTS:]


def left_out(test: str, rest: Iterable[str]) -> Iterator[Offer]:
    """Yield an offer that names the parts beyond the limit, if there are any."""
    names = tuple(rest)
    if names:
        shown = ", ".join(names[:MAX_PARTS])
        yield missing(test, "further parts", f"{len(names)} further parts are not tried: {shown}")
