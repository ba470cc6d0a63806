"""report.html: one page for vendor, buyer and pipeline. One file, offline, no script, printable.

The page holds nothing that the assessment does not say. Every expression of a template goes through `_shown`: hidden
characters become visible, long texts are cut (report.json has them whole), and Jinja escapes the rest. The content
security policy allows exactly the one inline style sheet, by its digest (CSP Level 3, section 8.4), and data: images.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

import jinja2
from markupsafe import Markup, escape

from checker import resources
from checker.model.artifact import Artifact
from checker.model.assessment import Assessment, Observation
from checker.model.evidence import Evidence, Origin
from checker.model.requirement import Reference
from checker.model.terms import CELL_TIERS, Grade, Method, Outcome, Party, Reading, Severity, Step, Verdict
from checker.report import _plain as plain
from checker.report import _view as view
from checker.report import _words as words
from checker.report._values import cut, shown, visible
from checker.report.contract import Renderer

LARGEST: Final = 300_000  # bytes of the page; mail gateways and browsers are happy with it


@dataclass(frozen=True)
class Detail:
    """How much is shown: characters per text, observed records per requirement (open, and passed), artifacts, lines."""

    text: int
    observed: int
    passed: int
    artifacts: int
    images: int
    rows: int


# From the fullest page to the shortest; the first that fits is taken, so that the same assessment gives the same page.
DETAILS: Final = (
    Detail(text=900, observed=4, passed=2, artifacts=8, images=40, rows=40),
    Detail(text=900, observed=2, passed=1, artifacts=5, images=16, rows=24),
    Detail(text=320, observed=1, passed=0, artifacts=3, images=8, rows=12),
    Detail(text=120, observed=1, passed=0, artifacts=2, images=4, rows=8),
    Detail(text=48, observed=0, passed=0, artifacts=1, images=2, rows=4),
)


def render(assessment: Assessment) -> bytes:
    """Return the page as UTF-8, under 300 KB for any real rule set."""
    page = b""
    for detail in DETAILS:
        page = _page("report.html.j2", detail, _report_values(assessment))
        if len(page) <= LARGEST:
            break
    return page


def artifact_page(artifact: Artifact, *, tool_version: str) -> bytes:
    """Return what is inside one artifact as a page of the same style, for `otaudit inspect`."""
    return _page("inspect.html.j2", DETAILS[0], {"artifact": artifact, "tool_version": tool_version})


def _page(template: str, detail: Detail, values: Mapping[str, object]) -> bytes:
    css = resources.read("templates", "report.css").decode()
    digest = base64.b64encode(hashlib.sha256(css.encode()).digest()).decode()
    policy = f"default-src 'none'; style-src 'sha256-{digest}'; img-src data:; base-uri 'none'; form-action 'none'"
    environment = _environment(detail)
    # The style sheet is our own file; hashed and embedded must be the same bytes, so it is not escaped. Neither of the
    # two may ever be cut: a policy without its end would be another policy.
    common = {"css": Markup(css), "policy": escape(policy), "detail": detail}  # noqa: S704
    text = environment.get_template(template).render(**common, **values)
    return (text.strip() + "\n").encode("utf-8")


def _environment(detail: Detail) -> jinja2.Environment:
    """Autoescape is always on: `select_autoescape` would look at the suffix, which is .j2, and switch it off."""
    environment = jinja2.Environment(
        loader=jinja2.FunctionLoader(lambda name: resources.read("templates", name).decode()),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=lambda value: _shown(value, detail.text),
    )
    environment.filters |= {"value": shown, "bytes": _bytes, "short": _short, "word": _word, "percent": _percent}
    environment.filters["prose"] = lambda text: _prose(text, detail.text)
    environment.globals |= {
        "words": words, "view": view, "plain": plain, "Grade": Grade, "Reading": Reading, "Verdict": Verdict,
        "Method": Method, "Outcome": Outcome, "Party": Party, "Step": Step, "tiers": CELL_TIERS,
        "references": _references, "origin": _origin,
    }  # fmt: skip
    return environment


def _shown(value: object, limit: int) -> object:
    return value if isinstance(value, Markup) else cut(visible(str(value)), limit)


def _prose(text: str, limit: int) -> Markup:
    """Return a text of the rule set with the words between backticks as code; everything in it is escaped first."""
    parts = escape(cut(visible(text), limit)).split("`")
    if len(parts) % 2 == 0:  # a backtick without its partner is only a character
        return Markup("`").join(parts)
    return Markup("").join(Markup(f"<code>{part}</code>") if odd % 2 else part for odd, part in enumerate(parts))  # noqa: S704


def _bytes(size: int) -> str:
    return f"{size:,} bytes".replace(",", "\u202f") if size != 1 else "1 byte"


def _short(digest: str) -> str:
    return digest if len(digest) <= 16 else f"{digest[:16]}…"  # noqa: PLR2004 - half of a SHA-256's first line


def _word(value: str) -> str:
    return value.replace("_", " ").replace("-", " ")


def _percent(part: int, whole: int) -> str:
    """Return a share as SVG wants it; it is drawn, never printed (criteria.md section 5: no percentages)."""
    return f"{part * 1000 // max(whole, 1) / 10}%"


def _references(items: Iterable[Reference]) -> str:
    """Return each document once with its sections: `RFC 9124 4.3.4, 4.3.5; SP 800-193`."""
    sections: dict[str, list[str]] = {}
    for item in items:
        named = sections.setdefault(item.document, [])
        if item.checked_section:
            named.append(item.checked_section)
    return "; ".join(f"{document} {', '.join(named)}".strip() for document, named in sections.items())


def _origin(origin: Origin) -> str:
    return origin.file + (f" at {origin.pointer}" if origin.pointer else "")


@dataclass(frozen=True, kw_only=True)
class KindLine:
    """One line of the evidence table: all records of one kind."""

    kind: str
    methods: Mapping[Method, int]
    parties: Mapping[Party, int]
    probes: tuple[str, ...]
    files: tuple[str, ...]
    unavailable: int

    @property
    def available(self) -> int:
        """Return how many records state a fact."""
        return sum(self.methods.values())


def _report_values(assessment: Assessment) -> dict[str, object]:
    status, word = words.exit_status(assessment)
    return {
        "a": assessment,
        "artifacts": tuple({(item.name, item.sha256): item for item in reversed(assessment.artifacts)}.values())[::-1],
        "rows": view.views(assessment),
        "by_id": {item.requirement.id: item for item in assessment.findings},
        "other": view.other(assessment.reading),
        "status": int(status),
        "status_word": word,
        "gate_tone": _gate_tone(assessment),
        "proof": view.anything_proved(assessment),
        "given": frozenset(digest for _, _, _, digest in assessment.identity.artifacts),
        "dependencies": {item.id: item.why for item in assessment.rules.dependencies},
        "observations": _by_severity(assessment.observations),
        "kinds": tuple(_kind_lines(assessment.evidence.records)),
        "gaps": tuple(_gaps(assessment.evidence.records)),
        "parties": _parties(assessment.evidence.records),
    }


def _gate_tone(assessment: Assessment) -> str:
    if assessment.gate.verdict is Verdict.PASS and view.anything_proved(assessment):
        return "reached"
    return "failed" if assessment.gate.verdict is Verdict.FAIL else "unknown"


@dataclass(frozen=True, kw_only=True)
class Beyond:
    """One thing beyond the table, said once, with everything that it was seen at."""

    code: str
    step: Step
    message: str
    fix: str
    seen: tuple[Observation, ...]


def _by_severity(items: Iterable[Observation]) -> tuple[tuple[Severity, tuple[Beyond, ...]], ...]:
    found = tuple(items)
    order = sorted({item.severity for item in found}, key=lambda severity: -severity.rank)
    return tuple((severity, _said_once(item for item in found if item.severity is severity)) for severity in order)


def _said_once(items: Iterable[Observation]) -> tuple[Beyond, ...]:
    groups: dict[tuple[str, Step, str, str], list[Observation]] = {}
    for item in items:
        groups.setdefault((item.code, item.step, item.message, item.fix), []).append(item)
    return tuple(
        Beyond(code=code, step=step, message=message, fix=fix, seen=tuple(seen))
        for (code, step, message, fix), seen in groups.items()
    )


def _kind_lines(records: Iterable[Evidence]) -> Iterable[KindLine]:
    grouped: dict[str, list[Evidence]] = {}
    for record in records:
        grouped.setdefault(record.kind, []).append(record)
    for kind in sorted(grouped):
        known = [item for item in grouped[kind] if item.unavailable is None]
        yield KindLine(
            kind=kind,
            methods={method: sum(item.method is method for item in known) for method in reversed(Method)},
            parties={party: sum(item.party is party for item in known) for party in Party},
            probes=tuple(sorted({item.probe for item in known})),
            files=tuple(sorted({item.origin.file for item in known if item.origin.file})),
            unavailable=len(grouped[kind]) - len(known),
        )


def _gaps(records: Iterable[Evidence]) -> Iterable[tuple[str, str, str, int]]:
    """Return what is not known, once per explanation: kind, reason in words, explanation, how often."""
    counts: dict[tuple[str, str, str], int] = {}
    for item in records:
        if item.unavailable is not None:
            key = (item.kind, words.REASONS[item.unavailable], item.explanation)
            counts[key] = counts.get(key, 0) + 1
    return ((*key, count) for key, count in sorted(counts.items()))


def _parties(records: Iterable[Evidence]) -> tuple[tuple[str, int], ...]:
    known = [item for item in records if item.unavailable is None]
    counts = ((words.PARTIES[party], sum(item.party is party for item in known)) for party in Party)
    return tuple((name, count) for name, count in counts if count)


RENDERER = Renderer(id="html", title="report.html: one page, offline, printable", suffix=".html", render=render)
