"""report.html in a real browser: no console message, one request, no axe violation, inert words, honest colours.

Chromium and axe-core are real; without them these tests are skipped, and say so.
"""

from __future__ import annotations

import io
import os
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import pytest

from checker.model.assessment import Assessment
from checker.report import html
from checker.report.html import RENDERER, artifact_page

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="axe-playwright-python is not installed")
CHROMIUM = os.environ.get("OTAUDIT_CHROMIUM") or shutil.which("chromium") or shutil.which("chromium-browser")
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="Chromium is not installed")

Make = Callable[[str], Assessment]
Scheme = Literal["light", "dark"]
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
         "--disable-component-update", "--disable-sync"]  # fmt: skip
SUCCESS = {"light": "rgb(226, 240, 231)", "dark": "rgb(23, 50, 38)"}


@dataclass
class Visit:
    """An opened page and all that happened while it opened."""

    page: Page
    console: list[str] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)
    dialogs: list[str] = field(default_factory=list)


Visitor = Callable[..., Visit]


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with playwright.sync_playwright() as starter:
        opened = starter.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield opened
        opened.close()


@pytest.fixture
def visit(browser: Browser, tmp_path: Path) -> Iterator[Visitor]:
    contexts = []

    def go(page: bytes, scheme: Scheme = "light", *, media: Literal["screen", "print"] = "screen",
           bypass_csp: bool = False, width: int = 1280) -> Visit:  # fmt: skip
        file = tmp_path / "report.html"
        file.write_bytes(page)
        context = browser.new_context(color_scheme=scheme, bypass_csp=bypass_csp,
                                      viewport={"width": width, "height": 900})  # fmt: skip
        contexts.append(context)
        visit = Visit(context.new_page())
        visit.page.on("console", lambda message: visit.console.append(message.text))
        visit.page.on("pageerror", lambda error: visit.console.append(str(error)))
        visit.page.on("request", lambda request: visit.requests.append(request.url))
        visit.page.on("dialog", lambda dialog: visit.dialogs.append(dialog.message))
        visit.page.emulate_media(media=media, color_scheme=scheme)
        visit.page.goto(file.as_uri())
        return visit

    yield go
    for context in contexts:
        context.close()


def backgrounds(visit: Visit, selector: str) -> set[str]:
    found: list[str] = visit.page.eval_on_selector_all(
        selector, "items => items.map(item => getComputedStyle(item).backgroundColor)"
    )
    return set(found)


@pytest.mark.parametrize(("scheme", "media"), [("light", "screen"), ("dark", "screen"), ("dark", "print")])
def test_the_page_opens_silently_with_one_request(
    visit: Visitor, any_assessment: Assessment, scheme: Scheme, media: str
) -> None:
    seen = visit(RENDERER.render(any_assessment), scheme, media=media)
    assert (seen.console, seen.dialogs) == ([], [])
    assert [address for address in seen.requests if not address.startswith("data:")] == seen.requests[:1]


def test_the_shortest_page_opens_silently_too(visit: Visitor, make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(html, "DETAILS", html.DETAILS[-1:])
    assert visit(html.render(make("hostile"))).console == []


@pytest.mark.parametrize(
    ("name", "scheme", "media"),
    [("normal", "light", "screen"), ("normal", "dark", "screen"), ("hostile", "light", "print"),
     ("claims", "dark", "print"), ("public", "dark", "screen")],
)  # fmt: skip
def test_axe_finds_no_violation(visit: Visitor, make: Make, name: str, scheme: Scheme, media: str) -> None:
    seen = visit(RENDERER.render(make(name)), scheme, media=media, bypass_csp=True)  # only so that axe can be injected
    seen.page.eval_on_selector_all("details", "items => items.forEach(item => { item.open = true })")
    results = axe.Axe().run(seen.page)
    assert results.violations_count == 0, results.generate_report()


def test_axe_finds_no_violation_on_a_narrow_screen_or_in_an_artifact_page(visit: Visitor, make: Make) -> None:
    for page in (RENDERER.render(make("normal")), artifact_page(make("hostile").artifacts[0], tool_version="0.1.0")):
        seen = visit(page, width=390, bypass_csp=True)
        results = axe.Axe().run(seen.page)
        assert results.violations_count == 0, results.generate_report()


def test_the_page_needs_no_sideways_scrolling_on_a_narrow_screen(visit: Visitor, make: Make) -> None:
    seen = visit(RENDERER.render(make("hostile")), width=390)
    assert seen.page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("name", ["claims", "empty"])
def test_no_element_but_the_legend_has_the_colour_of_success_when_nothing_is_proved(
    visit: Visitor, make: Make, name: str, scheme: Scheme
) -> None:
    seen = visit(RENDERER.render(make(name)), scheme)
    assert backgrounds(seen, ".legend .s-reached") == {SUCCESS[scheme]}  # the control: this is the colour
    assert SUCCESS[scheme] not in backgrounds(seen, "main *:not(.legend *)")


def test_a_proved_cell_does_have_the_colour_of_success(visit: Visitor, make: Make) -> None:
    assert backgrounds(visit(RENDERER.render(make("normal"))), "td.s-reached") == {SUCCESS["light"]}


def test_closed_details_are_open_in_print(visit: Visitor, make: Make) -> None:
    page = RENDERER.render(make("normal"))
    shown = "document.getElementById('SIGN-B1').checkVisibility()"
    assert visit(page).page.evaluate(shown) is False
    assert visit(page, media="print").page.evaluate(shown) is True


def test_the_filter_hides_on_the_screen_but_never_in_print(visit: Visitor, make: Make) -> None:
    seen = visit(RENDERER.render(make("normal")))
    unknown = seen.page.locator("#SIGN-E1")
    seen.page.locator("#f-tested").check()
    assert not unknown.is_visible()
    seen.page.emulate_media(media="print")
    assert unknown.is_visible()


def test_the_page_prints_as_a_tagged_pdf(visit: Visitor, make: Make) -> None:
    pypdf = pytest.importorskip("pypdf", reason="pypdf is not installed")
    data = visit(RENDERER.render(make("normal")), media="print").page.pdf(prefer_css_page_size=True, tagged=True)
    reader = pypdf.PdfReader(io.BytesIO(data))
    assert "Acme GW-200" in reader.pages[0].extract_text()
    assert "The 13 steps" in reader.pages[1].extract_text()
    assert "SIGN-B1" in "".join(page.extract_text() for page in reader.pages)
