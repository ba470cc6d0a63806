"""T12: the quantum-resistant part taken out, a classical signer under the trusted authority, a digest that is broken.

(a) A hybrid keeps its classical signature only (K0). (b) A classical signer whom the staging authority certified signs
alone (K1), with each usual kind of key: the path is trusted, so that only a demand for quantum resistance can refuse
it. (c) The staging signer signs over SHA-1 or MD5 (K1). Before (c) a control shows that the staging signer is trusted
over the genuine digest. Before (b) a control shows that a signer of the genuine kind, certified in the same way, is.

Which refusals count: `policy`. In (a) and (b) also `signature` and `key`: a verifier that demands a quantum-resistant
signature says that there is none, or that no key of its list made one. In (c) also `digest` and `signature`, in
verifiers that know no such digest.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Final

from checker.crypto.algorithms import algorithm
from checker.crypto.algorithms import known as in_table
from checker.crypto.staging_paths import issued, loaded, profile_of
from checker.model.artifact import KeyFacts
from checker.trials.contract import Body, Cause, Change, Genuine, Mutation, Offer
from checker.trials.mutations._common import controlled, made, missing, signing_key, why

TEST: Final = "T12"
CLASSICAL: Final = "a classical signer under the trusted authority"
_HASHES: Final = ("sha-1", "md5")
_MISSING_PART: Final = frozenset({Cause.POLICY, Cause.SIGNATURE, Cause.KEY})
_WEAK_DIGEST: Final = frozenset({Cause.POLICY, Cause.SIGNATURE, Cause.DIGEST})
# By words: the kind of key, and the digest where it is not the genuine one. A device may take one and refuse the other.
_CLASSICAL: Final = {
    "ECDSA P-256": (KeyFacts(algorithm="ec-p256", bits=256), ""),
    "ECDSA P-256 over SHA-256": (KeyFacts(algorithm="ec-p256", bits=256), "sha-256"),
    "RSA-3072 over SHA-256": (KeyFacts(algorithm="rsa", bits=3072), "sha-256"),
    "Ed25519 over SHA-512": (KeyFacts(algorithm="ed25519", bits=256), "sha-512"),
}


def _offers(genuine: Genuine, body: Body) -> Iterator[Offer]:
    """Yield what applies, or one offer that says why nothing does. What only lacks a staging key is told each time."""
    fitting = [
        *((_stripped,) if body.downgraded else ()),
        *((_classical,) if _resistant(signing_key(genuine).algorithm) and body.signed_by and body.certificates else ()),
        *((_weak,) if body.weakly else ()),
    ]
    if not fitting:
        yield missing(TEST, "a downgrade", _reasons(body))
    for offers in fitting:
        yield from offers(genuine, body)


def _reasons(body: Body) -> str:
    return "; ".join(
        (
            why(body, "downgraded", "the artifact is signed by one kind of key only"),
            "the signer is classical already, or has no certificates",
            why(body, "weakly", "the format names no digest that could be another"),
        )
    )


def _stripped(_: Genuine, body: Body) -> Iterator[Offer]:
    for words, change in body.downgraded.items():
        yield made(TEST, words, _MISSING_PART, lambda change=change: change)  # type: ignore[misc]


def _classical(genuine: Genuine, body: Body) -> Iterator[Offer]:
    authority, sign = genuine.staging.authority, body.signed_by
    if authority is None or sign is None:
        yield missing(TEST, CLASSICAL, "needs a staging key (staging: authority) that may certify a classical signer")
        return

    def under_authority(kind: KeyFacts, digest: str = "") -> Change:
        signer = issued(profile_of(loaded(body.certificates[:1])[0]), kind, authority)
        return body.weakly(signer, digest) if digest and body.weakly else sign(signer)

    words = "control: a signer of the genuine kind, certified by the staging authority"
    yield controlled(TEST, words, lambda: under_authority(signing_key(genuine)))
    for name, (kind, digest) in _CLASSICAL.items():
        if not digest or body.weakly:
            yield made(TEST, f"{CLASSICAL}: {name}", _MISSING_PART, partial(under_authority, kind, digest))


def _weak(genuine: Genuine, body: Body) -> Iterator[Offer]:
    signer, sign, weakly = genuine.staging.signer, body.signed_by, body.weakly
    if signer is None or weakly is None or sign is None:
        yield missing(TEST, "the digest replaced by SHA-1 or MD5", "needs a staging key (staging: signer)")
        return
    yield controlled(TEST, "control: signed by the staging signer over the genuine digest", lambda: sign(signer))
    every = [
        made(TEST, f"signed by the staging signer over {name.upper()}", _WEAK_DIGEST, partial(weakly, signer, name))
        for name in _HASHES
    ]
    yield from [offer for offer in every if not offer.needs] or every[:1]  # ECDSA over MD5 has no identifier


def _resistant(name: str) -> bool:
    return in_table(name) and algorithm(name).quantum_resistant is True


MUTATION: Final = Mutation(id="downgrade", title="downgraded cryptography", tests=(TEST,), offers=_offers)
