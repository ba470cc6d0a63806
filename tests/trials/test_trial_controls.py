"""Controls inside a group of tests: they prove nothing by themselves, and what follows a refused one neither."""

from __future__ import annotations

from collections.abc import Mapping

from checker.model.terms import Reason
from checker.trials import plan
from checker.trials.bench import Seen
from checker.trials.contract import Answer, Cause, Change, Offer, Outcome
from checker.trials.mutations._common import control, offered

ACCEPTED = Seen(answer=Answer(outcome=Outcome.ACCEPTED))
REFUSED = Seen(answer=Answer(outcome=Outcome.REFUSED, cause=Cause.POLICY, words="refused: policy: no"), unchanged=True)
OFFERS = (
    offered("T12", "without a key", Change(), [Cause.POLICY]),
    control("T12", "control: a staging key", Change()),
    offered("T12", "with it", Change(), [Cause.POLICY]),
    control("T12", "control: another staging key", Change()),
    offered("T12", "with the other", Change(), [Cause.POLICY]),
)


def worth(made: Mapping[str, Seen | tuple[Reason, str]], *, holds: bool = True) -> dict[str, plan.Tried]:
    answers = [made.get(offer.variant, REFUSED if offer.expected is Outcome.REFUSED else ACCEPTED) for offer in OFFERS]
    return {item.variant: item for item in plan._all_worth(OFFERS, answers, holds=holds)}


def test_an_accepted_control_is_no_record_of_its_test() -> None:
    found = worth({})
    assert set(found) == {"without a key", "with it", "with the other"}
    assert all(item.as_expected and not item.masked for item in found.values())
    assert {item.expected for item in found.values()} == {Outcome.REFUSED}


def test_what_follows_a_refused_control_proves_nothing_up_to_the_next_one() -> None:
    found = worth({"control: a staging key": REFUSED})
    told = found["control: a staging key"]
    assert (told.answer, told.reason) == (None, Reason.NOT_RUN)
    assert told.text == "it had to be accepted: refused: policy: no"
    assert (found["with it"].masked, found["with it"].as_expected) == (True, False)
    assert found["without a key"].as_expected
    assert found["with the other"].as_expected
    assert "control: another staging key" not in found


def test_a_control_that_could_not_be_tried_proves_nothing_either() -> None:
    found = worth({"control: another staging key": (Reason.PROBE_FAILED, "the trial failed: no space")})
    assert found["control: another staging key"].text == "it had to be accepted: the trial failed: no space"
    assert found["with the other"].masked
    assert found["with it"].as_expected


def test_an_accepted_offer_after_a_refused_control_is_still_an_accepted_one() -> None:
    found = worth({"control: a staging key": REFUSED, "with it": ACCEPTED})
    assert found["with it"].answer == ACCEPTED.answer
    assert not found["with it"].as_expected


def test_without_the_positive_control_nothing_counts() -> None:
    assert not any(item.as_expected for item in worth({}, holds=False).values())


def test_a_test_that_expects_acceptance_is_no_control() -> None:
    offer = Offer(test="T33", variant="a new key that was introduced", expected=Outcome.ACCEPTED)
    (found,) = plan._all_worth([offer], [ACCEPTED], holds=True)
    assert found.as_expected
