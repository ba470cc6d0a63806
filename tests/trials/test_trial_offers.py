"""Every offer of every anatomy: it differs from the genuine file where it says, and otaudit's own parser refuses it."""

from __future__ import annotations

import re
from functools import cache

import pytest

from checker.discovery import module_names
from checker.errors import FormatError, OtauditError
from checker.trials.contract import ARTIFACT, Offer, Outcome
from tests.formats import samples
from tests.trials import trial_kit
from tests.trials.trial_kit import Case

K0 = ("payload", "metadata", "signature", "foreign-key", "ciphertext")
FORMATS = [name for name in module_names(trial_kit.ANATOMIES) if (samples.FOLDER / name).is_dir()]
SUM = 33  # bytes: 8 digits of a sum in cpio, checksum and SHA-256 of ESP-IDF
# These carry their signature in themselves, or are encrypted for one flash, and say that they are not taken apart.
WHOLE = {"detached/good/signify-embedded.bin", "detached/good/clearsigned.bin"} | {
    f"esp_idf/good/encrypted-{kind}.bin" for kind in ("esp32", "xts-128", "xts-256")
}
# These are encrypted and not signed: what a changed one must not do is to decrypt.
ENCRYPTED = {f"cose/good/{name}.cose" for name in ("encrypted", "encrypted-ecdh-es", "encryption-info")}
NEVER_SIGNED = {"nordic_dfu/good/legacy.zip"}
CASES = [(name, good) for name in FORMATS for good in trial_kit.good_samples(name) if f"{name}/{good}" not in WHOLE]


@pytest.fixture(scope="module", params=CASES, ids="/".join)
def case(request: pytest.FixtureRequest) -> Case:
    return trial_kit.of_sample(*request.param)


def test_the_genuine_artifact_is_believed(case: Case) -> None:
    if case.name in ENCRYPTED:
        assert case.artifact.encryption[0].decrypted is True
        return
    if case.name in NEVER_SIGNED:
        assert {offer.needs for offer in case.offers("foreign-key")} == {"the init packet is not signed"}
        return
    assert case.believed(Offer(test="T00", variant="genuine"))


@cache
def _offers(name: str, mutation: str) -> tuple[Offer, ...]:
    folder, rest = name.split("/", 1)
    return tuple(trial_kit.of_sample(folder, rest).offers(mutation))


def offers_of(case: Case, mutation: str) -> tuple[Offer, ...]:
    """Return the offers of a case, made once: throw-away keys take time."""
    return _offers(case.name, mutation)


def decrypts(case: Case, offer: Offer) -> bool:
    try:
        return case.opened(offer).encryption[0].decrypted is True
    except OtauditError:
        return False


@pytest.mark.parametrize("name", sorted(WHOLE))
def test_what_is_not_taken_apart_says_so(name: str) -> None:
    folder, rest = name.split("/", 1)
    with pytest.raises(FormatError, match="not taken apart"):
        _ = trial_kit.of_sample(folder, rest).body


@pytest.mark.parametrize("mutation", K0)
def test_no_offer_that_must_be_refused_is_believed_by_our_own_parser(case: Case, mutation: str) -> None:
    for offer in offers_of(case, mutation):
        if offer.needs:
            continue
        assert case.believed(offer) is (offer.expected is Outcome.ACCEPTED), offer.variant
        if case.name in ENCRYPTED:
            assert not decrypts(case, offer), offer.variant


@pytest.mark.parametrize("mutation", ["payload", "metadata", "ciphertext"])
def test_one_bit_is_changed_and_nothing_else(case: Case, mutation: str) -> None:
    body = case.body
    genuine = case.written(Offer(test="T00", variant="genuine"))
    for offer in offers_of(case, mutation):
        if offer.needs or "signed again" in offer.variant or offer.expected is Outcome.ACCEPTED:
            continue
        offered = case.written(offer)
        assert offered.keys() == genuine.keys()
        changed = [name for name in genuine if offered[name] != genuine[name]]
        assert len(changed) == 1, offer.variant
        if mutation == "payload" and not any(part.value for part in body.payload):  # those are packed again
            every = trial_kit.differences(genuine[changed[0]], offered[changed[0]])
            places = [at for at in every if any(part.span.start <= at < part.span.end for part in body.payload)]
            assert len(places) == 1, offer.variant
            old, new = genuine[changed[0]][places[0]], offered[changed[0]][places[0]]
            assert old ^ new == 1
            # Beside it, only sums that no key protects are made right.
            assert places == every or (body.repaired is not None and len(every) <= 1 + SUM)


def test_every_group_says_something_about_each_of_its_tests(case: Case) -> None:
    for mutation in trial_kit.all_mutations():
        offers = offers_of(case, mutation.id)
        assert {offer.test for offer in offers} == set(mutation.tests)
        variants = [(offer.test, offer.variant) for offer in offers]
        assert len(set(variants)) == len(variants)
        for offer in offers:
            assert bool(offer.needs) != bool(offer.changed or offer.without or offer.instead or offer.spoil)
            assert offer.needs or offer.expected is Outcome.ACCEPTED or offer.causes


def test_no_offer_is_the_genuine_file(case: Case) -> None:
    genuine = case.written(Offer(test="T00", variant="genuine"))
    for mutation in trial_kit.all_mutations():
        for offer in offers_of(case, mutation.id):
            if offer.needs or offer.without or offer.control or not offer.changed:
                continue
            sizes = {name: trial_kit.size_of(content) for name, content in offer.changed.items()}
            if all(size == len(genuine[name]) for name, size in sizes.items()):
                assert case.written(offer) != genuine, offer.variant


def test_offers_name_no_path_and_no_key(case: Case) -> None:
    for mutation in trial_kit.all_mutations():
        for offer in offers_of(case, mutation.id):
            assert not re.search(r"/work|/tmp|PRIVATE", offer.variant + offer.needs + repr(offer.causes))
    assert ARTIFACT in case.files
