"""CBOR beside cbor2, an independent implementation, and what hostile bytes cost."""

from __future__ import annotations

import time
import tracemalloc
from collections.abc import Mapping
from typing import Any

import cbor2
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from checker.errors import FormatError, LimitError
from checker.io import cbor
from checker.io.cbor import Encoded, Major
from checker.model.artifact import Span

# RFC 8949 appendix A: what is in the deterministic encoding, without floating-point numbers, tags and simple values.
PUBLISHED: list[tuple[str, Any]] = [
    ("00", 0),
    ("17", 23),
    ("1818", 24),
    ("1903e8", 1000),
    ("1b000000e8d4a51000", 1000000000000),
    ("1bffffffffffffffff", 18446744073709551615),
    ("3bffffffffffffffff", -18446744073709551616),
    ("20", -1),
    ("3903e7", -1000),
    ("40", b""),
    ("4401020304", bytes([1, 2, 3, 4])),
    ("60", ""),
    ("62c3bc", "\u00fc"),
    ("64f0908591", "\U00010151"),
    ("8301820203820405", [1, [2, 3], [4, 5]]),
    ("a201020304", {1: 2, 3: 4}),
    ("a26161016162820203", {"a": 1, "b": [2, 3]}),
    ("f6", None),
]
leaves = st.none() | st.integers(-(2**64), 2**64 - 1) | st.text(max_size=40) | st.binary(max_size=300)
values = st.recursive(
    leaves,
    lambda inner: st.lists(inner, max_size=30) | st.dictionaries(st.integers(-99, 2**20) | st.text(max_size=5), inner),
    max_leaves=30,
)


def plain(item: cbor.Item) -> Any:
    if item.is_null:
        return None
    if item.number is not None:
        return item.number
    if item.major is Major.TEXT:
        return item.words
    if item.major is Major.BYTES:
        return item.data("test")
    if item.major is Major.ARRAY:
        return [plain(child) for child in item.array("test")]
    return {key: plain(value) for key, value in item.map("test").items()}


@pytest.mark.parametrize(("text", "value"), PUBLISHED)
def test_the_published_examples_are_read(text: str, value: Any) -> None:
    assert plain(cbor.read(bytes.fromhex(text), "test")) == value


@pytest.mark.parametrize(("text", "value"), [(text, value) for text, value in PUBLISHED if not isinstance(value, dict)])
def test_the_published_examples_are_written(text: str, value: Any) -> None:
    assert cbor.encode(value).hex() == text


@settings(max_examples=60, deadline=None)
@given(value=values)
def test_what_another_implementation_writes_is_read_alike(value: Any) -> None:
    item = cbor.read(cbor2.dumps(value), "test")
    assert plain(item) == value
    assert item.encoded() == cbor2.dumps(value)


@settings(max_examples=200, deadline=None)
@given(data=st.binary(max_size=60))
def test_any_bytes_are_an_item_that_another_implementation_reads_too_or_an_error(data: bytes) -> None:
    try:
        item = cbor.read(data, "test")
    except FormatError:
        return
    assert item.span == Span(0, len(data))
    if any(byte >> 5 in {6, 7} for byte in data):
        return  # tags and simple values: cbor2 gives them a meaning, and may refuse it
    assert isinstance(cbor2.loads(data), (int, str, bytes, list, tuple, Mapping))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "nothing is left"),
        ("18", "needed"),
        ("5f4101ff", "indefinite"),
        ("9f01ff", "indefinite"),
        ("bf6161019f0203ffff", "indefinite"),
        ("1c", "reserved"),
        ("ff", "indefinite"),
        ("0001", "follow the end"),
        ("a201020103", "twice"),
        ("a2010218010c", "twice"),
        ("62c328", "not UTF-8"),
        ("4401", "needed"),
        ("8201", "announced"),
        ("820182", "announced"),
        ("820082", "announced"),
        ("82820000", "nothing is left"),
        ("5bffffffffffffffff00", "needed"),
        ("9bffffffffffffffff00", "announced"),
        ("bbffffffffffffffff00", "announced"),
        ("d81c", "announced"),
    ],
)
def test_what_readers_disagree_about_is_refused(text: str, words: str) -> None:
    with pytest.raises(FormatError, match=words):
        cbor.read(bytes.fromhex(text), "test")


def test_a_map_with_two_keys_is_no_duplicate() -> None:
    assert cbor.read(bytes.fromhex("a201020203"), "test").map("test").keys() == {1, 2}


@pytest.mark.parametrize(
    ("text", "number"),
    [("d81c8101", 28), ("d81d00", 29), ("c249010000000000000000", 2), ("d9010081d81900", 256), ("c06432303133", 0)],
    ids=["shareable", "shared reference", "bignum", "text references", "date"],
)
def test_tags_stay_tags(text: str, number: int) -> None:
    item = cbor.read(bytes.fromhex(text), "test")
    assert item.tagged()[0] == number
    assert item.tagged()[1].span.end == len(bytes.fromhex(text))


def test_what_has_no_tag_is_itself() -> None:
    item = cbor.read(b"\x01", "test")
    assert item.tagged() == (None, item)


def test_keys_of_other_kinds_are_told_apart_by_their_encoding() -> None:
    item = cbor.read(cbor2.dumps({("a",): 1, b"a": 2, "a": 3}), "test").map("test")
    assert item.keys() == {Encoded(cbor2.dumps(["a"])), Encoded(cbor2.dumps(b"a")), "a"}


@pytest.mark.parametrize("name", ["integer", "text", "data", "place", "array", "map", "wrapped"])
def test_another_type_than_the_expected_one_is_an_error_that_names_the_field(name: str) -> None:
    with pytest.raises(FormatError, match="expected") as caught:
        getattr(cbor.read(b"\xf5", "test"), name)("the field")
    assert caught.value.field == "the field"


def test_floating_point_numbers_are_passed_over() -> None:
    item = cbor.read(cbor2.dumps([1.5, True, None]), "test").array("test")
    assert [child.is_true for child in item] == [False, True, False]
    assert [child.is_null for child in item] == [False, False, True]
    assert item[0].number is None
    assert item[0].words is None


def test_a_wrapped_item_keeps_its_place_in_the_file() -> None:
    item = cbor.read(cbor2.dumps([cbor2.dumps([1, "ab"])]), "test").array("test")[0].wrapped("inner")
    assert item.array("inner")[1].content == Span(5, 7)
    assert cbor.read(b"\xd8\x6b\x01", "test").tagged()[1].span == Span(2, 3)


def test_a_long_byte_string_is_not_read() -> None:
    data = cbor2.dumps(bytes(1000))
    with pytest.raises(LimitError, match="at most 10"):
        cbor.read(data, "test").data("test", limit=10)
    assert cbor.read(data, "test").place("test").size == 1000


@pytest.mark.parametrize(
    "data",
    [
        b"\x81" * 100_000 + b"\x00",
        b"\xd8\x6b" * 100_000 + b"\x00",
        b"\xa1\x00" * 100_000 + b"\x00",
        b"\x9a\x00\x0f\x42\x40" + bytes(1_000_000),
        b"\xba\x00\x07\xa1\x20" + b"\x00" * 1_000_000,
        b"\x9a\x00\x01\x00\x00" + b"\x9a\x00\x01\x00\x00" * 65_536,
    ],
    ids=["arrays", "tags", "maps", "a million items", "half a million entries", "announcements"],
)
def test_hostile_bytes_cost_little(data: bytes) -> None:
    tracemalloc.start()
    began = time.process_time()
    with pytest.raises(FormatError):
        cbor.read(data, "test")
    assert time.process_time() - began < 5
    assert tracemalloc.get_traced_memory()[1] < 120_000_000
    tracemalloc.stop()
