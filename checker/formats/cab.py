"""Microsoft cabinets as fwupd and the LVFS use them: payload, metainfo, and a jcat that signs both.

What gets installed is what the metainfo names; the metainfo itself steers that (version, devices, requirements). A file
counts as covered where a signature of its jcat item reaches it, or where a metainfo file that is itself reached states
a digest of it that matches. Cabinets without metainfo carry no signature that fwupd knows: all of their files count as
payload. LZX and Quantum are named, and leave everything undecided.

Source: [MS-CAB]; fwupd src/fu-cabinet.c (which names are looked for); LVFS documentation; see also `_cab_structure`,
`_metainfo`, `_jcat_file`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Final

from checker.formats import _cab_structure as structure
from checker.formats import _common as common
from checker.formats import _jcat_file as jcats
from checker.formats import _metainfo as metainfos
from checker.formats._cab_data import FolderData
from checker.formats._clear import encryption_of
from checker.formats._jcat_file import Item, ItemVerdict
from checker.formats._metainfo import MAX_METAINFO, Metainfo
from checker.formats._signatures.contract import digests_of
from checker.formats.contract import Context, Format, Parse
from checker.io.digests import DigestRequest
from checker.io.sources import Window
from checker.model.artifact import (
    Artifact,
    Coverage,
    DigestCheck,
    Encryption,
    Image,
    Signature,
    Source,
    Span,
    Version,
    Weakness,
)
from checker.model.terms import Outcome

_NEVER: Final = frozenset({"repeated-blocks", "biased-ciphertext"})  # content is never decrypted here
WEAKNESSES: Final = (
    *(code for code in common.WEAKNESSES if code not in _NEVER),
    "checksum-only",
    "unprotected-metadata",
    "unprotected-member",
    "missing-member",
    "unreferenced-member",
    "duplicate-member",
    "trailing-data",
    "no-hardware-id",
)
METAINFO: Final = (".metainfo.xml", ".appdata.xml")
JCAT: Final = ".jcat"
READ: Final = frozenset({"none", "MSZIP"})
_METADATA: Final = ("version", "device", "requirements", "payload digest")


Steps = Generator[Sequence[DigestRequest], Mapping[DigestRequest, bytes], None]


@dataclass(frozen=True)
class Member:
    """One file of the cabinet."""

    name: str
    size: int
    source: Source = field(repr=False)
    span: Span

    @property
    def role(self) -> str:
        """Return `metadata` for what steers or signs, else `image`."""
        return "metadata" if self.name.endswith((*METAINFO, JCAT)) else "image"


@dataclass
class _Contents:
    """What the parser learns, piece by piece."""

    members: tuple[Member, ...]
    items: tuple[Item, ...] = ()
    metainfo: dict[str, Metainfo] = field(default_factory=dict)
    verdicts: dict[str, ItemVerdict] = field(default_factory=dict)
    stated: list[tuple[str, DigestCheck]] = field(default_factory=list)
    weaknesses: list[Weakness] = field(default_factory=list)

    @cached_property
    def by_name(self) -> Mapping[str, Member]:
        """Return the first file of each name, which is the one that fwupd takes."""
        return {member.name: member for member in reversed(self.members)}

    @property
    def payload(self) -> tuple[Member, ...]:
        """Return what is installed or steers that."""
        if not self.metainfo:
            return tuple(member for member in self.members if not member.name.endswith(JCAT))
        named = {name for found in self.metainfo.values() for name in found.payloads}
        return tuple(member for member in self.members if member.name in named or member.name in self.metainfo)

    def signed(self, name: str) -> bool | None:
        """Return whether a signature of the file's own item reaches it; None where others do and no key judges it."""
        proved = any(verdict.valid for verdict in self.verdicts.values())
        return self.verdicts[name].state(proved=proved) if name in self.verdicts else False

    def reached(self, member: Member) -> bool | None:
        """Return whether something authentic reaches a file; None where that is not known."""
        if self.by_name[member.name] is not member:  # nobody has looked at a second file of the same name
            return False
        return True if member.name in self.proved else self.signed(member.name)

    @cached_property
    def proved(self) -> frozenset[str]:
        """Return the files of which an authentic digest matches, and none differs."""
        authentic = [(name, check) for name, check in self.stated if check.authentic]
        wrong = {name for name, check in authentic if not check.matches}
        return frozenset(name for name, _ in authentic) - wrong


def _detect(source: Source, context: Context) -> bool:  # noqa: ARG001 - the contract's signature
    head = source.read(0, 26)
    return head.startswith(structure.MAGIC) and head[24:26] == b"\x03\x01"


def _parse(source: Source, context: Context) -> Parse:
    cabinet = structure.read_cabinet(source)
    folders = [FolderData(source, folder) for folder in cabinet.folders]
    members = tuple(_member(file, folders[file.folder]) for file in cabinet.files)
    unread = sorted({folder.compression for folder in cabinet.folders} - READ)
    if unread:
        return _unread(source, cabinet, members, unread)
    contents = _Contents(members)
    contents.weaknesses += _member_weaknesses(source, cabinet, members)
    for member in members:
        if member.name.endswith(JCAT):
            contents.items += jcats.read_items(member.source)
        elif member.name.endswith(METAINFO):
            data = member.source.read(0, MAX_METAINFO + 1)
            contents.metainfo[member.name] = metainfos.parse(data, member.name)
    yield from _judge(contents, context)
    return _artifact(source, cabinet, contents)


def _member(file: structure.File, folder: FolderData) -> Member:
    # fwupd looks for names without any folder (fu_cabinet_get_image_by_id over basenames).
    name = file.name.replace("\\", "/").rpartition("/")[2]
    span = folder.place(file.start, file.size) if folder.size else Span(0, 0)
    return Member(name, file.size, Window(folder, name, file.start, file.size), span)


def _member_weaknesses(source: Source, cabinet: structure.Cabinet, members: Sequence[Member]) -> Iterator[Weakness]:
    for name, times in Counter(member.name for member in members).items():
        if times > 1:
            yield Weakness(code="duplicate-member", message="two files have this name", where=name)
    if source.size > cabinet.size and not cabinet.authenticode:
        text = f"{source.size - cabinet.size} bytes follow the cabinet"
        yield Weakness(code="trailing-data", message=text, where=f"{cabinet.size:#x}")


def _judge(contents: _Contents, context: Context) -> Steps:
    for item in contents.items:
        member = next((contents.by_name[name] for name in item.names if name in contents.by_name), None)
        if member is None:
            contents.weaknesses.append(
                Weakness(code="missing-member", message="the jcat signs a file that is not there", where=item.id)
            )
            continue
        verdict = yield from jcats.judge_item(item, member.source, member.span, context)
        known = contents.verdicts.get(member.name)
        contents.verdicts[member.name] = verdict if known is None else _joined(known, verdict)
    for name, found in contents.metainfo.items():
        yield from _stated(contents, name, found)


def _joined(first: ItemVerdict, second: ItemVerdict) -> ItemVerdict:
    return ItemVerdict(
        signatures=first.signatures + second.signatures,
        digests=first.digests + second.digests,
        weaknesses=first.weaknesses + second.weaknesses,
        reached=first.reached and second.reached,
        valid=first.valid and second.valid,
    )


def _stated(contents: _Contents, name: str, found: Metainfo) -> Steps:
    """Check the digests that a metainfo file states; they are authentic where that file is."""
    for filename in dict.fromkeys(found.payloads):
        member = contents.by_name.get(filename)
        if member is None:
            text = f"{name} names a file that is not there"
            contents.weaknesses.append(Weakness(code="missing-member", message=text, where=filename))
            continue
        checks = dict.fromkeys(check for check in found.checksums if check.filename == filename)
        digests = yield from digests_of(member.source, sorted({check.algorithm for check in checks}))
        contents.stated += [
            (
                filename,
                DigestCheck(
                    name=f"{name} {check.algorithm} of {filename}",
                    algorithm=check.algorithm,
                    expected=check.value,
                    actual=digests[check.algorithm].hex(),
                    covers=(member.span,),
                    authentic=contents.signed(name) is True,
                ),
            )
            for check in checks
        ]


# The artifact


def _artifact(source: Source, cabinet: structure.Cabinet, contents: _Contents) -> Artifact:
    verdicts = contents.verdicts.values()
    signatures = tuple(signature for verdict in verdicts for signature in verdict.signatures)
    digests = (*(check for verdict in verdicts for check in verdict.digests), *(check for _, check in contents.stated))
    uncovered = [member for member in contents.payload if contents.reached(member) is False]
    undecided = [member for member in contents.payload if contents.reached(member) is None]
    steering = all(contents.signed(name) for name in contents.metainfo)
    weaknesses = (
        *common.signature_weaknesses(signatures),
        *common.digest_weaknesses(digests),
        *(weakness for verdict in verdicts for weakness in verdict.weaknesses),
        *jcats.item_weaknesses(contents.items),
        *contents.weaknesses,
        *_payload_weaknesses(contents, uncovered, signed=bool(signatures)),
    )
    return Artifact(
        format="cab",
        title=_title(cabinet, contents),
        name=source.name,
        size=source.size,
        sha256="",
        signatures=signatures,
        coverage=Coverage(
            payload=_spans(contents.payload),
            uncovered=_spans(uncovered),
            undecided=_spans(undecided),
            metadata=_METADATA if contents.metainfo and steering else (),
            unprotected_metadata=("file name",) if steering else (*_METADATA, "file name"),
            size_bound=not uncovered and not undecided,
        ),
        digests=digests,
        encryption=(Encryption(encrypted=False, note="the container has no encryption; each file is told apart"),),
        images=_images(contents),
        version=_version(contents),
        hardware=tuple(dict.fromkeys(guid for found in contents.metainfo.values() for guid in found.guids)),
        weaknesses=tuple({(item.code, item.where): item for item in weaknesses}.values()),
        facts=_facts(cabinet, contents),
    )


def _spans(members: Sequence[Member]) -> tuple[Span, ...]:
    return tuple(dict.fromkeys(member.span for member in members if member.size))


def _title(cabinet: structure.Cabinet, contents: _Contents) -> str:
    kinds = ", ".join(dict.fromkeys(folder.compression for folder in cabinet.folders)) or "empty"
    return f"{'fwupd firmware' if contents.metainfo else 'Microsoft'} cabinet ({kinds})"


def _payload_weaknesses(contents: _Contents, uncovered: Sequence[Member], *, signed: bool) -> Iterator[Weakness]:
    if signed:
        for member in uncovered:
            steers = member.name in contents.metainfo
            code = "unprotected-metadata" if steers else "unprotected-member"
            yield Weakness(code=code, message="no signature reaches this file", where=member.name)
    if not contents.metainfo:
        return
    used = {member.name for member in contents.payload} | contents.verdicts.keys()
    for member in contents.members:
        if member.name not in used and not member.name.endswith(JCAT):
            text = "no metainfo and no jcat item names this file"
            yield Weakness(code="unreferenced-member", message=text, where=member.name)
    for name, found in contents.metainfo.items():
        if not found.guids:
            yield Weakness(code="no-hardware-id", message="the metainfo names no device (GUID)", where=name)


def _images(contents: _Contents) -> tuple[Image, ...]:
    digests: dict[str, list[DigestCheck]] = {}
    for name, verdict in contents.verdicts.items():
        digests.setdefault(name, []).extend(verdict.digests)
    for name, check in contents.stated:
        digests.setdefault(name, []).append(check)
    return tuple(_image(member, digests.get(member.name, ())) for member in contents.members)


def _image(member: Member, digests: Sequence[DigestCheck]) -> Image:
    image = member.role == "image"
    return Image(
        id=member.name,
        size=member.size,
        role=member.role,
        span=member.span,
        digests=tuple(digests),
        encryption=encryption_of(member.source) if image else Encryption(encrypted=False),
        source=member.source if image and member.size else None,
    )


def _version(contents: _Contents) -> Version:
    found = list(contents.metainfo.values())
    signed = {contents.signed(name) for name in contents.metainfo}
    valid = all(contents.verdicts[name].valid for name in contents.metainfo if name in contents.verdicts)
    authentic = False if False in signed else True if valid and None not in signed else None
    versions = [version for each in found for version in each.versions[:1]]
    requires = tuple(dict.fromkeys(text for each in found for text in each.requires))
    if not versions:
        return Version(version=None, sequence=None, constraints=requires)
    return Version(version=versions[0], sequence=None, authentic=authentic, constraints=requires)


def _facts(cabinet: structure.Cabinet, contents: _Contents) -> tuple[tuple[str, str], ...]:
    facts = [("component", each.component) for each in contents.metainfo.values() if each.component]
    facts += [("release", version) for each in contents.metainfo.values() for version in each.versions[:16]]
    facts += [pair for each in contents.metainfo.values() for pair in each.custom[:32]]
    if cabinet.authenticode:
        facts.append(("Authenticode", "the header points to a signature of Windows, which is not verified here"))
    return (*facts, *jcats.described(contents.items))


def _unread(source: Source, cabinet: structure.Cabinet, members: Sequence[Member], unread: Sequence[str]) -> Artifact:
    """Return what is known of a cabinet whose files cannot be decompressed here."""
    note = f"the files are compressed with {' and '.join(unread)}, which is not decompressed here"
    whole = (Span(0, source.size),)
    return Artifact(
        format="cab",
        title=f"Microsoft cabinet ({', '.join(unread)})",
        name=source.name,
        size=source.size,
        sha256="",
        signatures=(Signature(outcome=Outcome.UNDECIDABLE, encoding="jcat", note=note),),
        coverage=Coverage(payload=whole, undecided=whole),
        encryption=(Encryption(encrypted=None, note=note),),
        images=tuple(Image(id=m.name, size=m.size, role=m.role, span=m.span, note=note) for m in members),
        weaknesses=tuple(_member_weaknesses(source, cabinet, members)),
        facts=(("compression", ", ".join(unread)),),
    )


FORMAT: Final = Format(
    id="cab",
    title="Microsoft cabinet (fwupd, LVFS)",
    detect=_detect,
    parse=_parse,
    options={"purpose": "the extended key usage that signers need, by name or dotted"},
    references=("[MS-CAB]", "[MS-MCI]", "hughsie/libjcat README.md", "fwupd docs, LVFS MetaInfo files", "RFC 1951"),
)
