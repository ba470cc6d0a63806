"""What lies in the squashfs of a RAUC bundle: the manifest of a plain one, and the images and scripts of every one.

Source: rauc/rauc docs/reference.rst ("Manifest", "Bundle Formats"), docs/advanced.rst ("RAUC casync Support": the
digest of an image that a casync index stands for is over the assembled image, whose chunks lie elsewhere).

A file that cannot be read does not spoil the verdict over the signature: its digest stays unknown, and says why.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Final

from checker.crypto.sectors import aes_cbc_plain64_source
from checker.errors import FormatError, UnsupportedAlgorithmError
from checker.formats import _common as common
from checker.formats._inflate import MAX_INFLATED
from checker.formats._rauc_manifest import MANIFEST, MAX_SIZE, Manifest, SlotImage, read_manifest
from checker.formats._squashfs import File, SquashFs
from checker.io.digests import DigestRequest, digest
from checker.io.sources import Window
from checker.model.artifact import (
    INEXPRESSIBLE,
    DigestCheck,
    Encryption,
    Image,
    Source,
    Span,
    Version,
    Weakness,
)

SQUASHFS: Final = b"hsqs"
SECTOR: Final = 4096  # bytes that are encrypted with one IV (src/crypt.c)
KEY_BITS: Final = 256
SCHEME: Final = "aes-cbc-plain64, sectors of 4096 bytes"
WEAKNESSES: Final = ("malformed", "missing-digest", "missing-member", "script-member")  # beside `_common`
CASYNC: Final = (".caibx", ".caidx")  # an index of chunks, for a file or for a folder


@dataclass(frozen=True, kw_only=True)
class View:
    """How the payload is encrypted, and its plaintext where it can be reached."""

    encryption: Encryption
    clear: Source | None


def open_payload(source: Source, data: Span, manifest: Manifest | None, *, enveloped: bool) -> View:
    """Return the payload in clear where it can be reached.

    Args:
        source: the bundle.
        data: where the squashfs or its ciphertext lies.
        manifest: the one of the CMS message, None where there is none or it could not be read.
        enveloped: the CMS message is, or was, encrypted.
    """
    as_is = Window(source, "squashfs", data.start, data.size)
    if not enveloped and (manifest is None or manifest.format != "crypt"):
        return View(encryption=Encryption(encrypted=False), clear=as_is)
    if as_is.read(0, len(SQUASHFS)) == SQUASHFS:
        note = "the bundle is said to be encrypted, but its squashfs lies in clear"
        return View(encryption=Encryption(encrypted=False, note=note), clear=as_is)
    doubts = common.ciphertext_doubts(source, data, "payload")
    described = Encryption(
        encrypted=not doubts,
        cipher="aes",
        mode="cbc",
        key_bits=KEY_BITS,
        key_in_clear=not enveloped,
        note=doubts[0].message if doubts else SCHEME,
    )
    return View(encryption=described, clear=None) if manifest is None else _decrypted(as_is, manifest, described)


def _decrypted(data: Window, manifest: Manifest, described: Encryption) -> View:
    key = manifest.crypt_key
    if not key:
        return View(encryption=replace(described, note="the envelope holds a manifest without a key"), clear=None)
    used = replace(described, content_key_digest=digest("sha-256", key).hex())
    clear = aes_cbc_plain64_source(data, Span(0, data.size), key, SECTOR)
    if clear.read(0, len(SQUASHFS)) == SQUASHFS:
        return View(encryption=replace(used, decrypted=True), clear=clear)
    wrong = replace(used, decrypted=False, note="the manifest's key gives no squashfs")
    return View(encryption=wrong, clear=None)


@dataclass(frozen=True, eq=False)
class Careful:
    """A file of the squashfs whose damaged parts read as zeros; `faults` says so."""

    file: File = field(repr=False)
    faults: list[str] = field(default_factory=list, compare=False)

    @property
    def name(self) -> str:
        """Return the file's name."""
        return self.file.name

    @property
    def size(self) -> int:
        """Return the length in bytes."""
        return self.file.size

    def read(self, offset: int, length: int) -> bytes:
        """Return `length` bytes from `offset`, fewer only at the end."""
        try:
            return self.file.read(offset, length)
        except FormatError as error:
            self.faults[:] = [str(error)]
            return bytes(max(0, min(length, self.size - offset)))


@dataclass(frozen=True, kw_only=True)
class Content:
    """What could be read. `note` says why the squashfs or its manifest was not, `notes` the same of single files."""

    manifest: Manifest | None
    names: tuple[str, ...] | None = None  # in the root folder; None where the squashfs was not read
    files: Mapping[str, Careful] = field(default_factory=dict)
    notes: Mapping[str, str] = field(default_factory=dict)
    note: str = ""
    malformed: str = ""  # what RAUC would refuse about a manifest inside

    @property
    def requests(self) -> dict[str, DigestRequest]:
        """Return the digests to compute, by file name."""
        return {name: DigestRequest.over("sha-256", file) for name, file in self.files.items()}


def is_index(image: SlotImage) -> bool:
    """Return whether the image is a casync index, and its digest over what the index stands for."""
    return image.filename.endswith(CASYNC)


def read_content(clear: Source | None, manifest: Manifest | None, why: str) -> Content:
    """Return the content of a squashfs; without a manifest it is a plain bundle's, which holds one.

    Args:
        clear: the squashfs, None where it could not be reached.
        manifest: the one of the CMS message, if any.
        why: the reason where `clear` is None.
    """
    if clear is None:
        return Content(manifest=manifest, note=why)
    try:
        image = SquashFs.open(clear)
    except (FormatError, UnsupportedAlgorithmError) as error:
        return Content(manifest=manifest, note=f"the squashfs is not read: {error}")
    found = Content(manifest=manifest, names=image.names)
    if manifest is None:
        found = _inside(image, found)
    return _with_files(image, found)


def _inside(image: SquashFs, found: Content) -> Content:
    try:
        file = image.file(MANIFEST)
        manifest = read_manifest(file.read(0, MAX_SIZE + 1))
    except FormatError as error:
        return replace(found, note=str(error), malformed=str(error))
    if manifest.format != "plain":
        text = f"a plain bundle holds a manifest for the format {manifest.format}"
        return replace(found, note=text, malformed=text)
    return replace(found, manifest=manifest)


def _with_files(image: SquashFs, found: Content) -> Content:
    files: dict[str, Careful] = {}
    notes: dict[str, str] = {}
    room = MAX_INFLATED
    for name in _named(found.manifest):
        try:
            file = image.file(name)
        except FormatError as error:
            notes[name] = str(error)
            continue
        room -= file.size
        if room < 0:
            notes[name] = f"files of more than MAX_INFLATED ({MAX_INFLATED}) bytes"
        else:
            files[name] = Careful(file)
    return replace(found, files=files, notes=notes)


def _named(manifest: Manifest | None) -> dict[str, None]:
    images = manifest.images if manifest else ()
    names = (*(image.filename for image in images), *(manifest.scripts if manifest else ()))
    return dict.fromkeys(name for name in names if name)


@dataclass(frozen=True, kw_only=True)
class Slots:
    """The images of a manifest, with what was computed over their files."""

    content: Content
    digests: Mapping[str, bytes]
    where: tuple[Span, ...]  # the range that the files lie in
    encryption: Encryption
    authentic: bool

    def images(self) -> Iterator[Image]:
        """Yield the images that the manifest names, then the scripts that run during the installation."""
        manifest = self.content.manifest
        for image in manifest.images if manifest else ():
            yield self._slot(image, (manifest.compatible,) if manifest else ())
        for name in manifest.scripts if manifest else ():
            file = self.content.files.get(name)
            yield Image(id=name, size=file.size if file else 0, role="script", encryption=self.encryption)

    def _slot(self, image: SlotImage, hardware: tuple[str, ...]) -> Image:
        file = self.content.files.get(image.filename)
        check = self._check(image)
        return Image(
            id=image.slot,
            size=file.size if file else image.size or 0,
            target=image.slot,
            hardware=hardware,
            digests=(check,) if image.sha256 else (),
            encryption=self.encryption,
            version=Version(sequence=INEXPRESSIBLE),
            source=None if file is None or file.faults else file,
            note=check.note,
        )

    def _check(self, image: SlotImage) -> DigestCheck:
        note = self._note(image)
        return DigestCheck(
            name=f"sha256 of {image.filename}",
            algorithm="sha-256",
            expected=image.sha256,
            actual=None if note else self.digests[image.filename].hex(),
            covers=self.where,
            over="plaintext" if self.encryption.encrypted else "content",
            authentic=self.authentic,
            note=note,
        )

    def _note(self, image: SlotImage) -> str:
        """Return why the digest of an image is not compared."""
        file = self.content.files.get(image.filename)
        if not image.filename:
            return "the manifest names no file: a hook installs it"
        if is_index(image):
            return "a casync index: the digest is over the assembled image, whose chunks are not here"
        if file is not None:
            return next(iter(file.faults), "")
        return self.content.notes.get(image.filename) or self.content.note or "the squashfs is not at hand"

    def weaknesses(self) -> Iterator[Weakness]:
        """Yield what is wrong with files and manifest."""
        content = self.content
        if content.malformed:
            yield Weakness(code="malformed", message=content.malformed, where=MANIFEST)
        for image in content.manifest.images if content.manifest else ():
            yield from self._slot_weaknesses(image)
        for name in content.manifest.scripts if content.manifest else ():
            yield Weakness(code="script-member", message=f"{name} runs during the installation", where=name)
        missing = _named(content.manifest).keys() - set(content.names) if content.names is not None else ()
        for name in sorted(missing):
            text = f"the manifest names {name}, which the squashfs does not hold"
            yield Weakness(code="missing-member", message=text[:500], where=name)

    def _slot_weaknesses(self, image: SlotImage) -> Iterator[Weakness]:
        name, check = image.filename, self._check(image)
        file = self.content.files.get(name)
        if name and not image.sha256:
            yield Weakness(code="missing-digest", message=f"the manifest states no sha256 for {name}", where=name)
        elif check.matches is False:
            text = f"{name} does not have the sha256 that the manifest states"
            yield Weakness(code="digest-mismatch", message=text, where=name)
        if file is not None and file.faults:
            yield Weakness(code="malformed", message=f"{name} cannot be read: {file.faults[0]}", where=name)
        elif file is not None and image.size not in {None, file.size} and not is_index(image):
            text = f"{name} has {file.size} bytes, the manifest states {image.size}"
            yield Weakness(code="malformed", message=text, where=name)
