"""The reports of the shipped samples: small, silent in a real browser, no axe violation on screen or paper."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import pytest

from checker.model.assessment import Assessment
from checker.model.terms import Verdict
from checker.pipeline import Options, assess
from checker.report import html, text

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

SAMPLES = Path(__file__).resolve().parents[2] / "samples"
NAMES = sorted(path.parent.name for path in SAMPLES.glob("*/update.yaml"))
CHROMIUM = os.environ.get("OTAUDIT_CHROMIUM") or shutil.which("chromium") or shutil.which("chromium-browser")
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
         "--disable-component-update", "--disable-sync"]  # fmt: skip
Scheme = Literal["light", "dark"]
Media = Literal["screen", "print"]
VIEWS: list[tuple[Scheme, Media]] = [("light", "screen"), ("dark", "screen"), ("light", "print")]


@pytest.fixture(scope="module", params=NAMES)
def sample(request: pytest.FixtureRequest) -> Assessment:
    return assess(SAMPLES / request.param / "update.yaml", Options(as_of="2026-11-01T00:00:00Z"))


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    if CHROMIUM is None:
        pytest.skip("Chromium is not installed")
    with playwright.sync_playwright() as starter:
        opened = starter.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield opened
        opened.close()


def opened(browser: Browser, file: Path, scheme: Scheme, media: Media) -> tuple[Page, list[str]]:
    """Return the page of a report and everything that it said.

    On the light screen every fold is open. Elsewhere the page is as a reader opens it, to save time: the colours inside
    folds are looked at in dark and in print by `test_report_in_browser`.
    """
    context = browser.new_context(color_scheme=scheme, bypass_csp=True)  # only so that axe can be injected
    page = context.new_page()
    said: list[str] = []
    page.on("console", lambda message: said.append(message.text))
    page.on("pageerror", lambda error: said.append(str(error)))
    page.on("requestfailed", lambda request: said.append(request.url))
    page.emulate_media(media=media, color_scheme=scheme)
    page.goto(file.as_uri())
    if (scheme, media) == VIEWS[0]:
        page.eval_on_selector_all("details", "items => items.forEach(item => { item.open = true })")
    return page, said


def test_axe_and_the_console_have_nothing_to_say_on_screen_and_on_paper(
    browser: Browser, sample: Assessment, tmp_path: Path
) -> None:
    axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="axe-playwright-python is not installed")
    file = tmp_path / "report.html"
    file.write_bytes(html.render(sample))
    for scheme, media in VIEWS:
        page, said = opened(browser, file, scheme, media)
        results = axe.Axe().run(page, options={"resultTypes": ["violations"]})  # passes would only cost time
        assert results.violations_count == 0, f"{scheme}, {media}: {results.generate_report()}"
        assert said == [], (scheme, media)
        page.context.close()


def test_the_policy_of_the_page_is_kept_without_a_message(browser: Browser, sample: Assessment, tmp_path: Path) -> None:
    file = tmp_path / "report.html"
    file.write_bytes(html.render(sample))
    context = browser.new_context()
    page, said = context.new_page(), []
    page.on("console", lambda message: said.append(message.text))
    page.goto(file.as_uri())
    context.close()
    assert said == []


def test_a_page_stays_under_300_kb_and_leaves_out_no_requirement(sample: Assessment) -> None:
    page = html.render(sample)
    assert len(page) <= html.LARGEST
    for finding in sample.findings:
        assert f'id="{finding.requirement.id}"'.encode() in page


def test_the_headline_counts_only_what_a_tier_needs(sample: Assessment) -> None:
    blocking = [item for item in sample.findings if item.requirement.blocking]
    passed = sum(item.judgement().verdict is Verdict.PASS for item in blocking)
    said = text.summary(sample, colour=False, width=100)
    assert f"{len(blocking)} required: {passed} passed, " in said
    assert f"and {len(sample.findings) - len(blocking)} advisory questions: " in said


def test_no_machine_text_is_left_in_the_summary_or_the_page(sample: Assessment) -> None:
    page = html.render(sample).decode()
    said = text.summary(sample, colour=False, width=100)
    for phrase in ("_records", " records: ", "records match", " is true", " is false", "contradicted by", "not ("):
        assert phrase not in said
    for phrase in ("records match", "contradicted by", "single_target is", "not (", "expected hash.name"):
        assert phrase not in page


def test_a_step_that_does_not_apply_says_why_in_a_sentence(sample: Assessment) -> None:
    reasons = [row.not_applicable for row in sample.rows if row.not_applicable]
    assert all(reason.endswith(".") and "_" not in reason for reason in reasons)


def test_what_is_only_described_is_never_called_passed_where_it_holds_a_step_back(sample: Assessment) -> None:
    verdicts = {item.requirement.id: item.judgement().verdict for item in sample.findings}
    for row in sample.rows:
        for name in row.blocked_by:
            if verdicts.get(name) is Verdict.PASS:
                assert f"{name} passed" not in text.summary(sample, colour=False, width=200)
                assert f"{name} described only" in text.summary(sample, colour=False, width=200)


def test_every_observation_says_what_to_do(sample: Assessment) -> None:
    page = html.render(sample).decode()
    assert all(item.fix for item in sample.observations)
    assert page.count("To do: ") >= len({(item.code, item.message) for item in sample.observations})


def test_a_claim_is_printed_as_it_was_made(sample: Assessment) -> None:
    said = text.summary(sample, colour=False, width=200).splitlines()
    for row in sample.rows:
        claimed = row.claimed
        if claimed is not None and claimed is not row.tier(reading=sample.reading) and not row.not_applicable:
            line = next(item for item in said if item.startswith(f"{row.step.number:>2} "))
            assert f"claimed {claimed.label.split()[0]}" in line


def test_the_gate_says_of_which_steps_it_demands_nothing(sample: Assessment) -> None:
    asked = {item.step for item in sample.gate.items}
    free = [row.step for row in sample.rows if row.step not in asked and not row.not_applicable]
    said = " ".join(text.summary(sample, colour=False, width=100).split())
    page = html.render(sample).decode()
    for step in free:
        assert sample.rules.rows[step].title in said.partition("It demands nothing of: ")[2]
    assert ("It demands nothing of: " in said) is bool(free)
    assert ("It demands nothing of: " in page) is bool(free)
