"""T08, T09, T11: signers that the trusted authority certified wrongly, and paths that do not lead to it as they must.

Each signer says what the genuine one says (name, times, usage, purposes) but for the one thing that is tested, and is
issued by `Staging.authority`. Before each group a control of the same making, with nothing wrong, must be accepted:
without it a verifier that does not know the authority would seem to pass.

Which refusals count. T08 (purpose) and T11 (path): `key`. T09 (time): `time` only; a verifier that says "bad
certificate" and no more has not said why. Not `signature`: the re-signing is right.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Final

from checker.crypto.staging import Signer
from checker.crypto.staging_paths import CERTIFICATES, SERVER, Profile, issued, key_of, loaded, named, profile_of
from checker.errors import OtauditError
from checker.model.artifact import KeyFacts
from checker.trials.contract import Body, Cause, Change, Genuine, Mutation, Offer
from checker.trials.mutations._common import controlled, made, missing, why

PURPOSE, TIME, PATH = "T08", "T09", "T11"
TESTS: Final = (PURPOSE, TIME, PATH)
UNKNOWN_ROOT: Final = "a path of the same shape under a root that nobody knows"
_NEEDS: Final = "needs a staging key (staging: authority) that may certify signers for this test"
_CAUSES: Final = {PURPOSE: Cause.KEY, TIME: Cause.TIME, PATH: Cause.KEY}
_DAY: Final = dt.timedelta(days=1)
_LAST: Final = dt.datetime(9999, 12, 30, tzinfo=dt.UTC)
_FIRST: Final = dt.datetime(1951, 1, 1, tzinfo=dt.UTC)
_YEARS: Final = dt.timedelta(days=3650)
_CA_USAGE: Final = (CERTIFICATES, "crl_sign")


@dataclass(frozen=True)
class _Maker:
    """What all variants are made of: the genuine signer's profile and kind of key, and how the artifact is signed."""

    profile: Profile
    key: KeyFacts
    sign: Callable[[Signer], Change]

    def leaf(self, above: Signer | None, **different: object) -> Signer:
        return issued(replace(self.profile, **different), self.key, above)  # type: ignore[arg-type]

    def authority(self, name: str, above: Signer | None, path_length: int | None = None) -> Signer:
        profile = replace(
            self.profile, name=named(name), ca=True, path_length=path_length, usage=_CA_USAGE, purposes=()
        )
        return issued(profile, self.key, above)


def _offers(genuine: Genuine, body: Body) -> Iterator[Offer]:
    if body.signed_by is None or not body.certificates:
        field = "signed_by" if body.signed_by is None else "certificates"
        text = why(body, field, "the signer's certificates are not in the artifact")
        yield from (missing(test, "a signer with a wrong certificate", text) for test in TESTS)
        return
    try:
        own = loaded(body.certificates[:1])[0]
        maker = _Maker(profile_of(own), key_of(own), body.signed_by)
    except OtauditError as error:
        yield from (missing(test, "a signer with a wrong certificate", str(error)) for test in TESTS)
        return
    yield made(PATH, UNKNOWN_ROOT, {Cause.KEY}, lambda: maker.sign(maker.leaf(maker.authority("unknown root", None))))
    yield from _below(maker, genuine.staging.authority)


def _below(maker: _Maker, authority: Signer | None) -> Iterator[Offer]:
    if authority is None:
        yield from (missing(test, "a signer below the staging authority", _NEEDS) for test in TESTS)
        return
    words = "control: a signer like the genuine one, certified by the staging authority"
    for test in TESTS:
        yield controlled(test, words, lambda: maker.sign(maker.leaf(authority)))
        for variant, signer in _variants(maker, authority)[test].items():
            yield made(test, variant, {_CAUSES[test]}, lambda signer=signer: maker.sign(signer()))  # type: ignore[misc]


def _variants(maker: _Maker, authority: Signer) -> dict[str, dict[str, Callable[[], Signer]]]:
    profile = maker.profile
    ended = max(profile.not_before - _DAY, _FIRST + _DAY)
    begins = min(profile.not_after + _YEARS, _LAST - _DAY) if profile.not_after < _LAST - _YEARS else _LAST - _DAY
    return {
        PURPOSE: {
            "a signer whose certificate is for TLS servers (extended key usage)": lambda: maker.leaf(
                authority, purposes=(SERVER,)
            ),
            "a signer whose certificate does not allow digital signatures (key usage)": lambda: maker.leaf(
                authority, usage=("key_encipherment",)
            ),
        },
        TIME: {
            "a signer whose certificate has expired": lambda: maker.leaf(
                authority, not_before=max(ended - _YEARS, _FIRST), not_after=ended
            ),
            "a signer whose certificate is not yet valid": lambda: maker.leaf(
                authority, not_before=begins, not_after=_LAST
            ),
        },
        PATH: {
            "a signer issued by a signer, which is no authority": lambda: maker.leaf(maker.leaf(authority)),
            "a signer below an authority that the path length does not allow": lambda: maker.leaf(
                maker.authority("below", maker.authority("between", authority, 0))
            ),
            "a signer whose issuer is left out of the path": lambda: _without_issuer(
                maker.leaf(maker.authority("left out", authority, 0))
            ),
        },
    }


def _without_issuer(signer: Signer) -> Signer:
    return replace(signer, certificates=(signer.certificates[0], *signer.certificates[2:]))


MUTATION: Final = Mutation(
    id="signer-certificate", title="signers with a wrong certificate", tests=TESTS, offers=_offers
)
