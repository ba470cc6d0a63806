from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.cli.conftest import AS_OF, SAMPLES, Call

SENSOR = SAMPLES / "sensor"
IMAGE = SENSOR / "artifacts" / "sensor-1.4.0-A.bin"
UNDECIDABLE = "not decidable without the decryption key"
KEY = SENSOR / "trust" / "sensor-signing.pub.pem"


def test_inspect_verifies_with_the_right_keys(otaudit: Call) -> None:
    done = otaudit("inspect", IMAGE, "--key", KEY, "--decrypt", SENSOR / "lab" / "device-A.pem")
    assert done.status == 0
    assert "MCUboot" in done.out
    assert "valid" in done.out
    assert UNDECIDABLE not in done.out


def test_inspect_without_the_decryption_key_says_undecidable(otaudit: Call) -> None:
    assert UNDECIDABLE in otaudit("inspect", IMAGE, "--key", KEY).out


def test_inspect_with_the_key_of_another_device_says_undecidable(otaudit: Call) -> None:
    assert UNDECIDABLE in otaudit("inspect", IMAGE, "--key", KEY, "--decrypt", SENSOR / "lab" / "device-B.pem").out


def test_inspect_writes_json_and_html(otaudit: Call, tmp_path: Path) -> None:
    done = otaudit("inspect", IMAGE, "-o", tmp_path / "a.json", "-o", tmp_path / "a.html")
    assert done.status == 0
    assert json.loads((tmp_path / "a.json").read_bytes())["format"] == "mcuboot"
    assert (tmp_path / "a.html").read_text().startswith("<!doctype html>")


def test_inspect_of_an_unknown_file_exits_2_and_guesses(otaudit: Call, tmp_path: Path) -> None:
    (tmp_path / "x.bin").write_bytes(b"\x7fELF" + bytes(60))
    done = otaudit("inspect", tmp_path / "x.bin")
    assert done.status == 2
    assert "no known format" in done.err
    assert "ELF" in done.err


def test_inspect_refuses_a_private_key_file_that_is_garbage_without_printing_it(otaudit: Call, tmp_path: Path) -> None:
    (tmp_path / "bad.pem").write_text("-----BEGIN PRIVATE KEY-----\nc2VjcmV0\n-----END PRIVATE KEY-----\n")
    done = otaudit("inspect", IMAGE, "--decrypt", tmp_path / "bad.pem")
    assert done.status == 2
    assert "c2VjcmV0" not in done.err
    assert "Traceback" not in done.err


def test_explain_shows_seed_words_reading_and_fix(otaudit: Call) -> None:
    done = otaudit("explain", "sign-b3")
    assert done.status == 0
    assert "128-bit hash." in done.out
    assert "If it fails" in done.out


def test_explain_of_a_misspelt_id_offers_the_right_one(otaudit: Call) -> None:
    done = otaudit("explain", "SING-B3")
    assert done.status == 2
    assert "SIGN-B3" in done.err


def test_explain_with_a_report_says_how_it_was_judged(otaudit: Call, camera: Path, tmp_path: Path) -> None:
    otaudit("check", camera / "update.yaml", "--as-of", AS_OF, "-o", tmp_path / "r.json")
    done = otaudit("explain", "SIGN-B3", "--report", tmp_path / "r.json")
    assert "In this report" in done.out
    assert "fail" in done.out


def test_explain_with_something_that_is_no_report_exits_4(otaudit: Call, tmp_path: Path) -> None:
    (tmp_path / "r.json").write_text("{}")
    assert otaudit("explain", "SIGN-B3", "--report", tmp_path / "r.json").status == 4


@pytest.mark.parametrize(
    ("kind", "known"),
    [
        ("formats", "mcuboot"),
        ("probes", "corpus"),
        ("outputs", "html"),
        ("adapters", "swupdate"),
        ("anatomies", "cms"),
        ("mutations", "size"),
    ],
)
def test_list_names_the_plug_ins(otaudit: Call, kind: str, known: str) -> None:
    done = otaudit("list", kind)
    assert done.status == 0
    assert f"  {known} " in done.out


def test_schema_prints_valid_json(otaudit: Call) -> None:
    names = otaudit("schema").out.split()
    assert {"device", "update", "report", "log-event", "evidence/signature"} <= set(names)
    for name in names:
        assert json.loads(otaudit("schema", name).out)["$schema"].endswith("2020-12/schema")


def test_an_unknown_schema_exits_2(otaudit: Call) -> None:
    assert otaudit("schema", "devise").status == 2


def test_rules_list_names_every_requirement_of_the_table(otaudit: Call) -> None:
    done = otaudit("rules", "list")
    assert done.status == 0
    assert all(f"\n{identity} " in done.out for identity in ("SIGN-B1", "PROT-Q1", "SEND-U4", "CLEAN-U2"))


def test_rules_test_passes_for_the_shipped_set(otaudit: Call) -> None:
    done = otaudit("rules", "test")
    assert done.status == 0, done.err
    assert ", 0 failed" in done.out


def test_inspect_passes_companions_and_options_on(otaudit: Call, tmp_path: Path) -> None:
    image = tmp_path / "image.bin"
    image.write_bytes(b"image")
    missing = otaudit("inspect", image, "--companion", f"signature={tmp_path / 'none.sig'}")
    assert (missing.status, "none.sig: cannot be opened" in missing.err) == (2, True)
    (tmp_path / "image.sig").write_bytes(bytes(64))
    assert otaudit("inspect", image, "--companion", f"signature={tmp_path / 'image.sig'}").status == 0


@pytest.mark.parametrize("words", [("--option", "x"), ("--option", "=1"), ("--companion", "signature=")])
def test_inspect_wants_a_name_and_a_value(otaudit: Call, words: tuple[str, str]) -> None:
    done = otaudit("inspect", IMAGE, *words)
    assert (done.status, "write NAME=VALUE" in done.err) == (2, True)


def test_inspect_refuses_a_companion_that_is_named_twice(otaudit: Call, tmp_path: Path) -> None:
    (tmp_path / "a.sig").write_bytes(bytes(64))
    done = otaudit("inspect", IMAGE, "-s", tmp_path / "a.sig", "--companion", f"signature={tmp_path / 'a.sig'}")
    assert (done.status, "given twice" in done.err) == (2, True)


def test_inspect_of_a_folder_that_no_format_claims_says_what_it_holds(otaudit: Call, tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("notes")
    done = otaudit("inspect", tmp_path)
    assert (done.status, "is a folder of 1 files: notes.txt" in done.err) == (2, True)
