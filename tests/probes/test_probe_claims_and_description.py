"""What is only said: claims, the device, its targets and the steps."""

from __future__ import annotations

from typing import Any

from checker.description.model import Command, Place, Target
from checker.model.terms import Method, Reason, Step, Tier
from checker.probes.claims import PROBE as CLAIMS
from checker.probes.description import PROBE as DESCRIPTION

PLACE = Place("device.yaml", 3, 5)


def test_a_claim_is_declared_and_never_more(lab: Any) -> None:
    lab.say(claims={Step.SIGN: Tier.ENHANCED})
    record = lab.one(CLAIMS, "claim")
    assert record.values == {"step": "sign", "tier": "enhanced"}
    assert record.method is Method.DECLARED


def test_without_claims_the_slot_says_that_none_was_made(lab: Any) -> None:
    assert lab.one(CLAIMS, "claim").unavailable is Reason.NOT_DECLARED


def test_a_step_is_described_by_who_by_what_and_trigger(lab: Any) -> None:
    lab.step(Step.SEND, who="update server", channel="HTTPS", trigger="daily poll")
    assert lab.one(DESCRIPTION, "step_description", step="send").values["described"] is True


def test_a_step_without_its_trigger_is_not_described(lab: Any) -> None:
    lab.step(Step.SEND, who="update server", channel="HTTPS")
    values = lab.one(DESCRIPTION, "step_description", step="send").values
    assert (values["described"], values["missing"]) == (False, ("trigger",))


def test_a_step_that_needs_no_trigger_of_its_own_is_described_without(lab: Any) -> None:
    lab.step(Step.CHECK, who="gateway", by="swupdate")
    assert lab.one(DESCRIPTION, "step_description", step="check").values["described"] is True


def test_apply_needs_its_installer_too(lab: Any) -> None:
    lab.step(Step.APPLY, who="gateway", by="swupdate", trigger="approval")
    assert lab.one(DESCRIPTION, "step_description", step="apply").values["missing"] == ("installer",)
    lab.step(Step.APPLY, who="gateway", by="swupdate", trigger="approval", details={"installer": "A-B"})
    assert lab.one(DESCRIPTION, "step_description", step="apply").values["described"] is True


def test_a_step_that_is_left_out_is_unknown_and_not_false(lab: Any) -> None:
    record = lab.one(DESCRIPTION, "step_description", step="stage")
    assert record.unavailable is Reason.NOT_DECLARED
    assert "described" not in record.values


def test_not_applicable_needs_words(lab: Any) -> None:
    lab.step(Step.PROTECT, not_applicable="the images are open source")
    values = lab.one(DESCRIPTION, "step_description", step="protect").values
    assert (values["not_applicable"], values["reason"]) == (True, "the images are open source")
    lab.step(Step.PROTECT, not_applicable="  ")
    assert lab.one(DESCRIPTION, "step_description", step="protect").values["not_applicable"] is False


def test_a_precondition_without_a_test_does_not_count(lab: Any) -> None:
    named = {"name": "space", "test": "at least 2 x image"}
    lab.step(Step.STAGE, who="gateway", by="stager", details={"preconditions": [named, {"name": "power", "test": " "}]})
    assert lab.one(DESCRIPTION, "step_description", step="stage").values["preconditions"] == 1


def test_the_device_says_whether_it_has_one_target(lab: Any) -> None:
    assert "single_target" not in lab.one(DESCRIPTION, "device").values
    lab.targets("cpu")
    assert lab.one(DESCRIPTION, "device").values["single_target"] is True
    lab.targets("cpu", "fpga")
    assert lab.one(DESCRIPTION, "device").values["single_target"] is False


def test_a_mac_only_link_is_not_encrypted(lab: Any) -> None:
    link = {"bus": "CAN", "protocol": "UDS", "encryption": "SecOC"}
    lab.own(targets=(Target(id="ecu", place=PLACE, link=link), Target(id="cpu", place=PLACE)))
    values = lab.one(DESCRIPTION, "hardware_target", target="ecu").values
    assert (values["link_described"], values["link_encrypted"]) == (True, False)
    assert "link_encrypted" not in lab.one(DESCRIPTION, "hardware_target", target="cpu").values


def test_a_path_of_distribute_describes_a_link_too(lab: Any) -> None:
    path = {"target": "ecu", "bus": "Ethernet", "protocol": "DoIP", "encryption": "MACsec"}
    lab.targets("ecu", "cpu").step(Step.DISTRIBUTE, who="gateway", by="router", details={"paths": [path]})
    assert lab.one(DESCRIPTION, "hardware_target", target="ecu").values["link_encrypted"] is True


def test_the_updates_verifier_is_the_targets_own_only_on_a_device_with_one(lab: Any) -> None:
    lab.say(verifier=Command(adapter="swupdate")).targets("cpu")
    assert lab.one(DESCRIPTION, "hardware_target").values["verifier_described"] is True
    lab.targets("cpu", "fpga")
    assert "verifier_described" not in lab.one(DESCRIPTION, "hardware_target", target="fpga").values
