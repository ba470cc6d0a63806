from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from checker.errors import FormatError, LimitError
from checker.formats import _protobuf
from checker.formats._protobuf import Message

# The worked examples of protobuf.dev "Encoding".
ONE_FIFTY = bytes.fromhex("089601")
TESTING = bytes.fromhex("120774657374696e67")
NESTED = bytes.fromhex("1a03089601")
PACKED = bytes.fromhex("3206038e029ea705")


def test_reads_the_examples_of_the_specification() -> None:
    message = Message(ONE_FIFTY + TESTING + NESTED + PACKED, "m")
    assert message.integer(1) == 150
    assert message.text(2) == "testing"
    assert message.blob(2) == b"testing"
    nested = message.message(3, "c")
    assert nested is not None
    assert nested.integer(1) == 150
    assert (nested.name, nested.offset) == ("m.c", 3 + 9 + 2)
    assert message.integers(6) == (3, 270, 86942)
    assert message.count(2) == 1


def test_a_repeated_number_may_be_packed_or_not() -> None:
    assert Message(bytes.fromhex("30033002"), "m").integers(6) == (3, 2)


def test_absent_fields_are_none() -> None:
    message = Message(b"", "m")
    assert message.integer(1) is None
    assert message.signed(1) is None
    assert message.blob(1) is None
    assert message.text(1) is None
    assert message.message(1, "x") is None
    assert message.messages(1, "x") == ()
    assert message.count(1) == 0


def test_the_last_one_wins_and_submessages_are_merged() -> None:
    message = Message(bytes.fromhex("08010802") + NESTED + bytes.fromhex("1a021005"), "m")
    assert message.integer(1) == 2
    assert message.count(1) == 2
    merged = message.message(3, "c")
    assert merged is not None
    assert (merged.integer(1), merged.integer(2)) == (150, 5)
    assert len(message.messages(3, "c")) == 2


def test_fixed_words_and_signed_numbers() -> None:
    message = Message(bytes.fromhex("0901000000000000001502000000") + b"\x18" + b"\xff" * 9 + b"\x01", "m")
    assert (message.integer(1), message.integer(2)) == (1, 2)
    assert message.signed(3) == -1
    assert message.integer(3) == 2**64 - 1
    assert message.signed(2) == 2


def test_text_that_is_no_utf8_is_escaped() -> None:
    assert Message(bytes.fromhex("1201ff"), "m").text(2) == "\\xff"


@pytest.mark.parametrize(
    ("data", "text"),
    [
        ("08", "ends behind"),
        ("0880", "ends behind"),
        ("08" + "80" * 10 + "01", "over 10 bytes"),
        ("08" + "ff" * 9 + "02", "more than 64 bits"),
        ("120774", "field 2 has 7 bytes, 1 are left"),
        ("0901", "field 1 has 8 bytes"),
        ("0b", "wire type 3"),
        ("0f", "wire type 7"),
        ("0001", "field 0"),
        ("12ffffffffffffffffff01", "are left"),
    ],
)
def test_damage_is_an_error_with_an_offset(data: str, text: str) -> None:
    with pytest.raises(FormatError, match=text) as caught:
        _ = Message(bytes.fromhex(data), "m", 100).fields
    assert caught.value.offset is not None
    assert caught.value.offset >= 100
    assert caught.value.field == "m"


def test_a_field_of_another_wire_type_is_an_error() -> None:
    with pytest.raises(FormatError, match="a number, not bytes"):
        Message(ONE_FIFTY, "m").blob(1)
    with pytest.raises(FormatError, match="a number, not bytes"):
        Message(ONE_FIFTY, "m").message(1, "x")
    with pytest.raises(FormatError, match="empty, not an integer"):
        Message(bytes.fromhex("0a00"), "m").integer(1)


def test_too_many_fields_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_protobuf, "MAX_FIELDS", 2)
    assert Message(b"\x08\x01" * 2, "m").count(1) == 2
    with pytest.raises(LimitError, match="MAX_FIELDS"):
        _ = Message(b"\x08\x01" * 3, "m").fields


@given(st.binary(max_size=200))
def test_any_bytes_give_fields_or_a_format_error(data: bytes) -> None:
    with contextlib.suppress(FormatError):
        message = Message(data, "m")
        for number in message.fields:
            for read in (message.integers, message.blobs, message.signed, message.text):
                with contextlib.suppress(FormatError):
                    read(number)
