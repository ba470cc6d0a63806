"""COSE messages taken apart (RFC 9052 sections 2 to 6): headers, signers, recipients. Nothing is computed here."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from checker.errors import FormatError, InvalidSignatureError, LimitError, UnsupportedAlgorithmError
from checker.io.cbor import Item, Key, Major
from checker.model.artifact import Span

KINDS: Final[Mapping[int, str]] = {16: "Encrypt0", 17: "Mac0", 18: "Sign1", 96: "Encrypt", 97: "Mac", 98: "Sign"}
ELEMENTS: Final = {"Encrypt0": 3, "Mac0": 4, "Sign1": 4, "Encrypt": 4, "Mac": 5, "Sign": 4}
ALG, CRIT, CONTENT_TYPE, KID, IV, PARTIAL_IV = range(1, 7)
# What this program acts on, or may pass over without harm: RFC 9052 3.1, RFC 9360.
_UNDERSTOOD: Final = frozenset({ALG, CRIT, CONTENT_TYPE, KID, IV, 32, 33, 34, 35})
MAX_SIGNERS: Final = 16  # of one COSE_Sign; SUIT manifests have one or two
MAX_RECIPIENTS: Final = 10_000  # a content key that is wrapped for each device of a batch
MAX_FIELD: Final = 64 * 1024  # bytes of a signature, tag or wrapped key; SLH-DSA signatures have 50 KB
_SIGNATURE_PARTS: Final = 3


@dataclass(frozen=True, kw_only=True)
class Headers:
    """Both header maps. `raw` is the content of the protected byte string as it is; `signed` what is signed of it."""

    protected: Mapping[Key, Item]
    unprotected: Mapping[Key, Item]
    raw: bytes = field(repr=False)

    @property
    def signed(self) -> bytes:
        """Return the protected header for a structure: an empty map is a zero-length string (RFC 9052 4.4)."""
        return self.raw if self.protected else b""

    def find(self, label: int) -> Item | None:
        """Return a parameter, the protected one first."""
        return self.protected.get(label) or self.unprotected.get(label)

    def algorithm(self, *, anywhere: bool = False) -> int:
        """Return the algorithm's number.

        `anywhere` also looks into the unprotected header, for algorithms that authenticate nothing (AES-KW, AES-CTR).

        Raises:
            InvalidSignatureError: the protected header names none.
            UnsupportedAlgorithmError: it is named by a text, which the registry does not have.
        """
        item = self.find(ALG) if anywhere else self.protected.get(ALG)
        if item is None:
            outside = "only the unprotected header names one" if ALG in self.unprotected else "none is named"
            raise InvalidSignatureError(f"the protected header must name the algorithm (RFC 9052 3.1), and {outside}")
        if item.number is None:
            raise UnsupportedAlgorithmError(f"the algorithm {item.words!r} is not registered")
        return item.number

    @property
    def key_id(self) -> str:
        """Return the key id: as text where it is one, else in hex; empty where none is given."""
        item = self.find(KID)
        if item is None or item.major is not Major.BYTES:
            return ""
        data = item.data("kid", limit=MAX_FIELD)
        return data.decode("ascii") if data.isascii() and data.decode("ascii").isprintable() else data.hex()

    def data(self, label: int, name: str) -> bytes | None:
        """Return a parameter that is a byte string, or None where it is absent.

        Raises:
            FormatError: it is something else.
        """
        item = self.find(label)
        return None if item is None or item.is_null else item.data(name, limit=MAX_FIELD)

    def check_critical(self) -> None:
        """Check the two maps against each other, and that every critical parameter is understood (RFC 9052 3.1).

        Raises:
            InvalidSignatureError: a label stands in both, or `crit` breaks a rule.
            UnsupportedAlgorithmError: a critical parameter is not known here.
        """
        both = self.protected.keys() & self.unprotected.keys()
        if both:
            raise InvalidSignatureError(f"the header parameter {_shown(both)} stands in both headers (RFC 9052 3)")
        if CRIT in self.unprotected:
            raise InvalidSignatureError("crit stands in the unprotected header (RFC 9052 3.1)")
        item = self.protected.get(CRIT)
        if item is None:
            return
        labels = [child.key for child in item.children] if item.major is Major.ARRAY else []
        if not labels or not set(labels) <= self.protected.keys():
            raise InvalidSignatureError("crit is empty, or names what the protected header lacks (RFC 9052 3.1)")
        foreign = set(labels) - _UNDERSTOOD
        if foreign:
            raise UnsupportedAlgorithmError(f"the critical header parameter {_shown(foreign)} is not understood here")


def _shown(labels: set[Key]) -> str:
    return ", ".join(sorted(str(label)[:40] for label in labels))


@dataclass(frozen=True, kw_only=True)
class Party:
    """A signer or recipient: headers, and the signature, tag or wrapped key in the end."""

    headers: Headers
    end: bytes = field(repr=False)
    where: Span
    nested: bool = False  # a recipient that has recipients of its own


@dataclass(frozen=True, kw_only=True)
class Message:
    """One COSE message. `payload` is None where it is detached; `body` has the outermost headers, tag or signature."""

    kind: str
    payload: Item | None = field(repr=False)
    body: Party
    signers: tuple[Party, ...] = ()
    recipients: tuple[Party, ...] = ()

    @property
    def headers(self) -> Headers:
        """Return the outermost headers."""
        return self.body.headers

    def check(self) -> None:
        """Check the outermost headers as `Headers.check_critical` does.

        Raises:
            InvalidSignatureError: they break a rule.
            UnsupportedAlgorithmError: a critical parameter is not known here.
        """
        self.headers.check_critical()


def parse(item: Item, *, untagged: str = "") -> Message:
    """Return a message; `untagged` is its kind where no tag says it.

    Raises:
        FormatError: it is none.
        LimitError: it has too many signers or recipients.
    """
    number, inner = item.tagged()
    kind = untagged if number is None else KINDS.get(number, "")
    if not kind:
        what = "no tag says" if number is None else f"the tag {number} is none of COSE's, which say"
        raise FormatError(f"{what} what kind of message it is", offset=item.span.start, field="COSE")
    parts = inner.array(f"COSE_{kind}")
    if len(parts) != ELEMENTS[kind]:
        message = f"{ELEMENTS[kind]} elements are needed, here are {len(parts)}"
        raise FormatError(message, offset=inner.span.start, field=f"COSE_{kind}")
    return _message(kind, inner, parts)


def _message(kind: str, inner: Item, parts: Sequence[Item]) -> Message:
    headers = _headers(parts[0], parts[1])
    payload = None if parts[2].is_null else parts[2]
    if payload is not None:
        payload.place("payload")
    has_end = kind in {"Sign1", "Mac0", "Mac"}
    end = parts[3].data("signature", limit=MAX_FIELD) if has_end else b""
    body = Party(headers=headers, end=end, where=inner.span)
    signers: tuple[Party, ...] = (body,) if kind == "Sign1" else ()
    if kind == "Sign":
        signers = _signers(parts[3])
    recipients = _recipients(parts[-1]) if kind in {"Encrypt", "Mac"} else ()
    return Message(kind=kind, payload=payload, body=body, signers=signers, recipients=recipients)


def _headers(protected: Item, unprotected: Item) -> Headers:
    raw = protected.data("protected header", limit=MAX_FIELD)
    inside = protected.wrapped("protected header").map("protected header") if raw else {}
    return Headers(protected=inside, unprotected=unprotected.map("unprotected header"), raw=raw)


def _signers(item: Item) -> tuple[Party, ...]:
    found = item.array("signatures")
    if not found or len(found) > MAX_SIGNERS:
        message = f"{len(found)} signatures, 1 to MAX_SIGNERS ({MAX_SIGNERS}) are read"
        raise LimitError(message, offset=item.span.start, field="signatures")
    return tuple(_signer(each) for each in found)


def _signer(item: Item) -> Party:
    parts = item.array("COSE_Signature")
    if len(parts) != _SIGNATURE_PARTS:
        raise FormatError("three elements are needed", offset=item.span.start, field="COSE_Signature")
    end = parts[2].data("signature", limit=MAX_FIELD)
    return Party(headers=_headers(parts[0], parts[1]), end=end, where=item.span)


def _recipients(item: Item) -> tuple[Party, ...]:
    found = item.array("recipients")
    if not found or len(found) > MAX_RECIPIENTS:
        message = f"{len(found)} recipients, 1 to MAX_RECIPIENTS ({MAX_RECIPIENTS}) are read"
        raise LimitError(message, offset=item.span.start, field="recipients")
    return tuple(_recipient(each) for each in found)


def _recipient(item: Item) -> Party:
    parts = item.array("COSE_recipient")
    if len(parts) not in {_SIGNATURE_PARTS, _SIGNATURE_PARTS + 1}:
        raise FormatError("three or four elements are needed", offset=item.span.start, field="COSE_recipient")
    end = b"" if parts[2].is_null else parts[2].data("wrapped key", limit=MAX_FIELD)
    nested = len(parts) > _SIGNATURE_PARTS
    return Party(headers=_headers(parts[0], parts[1]), end=end, where=item.span, nested=nested)
