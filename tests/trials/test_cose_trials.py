"""COSE messages and SUIT envelopes taken apart and signed again: cbor2 and cryptography judge beside our parser."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import cbor2
import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature

from checker.crypto.keyring import KeyRing
from checker.crypto.signing import sign, usual_scheme
from checker.crypto.staging import Staging, like
from checker.crypto.staging_paths import rogue
from checker.errors import UnsupportedAlgorithmError
from checker.io.digests import Literal
from checker.io.sources import BytesSource
from checker.model.artifact import KeyFacts
from checker.model.terms import Outcome as Verdict
from checker.trials.contract import ARTIFACT, Change, Content, Offer, Outcome
from tests.trials import trial_kit
from tests.trials.trial_kit import Case, of_sample

UNSIGNED = {"good/mac.cose", "good/mac-with-recipient.cose", "good/mac0.suit"}
SIGNED = [
    (folder, name)
    for folder in ("cose", "suit")
    for name in trial_kit.good_samples(folder)
    if name not in UNSIGNED and "encr" not in name
]


def resigned(case: Case, change: Change | None = None) -> tuple[Offer, Any]:
    body = case.body
    assert body.signed_by is not None
    assert body.resigned is not None
    stranger = rogue(body.certificates) if body.certificates else trial_kit.like_signer(case)
    made = body.signed_by(stranger) if change is None else body.resigned(stranger, change)
    return Offer(test="T07", variant="x", changed=made.changed), stranger


@pytest.mark.parametrize(("folder", "name"), SIGNED)
def test_what_is_signed_again_is_believed_under_the_new_key_only(folder: str, name: str) -> None:
    case = of_sample(folder, name)
    offer, stranger = resigned(case)
    if name != "good/dependency.suit":  # the dependency has a signature of its own, by the genuine key
        assert case.believed(offer, trial_kit.trusting(case.context, stranger))
    assert not case.believed(offer)


def verify(stranger: Any, message: list[Any], content: bytes) -> None:
    protected, _, _, value = message
    wanted = cbor2.dumps(["Signature1", protected, b"", content])
    half = len(value) // 2
    der = encode_dss_signature(int.from_bytes(value[:half], "big"), int.from_bytes(value[half:], "big"))
    stranger.private_key.public_key().verify(der, wanted, ec.ECDSA(hashes.SHA256()))


def test_cbor2_and_cryptography_verify_a_message_and_an_envelope_that_were_signed_again() -> None:
    case = of_sample("cose", "good/signed.cose")
    offer, stranger = resigned(case)
    message = cbor2.loads(case.written(offer)[ARTIFACT]).value
    verify(stranger, message, message[2])
    case = of_sample("suit", "good/es256.suit")
    offer, stranger = resigned(case)
    envelope = cbor2.loads(case.written(offer)[ARTIFACT]).value
    stated, block = cbor2.loads(envelope[2])
    verify(stranger, cbor2.loads(block).value, stated)


@pytest.mark.parametrize("kind", ["ec-p256", "ec-p384", "ed25519", "ml-dsa-65", "rsa"])
def test_a_signer_of_another_kind_uses_its_own_algorithm(kind: str) -> None:
    case = of_sample("suit", "good/es256.suit")
    body = case.body
    assert body.signed_by is not None
    signer = like(KeyFacts(algorithm=kind, bits=2048))
    offer = Offer(test="T07", variant="x", changed=body.signed_by(signer).changed)
    assert case.believed(offer, trial_kit.trusting(case.context, signer))
    with pytest.raises(UnsupportedAlgorithmError, match="COSE has no signature algorithm"):
        body.signed_by(like(KeyFacts(algorithm="ec-p224")))


def test_a_changed_manifest_gets_its_digest_and_its_signature() -> None:
    case = of_sample("suit", "good/es256.suit")
    (part,) = [part for part in case.body.metadata if part.name == "manifest: sequence number"]
    change = Change(changed={ARTIFACT: Content.patched(case.files[ARTIFACT].size, part.span.start, b"\x09")})
    offer, stranger = resigned(case, change)
    found = case.opened(offer, trial_kit.trusting(case.context, stranger))
    assert trial_kit.believed(found)
    assert found.version.sequence == 9


def test_malformed_manifests_are_refused_even_if_they_are_signed() -> None:
    case = of_sample("suit", "good/es256.suit")
    stranger = trial_kit.like_signer(case)
    staged = trial_kit.staged(case, Staging(signer=stranger))
    ring = trial_kit.trusting(case.context, stranger)
    offers = staged.offers("malformed")
    assert len(offers) > 4
    for offer in offers:
        good = offer.expected is Outcome.ACCEPTED
        assert staged.believed(offer, ring if "staging" in offer.variant else None) is good, offer.variant


def hybrid(kinds: tuple[str, str]) -> tuple[Case, list[Any]]:
    """Return an envelope with two authentication blocks, by keys of these kinds, and the keys."""
    case = of_sample("suit", "good/es256.suit")
    signers = [like(KeyFacts(algorithm=kind)) for kind in kinds]
    blocks = []
    for signer in signers:
        made = case.body.signed_by
        assert made is not None
        offer = Offer(test="T07", variant="x", changed=made(signer).changed)
        blocks.append(cbor2.loads(cbor2.loads(case.written(offer)[ARTIFACT]).value[2])[1])
    data = case.written(Offer(test="T00", variant="genuine"))[ARTIFACT]
    envelope = dict(cbor2.loads(data).value)
    envelope[2] = cbor2.dumps([cbor2.loads(envelope[2])[0], *blocks])
    source = BytesSource("hybrid.suit", cbor2.dumps(cbor2.CBORTag(107, envelope)))
    ring = KeyRing.of(keys=[signer.public_key.as_declared("new") for signer in signers])
    return replace(case, files={ARTIFACT: source}, context=replace(case.context, keys=ring)), signers


@pytest.mark.parametrize("kinds", [("ec-p256", "ml-dsa-65"), ("ml-dsa-65", "ec-p256")])
def test_the_quantum_resistant_block_of_a_hybrid_envelope_is_taken_out(kinds: tuple[str, str]) -> None:
    case, _ = hybrid(kinds)
    assert {item.algorithm for item in case.artifact.signatures} == {"ecdsa", "ml-dsa-65"}
    offers = [offer for offer in case.offers("downgrade") if "removed" in offer.variant]
    assert len(offers) == 1
    (left,) = case.opened(offers[0]).signatures
    assert (left.algorithm, left.outcome) == ("ecdsa", Verdict.VALID)


@pytest.mark.parametrize("kinds", [("ec-p256", "ed25519"), ("ml-dsa-65", "ml-dsa-44")])
def test_two_signers_of_one_sort_are_no_hybrid(kinds: tuple[str, str]) -> None:
    case, _ = hybrid(kinds)
    assert not case.body.downgraded


def test_the_quantum_resistant_signer_of_a_cose_sign_is_taken_out() -> None:
    """Two COSE_Signature in one message, put together here by cbor2 (RFC 9052 4.1)."""
    signers = {-7: like(KeyFacts(algorithm="ec-p256")), -49: like(KeyFacts(algorithm="ml-dsa-65"))}
    found = []
    for number, signer in signers.items():
        protected = cbor2.dumps({1: number})
        wanted = cbor2.dumps(["Signature", b"", protected, b"", b"firmware"])
        value = sign(signer, (Literal(wanted),), usual_scheme(signer), fixed=True)
        found.append([protected, {}, value])
    source = BytesSource("hybrid.cose", cbor2.dumps(cbor2.CBORTag(98, [b"", {}, b"firmware", found])))
    model = of_sample("cose", "good/signed.cose")
    ring = KeyRing.of(keys=[signer.public_key.as_declared("new") for signer in signers.values()])
    case = replace(model, files={ARTIFACT: source}, context=replace(model.context, keys=ring))
    assert [item.outcome for item in case.artifact.signatures] == [Verdict.VALID, Verdict.VALID]
    ((_, change),) = case.body.downgraded.items()
    (left,) = case.opened(Offer(test="T12", variant="x", changed=change.changed)).signatures
    assert (left.algorithm, left.outcome) == ("ecdsa", Verdict.VALID)
