"""How YAML is read: each trap of careless loaders, and the near miss beside it."""

import json
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml

from checker.description._yaml import MAX_NODES, Items, Map, Mark, Text, parse
from checker.errors import DescriptionError
from checker.io.limits import MAX_DESCRIPTION, MAX_YAML_DEPTH

REPOSITORY = Path(__file__).resolve().parents[2]


def fault(data: bytes) -> str:
    with pytest.raises(DescriptionError) as caught:
        parse(data, "f.yaml")
    return str(caught.value)


def scalar(text: str) -> Text:
    node = parse(f"key: {text}\n".encode(), "f.yaml")
    assert isinstance(node, Map)
    value = node["key"]
    assert isinstance(value, Text)
    return value


# --- The tree ---------------------------------------------------------------------------------------------------------


def test_every_key_and_value_knows_its_line_and_column() -> None:
    node = parse("a: 1\nbé:\n  - x\n  - {c: 'd'}\n".encode(), "f.yaml")
    assert isinstance(node, Map)
    assert node.keys_at == {"a": Mark(1, 1), "bé": Mark(2, 1)}
    listed = node["bé"]
    assert isinstance(listed, Items)
    assert [item.mark for item in listed] == [Mark(3, 5), Mark(4, 5)]
    inner = listed[1]
    assert isinstance(inner, Map)
    assert (inner.keys_at["c"], inner["c"].mark) == (Mark(4, 6), Mark(4, 9))


def test_the_tree_of_plain_data_is_the_one_that_the_reference_loader_builds() -> None:
    text = (
        "a: [x, 'y z', \"q\\tr\"]\nb:\n  c: |\n    two\n    lines\n  d: >-\n    folded\n    text\ne: {f: [], g: {}}\n"
    )
    assert parse(text.encode(), "f.yaml") == yaml.load(text, Loader=yaml.BaseLoader)  # noqa: S506 - BaseLoader is safe


@pytest.mark.parametrize("data", ["{}", "[]", '{"a": [1, true, null, "x\\u00e9\\n"], "b": {"c": {}}}', '"text"'])
def test_json_is_read_as_it_is(data: str) -> None:
    assert json.dumps(parse(data.encode(), "f.yaml")) == json.dumps(_as_text(json.loads(data)))


def _as_text(node: object) -> object:
    if isinstance(node, dict):
        return {key: _as_text(value) for key, value in node.items()}
    if isinstance(node, list):
        return [_as_text(item) for item in node]
    return node if isinstance(node, str) else json.dumps(node)


# --- Scalars ----------------------------------------------------------------------------------------------------------

NEVER_CONVERTED = [
    "010",
    "0x10",
    "0o17",
    "no",
    "yes",
    "on",
    "off",
    "y",
    "12:30",
    "12:30:45",
    "2026-10-01",
    "1_000",
    ".inf",
    "=",
    "<<",
]


@pytest.mark.parametrize("word", NEVER_CONVERTED)
def test_a_word_that_other_loaders_convert_stays_as_written(word: str) -> None:
    value = scalar(word)
    assert value == word
    assert (value.null, value.truth, value.integer, value.number) == (False, None, None, False)


def test_the_usual_loader_does_convert_such_words() -> None:
    converted = [yaml.safe_load(f"key: {word}")["key"] for word in ("010", "no", "12:30:45", "1_000")]
    assert converted == [8, False, 45045, 1000]


@pytest.mark.parametrize("text", ["1.10", "2.0", "1e3", "007", "-0", "9" * 64])
def test_a_number_keeps_the_characters_that_were_written(text: str) -> None:
    assert scalar(text) == text


@pytest.mark.parametrize(
    ("word", "value"), [("true", True), ("False", False), ("TRUE", True), ("tRue", None), ("'true'", None)]
)
def test_only_the_core_words_are_truth_values_and_only_without_quotes(word: str, value: bool | None) -> None:  # noqa: FBT001
    assert scalar(word).truth is value


@pytest.mark.parametrize(
    ("word", "null"), [("", True), ("~", True), ("null", True), ("''", False), ("'null'", False), ("nil", False)]
)
def test_nothing_is_not_an_empty_text(word: str, null: bool) -> None:  # noqa: FBT001
    assert scalar(word).null is null


@pytest.mark.parametrize(
    ("word", "value"), [("256", 256), ("-1", -1), ("0", 0), ("'256'", None), ("2.0", None), ("9" * 19, None)]
)
def test_a_whole_number_is_decimal_without_quotes_and_not_huge(word: str, value: int | None) -> None:
    assert scalar(word).integer == value


def test_an_integer_of_a_million_digits_stays_text_and_raises_nothing() -> None:
    assert scalar("9" * 1_000_000).integer is None


# --- What is refused --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("data", [b"a: &x 1\n", b"&x a: 1\n", b"a: [&x {}]\n"])
def test_an_anchor_is_refused(data: bytes) -> None:
    assert "the anchor &x is not allowed" in fault(data)


def test_an_alias_is_refused_even_without_its_anchor() -> None:
    assert "f.yaml:1:4: $: the alias *x is not allowed" in fault(b"a: *x\n")


def test_an_alias_bomb_is_refused_at_its_first_anchor() -> None:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 10)]
    assert fault("\n".join(lines).encode()).startswith("f.yaml:1:5: $: the anchor &a0")


@pytest.mark.parametrize("tag", ["!x", "!!str", "!!python/object/apply:os.system", "!", "!<tag:yaml.org,2002:int>"])
def test_a_tag_is_refused(tag: str) -> None:
    assert "f.yaml:1:4: $: the tag" in fault(f"a: {tag} [1]\n".encode()) or "f.yaml:1:4" in fault(
        f"a: {tag} 1\n".encode()
    )


def test_a_merge_key_is_an_ordinary_key() -> None:
    assert parse(b"<<: {a: 1}\n", "f.yaml") == {"<<": {"a": "1"}}


def test_every_duplicate_key_is_reported_at_its_second_place() -> None:
    said = fault(b"a: 1\nb: {c: 1, c: 2}\na: 3\n'a': 4\n").splitlines()
    assert said == [
        "f.yaml:2:11: $: the key 'c' is here twice; the first is in line 2",
        "f.yaml:3:1: $: the key 'a' is here twice; the first is in line 1",
        "f.yaml:4:1: $: the key 'a' is here twice; the first is in line 1",
    ]


def test_the_same_key_in_two_mappings_is_no_duplicate() -> None:
    assert parse(b"a: {c: 1}\nb: {c: 1}\nA: {}\n", "f.yaml") == {"a": {"c": "1"}, "b": {"c": "1"}, "A": {}}


@pytest.mark.parametrize("data", [b"[a]: 1\n", b"{a: 1}: 1\n", b"? [a]\n: b\n"])
def test_a_key_that_is_no_word_is_refused(data: bytes) -> None:
    assert "a key must be a word" in fault(data)


def test_a_second_document_is_refused_where_it_begins() -> None:
    assert fault(b"a: 1\n---\nb: 1\n").startswith("f.yaml:2:1: $: a second document begins here")


def test_one_document_with_its_marks_is_accepted() -> None:
    assert parse(b"%YAML 1.2\n---\na: 1\n...\n", "f.yaml") == {"a": "1"}


@pytest.mark.parametrize("data", [b"", b"\n", b"# only words\n"])
def test_an_empty_file_is_called_empty(data: bytes) -> None:
    assert fault(data) == "f.yaml:1:1: $: the file is empty"


def test_a_byte_order_mark_of_utf_8_is_passed_over_without_moving_columns() -> None:
    node = parse(b"\xef\xbb\xbfa: 1\n", "f.yaml")
    assert isinstance(node, Map)
    assert node.keys_at == {"a": Mark(1, 1)}


def test_a_byte_order_mark_inside_the_text_is_refused() -> None:
    assert "f.yaml:1:4: $: a byte order mark (U+FEFF) inside".replace("(U", "(character U") in fault(
        "a: \ufeffb\n".encode()
    )


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-be", "utf-32"])
def test_utf_16_and_utf_32_are_refused(encoding: str) -> None:
    said = fault("a: b\n".encode(encoding))
    assert "save it as UTF-8" in said or "U+0000" in said


def test_latin_1_is_refused_at_the_offending_byte() -> None:
    assert fault("# x\na: Gerät\n".encode("latin-1")).startswith("f.yaml:2:7: $: byte 0xe4 is not UTF-8 text")


@pytest.mark.parametrize(
    "data", [b"a: \x00b\n", b"a: \x1b[31m\n", b"a: \x7f\n", b'a: "\\0"\n', b'a: "\\x1b[31m"\n', b'a: "\\u2028"\n']
)
def test_control_characters_are_refused_also_as_escapes(data: bytes) -> None:
    assert fault(data).startswith("f.yaml:1:4: $: ")


@pytest.mark.parametrize("character", ["\x85", "\u2028", "\u2029"])
def test_line_breaks_that_only_yaml_1_1_knows_are_refused(character: str) -> None:
    assert "an unusual line break" in fault(f"a: b{character}c: d\n".encode())


@pytest.mark.parametrize("data", ["a: x\ty\n", "a: 'é ü \U0001f512'\n", "a: |\n  x\r\n  y\r\n", 'a: "x\\ny\\tz"\n'])
def test_tabs_line_breaks_and_letters_of_all_scripts_are_accepted(data: str) -> None:
    assert isinstance(parse(data.encode(), "f.yaml"), Map)


@pytest.mark.parametrize(
    ("data", "place", "hint"),
    [
        (b"a: b: c\n", "1:5", "needs quotes"),
        (b"a:\n\tb: 1\n", "2:1", "not tabs"),
        (b"a: [1, 2\nb: 3\n", "2:2", "brackets"),
        (b'a: "x\n', "2:1", "never closed"),
        (b"a: @x\n", "1:4", "needs quotes"),
        (b'a: "\\ud83d\\udd12"\n', "1:7", "write the character itself"),
        (b"%YAML 3.0\n---\na: 1\n", "1:1", "leave the %YAML line out"),
    ],
)
def test_a_slip_of_syntax_is_reported_with_place_and_advice(data: bytes, place: str, hint: str) -> None:
    said = fault(data)
    assert said.startswith(f"f.yaml:{place}: $: not readable as YAML")
    assert hint in said


# --- Limits -----------------------------------------------------------------------------------------------------------


def test_a_file_of_5_mb_is_refused_before_it_is_parsed() -> None:
    started = time.monotonic()
    assert "larger than 4 MiB" in fault(b"a: " + b"x" * 5_000_000)
    assert time.monotonic() - started < 1


def test_a_file_of_exactly_the_limit_is_read() -> None:
    assert isinstance(parse(b"a: " + b"x" * (MAX_DESCRIPTION - 3), "f.yaml"), Map)


def test_the_deepest_nesting_that_is_allowed_is_read_and_one_more_is_not() -> None:
    assert parse(b"[" * MAX_YAML_DEPTH + b"]" * MAX_YAML_DEPTH, "f.yaml")
    assert "lists and mappings inside each other" in fault(b"[" * (MAX_YAML_DEPTH + 1) + b"]" * (MAX_YAML_DEPTH + 1))


@pytest.mark.parametrize("opener", ["[", "{a: ", "- ", "? ", "[{a: ", "- a: "])
def test_100_000_nested_openers_end_in_an_error_text_and_not_in_a_crash(opener: str, tmp_path: Path) -> None:
    path = tmp_path / "deep.yaml"
    path.write_text(opener * 100_000)
    assert _in_a_process(path).startswith("deep.yaml:1:")


def test_deep_block_nesting_ends_in_an_error_text_and_not_in_a_crash(tmp_path: Path) -> None:
    path = tmp_path / "deep.yaml"
    path.write_text("\n".join(f"{' ' * n}a:" for n in range(2_500)))
    assert _in_a_process(path).startswith(f"deep.yaml:{MAX_YAML_DEPTH + 1}:")


def _in_a_process(path: Path) -> str:
    """Load a file in a process of its own, with a small stack, so that a crash is seen and not suffered."""
    code = (
        "import sys, pathlib\nfrom checker.description.load import load\nfrom checker.errors import DescriptionError\n"
        "try: load(pathlib.Path(sys.argv[1]))\nexcept DescriptionError as error: print(error)"
    )
    command = ["sh", "-c", 'ulimit -s 1024; exec "$@"', "sh", sys.executable, "-c", code, str(path)]
    run = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False, cwd=REPOSITORY)
    assert (run.returncode, run.stderr) == (0, "")
    return run.stdout


def test_more_values_than_the_limit_are_refused() -> None:
    assert f"more than {MAX_NODES} values" in fault(b"[" + b"a," * (MAX_NODES + 1) + b"]")
