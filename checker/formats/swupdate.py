"""SWUpdate images (.swu): a cpio archive whose signed sw-description names every other member by its SHA-256.

Source: sbabic/swupdate doc/source/{sw-description,signed_images,encrypted_images,asym_encrypted_images}.rst,
core/cpio_utils.c and corelib/swupdate_{cms,rsa}_verify.c for what the installer accepts.

The chain is: signature → sw-description → SHA-256 of each member. A member without `sha256` is protected by nothing;
`sha256` is over the member as it lies in the archive, so over the ciphertext of an encrypted one.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Final

from checker.crypto.ciphers import aes_cbc_source
from checker.crypto.cms import EnvelopedMessage, SignedMessage, looks_like_cms
from checker.errors import CryptoError, FormatError
from checker.formats import _common as common
from checker.formats._cpio import MAGICS, Archive, Member, first_name, read_archive, sum_matches, sum_request
from checker.formats._raw_signature import judge, looks_like_pgp, rsa_schemes
from checker.formats._signatures import openpgp
from checker.formats._signatures.contract import Judged, Judgement
from checker.formats._sw_description import MAX_SIZE, Description, Entry, read_description
from checker.formats._swupdate_encryption import Opened, open_member
from checker.formats._unwrap import symmetric_keys
from checker.formats.contract import Context, Format, Parse
from checker.io.digests import DigestRequest, digest
from checker.io.reader import Reader
from checker.io.sources import BytesSource
from checker.model.artifact import (
    INEXPRESSIBLE,
    Artifact,
    Coverage,
    DigestCheck,
    Encryption,
    Image,
    Recipient,
    Signature,
    Source,
    Span,
    Version,
    Weakness,
)
from checker.model.terms import Outcome

WEAKNESSES: Final = (
    *common.WEAKNESSES,
    "checksum-mismatch",
    "iv-reuse",
    "key-in-clear",
    "missing-digest",
    "missing-member",
    "script-member",
    "trailing-data",
    "unreferenced-member",
    "zero-iv",
    *(code for code in openpgp.KIND.weaknesses if code not in common.WEAKNESSES),
)
MAX_SUMMED: Final = 64 * 1024 * 1024  # bytes of a member with a digest of its own whose sum is recomputed too
DESCRIPTION: Final = "sw-description"
SIGNATURE: Final = "sw-description.sig"
PURPOSE: Final = "code-signing"  # stands for emailProtection too, which the installer asks for unless told otherwise
WEAK_ATTRIBUTES: Final = ("md5", "md5sum", "sha1", "crc32")
_PLAIN: Final = Encryption(encrypted=False)


@dataclass(frozen=True, kw_only=True)
class _Text:
    """The sw-description in clear, or why it is not: it may be a CMS message to a list of devices."""

    data: bytes | None
    description: Description | None
    encryption: Encryption = _PLAIN
    recipients: tuple[Recipient, ...] = ()
    note: str = ""

    @property
    def entries(self) -> tuple[Entry, ...]:
        """Return what it names, nothing while it cannot be read."""
        return self.description.entries if self.description else ()


@dataclass(frozen=True, kw_only=True)
class _Bundle(common.Signed):
    """Everything about the archive that the verdicts are made of."""

    source: Source
    archive: Archive
    text: _Text
    judged: tuple[Weakness, ...]  # what the signatures themselves do not show
    digests: Mapping[str, bytes]  # SHA-256 of every member that has a stated one
    sums: Mapping[str, bytes]  # Adler-32 of every member that has a check field
    opened: Mapping[int, Opened]  # by index of the entry

    @property
    def members(self) -> dict[str, Member]:
        """Return the members by name, without the description and its signature."""
        return {member.name: member for member in self.archive.members if member.name not in {DESCRIPTION, SIGNATURE}}


def _detect(source: Source, context: Context) -> bool:  # noqa: ARG001 - the contract's signature
    return first_name(source) == DESCRIPTION


def _parse(source: Source, context: Context) -> Parse:
    archive = read_archive(source)
    if not archive.members or archive.members[0].name != DESCRIPTION:
        raise FormatError(f"the first member is not {DESCRIPTION}", field="cpio")
    text = _open_description(source, archive.members[0], context)
    judged = yield from _signatures(source, archive, text, context)
    stated = {entry.filename for entry in text.entries if entry.text("sha256")}
    requests = {
        member.name: DigestRequest.over("sha-256", source, member.span)
        for member in archive.members
        if member.name in stated
    }
    sums = {member.name: sum_request(source, member) for member in archive.members if _summed(member, requests)}
    answers = yield (*requests.values(), *sums.values())
    bundle = _Bundle(
        source=source,
        archive=archive,
        text=text,
        signatures=judged.signatures,
        judged=judged.weaknesses,
        digests={name: answers[request] for name, request in requests.items()},
        sums={name: answers[request] for name, request in sums.items()},
        opened=_open_members(source, archive, text, context),
    )
    return _artifact(bundle)


def _summed(member: Member, digests: Mapping[str, DigestRequest]) -> bool:
    """Return whether the archive's sum of a member is recomputed.

    Over a large member it would cost a third of what its SHA-256 costs, and that finds whatever the sum finds.
    """
    return member.checksum is not None and (member.name not in digests or member.span.size <= MAX_SUMMED)


# The description


def _open_description(source: Source, member: Member, context: Context) -> _Text:
    data = Reader(source, member.span.start, member.span.end).take(member.span.size, DESCRIPTION, limit=MAX_SIZE)
    if not looks_like_cms(data):
        hidden = _open_symmetric(source, member, data, context)
        return hidden or _Text(data=data, description=read_description(data, member.span.start))
    message = EnvelopedMessage.parse(data)
    try:
        opened = message.open(context.keys)
        description = read_description(opened.content, member.span.start)
    except (CryptoError, FormatError) as error:  # a wrong key may open an RSA v1.5 recipient, and then gives nonsense
        note = f"{DESCRIPTION} is encrypted: {error}"
        encryption = replace(message.encryption, note=note)
        return _Text(data=None, description=None, encryption=encryption, recipients=message.recipients, note=note)
    encryption = replace(opened.encryption, decrypted=True)
    return _Text(data=opened.content, description=description, encryption=encryption, recipients=opened.recipients)


def _open_symmetric(source: Source, member: Member, data: bytes, context: Context) -> _Text | None:
    """Return a description that is encrypted with the fleet's AES key (CONFIG_ENCRYPTED_SW_DESCRIPTION), else None."""
    if not data or len(data) % common.BLOCK or _is_text(data):
        return None
    for secret in symmetric_keys(context.keys):
        if secret.iv is None:
            continue
        used = Encryption(
            encrypted=True,
            cipher="aes",
            mode="cbc",
            key_bits=len(secret.key) * 8,
            nonce=secret.iv.hex(),
            content_key_digest=digest("sha-256", secret.key).hex(),
            decrypted=True,
        )
        try:
            source_in_clear = aes_cbc_source(source, member.span, secret.key, secret.iv)
            clear = source_in_clear.read(0, source_in_clear.size)
            return _Text(data=clear, description=read_description(clear, member.span.start), encryption=used)
        except (CryptoError, FormatError):
            continue
    note = f"{DESCRIPTION} is no text: most likely encrypted, and no given key opens it"
    return _Text(data=None, description=None, encryption=Encryption(encrypted=None, note=note), note=note)


def _is_text(data: bytes) -> bool:
    try:
        data.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True


# Signatures


def _signatures(source: Source, archive: Archive, text: _Text, context: Context) -> Judged:
    """Judge `sw-description.sig`, which the installer expects directly after the description."""
    names = [member.name for member in archive.members]
    if names[1:2] != [SIGNATURE]:
        elsewhere = f"; {SIGNATURE} is not directly behind it" if SIGNATURE in names else ""
        return Judgement(
            signatures=(Signature(outcome=Outcome.ABSENT, note=f"{DESCRIPTION} has no signature{elsewhere}"),)
        )
    member = archive.members[1]
    data = Reader(source, member.span.start, member.span.end).take(member.span.size, SIGNATURE)
    if text.data is not None and looks_like_pgp(data):
        found = yield from openpgp.KIND.judge(BytesSource(DESCRIPTION, text.data), data, context)
    else:
        found = Judgement(signatures=_judge(data, text, context))
    covers = archive.members[0].span
    placed = (replace(signature, covers=(covers,), where=member.span) for signature in found.signatures)
    return replace(found, signatures=tuple(placed))


def _judge(data: bytes, text: _Text, context: Context) -> tuple[Signature, ...]:
    if text.data is None:
        return (Signature(outcome=Outcome.UNDECIDABLE, note=f"over the plaintext: {text.note}"),)
    if looks_like_cms(data):
        return _judge_cms(data, text.data, context)
    hashes = {"sha-256": digest("sha-256", text.data)}
    return (judge(data, context.keys.verifiers, hashes, schemes=rsa_schemes),)


def _judge_cms(data: bytes, content: bytes, context: Context) -> tuple[Signature, ...]:
    try:
        message = SignedMessage.parse(data)
        found = message.verify(
            lambda name: digest(name, content),
            context.keys,
            context.as_of,
            context.options.get("purpose", PURPOSE),
            content=lambda: content,
        )
    except (CryptoError, FormatError) as error:
        return (Signature(outcome=Outcome.INVALID, encoding="CMS detached", note=str(error)),)
    return found or (Signature(outcome=Outcome.INVALID, encoding="CMS detached", note="the message has no signer"),)


# Members


def _open_members(source: Source, archive: Archive, text: _Text, context: Context) -> dict[int, Opened]:
    members = {member.name: member for member in archive.members}
    hidden = text.encryption.encrypted is True
    return {
        index: open_member(source, members[entry.filename].span, entry, context.keys, description_hidden=hidden)
        for index, entry in enumerate(text.entries)
        if entry.filename in members
    }


def _check(bundle: _Bundle, entry: Entry, member: Member) -> tuple[DigestCheck, ...]:
    expected = entry.text("sha256").lower()
    if not expected:
        return ()
    actual = bundle.digests[member.name].hex()
    return (
        DigestCheck(
            name=f"sha256 of {member.name}",
            algorithm="sha-256",
            expected=expected,
            actual=actual,
            covers=(member.span,),
            over="ciphertext" if entry.cipher else "content",
            authentic=bundle.valid,
        ),
    )


def _images(bundle: _Bundle) -> Iterator[Image]:
    """Yield one image per entry of the description, then the members that it does not name."""
    members = bundle.members
    if bundle.text.encryption.encrypted is not False:
        span = bundle.archive.members[0].span
        hidden = bundle.text.encryption
        yield Image(id=DESCRIPTION, size=span.size, role="metadata", span=span, encryption=hidden, note=hidden.note)
    counts: dict[str, int] = defaultdict(int)
    for index, entry in enumerate(bundle.text.entries):
        member = members.get(entry.filename)
        if member is not None:
            counts[entry.filename] += 1
            yield _image(bundle, entry, member, bundle.opened[index], counts[entry.filename])
    for name, member in members.items():
        if name not in counts:
            yield _unnamed(bundle, member)


def _unnamed(bundle: _Bundle, member: Member) -> Image:
    """Return a member of which the description says nothing, or whose description cannot be read."""
    if bundle.text.description is not None:
        note = f"{DESCRIPTION} does not name it"
        return Image(id=member.name, size=member.span.size, role="other", span=member.span, note=note)
    doubts = common.ciphertext_doubts(bundle.source, member.span, member.name)
    encryption = Encryption(encrypted=False if doubts else None, note=bundle.text.note)
    return Image(id=member.name, size=member.span.size, span=member.span, encryption=encryption, note=bundle.text.note)


def _image(bundle: _Bundle, entry: Entry, member: Member, opened: Opened, count: int) -> Image:
    digests = _check(bundle, entry, member)
    proven = bool(digests) and all(check.matches and check.authentic for check in digests)
    encryption = opened.encryption
    if encryption.encrypted:
        encryption = replace(encryption, authenticated=proven)
    own = entry.text("version")
    return Image(
        id=member.name if count == 1 else f"{member.name}#{count}",
        size=member.span.size,
        role=entry.role,
        target=entry.target,
        hardware=bundle.text.description.hardware if bundle.text.description else (),
        span=member.span,
        digests=digests,
        encryption=encryption,
        version=Version(version=own or None, sequence=INEXPRESSIBLE, authentic=bundle.valid if own else None),
        source=opened.source if count == 1 else None,
        note=opened.note,
    )


# The artifact


def _artifact(bundle: _Bundle) -> Artifact:
    text, description = bundle.text, bundle.text.description
    images = tuple(_images(bundle))
    crc = "with checksums" if bundle.source.read(0, 6) == MAGICS[1] else "without checksums"
    return Artifact(
        format="swupdate",
        title=f"SWUpdate image (.swu), cpio newc {crc}",
        name=bundle.source.name,
        size=bundle.source.size,
        sha256="",
        signatures=bundle.signatures,
        coverage=_coverage(bundle, images),
        digests=(),
        recipients=text.recipients,
        images=images,
        version=_version(bundle),
        hardware=description.hardware if description else (),
        weaknesses=(
            *_weaknesses(bundle),
            *common.digest_weaknesses(check for image in images for check in image.digests),
        ),
        facts=tuple(_facts(bundle)),
    )


def _version(bundle: _Bundle) -> Version:
    description = bundle.text.description
    if description is None:
        return Version(sequence=INEXPRESSIBLE)
    conditions = (f"{entry.filename}: {text}" for entry in description.entries for text in entry.constraints)
    return Version(
        version=description.version or None,
        sequence=INEXPRESSIBLE,
        authentic=bundle.authentic,
        constraints=tuple(dict.fromkeys(conditions)),
    )


def _coverage(bundle: _Bundle, images: Iterable[Image]) -> Coverage:
    """Return what the chain signature → description → SHA-256 reaches.

    A matching digest is taken over exactly the member's bytes, so one byte more or less breaks it: the size is bound
    where every member has one.
    """
    named = _named(bundle)
    fields = tuple(_steering(bundle.text))
    proven = {
        image.span for image in images if image.span and image.digests and all(check.matches for check in image.digests)
    }
    refuted = {image.span for image in images if not image.digests or not all(check.matches for check in image.digests)}
    covered = proven - refuted if bundle.reached else set()
    uncovered = tuple(span for span in named if span not in covered)
    hidden = bundle.text.data is None and bundle.reached  # what it says of the members is not known
    return Coverage(
        payload=named,
        uncovered=() if hidden else uncovered,
        undecided=named if hidden else (),
        metadata=fields if bundle.reached else (),
        unprotected_metadata=() if bundle.reached else fields,
        size_bound=None if bundle.text.data is None else not uncovered,
    )


def _named(bundle: _Bundle) -> tuple[Span, ...]:
    """Return where the members lie that will be installed; all of them while the description is not fully known."""
    names = {entry.filename for entry in bundle.text.entries}
    known = bundle.text.description is not None and not bundle.text.description.unresolved
    return tuple(member.span for member in bundle.members.values() if not known or member.name in names)


def _steering(text: _Text) -> Iterator[str]:
    description = text.description
    if description is None:
        return
    if description.version:
        yield "version"
    if description.hardware:
        yield "hardware-compatibility"
    if any(entry.target for entry in description.entries):
        yield "targets"
    if description.embedded_script:
        yield "embedded-script"
    yield from sorted({section.rsplit("/", 1)[-1] for section, _ in description.states})


def _facts(bundle: _Bundle) -> Iterator[tuple[str, str]]:
    yield "members", str(len(bundle.archive.members))
    description = bundle.text.description
    if description is None:
        yield DESCRIPTION, bundle.text.note
        return
    yield "syntax", description.syntax
    yield "sections", " ".join(section or "software" for section in description.sections)
    yield "targets", ", ".join(dict.fromkeys(entry.target for entry in description.entries if entry.target))
    yield from description.states[:20]


# Weaknesses


def _weaknesses(bundle: _Bundle) -> Iterator[Weakness]:
    yield from common.signature_weaknesses(bundle.signatures)
    yield from bundle.judged
    yield from _member_weaknesses(bundle)
    yield from _cipher_weaknesses(bundle)
    for member in bundle.archive.members:
        if member.name in bundle.sums and not sum_matches(member, bundle.sums[member.name]):
            text = f"the archive's checksum of {member.name} does not match its bytes"
            yield Weakness(code="checksum-mismatch", message=text, where=member.name)
    rest = Span(bundle.archive.end, bundle.source.size)
    if not common.only_fill(bundle.source, rest):
        yield Weakness(code="trailing-data", message="bytes follow the archive's trailer", where=str(rest))


def _member_weaknesses(bundle: _Bundle) -> Iterator[Weakness]:
    members, entries = bundle.members, bundle.text.entries
    for entry in entries:
        if entry.filename and entry.filename not in members:
            text = f"{DESCRIPTION} names {entry.filename}, which the archive does not hold"
            yield Weakness(code="missing-member", message=text, where=entry.filename)
        if entry.filename in members and not entry.text("sha256"):
            text = f"{DESCRIPTION} states no sha256 for {entry.filename}"
            yield Weakness(code="missing-digest", message=text, where=entry.filename)
        for name in WEAK_ATTRIBUTES:
            if entry.text(name):
                text = f"{DESCRIPTION} states {name} for {entry.filename}"
                yield Weakness(code="weak-digest", message=text, where=entry.filename)
    scripts = sorted({entry.filename for entry in entries if entry.role == "script"})
    if scripts or (bundle.text.description and bundle.text.description.embedded_script):
        text = f"scripts run during the install: {', '.join(scripts) or 'embedded-script'}"
        yield Weakness(code="script-member", message=text[:500])
    for link in bundle.text.description.unresolved if bundle.text.description else ():
        yield Weakness(code="missing-member", message=f"a link of {DESCRIPTION} leads nowhere: {link}", where=link)
    if bundle.text.description is not None:
        for name in sorted(members.keys() - {entry.filename for entry in entries}):
            text = f"the archive holds {name}, which {DESCRIPTION} does not name"
            yield Weakness(code="unreferenced-member", message=text, where=name)


def _cipher_weaknesses(bundle: _Bundle) -> Iterator[Weakness]:
    users: dict[tuple[str, str], dict[str, None]] = defaultdict(dict)
    for index, opened in bundle.opened.items():
        entry = bundle.text.entries[index]
        yield from opened.weaknesses
        if entry.cipher and entry.text("ivt").strip("0") == "" != entry.text("ivt"):
            yield Weakness(code="zero-iv", message=f"the IV of {entry.filename} is all zero", where=entry.filename)
        if entry.cipher:
            users[entry.text("ivt").lower(), entry.text("aes-key").lower()][entry.filename] = None
    for (iv, _), names in users.items():
        if len(names) > 1:
            which = f"the IV {iv}" if iv else "the IV of the key file"
            text = f"{which} encrypts {len(names)} members under one key: {', '.join(names)}"
            yield Weakness(code="iv-reuse", message=text[:500], where=iv or "key file")


FORMAT: Final = Format(
    id="swupdate",
    title="SWUpdate image (.swu)",
    detect=_detect,
    parse=_parse,
    options={"purpose": "the extended key usage that signers need, by name or dotted; code-signing unless said"},
    references=(
        "sbabic/swupdate doc/source/sw-description.rst",
        "sbabic/swupdate doc/source/signed_images.rst",
        "sbabic/swupdate doc/source/encrypted_images.rst",
        "sbabic/swupdate doc/source/asym_encrypted_images.rst",
    ),
)
