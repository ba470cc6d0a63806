"""report.html as bytes: one file, no script, the right policy, strangers' words escaped, under 300 KB."""

from __future__ import annotations

import base64
import hashlib
import html as entities
import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from html.parser import HTMLParser

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from checker.model.assessment import Assessment
from checker.model.evidence import EvidenceSet
from checker.model.terms import Method, Step, Verdict
from checker.report.html import LARGEST, RENDERER, artifact_page

Make = Callable[[str], Assessment]
VOID = frozenset({"meta", "link", "br", "input", "rect"})


class Page(HTMLParser):
    """Checks nesting as it reads, and keeps tags, attributes and text."""

    def __init__(self, page: bytes) -> None:
        super().__init__(convert_charrefs=True)
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text: list[str] = []
        self._open: list[str] = []
        self.feed(page.decode("utf-8"))
        self.close()
        assert not self._open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self._open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text.append(data)

    def attributes(self) -> Iterator[tuple[str, str | None]]:
        for _, attributes in self.tags:
            yield from attributes.items()

    def classes(self) -> set[str]:
        return {name for key, value in self.attributes() if key == "class" for name in (value or "").split()}


def cells(page: bytes) -> list[str]:
    """Return the state class of every cell of the matrix."""
    matrix = page.decode().split('<table class="matrix">')[1].split("</table>")[0]
    return re.findall(r'<td class="c s-(\w+)"', matrix)


def test_the_page_is_well_formed_and_has_one_first_heading(any_assessment: Assessment) -> None:
    tags = [tag for tag, _ in Page(RENDERER.render(any_assessment)).tags]
    assert tags.count("h1") == tags.count("main") == 1


def test_ids_are_unique_and_every_link_leads_somewhere_on_the_page(any_assessment: Assessment) -> None:
    page = Page(RENDERER.render(any_assessment))
    ids = [value for key, value in page.attributes() if key == "id"]
    links = {value for key, value in page.attributes() if key == "href"} - {"data:,"}
    assert len(ids) == len(set(ids))
    assert links <= {f"#{name}" for name in ids}


def test_the_policy_names_the_digest_of_the_one_style_sheet(make: Make) -> None:
    page = RENDERER.render(make("hostile")).decode()
    (style,) = re.findall(r"<style>(.*?)</style>", page, re.DOTALL)
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    (policy,) = re.findall(r'Content-Security-Policy" content="([^"]*)"', page)
    assert entities.unescape(policy).startswith(
        f"default-src 'none'; style-src 'sha256-{digest}'; img-src data:; base-uri 'none'"
    )


def test_there_is_no_script_no_style_attribute_no_handler_and_no_foreign_address(any_assessment: Assessment) -> None:
    page = Page(RENDERER.render(any_assessment))
    assert not {"script", "iframe", "object", "embed", "form", "base", "img"} & {tag for tag, _ in page.tags}
    assert not [key for key, _ in page.attributes() if key == "style" or key.startswith("on")]
    assert not [value for key, value in page.attributes() if key in {"src", "href"} and not (value or "").startswith(
        ("#", "data:,"))]  # fmt: skip


def test_strangers_words_are_shown_and_do_nothing(make: Make, hostile_texts: tuple[str, ...]) -> None:
    page = RENDERER.render(make("hostile"))
    text = "".join(Page(page).text)
    assert hostile_texts[0] in text
    assert hostile_texts[1] in text
    assert "{{ 7*7 }}" in text
    assert "49{%" not in text
    assert "\\u{202e}gnp.erawmrif" in text
    assert not re.search("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff]", page.decode())


@given(data=st.data())
@settings(max_examples=10, deadline=None, suppress_health_check=list(HealthCheck))
def test_arbitrary_assessments_give_a_well_formed_small_page_twice_the_same(
    plans: st.SearchStrategy[Assessment], data: st.DataObject
) -> None:
    assessment = data.draw(plans)
    page = RENDERER.render(assessment)
    Page(page)
    assert len(page) <= LARGEST
    assert RENDERER.render(assessment) == page


@pytest.mark.parametrize("name", ["claims", "empty"])
def test_nothing_carries_the_colour_of_success_when_nothing_is_proved(make: Make, name: str) -> None:
    page = RENDERER.render(make(name))
    assert "reached" not in cells(page)
    # the legend shows every swatch once; nothing else may
    assert page.decode().count("s-reached") == 1 + page.decode().split("</style>")[0].count("s-reached")
    assert not {"k-proof", "p-proof", "t-reached", "b-p"} & Page(page).classes()


def test_a_met_gate_without_any_proof_is_not_shown_as_success(make: Make) -> None:
    bare = make("claims")
    met = replace(bare, gate=replace(bare.gate, verdict=Verdict.PASS))
    page = RENDERER.render(met)
    assert "t-reached" not in Page(page).classes()
    assert "Nothing here is proved." in page.decode()


def test_the_matrix_marks_each_cell_by_how_it_is_known(make: Make) -> None:
    page = RENDERER.render(make("normal")).decode()
    matrix = page.split('<table class="matrix">')[1].split("</table>")[0]
    sign = matrix.split('href="#row-sign"')[1].split("</tr>")[0]
    assert re.findall(r's-(\w+)"', sign) == ["reached", "reached", "documented", "failed"]
    assert re.findall("[●◐○]", sign) == [Method.TESTED.mark, Method.EXAMINED.mark]
    send = matrix.split('href="#row-send"')[1].split("</tr>")[0]
    assert re.findall(r' s-(\w+)"', send) == ["described", "unknown", "unknown", "reference"]


def test_the_ceiling_is_said_and_no_row_is_printed_above_it(make: Make) -> None:
    page = RENDERER.render(make("full")).decode()
    matrix = page.split('<table class="matrix">')[1].split("</table>")[0]
    announce = matrix.split('href="#row-announce"')[1].split("</tr>")[0]
    assert "Basic = no higher requirement defined" in announce
    assert "Quantum" not in announce


def test_a_cell_that_a_dependency_holds_back_is_not_shown_as_reached(make: Make) -> None:
    full = make("full")
    capped = tuple(
        replace(row, tiers={key: type(tier)("basic") for key, tier in row.tiers.items()})
        if row.step is Step.SIGN else row for row in full.rows
    )  # fmt: skip
    matrix = RENDERER.render(replace(full, rows=capped)).decode().split('<table class="matrix">')[1]
    sign = matrix.split('href="#row-sign"')[1].split("</tr>")[0]
    assert re.findall(r' s-(\w+)"', sign)[:4] == ["reached", "capped", "capped", "capped"]


def test_counts_gate_and_own_summary_are_said_in_words(make: Make) -> None:
    text = " ".join("".join(Page(RENDERER.render(make("normal"))).text).split())
    assert "135 required: 48 passed, 4 failed, 81 not proven, 2 not applicable." in text
    assert "The gate is not met. Exit status 1." in text
    assert "This is otaudit's own summary." in text
    assert "Tiers of the July 2017 NTIA Capabilities working-group table" in text


def test_slide_and_table_stand_side_by_side_where_they_disagree(make: Make) -> None:
    text = " ".join("".join(Page(RENDERER.render(make("normal"))).text).split())
    assert (
        "Table: “Validated with hash, checksum.” Slide: “Install validated w/hash (AES-256), checksum (CRC-16).”"
        in text
    )


def test_the_other_reading_stands_beside_wherever_it_differs(make: Make) -> None:
    text = " ".join("".join(Page(RENDERER.render(make("normal"))).text).split())
    assert "modern: +2 Enhanced" in text
    assert "passed under the modern reading" in text


def test_the_words_certified_and_compliant_never_appear(any_assessment: Assessment) -> None:
    text = "".join(Page(RENDERER.render(any_assessment)).text).lower()
    assert not re.search(r"certified|compliant|complies|\bsecure\b(?! memory)|conforms", text)


def test_a_section_from_memory_is_withheld(make: Make) -> None:
    assert "from memory" not in RENDERER.render(make("normal")).decode()


@pytest.mark.parametrize("name", ["sign", "receive"])
def test_what_holds_the_next_tier_back_comes_first_and_failures_before_the_rest(make: Make, name: str) -> None:
    assessment = make("normal")
    row = next(item for item in assessment.rows if item.step.value == name)
    step = RENDERER.render(assessment).decode().split(f'id="row-{name}"')[1].split("</section>")[0]
    shown = [(found, verdict) for verdict, found in re.findall(r'class="req r-(\w+)[^"]*" id="([^"]+)"', step)]
    assert {found for found, _ in shown[: len(row.blocked_by)]} == set(row.blocked_by)
    for part in (shown[: len(row.blocked_by)], shown[len(row.blocked_by) :]):
        verdicts = [verdict for _, verdict in part]
        assert verdicts == sorted(verdicts, key=["fail", "unknown", "pass"].index)
    assert {verdict for _, verdict in shown} >= {"fail", "unknown"} or name == "receive"


def test_the_page_stays_under_300_kb_with_long_words_and_much_evidence(make: Make) -> None:
    base = make("hostile")
    long = "x" * 5_000 + "<&\u202e" * 2_000
    findings = tuple(replace(item, expected=long, fix=long, observed=item.observed * 50) for item in base.findings)
    records = tuple(
        replace(item, explanation=long + str(number)) for number, item in enumerate(base.evidence.records * 30)
    )
    big = replace(base, findings=findings, artifacts=base.artifacts * 40, observations=base.observations * 100,
                  evidence=EvidenceSet.complete((), records))  # fmt: skip
    page = RENDERER.render(big)
    Page(page)
    assert len(page) <= LARGEST
    assert "more in report.json" in page.decode()
    assert "form-action &#39;none&#39;" in page.decode()  # the policy is whole, however much was cut


def test_the_page_of_one_artifact_has_the_same_style_and_no_script(make: Make) -> None:
    page = Page(artifact_page(make("hostile").artifacts[0], tool_version="0.1.0"))
    text = "".join(page.text)
    assert "nothing authentic protects 0x10..0x20" in text
    assert "script" not in {tag for tag, _ in page.tags}


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("Declare `trust.images` here", "Declare <code>trust.images</code> here"),
        ("`<script>` is `code`", "<code>&lt;script&gt;</code> is <code>code</code>"),
        ("a lone ` is a character", "a lone ` is a character"),
    ],
)
def test_words_between_backticks_become_code(make: Make, text: str, shown: str) -> None:
    assessment = make("normal")
    fix = replace(assessment.next_fixes[0], text=text)
    assert f"<strong>{shown}</strong>" in RENDERER.render(replace(assessment, next_fixes=(fix,))).decode()
