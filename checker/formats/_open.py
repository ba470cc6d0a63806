"""The driver: which format claims a file, and the way from its bytes to an `Artifact` (design.md section 5).

A format never opens, hashes or recurses. It states which digests it needs; the driver answers all of them, and the
file's own SHA-256, in one pass. Then it opens the members that a known format claims.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Final

from checker.discovery import discover, find
from checker.errors import AmbiguousFormatError, DecryptionError, FormatError, LimitError, UnknownFormatError
from checker.formats._magic import hint
from checker.formats.contract import PLAINTEXT, Budget, Context, Format
from checker.io.digests import DigestRequest, Started, compute, identify
from checker.io.folders import FolderSource
from checker.io.limits import MAX_DEPTH
from checker.model.artifact import Artifact, Image, Source, Weakness

AUTO: Final = "auto"
TARGET: Final = "target."  # `target.MEMBER`: which hardware target a member is for; the probes read it
WEAKNESSES: Final = ("inner-unreadable",)
_PACKAGE: Final = "checker.formats"
MAX_TRIED: Final = 5_000  # members of all containers inside one artifact; a FIT may have 4096 images
MAX_OPENED: Final = 250  # of these, those of a known format; the largest real deliverables have some tens
MAX_SIZE: Final = 8 * 1024**3  # bytes of those together, or `MAX_SHARE` times what the artifact has
MAX_SHARE: Final = 16
_SHOWN: Final = 5  # names of a folder's files in an error text


def detect(source: Source, context: Context, format_id: str = AUTO) -> Format:
    """Return the one format that claims a file, or the one that was named.

    Args:
        source: the bytes; their name is never looked at.
        context: keys and companions; a format may claim a file because of its companions.
        format_id: a format's id, or `auto`.

    Raises:
        UnknownFormatError: no format claims it; the message says what it looks like.
        AmbiguousFormatError: several do; the message names them.
        PlugInError: there is no format of that id.
    """
    if format_id != AUTO:
        return find(_PACKAGE, format_id, "FORMAT", Format)
    folder = isinstance(source, FolderSource)
    formats = [known for known in discover(_PACKAGE, "FORMAT", Format) if known.folders or not folder]
    for fallback in (False, True):
        claiming = [known for known in formats if known.fallback is fallback and known.detect(source, context)]
        if len(claiming) > 1:
            names = ", ".join(known.id for known in claiming)
            raise AmbiguousFormatError(f"{source.name} is claimed by {names}", field="format")
        if claiming:
            return claiming[0]
    raise UnknownFormatError(f"{source.name} is of no known format; it {_look(source)}", field="format")


def _look(source: Source) -> str:
    if not isinstance(source, FolderSource):
        return hint(source)
    names = ", ".join(member.path for member in source.members[:_SHOWN]) or "none"
    return f"is a folder of {len(source.members)} files: {names}{' …' if len(source.members) > _SHOWN else ''}"


def open_artifact(
    source: Source, context: Context, format_id: str = AUTO, *, identity: Started | None = None
) -> Artifact:
    """Return what a file is, with the images inside it opened too.

    `identity` is the file's own digest, where a caller has begun to compute it before it had all else that is needed.

    Raises:
        UnknownFormatError: no format claims it.
        AmbiguousFormatError: several formats claim it.
        LimitError: it asks for more than a named limit allows, or lies deeper than `MAX_DEPTH` containers.
        FormatError: it breaks its format's rules.
        InputError: the operating system cannot read it.
    """
    chosen = detect(source, context, format_id)
    _refuse_unknown(chosen, "companions", context.companions, chosen.companions)
    _refuse_unknown(chosen, "options", (name for name in context.options if not _for_all(name)), chosen.options)
    if context.depth > MAX_DEPTH:
        raise LimitError(f"containers are nested deeper than MAX_DEPTH ({MAX_DEPTH})", field="depth")
    if context.budget is not None and not context.budget.open_one(source.size):
        raise LimitError(f"more than MAX_OPENED ({MAX_OPENED}) files, or too many bytes, inside one", field="members")
    artifact = _parse(chosen, source, context, identity or identify(source))
    within = replace(
        context, depth=context.depth + 1, companions={}, options={}, budget=context.budget or _budget(source)
    )
    opened = tuple(_open_image(image, within) for image in artifact.images)
    images = tuple(image for image, _ in opened)
    weaknesses = tuple(weakness for _, weakness in opened if weakness)
    return replace(artifact, images=images, weaknesses=artifact.weaknesses + weaknesses)


def _for_all(name: str) -> bool:
    """Return whether an option is read by others than the format: by probes, or wherever a plaintext is compared."""
    return name == PLAINTEXT or name.startswith(TARGET)


def _refuse_unknown(chosen: Format, field: str, given: Iterable[str], known: Mapping[str, str]) -> None:
    """Refuse a misspelt option or a file that nobody would read: what is given must count, or be told."""
    for name in given:
        if name in known or "*" in known:
            continue
        close = difflib.get_close_matches(name, known, n=1)
        hint = f"; did you mean {close[0]!r}?" if close else f"; it reads: {', '.join(known) or 'none'}"
        raise FormatError(f"{chosen.id} reads no {field[:-1]} {name!r}{hint}", field=field)


def _budget(source: Source) -> Budget:
    return Budget(tried=MAX_TRIED, opened=MAX_OPENED, size=max(MAX_SIZE, MAX_SHARE * source.size))


def _parse(chosen: Format, source: Source, context: Context, identity: Started) -> Artifact:
    """Run a format's generator and answer its digest requests, each at most once."""
    steps = chosen.parse(source, context)
    answers: dict[DigestRequest, bytes] = {}
    try:
        wanted = next(steps)
        while True:
            new = [request for request in wanted if request not in answers and request != identity.request]
            answers |= compute(new, identity)
            if identity.request in wanted:
                answers[identity.request] = identity.result()
            wanted = steps.send({request: answers[request] for request in wanted})
    except StopIteration as done:
        artifact: Artifact = done.value
        return replace(artifact, sha256=identity.result().hex())


def _open_image(image: Image, context: Context) -> tuple[Image, Weakness | None]:
    """Return an image with what lies inside it, where a format claims it; a broken one gets a note and a weakness."""
    if image.source is None or image.inner is not None:
        return image, None
    if context.budget is not None and not context.budget.try_one():
        return replace(image, note=image.note or "not opened: too many members inside one artifact"), None
    try:
        return replace(image, inner=open_artifact(image.source, context)), None
    except UnknownFormatError:  # its message names the source, which is the outer file
        return replace(image, note=image.note or f"{image.id} is of no known format; it {hint(image.source)}"), None
    except (FormatError, DecryptionError) as error:
        message = f"{image.id} could not be opened as the container that it claims to be: {error}"
        return replace(image, note=str(error)), Weakness(code="inner-unreadable", message=message, where=image.id)
