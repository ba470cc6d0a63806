"""Plain words for the evaluator's phrases, and the observations that a finding rests on, said once."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from checker.model.assessment import Assessment
from checker.model.evidence import Origin
from checker.model.terms import Verdict
from checker.report._plain import expectation, seen, sentence

Make = Callable[[str], Assessment]


@pytest.mark.parametrize(
    ("raw", "field", "told"),
    [
        ("key.strength_bits is at least 112", "key.strength_bits", "at least 112"),
        ("key.strength_bits is at least 112", "", "key strength bits: at least 112"),
        ("hash.name is one of a, b, c, d, e and 6 more", "hash.name", "one of a, b, c, d and 7 more"),
        ("mode is one of gcm, ccm", "mode", "one of gcm, ccm"),
        ("revocation_named is true", "revocation_named", "yes"),
        ("not (single_target is true)", "single_target", "no"),
        ("not (family is classical)", "family", "not classical"),
        ("not (unprotected_metadata is not empty)", "unprotected_metadata", "empty"),
        (
            "every chain: ca_flags is true; some key: bits is 3",
            "",
            "for every chain, ca flags: yes; for some key, bits: 3",
        ),
        ("none nonce_use: repeated is true", "", "for no nonce use, repeated: yes"),
        ("not (some signature: kind is mac)", "", "for no signature, kind: mac"),
        ("at least 2 image records: own_digest is true", "", "for at least 2 image, own digest: yes"),
        ("the quoted words stand in the document", "quote_found", "the quoted words stand in the document"),
    ],
)
def test_an_expectation_is_said_in_plain_words(raw: str, field: str, told: str) -> None:
    assert expectation(raw, field) == told


@pytest.mark.parametrize(
    ("raw", "told"),
    [
        ("1 of 1 signature records: hash.name is sha-1, expected hash.name is one of x, y",
         "hash name is sha-1, expected one of x, y"),
        ("1 of 3 chain records: ca_flags is false, expected ca_flags is true",
         "ca flags is no, expected yes (1 of 3 chain records)"),
        ("0 of 4 signature records match", "none of 4 signature records meets it"),
        ("0 of 1 signature records match", "the only signature record does not meet it"),
        ("contradicted by device:A: keystream_reused is True", "device:A: keystream reused is yes"),
        ("there is no log_event record of the kind that the question is about",
         "there is no log event record of the kind that the question is about"),
        (f"active_at_use of key:{'ab' * 32} is not known", "active at use of key:abababababab… is not known"),
        ("rsa_2048.pem holds no key", "rsa_2048.pem holds no key"),  # a stranger's words stay
    ],
)  # fmt: skip
def test_an_explanation_is_said_in_plain_words(raw: str, told: str) -> None:
    assert sentence(raw) == told


@given(st.text(max_size=200))
def test_any_other_text_has_an_answer_too(text: str) -> None:
    assert isinstance(sentence(text), str)
    assert isinstance(expectation(text, "x"), str)


def test_equal_observations_are_said_once_with_every_place(make: Make) -> None:
    finding = next(item for item in make("normal").findings if item.observed)
    first = replace(finding.observed[0], field="hash.name", value="sha-256", expected="hash.name is sha-256")
    places = [Origin(file=name, pointer="0x1") for name in ("A.swu", "B.swu")]
    found = seen(replace(finding, observed=tuple(replace(first, origin=place) for place in places)))
    assert [(item.what, item.value, item.expected) for item in found] == [("hash name", "sha-256", "sha-256")]
    assert [place.file for place in found[0].places] == ["A.swu", "B.swu"]
    apart = seen(replace(finding, observed=(first, replace(first, value="sha-1"))))
    assert [item.value for item in apart] == ["sha-256", "sha-1"]


def test_a_record_that_says_nothing_is_left_out_but_a_failed_one_never(make: Make) -> None:
    finding = next(item for item in make("normal").findings if item.observed)
    empty = replace(finding.observed[0], field="proves", value=None, expected="proves is x", origin=Origin())
    assert seen(replace(finding, observed=(replace(empty, verdict=Verdict.UNKNOWN),))) == ()
    assert seen(replace(finding, observed=(replace(empty, verdict=Verdict.FAIL),)))[0].value == "not known"
