"""A jcat by itself: the files that it signs are companions of their own names, or lie in the same folder.

The jcat stands for its files. Where it is a file, its bytes count as covered once every file that it names is at hand
and reached by a signature; where it is a folder, each of the folder's files counts for itself.

Source: hughsie/libjcat README.md; see `_jcat_file`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from checker.errors import FormatError
from checker.formats import _common as common
from checker.formats import _jcat_file as files
from checker.formats._clear import encryption_of
from checker.formats._jcat_file import Item, ItemVerdict
from checker.formats.contract import Context, Format, Parse
from checker.io.folders import FolderSource, Member
from checker.model.artifact import (
    INEXPRESSIBLE,
    Artifact,
    Coverage,
    Encryption,
    Image,
    Source,
    Span,
    Version,
    Weakness,
)

_NEVER: Final = frozenset({"repeated-blocks", "biased-ciphertext"})  # content is never decrypted here
WEAKNESSES: Final = (
    *(code for code in common.WEAKNESSES if code not in _NEVER),
    "checksum-only",
    "duplicate-member",
    "missing-member",
    "unreferenced-member",
)
SUFFIX: Final = ".jcat"


def _detect(source: Source, context: Context) -> bool:  # noqa: ARG001 - the contract's signature
    if isinstance(source, FolderSource):
        found = _jcats(source)
        return len(found) == 1 and files.looks_like_jcat(source.member(found[0].path))
    return files.looks_like_jcat(source)


def _jcats(source: FolderSource) -> tuple[Member, ...]:
    return tuple(member for member in source.members if member.path.endswith(SUFFIX) and "/" not in member.path)


def _parse(source: Source, context: Context) -> Parse:
    if isinstance(source, FolderSource):
        return (yield from _parse_folder(source, context))
    items = files.read_items(source)
    verdicts: dict[int, ItemVerdict] = {}
    for number, item in enumerate(items):
        beside = next((context.companions[name] for name in item.names if name in context.companions), None)
        if beside is not None:
            verdicts[number] = yield from files.judge_item(item, beside, None, context)
    whole = (Span(0, source.size),)
    absent = len(verdicts) < len(items)
    proved = any(verdict.valid for verdict in verdicts.values())
    states = {verdict.state(proved=proved) for verdict in verdicts.values()}
    coverage = Coverage(
        payload=whole,
        uncovered=whole if False in states else (),
        undecided=whole if False not in states and (absent or states != {True}) else (),
        size_bound=states == {True} and not absent,
        unprotected_metadata=("file name",),
    )
    return _artifact(source, items, verdicts, coverage, ())


def _parse_folder(source: FolderSource, context: Context) -> Parse:
    found = _jcats(source)
    if len(found) != 1:
        raise FormatError(f"the folder holds {len(found)} jcat files, one is wanted", field="folder")
    items = files.read_items(source.member(found[0].path))
    verdicts: dict[int, ItemVerdict] = {}
    named: dict[str, list[ItemVerdict]] = {}
    extra = []
    for number, item in enumerate(items):
        member = next((source.find(name) for name in item.names if source.find(name)), None)
        if member is None:
            extra.append(Weakness(code="missing-member", message="the folder has no such file", where=item.id))
            continue
        verdicts[number] = yield from files.judge_item(item, source.member(member.path), member.span, context)
        named.setdefault(member.path, []).append(verdicts[number])
    payload = [member for member in source.members if member not in found]
    text = "the jcat has no item for it"
    extra += [
        Weakness(code="unreferenced-member", message=text, where=member.path)
        for member in payload
        if member.path not in named
    ]
    proved = any(verdict.valid for verdict in verdicts.values())
    states = [_state(named.get(member.path, ()), proved=proved) for member in payload]
    coverage = Coverage(
        payload=tuple(member.span for member in payload),
        uncovered=tuple(member.span for member, state in zip(payload, states, strict=True) if state is False),
        undecided=tuple(member.span for member, state in zip(payload, states, strict=True) if state is None),
        size_bound=set(states) <= {True},
        unprotected_metadata=("file name",),
    )
    images = tuple(_image(source, member) for member in payload)
    return _artifact(source, items, verdicts, coverage, extra, images)


def _state(verdicts: Sequence[ItemVerdict], *, proved: bool) -> bool | None:
    """Return whether every item of a file reaches it; None where that is not known."""
    states = {verdict.state(proved=proved) for verdict in verdicts} or {False}
    return False if False in states else None if None in states else True


def _image(source: FolderSource, member: Member) -> Image:
    inside = source.member(member.path)
    encryption = encryption_of(inside)
    return Image(id=member.path, size=member.size, span=member.span, encryption=encryption, source=inside)


def _artifact(
    source: Source,
    items: Sequence[Item],
    verdicts: Mapping[int, ItemVerdict],
    coverage: Coverage,
    extra: Sequence[Weakness],
    images: tuple[Image, ...] = (),
) -> Artifact:
    signatures = tuple(
        signature
        for number, item in enumerate(items)
        for signature in (verdicts[number].signatures if number in verdicts else files.undecided(item))
    )
    digests = tuple(check for verdict in verdicts.values() for check in verdict.digests)
    weaknesses = (
        *common.signature_weaknesses(signatures),
        *common.digest_weaknesses(digests),
        *(weakness for verdict in verdicts.values() for weakness in verdict.weaknesses),
        *files.item_weaknesses(items),
        *extra,
    )
    return Artifact(
        format="jcat",
        title="jcat signature catalogue",
        name=source.name,
        size=source.size,
        sha256="",
        signatures=signatures,
        coverage=coverage,
        digests=digests,
        encryption=tuple(image.encryption for image in images) or (Encryption(encrypted=False),),
        images=images,
        version=Version(version=INEXPRESSIBLE, sequence=INEXPRESSIBLE),
        hardware=INEXPRESSIBLE,
        weaknesses=tuple({(item.code, item.where): item for item in weaknesses}.values()),
        facts=files.described(items),
    )


FORMAT: Final = Format(
    id="jcat",
    title="jcat signature catalogue",
    detect=_detect,
    parse=_parse,
    companions={"*": "the files that the items name, by their names"},
    options={"purpose": "the extended key usage that signers need, by name or dotted"},
    references=("hughsie/libjcat README.md", "RFC 1952", "RFC 8259"),
    folders=True,
)
