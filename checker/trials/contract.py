"""The words of the active tests: what is offered to a verifier, what came of it, and the three sorts of plug-ins.

An *anatomy* knows where the parts of one format lie and how it is signed again; a *mutation* makes offers of one group
of tests (criteria.md section 7) out of any anatomy; an *adapter* knows how one verifier is run and what its words
mean. None of them runs anything: `checker.trials.runner` is the only place that starts a process.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Final

from checker.crypto.staging import Signer, Staging
from checker.description.model import Command
from checker.model.artifact import Artifact, Source, Span

ARTIFACT: Final = "artifact"  # the name of the offered file itself; its companions have the names of their format


class Cause(StrEnum):
    """Why a verifier refused: the classes of criteria.md section 7, harness rule 2."""

    SIGNATURE = "signature"
    DIGEST = "digest"
    SIZE = "size"
    FORMAT = "format"
    VERSION = "version"
    COMPATIBILITY = "compatibility"
    KEY = "key"
    DECRYPT = "decrypt"
    POLICY = "policy"
    TIME = "time"
    PRECURSOR = "precursor"
    LOCATION = "location"
    UNSAID = "unsaid"  # it refused and did not say why


class Outcome(StrEnum):
    """What came of one offer. A crash, a hang and an endless answer are no refusals (harness rule 4)."""

    ACCEPTED = "accepted"
    REFUSED = "refused"
    CRASHED = "crashed"
    TIMEOUT = "timeout"


Piece = Span | bytes


@dataclass(frozen=True, kw_only=True)
class Content:
    """One file as pieces of the genuine one (spans) and new bytes, in order: nothing large is held in memory."""

    pieces: tuple[Piece, ...]

    @classmethod
    def patched(cls, size: int, at: int, new: bytes) -> Content:
        """Return a file of `size` bytes with `new` in place of as many bytes from `at`."""
        return cls(pieces=_kept(Span(0, at), new, Span(at + len(new), size)))

    @classmethod
    def replaced(cls, size: int, span: Span, new: bytes) -> Content:
        """Return a file of `size` bytes with `new` in place of `span`, of whatever length."""
        return cls(pieces=_kept(Span(0, span.start), new, Span(span.end, size)))

    @classmethod
    def whole(cls, data: bytes) -> Content:
        """Return a file of new bytes only."""
        return cls(pieces=_kept(data))


def _kept(*pieces: Piece) -> tuple[Piece, ...]:
    return tuple(piece for piece in pieces if (piece.size if isinstance(piece, Span) else len(piece)) > 0)


Spoil = Callable[[Source], Content]  # the installed file → what is put in its place; FormatError: it cannot be done


@dataclass(frozen=True, kw_only=True)
class Offer:
    """One thing that is offered to a verifier. One mutation at a time (harness rule 2).

    `causes` are the reasons that count as the right ones. `needs` says in words why a test could not be prepared
    (a staging key, a second device); nothing is offered then, and the record says so.
    """

    test: str  # T00 … T40 of criteria.md section 7
    variant: str  # what exactly was done, in words; unique within the test
    expected: Outcome = Outcome.REFUSED
    causes: frozenset[Cause] = frozenset()
    changed: Mapping[str, Content] = field(default_factory=dict)  # by file; what is not named is genuine
    without: frozenset[str] = frozenset()  # companions that are left out
    instead: str = ""  # the id of another artifact of the description, offered whole with its companions
    after: str = ""  # the id of an artifact that is installed first ("" for a device as it was)
    or_nothing: bool = False  # accepting it is as good as refusing it, where nothing changes by it (T14)
    control: bool = False  # shows that a key is trusted; proves nothing itself, and what follows a refused one neither
    spoil: Spoil | None = None  # what is done to the installed file, after which the boot is asked to refuse (T30, T35)
    needs: str = ""


@dataclass(frozen=True, kw_only=True)
class Other:
    """Another artifact of the description that may be offered as it is."""

    id: str
    device: str
    release: str
    version: str


@dataclass(frozen=True, kw_only=True)
class Genuine:
    """What is genuine: one deliverable, or one image of it, opened, with its files and what may help to change it."""

    id: str
    artifact: Artifact
    files: Mapping[str, Source]  # `ARTIFACT` and the companions by name
    device: str = ""
    release: str = "current"
    others: tuple[Other, ...] = ()
    staging: Staging = field(default_factory=Staging)
    random: Callable[[int], bytes] = field(default=bytes, repr=False)  # n → n bytes; the caller's choice

    @property
    def source(self) -> Source:
        """Return the bytes of the offered file."""
        return self.files[ARTIFACT]


@dataclass(frozen=True, kw_only=True)
class Part:
    """A named range of one of the files."""

    name: str
    span: Span
    file: str = ARTIFACT
    value: bytes = field(default=b"", repr=False)  # decoded, where the range holds it in an encoding (base64)


@dataclass(frozen=True, kw_only=True)
class Change:
    """Changed files, and companions left out: what an anatomy makes of a genuine artifact."""

    changed: Mapping[str, Content] = field(default_factory=dict)
    without: frozenset[str] = frozenset()


@dataclass(frozen=True, kw_only=True)
class Body:
    """The parts of one genuine artifact. What a format cannot have is empty or None, with the reason in `notes`.

    Parts of one name belong together: they are changed at once. `with_value` takes signature values and every part that
    has a `value`.
    """

    payload: tuple[Part, ...] = ()  # what will be installed (T01)
    metadata: tuple[Part, ...] = ()  # signed fields that steer the install (T02)
    signatures: tuple[Part, ...] = ()  # signature values, at their exact bytes (T06)
    padded: bool = False  # bytes behind a signature value are padding by the format's rule, so "too long" is no fault
    fixed: bool = False  # signature values have one length in this format: none is empty or too long
    cipher: tuple[Part, ...] = ()  # named ciphertext, tag, nonce, wrapped key … (T26)
    direct: bool = False  # the signature is over the payload itself, so a changed payload is a wrong signature
    tagged: bool = False  # the ciphertext has a tag of its own (AEAD, CMAC)
    outer: bool = False  # something authentic covers the ciphertext, and may well be checked before the tag
    stripped: Change | None = None  # without any signature (T05)
    with_value: Callable[[Part, bytes], Change] | None = None  # another signature value of any length (T06)
    repaired: Callable[[Change], Change] | None = None  # unkeyed sums of the container fitted to changed bytes (T01)
    algorithms: Mapping[str, Change] = field(default_factory=dict)  # by what the algorithm field says then (T06)
    signed_by: Callable[[Signer], Change] | None = None  # signed again by somebody else (T07 … T12)
    resigned: Callable[[Signer, Change], Change] | None = None  # something changed, then signed again (T26)
    weakly: Callable[[Signer, str], Change] | None = None  # signed again over another digest, by its id (T12)
    certificates: tuple[bytes, ...] = field(default=(), repr=False)  # the signer's path in DER, leaf first, if any
    downgraded: Mapping[str, Change] = field(default_factory=dict)  # a hybrid's other half left out, by which (T12)
    malformed: Mapping[str, Change] = field(default_factory=dict)  # structures broken in one way each, by how (T38)
    broken: Mapping[str, Change] = field(default_factory=dict)  # the signature's own structure broken, by how (T38)
    oversized: Mapping[str, Change] = field(default_factory=dict)  # more than is declared or borne, by how (T25)
    notes: Mapping[str, str] = field(default_factory=dict)  # by field: why it is empty


@dataclass(frozen=True, kw_only=True)
class Anatomy:
    """A plug-in: where the parts of one format lie. Its id is the format's.

    `read` raises `FormatError` only: what it was given was parsed before, but by other code.
    """

    id: str
    read: Callable[[Genuine], Body]


@dataclass(frozen=True, kw_only=True)
class Mutation:
    """A plug-in: one group of tests. `offers` yields at least one offer for each test, if only to say what it needs."""

    id: str
    title: str
    tests: tuple[str, ...]
    offers: Callable[[Genuine, Body], Iterable[Offer]]


@dataclass(frozen=True, kw_only=True)
class Run:
    """What a started process did. Output is cut at a limit; `signal` is the one that ended it, 0 for none."""

    exit_code: int
    output: str  # standard output and error, in the order of arrival, undecodable bytes replaced
    signal: int = 0
    timed_out: bool = False
    truncated: bool = False


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What a verifier said of one offer."""

    outcome: Outcome
    cause: Cause = Cause.UNSAID
    words: str = ""  # the line that says why, shortened


@dataclass(frozen=True, kw_only=True)
class Place:
    """Where one trial happens: a scratch folder that nothing outlives, with a fresh copy of the device's state."""

    folder: Path
    files: Mapping[str, Path]  # the offered files by name
    state: Path | None = None
    base: Path = Path()  # of the file that names the command: its relative paths start there
    settings: Mapping[str, str] = field(default_factory=dict)  # the command's `args`, paths made absolute


@dataclass(frozen=True, kw_only=True)
class Adapter:
    """A plug-in: how one verifier is run, and what its exit status and words mean.

    `settings` are everything that it reads of the command's `args`, each with what it is; others are refused.
    `program` is the executable that must be installed, "" where the description names it.
    """

    id: str
    title: str
    program: str
    settings: Mapping[str, str]
    argv: Callable[[Command, Place], Sequence[str]]
    answer: Callable[[Command, Run], Answer]
    paths: frozenset[str] = frozenset()  # the settings that are paths
    required: frozenset[str] = frozenset()  # the settings without which it cannot be run
    formats: frozenset[str] = frozenset()  # what it reads; empty: whatever the description offers it
    bundles: bool = False  # it reads deliverables that hold the images of several targets
    unchecked: str = ""  # what it does not check, in words
    installs: bool = False  # an accepted offer is installed: state, boot and T13, T14, T30, T35 make sense
