"""Android update packages: a zip whose comment holds a CMS signature over all before the comment's length.

`payload.bin` inside an A/B package has signatures of its own, which are left as they are: the package's signature is
what recovery and `RecoverySystem.verifyPackage` look at first.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from checker.crypto.cms_layout import layout
from checker.crypto.staging import Signer
from checker.errors import FormatError
from checker.formats._android_footer import FOOTER_SIZE, MARK, Footer, read_footer
from checker.io.digests import Piece
from checker.model.artifact import Source, Span
from checker.trials._edits import changed_source, patched, then
from checker.trials.anatomies._cms_parts import CmsParts
from checker.trials.contract import ARTIFACT, Anatomy, Body, Change, Content, Genuine, Part

_MAX_COMMENT: Final = 0xFFFF  # bytes: the field has two
_MAX_IMAGES: Final = 8
_INSTALLED: Final = frozenset({"image", "script"})  # roles
_UNSIGNED: Final = "the package is not signed as a whole"


@dataclass(frozen=True)
class _Package:
    source: Source
    footer: Footer
    parts: CmsParts

    @classmethod
    def of(cls, source: Source) -> _Package:
        footer = read_footer(source)
        if footer is None or footer.fault:
            raise FormatError(footer.fault if footer else _UNSIGNED, field="footer")
        comment = source.read(footer.signed.end + 2, footer.cms.start - footer.signed.end - 2)

        def wrap(data: bytes) -> Change:
            return _commented(footer, comment + data, len(data) + FOOTER_SIZE)

        message = layout(source.read(footer.cms.start, footer.cms.size))
        return cls(source, footer, CmsParts(message, ARTIFACT, source.size, wrap, footer.cms.start))

    def signature(self, signer: Signer, hash_name: str = "") -> Change:
        return self.parts.signed_by(signer, (Piece(self.source, self.footer.signed),), hash_name)


def _commented(footer: Footer, comment: bytes, start: int) -> Change:
    """Return the package with another comment and its footer: where the message begins, a mark, the comment's size.

    Raises:
        FormatError: the comment does not fit the two bytes of its length.
    """
    size = len(comment) + FOOTER_SIZE
    if size > _MAX_COMMENT:
        raise FormatError("the signature does not fit a zip's comment", field="footer")
    numbers = [number.to_bytes(2, "little") for number in (size, start, size)]
    return _changed(Content(pieces=(footer.signed, numbers[0] + comment + numbers[1] + MARK + numbers[2])))


def _changed(content: Content) -> Change:
    return Change(changed={ARTIFACT: content})


def _read(genuine: Genuine) -> Body:
    if read_footer(genuine.source) is None:
        fields = ("signatures", "stripped", "signed_by", "metadata", "weakly", "downgraded")
        return Body(payload=tuple(_payload(genuine)), notes=dict.fromkeys(fields, _UNSIGNED))
    package = _Package.of(genuine.source)
    parts, footer = package.parts, package.footer
    body = Body(
        payload=tuple(_payload(genuine)),
        metadata=tuple(_metadata(genuine)),
        direct=True,
        outer=True,
        stripped=_changed(Content(pieces=(footer.signed, b"\0\0"))),
        signed_by=package.signature,
        resigned=lambda signer, change: _again(genuine, signer, change),
        weakly=package.signature,
        malformed=_malformed(package),
        oversized={"the comment is said to have 64 KiB": _patch(package, footer.signed.end, b"\xff\xff")},
        notes={"cipher": "the format knows no encryption"},
    )
    return parts.onto(body)


def _payload(genuine: Genuine) -> list[Part]:
    """Return the images and scripts inside; the signed bytes as a whole where none is known."""
    parts = _members(genuine, steering=False)
    return parts or [Part(name="package", span=Span(0, genuine.source.size))]


def _metadata(genuine: Genuine) -> list[Part]:
    """Return the other members, which steer the installer: metadata and properties."""
    return _members(genuine, steering=True)


def _members(genuine: Genuine, *, steering: bool) -> list[Part]:
    found = [image for image in genuine.artifact.images if image.span is not None and image.span.size]
    chosen = [image for image in found if (image.role not in _INSTALLED) is steering]
    return [Part(name=image.id, span=image.span) for image in chosen[:_MAX_IMAGES] if image.span is not None]


def _again(genuine: Genuine, signer: Signer, change: Change) -> Change:
    return then(change, _Package.of(changed_source(genuine, ARTIFACT, change)).signature(signer))


def _malformed(package: _Package) -> dict[str, Change]:
    size = package.source.size
    footer = package.footer
    second = Content.replaced(size, footer.cms, b"PK\5\6" + package.parts.message.data[4:])
    return {
        "a footer that leads before the comment": _patch(package, size - FOOTER_SIZE, b"\xff\xff"),
        "a footer that leads to itself": _patch(package, size - FOOTER_SIZE, b"\6\0"),
        "a second end record in the comment": _changed(second),
    }


def _patch(package: _Package, at: int, new: bytes) -> Change:
    return _changed(patched(package.source.size, [(at, new)]))


ANATOMY = Anatomy(id="android-ota", read=_read)
