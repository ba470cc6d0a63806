"""The summary and the artifact tree: one screen, words that stand without colour, no line that a stranger fakes."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import replace

import jsonschema
import pytest
import rfc8785
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from checker import resources
from checker.model.artifact import Artifact, Encryption
from checker.model.assessment import Assessment
from checker.model.terms import Step
from checker.report._artifact_tree import artifact_json, tree
from checker.report.text import RENDERER, summary

Make = Callable[[str], Assessment]
ESCAPES = re.compile(r"\x1b\[[0-9;]*m")
GREEN = re.compile(r"\x1b\[(?:\d+;)*32m")
ROW = re.compile(r"^ ?(\d+) [A-Z]")


def outer(assessment: Assessment) -> Artifact:
    return assessment.artifacts[0]


def test_there_is_one_line_for_each_of_the_13_steps_in_order(any_assessment: Assessment) -> None:
    rows = [line for line in summary(any_assessment, colour=False, width=100).splitlines() if ROW.match(line)]
    assert [int(line.split()[0]) for line in rows] == [step.number for step in Step]


@pytest.mark.parametrize("width", [60, 80, 100, 200])
def test_no_line_is_wider_than_the_terminal(any_assessment: Assessment, width: int) -> None:
    plain = ESCAPES.sub("", summary(any_assessment, colour=True, width=width))
    assert max(map(len, plain.splitlines())) <= width


def test_colour_changes_nothing_but_the_escape_codes(any_assessment: Assessment) -> None:
    coloured = summary(any_assessment, colour=True, width=100)
    assert "\x1b[" in coloured
    assert ESCAPES.sub("", coloured) == summary(any_assessment, colour=False, width=100)


@given(data=st.data())
@settings(max_examples=15, deadline=None, suppress_health_check=list(HealthCheck))
def test_strangers_words_bring_no_control_character_and_no_line_of_their_own(
    plans: st.SearchStrategy[Assessment], data: st.DataObject
) -> None:
    text = summary(data.draw(plans), colour=False, width=100)
    assert not re.search("[\x00-\x09\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff]", text)
    assert len([line for line in text.splitlines() if line.startswith("Exit status ")]) == 1


def test_a_line_break_in_a_claim_cannot_fake_a_met_gate(make: Make) -> None:
    assert not [
        line for line in summary(make("hostile"), colour=False, width=100).splitlines() if line == "FAKE: gate met"
    ]


def test_the_gate_is_said_in_words_with_its_exit_status(make: Make) -> None:
    assert "Exit status 0: gate met." in summary(make("full"), colour=False, width=100)
    assert "Exit status 1: gate not met." in summary(make("normal"), colour=False, width=100)
    assert "Exit status 3: undecided." in summary(make("claims"), colour=False, width=100)


@pytest.mark.parametrize("name", ["claims", "empty"])
def test_nothing_is_green_when_nothing_is_proved(make: Make, name: str) -> None:
    assert not GREEN.search(summary(make(name), colour=True, width=100))


def test_something_is_green_when_something_is_proved(make: Make) -> None:
    assert GREEN.search(summary(make("normal"), colour=True, width=100))


def test_a_row_names_the_requirement_that_blocks_it_and_what_is_claimed(make: Make) -> None:
    lines = summary(make("normal"), colour=False, width=160).splitlines()
    receive = next(line for line in lines if " Receive " in line)
    assert "claimed +2" in receive
    assert "RECV-U1 failed: TLS 1.2 or later on both sides" in receive


def test_no_row_is_ever_printed_above_its_ceiling(make: Make) -> None:
    lines = summary(make("full"), colour=False, width=160).splitlines()
    assert next(line for line in lines if " Announce " in line).split()[2] == "Basic"
    assert [line.split()[1] for line in lines if ROW.match(line) and "+3 Quantum" in line] == [
        "Sign", "Protect", "Process", "Re-verify"]  # fmt: skip


def test_an_excluded_step_shows_its_reason_and_is_named_beside_the_overall_tier(make: Make) -> None:
    text = summary(make("public"), colour=False, width=160)
    assert "The images are public" in text
    assert "the lowest row without protect" in text


def test_at_most_three_fixes_are_listed(make: Make) -> None:
    text = summary(make("normal"), colour=False, width=100)
    assert re.findall(r"^  (\d)\. ", text, re.MULTILINE) == ["1", "2", "3"]


def test_the_renderer_gives_the_plain_summary(make: Make) -> None:
    assert RENDERER.render(make("normal")).decode() == summary(make("normal"), colour=False, width=100)


def test_the_tree_shows_every_artifact_inside_and_fits_the_terminal(make: Make) -> None:
    text = tree(outer(make("normal")), colour=False, width=100)
    assert "MCUboot image, 131072 bytes" in text
    assert "nothing authentic protects 0x10..0x20" in text
    assert "not checked: no key was given for it" in text
    assert max(map(len, text.splitlines())) <= 100


def test_the_tree_of_a_file_without_signatures_says_so(make: Make) -> None:
    bare = replace(outer(make("normal")), signatures=(), images=())
    assert "signature none" in tree(bare, colour=False, width=100)


def test_the_tree_neutralises_strangers_words(make: Make) -> None:
    text = tree(outer(make("hostile")), colour=False, width=300)
    assert "\x1b" not in text
    assert "\u202e" not in text
    assert not [line for line in text.splitlines() if line.startswith("FAKE")]


def test_an_artifact_as_json_has_the_shape_that_the_report_gives_it(make: Make) -> None:
    schema = json.loads(resources.read("schemas", "report.schema.json"))
    data = artifact_json(outer(make("hostile")))
    jsonschema.Draft202012Validator({"$ref": "#/$defs/artifact", "$defs": schema["$defs"]}).validate(json.loads(data))
    assert rfc8785.dumps(json.loads(data)) == data


@pytest.mark.parametrize(
    ("encrypted", "decrypted", "said"),
    [
        (None, None, "not known whether it is encrypted"),
        (False, None, "not encrypted"),
        (True, None, "aes-256-cbc, decryption not confirmed, the tag is cut"),
        (True, False, "aes-256-cbc, decryption failed, the tag is cut"),
        (True, True, "aes-256-cbc, decrypted, the tag is cut"),
    ],
)
def test_what_is_not_known_of_an_encryption_is_not_denied(
    make: Make,
    encrypted: bool | None,  # noqa: FBT001 - a fact, not a switch
    decrypted: bool | None,  # noqa: FBT001 - a fact, not a switch
    said: str,
) -> None:
    used = Encryption(encrypted=encrypted, decrypted=decrypted, cipher="aes", mode="cbc", key_bits=256,
                      note="the tag is cut")  # fmt: skip
    drawn = tree(replace(outer(make("normal")), encryption=(used,)), colour=False, width=200)
    line = next(line for line in drawn.splitlines() if "─ encryption " in line)
    assert line.partition("─ encryption ")[2].startswith(said)


def test_a_fix_and_a_contradiction_take_two_lines_at_most_and_say_what_they_cut(make: Make) -> None:
    base = make("normal")
    fixed = tuple(replace(fix, text="word " * 200) for fix in base.next_fixes[:3])
    rows = (replace(base.rows[0], contradiction="claim " * 200), *base.rows[1:])
    long = replace(base, next_fixes=fixed, rows=rows)
    said = summary(long, colour=False, width=80)
    fixes = said.partition("What lifts the most\n")[2].partition("\n\n")[0].splitlines()
    assert len(fixes) == 6
    assert [line.endswith("…") for line in fixes] == [False, True] * 3
    assert all(line.startswith("     word") for line in fixes[1::2])
    assert said.count("claim claim") >= 2
