from __future__ import annotations

import shutil
import subprocess
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from checker.errors import FormatError, LimitError
from checker.io import devicetree
from checker.io.devicetree import Tag, read_tree
from checker.io.sources import BytesSource
from checker.model.artifact import Span

BEGIN, END_NODE, PROPERTY, NOP, END = (number.to_bytes(4, "big") for number in (1, 2, 3, 4, 9))


def word(value: int) -> bytes:
    return value.to_bytes(4, "big")


def begin(name: str) -> bytes:
    raw = name.encode() + b"\0"
    return BEGIN + raw + bytes(-len(raw) % 4)


def prop(place: int, value: bytes) -> bytes:
    return PROPERTY + word(len(value)) + word(place) + value + bytes(-len(value) % 4)


def tree(structure: bytes, strings: bytes = b"a\0b\0", *, version: int = 17, compatible: int = 16) -> bytes:
    """Return a tree laid out by hand: header, one empty reservation, structure, strings (specification, 5.1)."""
    start, end = 56, 56 + len(structure)
    total = end + len(strings)
    fields = (total, start, end, 40, version, compatible, 0, len(strings), len(structure))
    return devicetree.MAGIC + b"".join(map(word, fields)) + bytes(16) + structure + strings


GOOD = begin("") + prop(0, b"x\0") + begin("n@1") + prop(2, word(7)) + END_NODE + END_NODE + END


def read(data: bytes) -> devicetree.Tree:
    return read_tree(BytesSource("t.dtb", data))


def test_reads_nodes_and_properties_with_their_places() -> None:
    data = tree(GOOD)
    found = read(data)
    assert list(found.nodes) == ["/", "/n@1"]
    assert found.root.text("a") == "x"
    child = found.root.child("n")
    assert child is found.nodes["/n@1"]
    assert child.integer("b") == 7
    assert data[child.properties["b"].value.start : child.properties["b"].value.end] == word(7)
    assert found.root.head == Span(56, 56 + 8 + 16)
    assert child.head == Span(80, 80 + 8 + 16)
    assert [token.tag for token in found.tokens] == [
        Tag.BEGIN_NODE, Tag.PROPERTY, Tag.BEGIN_NODE, Tag.PROPERTY, Tag.END_NODE, Tag.END_NODE, Tag.END,
    ]  # fmt: skip


def test_absent_values_are_none_and_a_name_with_an_address_must_be_exact() -> None:
    root = read(tree(GOOD)).root
    assert root.value("z") is None
    assert root.text("z") is None
    assert root.texts("z") == ()
    assert root.integer("z") is None
    assert root.child("n@2") is None
    assert root.child("m") is None


def test_the_first_child_that_fits_a_name_wins_as_in_libfdt() -> None:
    body = begin("") + begin("k@1") + END_NODE + begin("k") + END_NODE + END_NODE + END
    found = read(tree(body)).root.child("k")
    assert found is not None
    assert found.name == "k@1"


@pytest.mark.skipif(shutil.which("dtc") is None, reason="dtc is not installed")
def test_agrees_with_dtc_about_a_real_tree(tmp_path: Path) -> None:
    source = tmp_path / "t.dts"
    source.write_text('/dts-v1/;\n/ { list = "one", "two"; n { big = <0x1 0x2>; empty; m { }; }; };\n')
    target = tmp_path / "t.dtb"
    for version in ("16", "17"):
        subprocess.run(["dtc", "-q", "-V", version, "-O", "dtb", "-o", target, source], check=True)
        found = read(target.read_bytes())
        assert list(found.nodes) == ["/", "/n", "/n/m"]
        assert found.root.texts("list") == ("one", "two")
        assert found.nodes["/n"].integer("big") == 0x1_0000_0002
        assert found.nodes["/n"].value("empty") == b""


def test_a_skipped_token_is_no_node() -> None:
    assert list(read(tree(begin("") + NOP + END_NODE + END)).nodes) == ["/"]


@pytest.mark.parametrize(
    ("body", "text"),
    [
        (END, "no root"),
        (begin("") + END, "has no end"),
        (begin("") + END_NODE + begin("") + END_NODE + END, "goes on after"),
        (prop(0, b""), "outside the root"),
        (begin("x") + END_NODE + END, "cannot be a node's name"),
        (begin("") + begin("") + END_NODE + END_NODE + END, "cannot be a node's name"),
        (begin("") + begin("a/b") + END_NODE + END_NODE + END, "cannot be a node's name"),
        (begin("") + 2 * (begin("n") + END_NODE) + END_NODE + END, "a second node /n"),
        (begin("") + 2 * prop(0, b"") + END_NODE + END, "a second 'a'"),
        (begin("") + begin("n") + END_NODE + prop(0, b"") + END_NODE + END, "stands behind a child"),
        (begin("") + prop(4, b"") + END_NODE + END, "no name at 4"),
        (begin("") + word(7), "unknown token"),
        (begin("") + PROPERTY + word(1 << 30) + word(0), "bytes needed"),
        (BEGIN + b"x" * 300, "name without end"),
        (begin("") + BEGIN, "name without end"),
    ],
)
def test_a_broken_structure_is_an_error_with_its_place(body: bytes, text: str) -> None:
    with pytest.raises(FormatError, match=text) as caught:
        read(tree(body))
    assert caught.value.offset is not None


def patched(offset: int, value: int) -> bytes:
    data = tree(GOOD)
    return data[:offset] + word(value) + data[offset + 4 :]


@pytest.mark.parametrize(
    ("offset", "value", "text"),
    [
        (0, 0, "no flattened device tree"),
        (4, 10_000, "totalsize is 10000"),
        (4, 39, "totalsize is 39"),
        (8, 58, "not aligned"),
        (16, 44, "not aligned"),
        (8, 40, "overlaps the reservations block"),
        (12, 60, "overlaps the structure block"),
        (12, 20, "overlaps the header block"),
        (20, 15, "version 15"),
        (24, 18, "compatible with 18"),
        (32, 10_000, "ends behind totalsize"),
    ],
)
def test_a_broken_header_is_refused(offset: int, value: int, text: str) -> None:
    with pytest.raises(FormatError, match=text):
        read(patched(offset, value))


def test_values_of_the_wrong_shape_are_errors() -> None:
    root = read(tree(begin("") + prop(0, b"x") + prop(2, b"abc") + END_NODE + END)).root
    with pytest.raises(FormatError, match="final NUL"):
        root.text("a")
    with pytest.raises(FormatError, match="a number of 3 bytes"):
        root.integer("b")
    with pytest.raises(LimitError):
        root.value("b", limit=2)


def test_hostile_sizes_end_soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(devicetree, "MAX_NODES", 500)
    monkeypatch.setattr(devicetree, "MAX_PROPERTIES", 500)
    began = time.monotonic()
    many = b"".join(begin(f"n{number}") + END_NODE for number in range(devicetree.MAX_NODES + 1))
    deep = b"".join(begin("n") for _ in range(40))
    long = b"".join(begin("n" * 250) for _ in range(6))
    named = b"".join(prop(number, b"") for number in range(devicetree.MAX_PROPERTIES + 1))
    for body, strings in ((many, b""), (deep, b""), (long, b""), (named, bytes(range(1, 255)) * 1000 + b"\0")):
        with pytest.raises(FormatError):
            read(tree(begin("") + body, strings))
    with pytest.raises(LimitError, match="reservations"):
        read(tree(GOOD)[:40] + b"\1" * 16 * 5000 + tree(GOOD)[56:])
    assert time.monotonic() - began < 15


@given(st.integers(0, len(tree(GOOD)) - 1), st.integers(0, 255))
def test_any_changed_byte_gives_a_tree_or_a_format_error(offset: int, value: int) -> None:
    data = bytearray(tree(GOOD))
    data[offset] = value
    try:
        found = read(bytes(data))
    except FormatError:
        return
    assert found.root.path == "/"


@given(st.integers(0, len(tree(GOOD)) - 1))
def test_a_truncated_tree_is_refused(size: int) -> None:
    with pytest.raises(FormatError):
        read(tree(GOOD)[:size])
