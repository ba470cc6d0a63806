"""What a kind of detached signature is: one module with `KIND = SignatureKind(…)`."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from checker.crypto.signatures import Prehash
from checker.errors import LimitError
from checker.formats import _common as common
from checker.formats.contract import Context
from checker.io.digests import DigestRequest, Literal, Piece
from checker.io.limits import MAX_HEADER
from checker.model.artifact import Signature, Source, Span, Weakness

MAX_MESSAGE: Final = MAX_HEADER  # bytes of a file that is signed without a hash; larger ones stay undecided


@dataclass(frozen=True, kw_only=True)
class Judgement:
    """What a signature file says of the file that it signs.

    `weaknesses` are those that the signatures themselves do not show. `version` is text about the file that a valid
    signature covers, `facts` are in the kind's own words.
    """

    signatures: tuple[Signature, ...]
    weaknesses: tuple[Weakness, ...] = ()
    version: str | None = None
    facts: tuple[tuple[str, str], ...] = ()


Judged = Generator[Sequence[DigestRequest], Mapping[DigestRequest, bytes], Judgement]
Digests = Generator[Sequence[DigestRequest], Mapping[DigestRequest, bytes], dict[str, bytes]]


@dataclass(frozen=True, kw_only=True)
class SignatureKind:
    """A plug-in: which signature files are of this kind, and what one says of the file that it signs.

    `detect` looks at the signature file and at the companions' names, and never raises. `judge` is a generator like a
    format's `parse`: it yields the digests that it needs. It raises nothing: a damaged signature is an invalid one. The
    `fallback` kind is asked when no other claims a file.
    """

    id: str
    title: str
    detect: Callable[[bytes, Context], bool]
    judge: Callable[[Source, bytes, Context], Judged]
    weaknesses: tuple[str, ...] = ()
    references: tuple[str, ...]
    fallback: bool = False


def digests_of(source: Source, names: Iterable[str]) -> Digests:
    """Ask for digests of a whole file, each by its id of the algorithm table."""
    requests = {name: DigestRequest.over(name, source) for name in names}
    answers = yield tuple(requests.values())
    return {name: answers[request] for name, request in requests.items()}


def prehashed_of(
    source: Source, wanted: Iterable[Prehash]
) -> Generator[Sequence[DigestRequest], Mapping[DigestRequest, bytes], dict[Prehash, bytes]]:
    """Ask for digests with a prefix, so that a file of any size is verified without being held in memory."""
    whole = Piece(source, Span(0, source.size))
    requests = {item: DigestRequest(item.hash, (Literal(item.prefix), whole)) for item in wanted}
    answers = yield tuple(requests.values())
    return {item: answers[request] for item, request in requests.items()}


def message_of(source: Source, limit: int | None = None) -> bytes | None:
    """Return a whole file for schemes that sign the message itself, or None where it is too large to hold."""
    try:
        return common.gather((Piece(source, Span(0, source.size)),), "content", MAX_MESSAGE if limit is None else limit)
    except LimitError:
        return None
