"""RAUC bundles (.raucb): a squashfs image, a CMS message behind it, and the message's size in the last eight bytes.

Source: rauc/rauc docs/reference.rst ("Bundle Formats", "Manifest"), docs/advanced.rst ("Bundle Encryption"), and
src/{bundle,manifest,crypt}.c for what the installer accepts.

plain: a detached signature over the whole payload; the manifest lies inside the squashfs.
verity: the message carries the manifest, and the manifest carries salt and root of a dm-verity tree over the payload.
crypt: the same over ciphertext (AES-256-CBC by sectors), with the content key in the manifest; the message is wrapped
in another one for a list of recipients, or else the key lies in clear. The signature is inside that wrapping.

A manifest alone is read too; its signature, where it has one, is a file beside it (the format `detached`).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Final

from checker.crypto.cms import EnvelopedMessage, SignedMessage, looks_like_cms
from checker.errors import CryptoError, FormatError, LimitError, UnsupportedAlgorithmError
from checker.formats import _common as common
from checker.formats import _verity
from checker.formats._rauc_content import SQUASHFS, Content, Slots, View, open_payload, read_content
from checker.formats._rauc_content import WEAKNESSES as CONTENT_WEAKNESSES
from checker.formats._rauc_layout import SIZE_FIELD, BundleLayout, read_layout
from checker.formats._rauc_manifest import MANIFEST, MAX_SIZE, Manifest, looks_like_manifest, read_manifest
from checker.formats.contract import Context, Format, Parse
from checker.io.digests import DigestRequest, supported
from checker.io.reader import Reader
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
    *CONTENT_WEAKNESSES,
    "encryption-void",
    "key-in-clear",
    "trailing-data",
    "weak-key-transport",
    common.PRE_STANDARD_KEM,
)
SIGNATURE: Final = "signature"  # the companion that makes a file one with a detached signature
PURPOSE: Final = "code-signing"  # stands for emailProtection too, RAUC's default (OpenSSL's "smimesign")
_TRANSPORT: Final = "rsa-pkcs1v15-transport"


@dataclass(frozen=True, kw_only=True)
class _Opened:
    """The signed message, or why it cannot be read: it may be wrapped for a list of recipients."""

    message: SignedMessage | None
    envelope: Encryption | None = None
    recipients: tuple[Recipient, ...] = ()
    note: str = ""


@dataclass(frozen=True, kw_only=True)
class _Bundle(common.Signed):
    """Everything about the bundle that the verdicts are made of."""

    source: Source
    layout: BundleLayout
    opened: _Opened
    manifest: Manifest | None  # of the CMS message or of the squashfs; None where neither could be read
    view: View
    content: Content
    tree: _verity.Tree | None = None
    answers: Mapping[DigestRequest, bytes]

    @property
    def closed(self) -> bool:
        """Return whether the envelope could not be opened, so that nothing inside is known."""
        return self.opened.message is None

    @property
    def data(self) -> Span:
        """Return where the squashfs image or its ciphertext lies, without the hash tree."""
        return _data(self.layout, self.manifest)

    @property
    def root(self) -> bytes:
        """Return the recomputed root of the hash tree, nothing where there is no tree."""
        return self.answers[self.tree.root] if self.tree else b""

    @property
    def crypt(self) -> bool:
        """Return whether the bundle is said to be encrypted."""
        return self.opened.envelope is not None or bool(self.manifest and self.manifest.format == "crypt")


def _detect(source: Source, context: Context) -> bool:
    return _is_bundle(source) or (SIGNATURE not in context.companions and looks_like_manifest(source))


def _is_bundle(source: Source) -> bool:
    if source.size <= SIZE_FIELD:
        return False
    size = int.from_bytes(source.read(source.size - SIZE_FIELD, SIZE_FIELD), "big")
    start = source.size - SIZE_FIELD - size
    return size > 0 and start >= 0 and looks_like_cms(source.read(start, min(size, 32)))


def _data(layout: BundleLayout, manifest: Manifest | None) -> Span:
    return Span(layout.payload.start, layout.payload.end - (manifest.verity_size if manifest else 0))


def _parse(source: Source, context: Context) -> Parse:
    if looks_like_manifest(source) and not _is_bundle(source):
        return _alone(source)
    layout = read_layout(source)
    data = Reader(source, layout.message.start, layout.message.end).take(layout.message.size, "CMS message")
    opened = _open(data, context)
    message = opened.message
    signed = None if message is None or message.content is None else _manifest(message.content, layout)
    view = open_payload(source, _data(layout, signed), signed, enveloped=opened.envelope is not None)
    content = read_content(view.clear, signed, "inside the envelope" if message is None else "encrypted")
    tree = _tree(source, layout, signed)
    requests = _requests(source, layout, message)
    files = content.requests
    answers = yield (*requests.values(), *(tree.requests if tree else ()), *files.values())
    digests = {name: answers[request] for name, request in requests.items()}
    bundle = _Bundle(
        source=source,
        layout=layout,
        opened=opened,
        manifest=content.manifest,
        view=view,
        content=content,
        signatures=_signatures(layout, opened, digests, context),
        tree=tree,
        answers=answers,
    )
    return _artifact(bundle, {name: answers[request] for name, request in files.items()})


def _open(data: bytes, context: Context) -> _Opened:
    """Return the signed message, unwrapped where a declared key opens the envelope around it."""
    try:
        envelope = EnvelopedMessage.parse(data)
    except LimitError:
        raise
    except FormatError:
        return _Opened(message=SignedMessage.parse(data))
    try:
        inside = envelope.open(context.keys)
        message = SignedMessage.parse(inside.content)
    except (CryptoError, FormatError) as error:  # a wrong key may open an RSA v1.5 recipient, and then gives nonsense
        note = f"the CMS message is encrypted: {error}"
        closed = replace(envelope.encryption, note=note)
        return _Opened(message=None, envelope=closed, recipients=envelope.recipients, note=note)
    used = replace(inside.encryption, decrypted=True)
    return _Opened(message=message, envelope=used, recipients=inside.recipients)


def _manifest(content: bytes, layout: BundleLayout) -> Manifest:
    manifest = read_manifest(content)
    if manifest.format == "plain":
        raise FormatError("a message that carries the manifest needs the bundle format verity or crypt", field=MANIFEST)
    data = layout.payload.size - manifest.verity_size
    if data <= 0 or data % _verity.BLOCK:
        text = f"a payload of {layout.payload.size} bytes cannot end in a hash tree of {manifest.verity_size}"
        raise FormatError(text, field="verity-size")
    if _verity.tree_size(data) > manifest.verity_size:
        raise FormatError(f"{data} bytes have a larger hash tree", field="verity-size")
    return manifest


def _tree(source: Source, layout: BundleLayout, manifest: Manifest | None) -> _verity.Tree | None:
    if manifest is None:
        return None
    data = Span(layout.payload.start, layout.payload.end - manifest.verity_size)
    return _verity.plan(source, data, manifest.verity_salt)


def _requests(source: Source, layout: BundleLayout, message: SignedMessage | None) -> dict[str, DigestRequest]:
    """Return the digests over the payload that a detached signature asks for."""
    if message is None or not message.detached:
        return {}
    names = [name for name in message.signer_digests if supported(name)]
    return {name: DigestRequest.over(name, source, layout.payload) for name in names}


# Signatures


def _signatures(
    layout: BundleLayout, opened: _Opened, digests: Mapping[str, bytes], context: Context
) -> tuple[Signature, ...]:
    message = opened.message
    if message is None:
        note = f"the signature is inside the envelope: {opened.note}"
        return (Signature(outcome=Outcome.UNDECIDABLE, encoding="CMS enveloped", where=layout.message, note=note),)
    content_digest = _lookup(digests) if message.detached else None
    purpose = context.options.get("purpose", PURPOSE)
    found = message.verify(content_digest, context.keys, context.as_of, purpose)
    covers = layout.payload if message.detached else layout.message
    if not found:
        return (Signature(outcome=Outcome.ABSENT, where=layout.message, note="the CMS message has no signer"),)
    return tuple(replace(signature, covers=(covers,), where=layout.message) for signature in found)


def _lookup(digests: Mapping[str, bytes]) -> _Lookup:
    return _Lookup(digests=digests)


@dataclass(frozen=True, kw_only=True)
class _Lookup:
    digests: Mapping[str, bytes]

    def __call__(self, name: str) -> bytes:
        if name not in self.digests:
            raise UnsupportedAlgorithmError(f"no implementation of {name!r} is at hand")
        return self.digests[name]


# The artifact


def _artifact(bundle: _Bundle, files: Mapping[str, bytes]) -> Artifact:
    manifest = bundle.manifest
    encryption = bundle.view.encryption
    if encryption.cipher:
        authenticated = None if bundle.closed else bundle.valid and _intact(bundle)
        encryption = replace(encryption, authenticated=authenticated)
    slots = Slots(
        content=bundle.content, digests=files, where=(bundle.data,), encryption=encryption, authentic=bundle.valid
    )
    return Artifact(
        format="rauc",
        title=f"RAUC bundle, format {_kind(bundle)}",
        name=bundle.source.name,
        size=bundle.source.size,
        sha256="",
        signatures=bundle.signatures,
        coverage=_coverage(bundle),
        digests=_digests(bundle),
        encryption=(encryption,),
        recipients=bundle.opened.recipients,
        images=(*slots.images(), *_containers(bundle)),
        version=_version(bundle),
        hardware=(manifest.compatible,) if manifest else (),
        weaknesses=(*_weaknesses(bundle, encryption), *slots.weaknesses()),
        facts=tuple(fact for fact in _facts(bundle) if fact[1]),
    )


def _alone(source: Source) -> Artifact:
    """Return what a manifest without its bundle says: nothing in it is signed, and no file is at hand."""
    whole = Span(0, source.size)
    manifest = read_manifest(source.read(0, MAX_SIZE + 1))
    content = Content(manifest=manifest, note="the manifest lies here without its bundle")
    plain = Encryption(encrypted=False)
    slots = Slots(content=content, digests={}, where=(), encryption=plain, authentic=False)
    signatures = (Signature(outcome=Outcome.ABSENT, note="a manifest alone has its signature in a file beside it"),)
    return Artifact(
        format="rauc",
        title="RAUC manifest without its bundle",
        name=source.name,
        size=source.size,
        sha256="",
        signatures=signatures,
        coverage=Coverage(payload=(whole,), uncovered=(whole,), unprotected_metadata=tuple(_steering(manifest))),
        encryption=(plain,),
        images=tuple(slots.images()),
        version=Version(version=manifest.version or None, sequence=INEXPRESSIBLE, authentic=False),
        hardware=(manifest.compatible,),
        weaknesses=(*common.signature_weaknesses(signatures), *slots.weaknesses()),
        facts=(("slot classes", " ".join(image.slot for image in manifest.images)),),
    )


def _kind(bundle: _Bundle) -> str:
    if bundle.manifest is not None:
        return bundle.manifest.format
    return "crypt (its message could not be opened)" if bundle.closed else "plain"


def _version(bundle: _Bundle) -> Version:
    manifest = bundle.manifest
    if manifest is None:
        return Version(sequence=INEXPRESSIBLE)
    authentic = bundle.authentic
    constraints = tuple(f"hook {name}" for name in manifest.hooks)
    return Version(
        version=manifest.version or None, sequence=INEXPRESSIBLE, authentic=authentic, constraints=constraints
    )


def _digests(bundle: _Bundle) -> tuple[DigestCheck, ...]:
    """Return the root of the hash tree: stated in the signed manifest, recomputed from the payload."""
    covers = (bundle.data,)
    if bundle.closed:
        note = "the manifest that states it is inside the envelope: needs the decryption key"
        return (
            DigestCheck(name="verity root", algorithm="sha-256", expected="", actual=None, covers=covers, note=note),
        )
    if bundle.manifest is None or bundle.tree is None:
        return ()
    return (
        DigestCheck(
            name="verity root",
            algorithm="sha-256",
            expected=bundle.manifest.verity_hash.hex(),
            actual=bundle.root.hex(),
            covers=covers,
            over="ciphertext" if bundle.crypt else "content",
            authentic=bundle.valid,
        ),
    )


def _intact(bundle: _Bundle) -> bool:
    return bundle.tree is None or bundle.manifest is None or bundle.root == bundle.manifest.verity_hash


def _coverage(bundle: _Bundle) -> Coverage:
    """Return what the signature reaches: the payload itself, or through manifest and hash tree."""
    reached = bundle.reached and _intact(bundle)
    fields = tuple(_steering(bundle.manifest))
    return Coverage(
        payload=(bundle.data,),
        uncovered=() if reached else (bundle.data,),
        undecided=(bundle.data,) if reached and bundle.closed else (),
        metadata=fields if bundle.reached else (),
        unprotected_metadata=() if bundle.reached else fields,
        # The digest or root hash is over exactly these bytes: one block more or less gives another.
        size_bound=None if bundle.closed else reached,
    )


def _steering(manifest: Manifest | None) -> Iterator[str]:
    if manifest is None:
        return
    yield "compatible"
    if manifest.version:
        yield "version"
    if manifest.images:
        yield "slot classes"
    if manifest.scripts:
        yield "handlers and hooks"


# Images


def _containers(bundle: _Bundle) -> Iterator[Image]:
    """Yield the containers as they lie in the file."""
    envelope = bundle.opened.envelope
    if envelope is not None:
        authenticated = None if bundle.closed else bundle.valid
        yield Image(
            id=MANIFEST,
            size=bundle.layout.message.size,
            role="metadata",
            span=bundle.layout.message,
            encryption=replace(envelope, authenticated=authenticated),
            note=envelope.note,
        )
    note = "" if bundle.view.clear else "encrypted, and its key is not known"
    if bundle.view.clear and bundle.content.names is None:
        note = bundle.content.note
    yield Image(id="squashfs", size=bundle.data.size, role="other", span=bundle.data, note=note)


# Weaknesses and facts


def _facts(bundle: _Bundle) -> Iterator[tuple[str, str]]:
    yield "payload bytes", str(bundle.layout.payload.size)
    yield "CMS bytes", str(bundle.layout.message.size)
    yield "files", " ".join((bundle.content.names or ())[:50])
    manifest = bundle.manifest
    if manifest is None:
        yield "manifest", f"not read ({bundle.content.note}): compatible, version, slots and file digests are not known"
        return
    yield "manifest", "inside the CMS message" if bundle.tree else "inside the squashfs"
    yield "compatible", manifest.compatible
    yield "slot classes", " ".join(image.slot for image in manifest.images)
    yield "scripts", " ".join(manifest.scripts)
    yield "hooks", " ".join(f"{image.slot}:{hook}" for image in manifest.images for hook in image.hooks)
    yield "hash tree bytes", str(manifest.verity_size or "")


def _weaknesses(bundle: _Bundle, encryption: Encryption) -> Iterator[Weakness]:
    yield from common.signature_weaknesses(bundle.signatures)
    yield from _tree_weaknesses(bundle)
    yield from _cipher_weaknesses(bundle, encryption)
    if not bundle.crypt and bundle.source.read(0, len(SQUASHFS)) != SQUASHFS:
        text = "the payload is no squashfs, which the installer demands"
        yield Weakness(code="malformed", message=text, where=str(bundle.data))


def _tree_weaknesses(bundle: _Bundle) -> Iterator[Weakness]:
    manifest, tree = bundle.manifest, bundle.tree
    if manifest is None or tree is None:
        return
    where = str(Span(bundle.data.end, bundle.layout.payload.end))
    if not _intact(bundle):
        text = "the payload does not have the root hash that the manifest states"
        yield Weakness(code="digest-mismatch", message=text, where=str(bundle.data))
    pairs = ((bundle.answers[above], bundle.answers[below]) for above, below in tree.stored)
    if bundle.answers[tree.stored_root] != manifest.verity_hash or any(a != b for a, b in pairs):
        text = "the stored hash tree is not that of the stated root: the device cannot read the payload through it"
        yield Weakness(code="digest-mismatch", message=text, where=where)
    if tree.size != manifest.verity_size:
        text = f"the hash tree takes {tree.size} bytes, {manifest.verity_size} are stated"
        yield Weakness(code="trailing-data", message=text, where=where)


def _cipher_weaknesses(bundle: _Bundle, encryption: Encryption) -> Iterator[Weakness]:
    if bundle.crypt:
        yield from _void(bundle, encryption)
    if encryption.key_in_clear:
        text = "the manifest holds the content key, and the CMS message around it is not encrypted"
        yield Weakness(code="key-in-clear", message=text, where=str(bundle.layout.message))
    yield from _transports(bundle.opened.recipients)
    yield from common.recipient_weaknesses(bundle.opened.recipients)


def _void(bundle: _Bundle, encryption: Encryption) -> Iterator[Weakness]:
    if not encryption.encrypted and not encryption.cipher:
        yield Weakness(code="encryption-void", message=encryption.note, where=str(bundle.data))
        return
    yield from common.ciphertext_doubts(bundle.source, bundle.data, "payload")


def _transports(recipients: Iterable[Recipient]) -> Iterator[Weakness]:
    count = sum(recipient.algorithm == _TRANSPORT for recipient in recipients)
    if count:
        text = f"{count} recipients get the key of the message by RSA PKCS #1 v1.5"
        yield Weakness(code="weak-key-transport", message=text, where=_TRANSPORT)


FORMAT: Final = Format(
    id="rauc",
    title="RAUC bundle (.raucb)",
    detect=_detect,
    parse=_parse,
    options={"purpose": "the extended key usage that signers need, by name or dotted; code-signing unless said"},
    references=(
        "rauc/rauc docs/reference.rst",
        "rauc/rauc docs/advanced.rst",
        "Linux Documentation/admin-guide/device-mapper/verity.rst",
    ),
)
