"""What a log says of digests and checksums, met with the real bytes: the deliverable's, or those of an image inside it.

An installed image may be known by more than one range: the whole member, or the payload that a header and a trailer
enclose. Each such range is the image; the neighbour's ranges are not.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final

from checker.crypto.algorithms import algorithm
from checker.crypto.algorithms import known as in_table
from checker.description.model import ArtifactRef, Description
from checker.errors import OtauditError
from checker.io.digests import DigestRequest, compute, supported
from checker.io.files import Files
from checker.model.artifact import Artifact, AuthKind, Image, Source, Span
from checker.model.terms import Outcome
from checker.probes import _facts, _targets
from checker.probes._records import path_of
from checker.probes._sources import lasting
from checker.probes.contract import Opened

# The log's words for signatures, and the ids of the algorithm table; one that ends with a dash stands for many.
_SCHEMES: Final = {
    "lms": ("lms", "hss"),
    "hss": ("lms", "hss"),
    "xmss": ("xmss",),
    "xmssmt": ("xmss-mt",),
    "slh-dsa": ("slh-dsa-",),
    "ml-dsa": ("ml-dsa-",),
}


@dataclass(frozen=True, kw_only=True)
class Range:
    """Bytes that stand for an image (or for the whole deliverable), and the artifacts whose signatures reach them."""

    artifact: str  # id of the artifact of the description
    image: str  # member id, empty for the whole file
    target: str
    source: Source = field(repr=False, compare=False)
    span: Span
    covered_by: tuple[Artifact, ...] = field(default=(), repr=False, compare=False)
    own_digest: bool = False  # a digest inside a valid signed part covers it


@dataclass
class Bytes:
    """The ranges of the artifacts of one device and release, and the digests over them that were asked for so far."""

    deliverables: tuple[Range, ...]
    images: tuple[Range, ...]
    _answers: dict[tuple[str, int, Span], str] = field(default_factory=dict)

    @classmethod
    def of(cls, description: Description, files: Files, opened: Sequence[Opened]) -> Bytes:
        """Return the ranges of some opened artifacts."""
        whole: list[Range] = []
        images: list[Range] = []
        for item in opened:
            if item.artifact is None:
                continue
            try:
                source = lasting(files, path_of(item.ref.file))
            except OtauditError:
                continue
            whole.append(_whole(description, item.ref, item.artifact, source))
            images.extend(_images(description, item.ref, item.artifact, source))
        return cls(tuple(whole), tuple(images))

    def digest(self, name: str, place: Range) -> str | None:
        """Return a digest or checksum over a range in hex, or None where it cannot be computed."""
        if not supported(name):
            return None
        known = (name, id(place.source), place.span)
        if known not in self._answers:
            try:
                request = DigestRequest.over(name, place.source, place.span)
                self._answers[known] = compute([request])[request].hex()
            except OtauditError:
                return None
        return self._answers[known]

    def equal(self, name: str, value: str, places: Iterable[Range]) -> tuple[Range, ...] | None:
        """Return the ranges whose digest has a value; None where it cannot be computed over any of them."""
        name = algorithm(name).id if in_table(name) else name.lower()
        answers = [(place, self.digest(name, place)) for place in places]
        sure = [(place, answer) for place, answer in answers if answer is not None]
        return tuple(place for place, answer in sure if same_hex(answer, value)) if sure else None

    def of_target(self, target: str, image: str) -> tuple[Range, ...]:
        """Return the ranges of a target's images, or of the one that is named."""
        found = [item for item in self.images if not target or item.target in {target, ""}]
        return tuple(item for item in found if not image or item.image == image)


def same_hex(one: str, other: str) -> bool:
    """Return whether two hex texts are the same number of the same length."""
    return one.lower() == other.lower()


def _whole(description: Description, ref: ArtifactRef, artifact: Artifact, source: Source) -> Range:
    target = _targets.of_artifact(description, ref, artifact)
    return Range(
        artifact=ref.id,
        image="",
        target=target,
        source=source,
        span=Span(0, source.size),
        covered_by=(artifact,) if covered(artifact) else (),
    )


def _images(description: Description, ref: ArtifactRef, artifact: Artifact, source: Source) -> Iterator[Range]:
    """Yield the ranges of every image that lands on a target."""
    members = [image for image in artifact.images if image.role == "image"]
    above = (artifact,) if covered(artifact) else ()
    for image in members:
        target = _targets.of_image(description, ref, image)
        yield from _member(ref, image, target, image.id, above)
    if _is_image(artifact, members):
        yield _whole(description, ref, artifact, source)


def _is_image(artifact: Artifact, members: Sequence[Image]) -> bool:
    """Return whether a file is itself what is flashed, header and all, and not a container of it.

    A container says where its members go; without that and with one payload at most, the file is the image.
    """
    plain = not any(item.encrypted for item in artifact.encryption)
    return plain and len(members) <= 1 and not any(image.target or image.inner for image in members)


def _member(ref: ArtifactRef, image: Image, target: str, name: str, above: tuple[Artifact, ...]) -> Iterator[Range]:
    if image.source is None:
        return
    inner = image.inner
    reach = above + ((inner,) if inner is not None and covered(inner) else ())
    own = any(check.authentic and check.matches for check in image.digests)
    span = Span(0, image.source.size)
    yield Range(
        artifact=ref.id, image=name, target=target, source=image.source, span=span, covered_by=reach, own_digest=own
    )
    if inner is not None:
        for deeper in inner.images:
            if deeper.role == "image":
                yield from _member(ref, deeper, target, name, reach)


def covered(artifact: Artifact) -> bool:
    """Return whether a valid signature or MAC reaches every payload byte of an artifact."""
    coverage = artifact.coverage
    known = bool(coverage.payload) and not coverage.uncovered and not coverage.undecided
    return known and bool(tuple(valid(artifact)))


def valid(artifact: Artifact) -> Iterator[str]:
    """Yield the algorithm ids of an artifact's valid authenticators."""
    for signature in artifact.signatures:
        if signature.outcome is Outcome.VALID and signature.kind is not AuthKind.DIGEST:
            yield _facts.authenticator(signature)


def resistant(place: Range) -> bool:
    """Return whether a quantum-resistant authenticator reaches a range."""
    return any(_facts.quantum_resistant(name) for artifact in place.covered_by for name in valid(artifact))


def signed_with(place: Range, scheme: str) -> bool:
    """Return whether a valid signature of a scheme, in the words of the log, reaches a range."""
    names = {name.removeprefix("hash-") for artifact in place.covered_by for name in valid(artifact)}
    wanted = _SCHEMES.get(scheme, ())
    return any(name == each or (each[-1] == "-" and name.startswith(each)) for name in names for each in wanted)
