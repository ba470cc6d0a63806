"""OpenPGP signature files, binary or armoured (RFC 9580 5.2, 6): creation time and signature numbers at their places.

They are not made again: a verifier looks the key up by the fingerprint in the signed part, so that a stranger's one is
refused because it is not known, whatever it signed. That is what a copy of any file of his would show, too.
"""

from __future__ import annotations

import base64
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

from checker.crypto import openpgp
from checker.errors import CryptoError, FormatError
from checker.io.limits import MAX_HEADER
from checker.model.artifact import Span
from checker.trials.contract import Body, Change, Content, Genuine, Part

VALUE: Final = "signature value"
TIME: Final = "creation time"
_CREATED: Final = b"\5\2"  # length and type of the subpacket, before four bytes of time
_NATIVE: Final = frozenset({27, 28})  # algorithms without multiprecision integers
_LINE: Final = 64
_NOT_MADE: Final = "OpenPGP signatures are not made here: a stranger's key is unknown by its fingerprint already"


@dataclass(frozen=True)
class _File:
    name: str
    size: int
    data: bytes = field(repr=False)  # without its armour
    armoured: bool

    def places(self) -> Iterator[tuple[str, Span]]:
        """Yield where things lie in every signature packet.

        Raises:
            FormatError: one is damaged, or is no signature.
        """
        for packet in openpgp.packets(self.data):
            try:
                found = openpgp.parse_signature(packet)
            except CryptoError as error:
                raise FormatError(str(error), offset=packet.offset, field=self.name) from error
            start = self.data.index(packet.body, packet.offset)
            time = found.head.find(_CREATED)
            if time >= 0:
                yield TIME, Span(start + time + 2, start + time + 6)
            material = start + len(packet.body) - len(found.material)
            yield VALUE, _value(found.material, found.algorithm, material)

    def part(self, name: str, span: Span) -> Part:
        if not self.armoured:
            return Part(name=name, span=span, file=self.name)
        return Part(name=name, span=Span(0, self.size), file=self.name, value=self.data[span.start : span.end])

    def with_value(self, part: Part, value: bytes) -> Change:
        """Return the file with another value, of the same length, in every part of this name."""
        new = bytearray(self.data)
        for name, span in self.places():
            if name == part.name:
                if span.size != len(value):
                    raise FormatError("another length is not written here", field=part.name)
                new[span.start : span.end] = value
        return Change(changed={self.name: Content.whole(_armour(bytes(new)) if self.armoured else bytes(new))})


def _value(material: bytes, algorithm: int, start: int) -> Span:
    """Return where the signature is: all of it, or the first of its numbers behind the two bytes of its length."""
    if algorithm in _NATIVE or len(material) < 2:  # noqa: PLR2004 - a length
        return Span(start, start + len(material))
    size = (int.from_bytes(material[:2], "big") + 7) // 8
    return Span(start + 2, start + 2 + min(size, len(material) - 2))


def _armour(data: bytes) -> bytes:
    text = base64.b64encode(data)
    lines = (text[at : at + _LINE] for at in range(0, len(text), _LINE))
    body = b"".join(line + b"\n" for line in lines)
    return b"-----BEGIN PGP SIGNATURE-----\n\n" + body + b"-----END PGP SIGNATURE-----\n"


def read(genuine: Genuine, file: str, *, payload: tuple[Part, ...]) -> Body:
    """Return the parts of an OpenPGP signature over the artifact.

    Raises:
        FormatError: it is damaged.
    """
    source = genuine.files[file]
    raw = source.read(0, MAX_HEADER)
    data = openpgp.unarmour(raw)
    text = _File(file, source.size, data, data != raw)
    parts = [text.part(name, span) for name, span in text.places()]
    return Body(
        payload=payload,
        metadata=tuple(part for part in parts if part.name == TIME),
        signatures=tuple(part for part in parts if part.name == VALUE),
        direct=True,
        fixed=True,
        stripped=Change(without=frozenset({file})),
        with_value=text.with_value,
        notes=dict.fromkeys(("signed_by", "resigned", "weakly", "algorithms", "certificates"), _NOT_MADE),
    )
