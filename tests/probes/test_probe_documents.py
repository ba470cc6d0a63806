"""Documents: the quote stands in them, or it does not."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from checker.description.model import DocumentRef, FileRef, Place
from checker.model.terms import Method, Reason
from checker.probes.documents import PROBE

QUOTE = "Signing keys are rotated every two years"
TEXT = b"4.2 Rotation. Signing keys are\n   rotated every two\tyears, and destroyed then.\n"


def test_a_quote_is_found_across_line_breaks(lab: Any) -> None:
    lab.document("policy.txt", TEXT, QUOTE, proves=("SIGN-U7",))
    record = lab.one(PROBE, "document")
    assert record.values["quote_found"] is True
    assert record.values["proves"] == ("SIGN-U7",)
    assert record.method is Method.EXAMINED


def test_one_changed_word_is_another_quote(lab: Any) -> None:
    lab.document("policy.txt", TEXT, QUOTE.replace("two", "ten"))
    assert lab.one(PROBE, "document").values["quote_found"] is False


def test_a_quote_is_whole_words(lab: Any) -> None:
    lab.document("policy.txt", b"It is designed by two people of the team.", "signed by two people")
    assert lab.one(PROBE, "document").values["quote_found"] is False


def test_a_quote_of_two_words_shows_nothing(lab: Any) -> None:
    lab.document("policy.txt", TEXT, "Signing keys")
    assert "quote_found" not in lab.one(PROBE, "document").values


@pytest.mark.parametrize("quote", ["# Key rotation", "a b c", "* _ 4.2 -", "Key rotation of the gateway"])
def test_marks_letters_and_headings_state_nothing(lab: Any, quote: str) -> None:
    lab.document("policy.md", b"# Key rotation of the gateway\n\na b c * _ 4.2 - and more\n", quote)
    assert lab.one(PROBE, "document").values.get("quote_found") is not True


def test_a_heading_of_a_page_states_nothing_and_the_same_words_below_it_do(lab: Any) -> None:
    words = QUOTE.encode()
    lab.document("head.html", b"<html><title>" + words + b"</title><h2>" + words + b"</h2><p>none</p></html>", QUOTE)
    lab.document("body.html", b"<html><h2>Keys</h2><p>" + words + b"</p></html>", QUOTE)
    found = {item.values["document"]: item.values["quote_found"] for item in lab.run(PROBE)}
    assert found == {"head.html": False, "body.html": True}


def test_a_description_is_no_document_about_itself(lab: Any) -> None:
    lab.document("policy.md", b"otaudit: update/1\nnote: " + QUOTE.encode(), QUOTE)
    record = lab.one(PROBE, "document")
    assert (record.unavailable, "quote_found" in record.values) == (Reason.UNREADABLE, False)


def test_a_clause_that_is_blank_is_none(lab: Any) -> None:
    lab.document("policy.txt", TEXT, QUOTE)
    lab.say(documents=(replace(lab.description.documents[0], clause=" \u200b."),))
    assert "clause" not in lab.one(PROBE, "document").values


def test_markdown_marks_are_no_words(lab: Any) -> None:
    lab.document("policy.md", b"> Signing keys are **rotated** every `two`\n> years.\n", QUOTE)
    assert lab.one(PROBE, "document").values["quote_found"] is True


def test_html_is_read_as_a_reader_sees_it(lab: Any) -> None:
    page = b"<html><body><p>Signing keys are <b>rotated</b> every&nbsp;two</p><p>years</p></body></html>"
    lab.document("policy.html", page, QUOTE)
    assert lab.one(PROBE, "document").values["quote_found"] is True


def test_words_in_a_script_are_not_in_the_page(lab: Any) -> None:
    page = b"<html><script>// " + QUOTE.encode() + b"</script><p>nothing</p></html>"
    lab.document("policy.html", page, QUOTE)
    assert lab.one(PROBE, "document").values["quote_found"] is False


def test_the_digest_is_of_the_very_file(lab: Any) -> None:
    lab.document("policy.txt", TEXT, QUOTE, sha256=hashlib.sha256(TEXT).hexdigest().upper())
    assert lab.one(PROBE, "document").values["digest_ok"] is True


def test_one_added_byte_is_another_digest(lab: Any) -> None:
    lab.document("policy.txt", TEXT + b"\n", QUOTE, sha256=hashlib.sha256(TEXT).hexdigest())
    assert lab.one(PROBE, "document").values["digest_ok"] is False


@pytest.mark.parametrize(("until", "current"), [("2026-11-01", True), ("2026-10-31", False), ("", True)])
def test_a_document_is_current_through_its_last_day(lab: Any, until: str, current: bool) -> None:  # noqa: FBT001
    lab.document("policy.txt", TEXT, QUOTE, valid_until=until)
    assert lab.one(PROBE, "document").values["current"] is current


def test_a_missing_document_is_missing_and_a_binary_one_unreadable(lab: Any) -> None:
    place = Place("update.yaml", 1, 1)
    lab.say(documents=(DocumentRef(id="gone", file=FileRef(path="gone.txt", place=place), place=place, quote=QUOTE),))
    assert lab.one(PROBE, "document").unavailable is Reason.MISSING_ARTIFACT
    lab.document("blob.bin", b"\x00\x01" * 100, QUOTE)
    record = lab.one(PROBE, "document", document="blob.bin")
    assert record.unavailable is Reason.UNREADABLE
    assert "quote_found" not in record.values


def test_a_pdf_is_read_where_pypdf_is_installed(lab: Any, tmp_path: Path) -> None:
    pytest.importorskip("pypdf", reason="the optional package pypdf is not installed")
    page = tmp_path / "page.html"
    page.write_text(f"<p>{QUOTE}.</p>")
    pdf = _chromium_pdf(page, tmp_path / "policy.pdf")
    lab.document("policy.pdf", pdf, QUOTE)
    assert lab.one(PROBE, "document").values["quote_found"] is True


def test_a_damaged_pdf_is_unreadable(lab: Any) -> None:
    pytest.importorskip("pypdf", reason="the optional package pypdf is not installed")
    lab.document("policy.pdf", b"%PDF-1.7\nthis is not one", QUOTE)
    assert lab.one(PROBE, "document").unavailable is Reason.UNREADABLE


def _chromium_pdf(page: Path, target: Path) -> bytes:
    browser = shutil.which("chromium") or shutil.which("google-chrome")
    if browser is None:
        pytest.skip("Chromium is not installed")
    options = ["--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={target.parent}/profile"]
    subprocess.run([browser, *options, f"--print-to-pdf={target}", page.as_uri()], check=True, capture_output=True)
    return target.read_bytes()
