"""Documents: is the file there, has it the declared digest, do the quoted words stand in it (criteria.md R6, DOC)."""

from __future__ import annotations

import hashlib
import io
import re
import unicodedata
from collections.abc import Iterator
from html.parser import HTMLParser
from itertools import islice
from typing import Final

from checker.description.model import Description, DocumentRef
from checker.errors import InputError, LimitError
from checker.io.files import Files
from checker.io.limits import MAX_DOCUMENT
from checker.model.evidence import Evidence, Expectation, Origin, Value
from checker.model.subject import Subject, SubjectKind
from checker.model.terms import Method, Reason
from checker.probes._records import expect, fact, gap, path_of, undeclared
from checker.probes.contract import Context, Probe

_PROBE: Final = "documents"
_SHORTEST: Final = 3  # words: a shorter quote would be found in nearly every document and shows nothing
_CLAUSE: Final = re.compile(r"[^\W_]")  # a clause has a number or a name, and is not white space
_WORD: Final = re.compile(r"[^\W\d_]{2,}|\d+")  # a mark or a single letter is no word
_HEADING: Final = re.compile(r"^[ \t]{0,3}#{1,6}[ \t].*$|^.*\S.*\n[ \t]{0,3}(?:=+|-{2,})[ \t]*$", re.MULTILINE)
# The first line of this tool's own descriptions, in YAML or JSON: words of the author, whatever the file is called.
_OWN: Final = re.compile(r"""^\W*otaudit\W{1,8}(?:device|update|key-inventory)/\d""", re.MULTILINE)
_MAX_PAGES: Final = 5_000  # of one PDF that are searched
_MARKS: Final = re.compile(r"[*_`]+|^[ \t]*(?:>|#{1,6}|[-+])[ \t]+", re.MULTILINE)


class _UnreadableError(Exception):
    """The document's text cannot be had; the message says why."""


def _subject(ref: DocumentRef) -> Subject:
    return Subject(kind=SubjectKind.DOCUMENT, id=ref.id)


def _before(ref: DocumentRef) -> dict[str, Value]:
    clause = ref.clause if _CLAUSE.search(ref.clause) else None
    return {"document": ref.id, "proves": ref.proves, "clause": clause, "quote": ref.quote or None}


def _expects(description: Description) -> Iterator[Expectation]:
    for ref in description.documents:
        yield expect("document", _subject(ref), values=_before(ref))
    if not description.documents:
        yield undeclared("document", description, "document")


def _run(context: Context) -> Iterator[Evidence]:
    for ref in context.description.documents:
        yield _one(ref, context)


def _one(ref: DocumentRef, context: Context) -> Evidence:
    subject, origin = _subject(ref), Origin(file=ref.file.path)
    try:
        data = context.files.read(path_of(ref.file), MAX_DOCUMENT)
    except (InputError, LimitError) as error:
        reason = _why(context.files, path_of(ref.file))
        return gap(_PROBE, "document", subject, reason, str(error), values=_before(ref), origin=origin)
    digest = hashlib.sha256(data).hexdigest()
    origin = Origin(file=ref.file.path, sha256=digest)
    values = _before(ref) | {
        "sha256": digest,
        # R6 asks that the hash is recorded: it is, here; where the author pinned one, the file must still have it.
        "digest_ok": digest == (ref.sha256.lower() or digest),
        "current": _current(ref, context.as_of),
    }
    try:
        _refuse_own(ref, digest, context)
        values["quote_found"] = _found(ref, data)
    except _UnreadableError as error:
        return gap(_PROBE, "document", subject, Reason.UNREADABLE, str(error), values=values, origin=origin)
    return fact(_PROBE, "document", subject, values, method=Method.EXAMINED, party=ref.party, origin=origin)


def _why(files: Files, path: str) -> Reason:
    try:
        return Reason.UNREADABLE if files.resolve(path).exists() else Reason.MISSING_ARTIFACT
    except (InputError, OSError):
        return Reason.UNREADABLE


def _refuse_own(ref: DocumentRef, digest: str, context: Context) -> None:
    """Refuse what is no document: the description itself, and what it gives as evidence of another kind.

    Raises:
        _UnreadableError: the file is one of these; its words would prove themselves.
    """
    given = context.description
    others = [item.file.path for item in given.artifacts] + [item.file.path for item in given.logs]
    digests = {given.sha256, given.device.sha256} | {item.artifact.sha256 for item in context.opened if item.artifact}
    if digest in digests or ref.file.path in others:
        msg = f"{ref.file.path}: is the description, an artifact or a log itself, and no document about it"
        raise _UnreadableError(msg)


def _current(ref: DocumentRef, as_of: str) -> bool:
    """Return whether the document is in force: not past its last valid day, and not of a day to come."""
    today = as_of[:10]
    return not (ref.dated and today < ref.dated[:10]) and (not ref.valid_until or today <= ref.valid_until[:10])


def _found(ref: DocumentRef, data: bytes) -> bool | None:
    quote = _plain(ref.quote)
    if len(_WORD.findall(_plain(_MARKS.sub("", ref.quote)))) < _SHORTEST:
        return None
    text = _text(ref.file.path, data)
    if _OWN.search(text):
        msg = f"{ref.file.path}: is a description for this tool, and no document about what it says"
        raise _UnreadableError(msg)
    text = _HEADING.sub("", text)  # a heading names its subject and states nothing of it
    return _stands_in(quote, _plain(text)) or _stands_in(_plain(_MARKS.sub("", quote)), _plain(_MARKS.sub("", text)))


def _stands_in(quote: str, text: str) -> bool:
    """Return whether the words stand there whole: "signed by two" is not in "designed by two"."""
    return re.search(rf"(?<!\w){re.escape(quote)}(?!\w)", text) is not None


def _plain(text: str) -> str:
    """Return a text in one Unicode form (NFKC), with every run of white space as one blank and no soft hyphens."""
    return " ".join(unicodedata.normalize("NFKC", text).replace("\u00ad", "").split())


def _text(name: str, data: bytes) -> str:
    if data.startswith(b"%PDF-"):
        return _pdf(data)
    if b"\0" in data[:4096] and not data.startswith((b"\xff\xfe", b"\xfe\xff")):
        msg = f"{name}: is neither text, Markdown, HTML nor PDF, so the quote could not be looked for"
        raise _UnreadableError(msg)
    text = _decoded(name, data)
    head = text[:1024].lower()
    return _html(text) if "<html" in head or "<!doctype html" in head or name.endswith((".html", ".htm")) else text


def _decoded(name: str, data: bytes) -> str:
    encoding = "utf-16" if data.startswith((b"\xff\xfe", b"\xfe\xff")) else "utf-8-sig"
    try:
        return data.decode(encoding)
    except UnicodeDecodeError as error:
        msg = f"{name}: is not {encoding.removesuffix('-sig').upper()} text at byte {error.start}"
        raise _UnreadableError(msg) from error


_SILENT: Final = frozenset({"script", "style", "template", "title", "h1", "h2", "h3", "h4", "h5", "h6"})


class _Words(HTMLParser):
    """Collects what a reader would see, without the headings: they name a subject and state nothing of it."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.parts: list[str] = []
        self._hidden = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        del attrs
        self._hidden += tag in _SILENT
        if tag in {"p", "br", "div", "li", "td", "th", "tr", "h1", "h2", "h3", "h4", "h5", "h6"}:
            self.parts.append(" ")

    def handle_endtag(self, tag: str) -> None:
        self._hidden -= tag in _SILENT and self._hidden > 0
        if tag in {"p", "div", "li", "td", "th", "tr", "h1", "h2", "h3", "h4", "h5", "h6"}:
            self.parts.append(" ")

    def handle_data(self, data: str) -> None:
        if not self._hidden:
            self.parts.append(data)


def _html(text: str) -> str:
    words = _Words()
    words.feed(text)
    words.close()
    return "".join(words.parts)


def _pdf(data: bytes) -> str:
    try:
        import pypdf
    except ImportError as error:
        msg = "reading PDF needs the optional package pypdf (install otaudit with the extra `pdf`)"
        raise _UnreadableError(msg) from error
    try:
        pages = pypdf.PdfReader(io.BytesIO(data)).pages
        return "\n".join(page.extract_text() for page in islice(pages, _MAX_PAGES))
    except Exception as error:
        msg = f"the PDF cannot be read: {type(error).__name__}: {error}"
        raise _UnreadableError(msg) from error


PROBE = Probe(id=_PROBE, title="Documents and their quoted clauses", kinds=("document",), expects=_expects, run=_run)
