"""Signers that a trusted authority certified wrongly: openssl's reasons show that each is wrong in one thing only."""

from __future__ import annotations

import datetime as dt
import re
from dataclasses import replace

import pytest

from checker.crypto.certificates import parse_certificate
from checker.crypto.cms_signing import signed_again
from checker.crypto.keyring import KeyRing
from checker.crypto.staging import Signer, Staging
from checker.crypto.staging_paths import Profile, is_issued_by, issued, named
from checker.io.sources import BytesSource
from checker.model.artifact import KeyFacts
from checker.model.terms import Outcome as Verdict
from checker.trials.contract import ARTIFACT, Cause, Outcome
from tests.trials import trial_kit
from tests.trials.trial_kit import Case, of_sample

WORDS = {
    "for TLS servers": "wrong purpose",
    "does not allow digital signatures": "wrong purpose",
    "has expired": "has expired",
    "not yet valid": "not yet valid",
    "issued by a signer": "invalid CA certificate",
    "path length does not allow": "path length constraint exceeded",
    "left out of the path": "unable to get local issuer certificate",
    "root that nobody knows": "self-signed certificate in certificate chain",
}
DAYS = dt.timedelta(days=400)
NOW = dt.datetime(2026, 11, 1, tzinfo=dt.UTC)
CA_USAGE = ("key_cert_sign", "crl_sign")


def authorities(kind: str) -> tuple[Signer, Signer, Signer]:
    """Return an issuing authority with a path to its root, a signer below it, and another signer below it."""
    key = KeyFacts(algorithm=kind, bits=2048)
    ca = Profile(name=named("root"), not_before=NOW - DAYS, not_after=NOW + DAYS, ca=True, usage=CA_USAGE)
    issuing = issued(replace(ca, name=named("issuing"), path_length=0), key, issued(ca, key, None))
    leaf = Profile(name=named("signer"), not_before=NOW - DAYS, not_after=NOW + DAYS, purposes=("codeSigning",))
    return issuing, issued(leaf, key, issuing), issued(leaf, key, issuing)


@pytest.fixture(scope="module", params=["ec-p256", "rsa", "ml-dsa-44"])
def case(request: pytest.FixtureRequest) -> Case:
    """A signed message under a PKI of our own, with everything that a description can lend."""
    issuing, signer, revoked = authorities(request.param)
    model = of_sample("cms", "good/signed.p7m")
    source = model.files[ARTIFACT]
    message = signed_again(source.read(0, source.size), signer)
    ring = KeyRing.of(anchors=[parse_certificate(signer.ders[-1]).as_declared("root")])
    context = replace(model.context, keys=ring)
    staging = Staging(signer=signer, authority=issuing, revoked=revoked)
    return Case("pki", {ARTIFACT: BytesSource("x.p7m", message)}, context, staging=staging)


def test_every_wrong_certificate_is_refused_for_its_own_reason_and_every_control_accepted(case: Case) -> None:
    offers = case.offers("signer-certificate")
    assert len(offers) == len(WORDS) + 3
    for offer in offers:
        (signature,) = case.opened(offer).signatures
        if offer.expected is Outcome.ACCEPTED:
            assert signature.outcome is Verdict.VALID, (offer.variant, signature.note)
            continue
        (wanted,) = [words for part, words in WORDS.items() if part in offer.variant]
        assert signature.outcome is not Verdict.VALID, offer.variant
        assert re.search(wanted, signature.note), (offer.variant, signature.note)
        assert offer.causes == {Cause.TIME if offer.test == "T09" else Cause.KEY}


def test_each_group_begins_with_its_control(case: Case) -> None:
    for test in ("T08", "T09"):
        offers = [offer for offer in case.offers("signer-certificate") if offer.test == test]
        assert [offer.expected for offer in offers] == [Outcome.ACCEPTED, Outcome.REFUSED, Outcome.REFUSED]


def test_a_revoked_signer_is_offered_where_the_authority_is_one_of_the_path(case: Case) -> None:
    (offer,) = case.offers("revoked")
    assert (offer.needs, set(offer.causes)) == ("", {Cause.KEY})
    assert case.believed(offer)  # nothing here says that it is revoked: the device has to know
    _, foreign, _ = authorities("ec-p256")
    assert not is_issued_by(foreign, case.body.certificates[1:])
    (offer,) = trial_kit.staged(case, Staging(revoked=foreign)).offers("revoked")
    assert "certified by no authority of the genuine path" in offer.needs


def test_weak_digests_are_signed_and_hold(case: Case) -> None:
    offers = [offer for offer in case.offers("downgrade") if not offer.needs]
    weak = [offer for offer in offers if " over SHA-1" in offer.variant]
    assert len(weak) == 1
    found = case.opened(weak[0])
    assert (found.signatures[0].outcome, found.signatures[0].hash) == (Verdict.VALID, "sha-1")
    assert case.believed(next(offer for offer in offers if "genuine digest" in offer.variant))


def test_a_classical_signer_under_the_authority_is_offered_for_a_resistant_one_only(case: Case) -> None:
    offers = [offer for offer in case.offers("downgrade") if "classical signer" in offer.variant]
    resistant = case.artifact.signatures[0].key.algorithm == "ml-dsa-44"
    assert bool(offers) is resistant
    for offer in offers:
        (signature,) = case.opened(offer).signatures
        assert signature.outcome is Verdict.VALID, offer.variant
        assert signature.algorithm in {"ecdsa", "rsa-pkcs1v15", "ed25519"}


def test_without_staging_keys_every_test_says_what_it_needs(case: Case) -> None:
    bare = trial_kit.staged(case, Staging())
    needs = [offer.needs for name in ("signer-certificate", "revoked", "downgrade") for offer in bare.offers(name)]
    wanted = [text for text in needs if text]
    assert len(wanted) >= 5
    assert all("staging" in text for text in wanted)
