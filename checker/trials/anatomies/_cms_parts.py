"""The parts of a CMS signature, wherever a format keeps it: in a file of its own, in DER, PEM or base64, or inside.

The format says how a part is named by its place (`part`) and what becomes of new bytes of the message (`wrap`).
"""

from __future__ import annotations

import base64
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Final

from checker.crypto.cms_layout import Layout, attribute_name, layout, signer_path
from checker.crypto.cms_signing import signed_again
from checker.crypto.signing import Message
from checker.crypto.staging import Signer
from checker.errors import FormatError, LimitError
from checker.formats._raw_signature import from_base64, from_pem
from checker.formats._strip import strip_quantum_resistant
from checker.io.limits import MAX_HEADER
from checker.model.artifact import Source, Span
from checker.trials.anatomies._texts import NESTED
from checker.trials.contract import Body, Change, Content, Part

_TIMES: Final = frozenset({0x17, 0x18})  # UTCTime, GeneralizedTime
_LINE: Final = 64  # letters of a line (RFC 7468 section 2)
VALUE: Final = "signature value"
_UNKNOWN: Final = {"none (0.0)": "0.0", "unknown (2.25.1)": "2.25.1"}  # RFC 5280's null OID, and one of nobody


@dataclass(frozen=True)
class CmsParts:
    """A message with its parts. `offset` is where it lies in `file`; None where the file holds it encoded."""

    message: Layout
    file: str
    size: int  # of the file
    wrap: Callable[[bytes], Change] = field(repr=False)
    offset: int | None = 0

    @classmethod
    def of_file(cls, source: Source, file: str) -> CmsParts:
        """Return the parts of a file that is one message, in DER, PEM or base64.

        Raises:
            FormatError: it is no CMS message.
            LimitError: it is too large to be held.
        """
        if source.size > MAX_HEADER:
            raise LimitError(f"{source.size} bytes of CMS, at most MAX_HEADER are read", field=file)
        data = source.read(0, source.size)
        forms: tuple[tuple[bytes | None, Callable[[bytes], bytes]], ...] = (
            (from_pem(data), _pem),
            (from_base64(data), lambda der: base64.b64encode(der) + b"\n"),
        )
        for der, encode in forms:
            if der is not None:
                return cls(layout(der), file, source.size, _whole(file, encode), None)
        return cls(layout(data), file, source.size, _whole(file, bytes))

    def part(self, name: str, span: Span) -> Part:
        """Return a part of the message as one of the file."""
        if self.offset is None:
            data = self.message.data[span.start : span.end]
            return Part(name=name, span=Span(0, self.size), file=self.file, value=data)
        return Part(name=name, span=Span(self.offset + span.start, self.offset + span.end), file=self.file)

    @cached_property
    def places(self) -> dict[str, tuple[Span, ...]]:
        """Return where values and signed attributes lie in the message, by name, for all signers."""
        found: dict[str, tuple[Span, ...]] = {}
        for signer in self.message.signers:
            found[VALUE] = (*found.get(VALUE, ()), Span(signer.signature.body, signer.signature.stop))
            for attribute in signer.attributes:
                name = f"signed attribute: {attribute_name(self.message, attribute)}"
                last = [item for item in attribute.walk() if not item.values and item.stop > item.body][-1]
                zone = 1 if last.tag in _TIMES else 0  # "Z" behind a time: changed, it would be no time any more
                found[name] = (*found.get(name, ()), Span(last.body, last.stop - zone))
        return found

    @property
    def values(self) -> tuple[Part, ...]:
        """Return the signature values of all signers."""
        return tuple(self.part(VALUE, span) for span in self.places.get(VALUE, ()))

    @property
    def attributes(self) -> tuple[Part, ...]:
        """Return the signed attributes' values."""
        every = self.places.items()
        return tuple(self.part(name, span) for name, spans in every if name != VALUE for span in spans)

    def with_value(self, part: Part, value: bytes) -> Change:
        """Return the message with another value in every part of this name; signature values may have any length.

        Raises:
            FormatError: the message has no such part.
        """
        if part.name == VALUE:
            data = self.message
            for number in range(len(data.signers)):
                data = layout(data.with_signature(number, value))
            return self.wrap(data.data)
        new = bytearray(self.message.data)
        for span in self.places.get(part.name, ()):
            if span.size != len(value):
                raise FormatError("another length is not written here", field=part.name)
            new[span.start : span.end] = value
        return self.wrap(bytes(new))

    @property
    def without(self) -> Change:
        """Return the message without any signer."""
        return self.wrap(self.message.without_signers())

    @property
    def algorithms(self) -> dict[str, Change]:
        """Return the message with signature algorithms that are none, or that nobody knows, and with empty values.

        The value goes too: openssl reads the algorithm from the key, ignores this field where there are signed
        attributes (seen with 3.0), and does not harm by it; only "nothing to verify" is the attack.
        """
        found = {}
        for name, dotted in _UNKNOWN.items():
            data = self.message
            for number in range(len(data.signers)):
                data = layout(layout(data.with_algorithm(number, dotted)).with_signature(number, b""))
            found[f"signature algorithm {name}, value empty"] = self.wrap(data.data)
        return found

    def signed_by(self, signer: Signer, message: Message | None, hash_name: str = "") -> Change:
        """Return the message signed again over what is given (None: over its own content)."""
        return self.wrap(self.made_by(signer, message, hash_name))

    def made_by(self, signer: Signer, message: Message | None, hash_name: str = "") -> bytes:
        """Return that message itself, for formats that put it elsewhere."""
        return signed_again(self.message.data, signer, message, hash_name=hash_name)

    def onto(self, body: Body) -> Body:
        """Return a body with all that is the same of every CMS signature; the format says what is signed, and where."""
        return replace(
            body,
            metadata=(*body.metadata, *self.attributes),
            signatures=self.values,
            with_value=self.with_value,
            algorithms={**self.algorithms, "no signer in the message": self.without},
            certificates=self.certificates,
            downgraded=self.stripped_hybrid,
            broken=self.broken,
        )

    @property
    def broken(self) -> dict[str, Change]:
        """Return messages that no parser may follow to their end (T38)."""
        data = self.message.data
        return {
            "a CMS message nested 20,000 deep": self.wrap(b"\x30\x80" * NESTED),
            "a CMS message cut short": self.wrap(data[: len(data) // 2]),
            "a CMS message that is said to have 4 GiB": self.wrap(data[:1] + b"\x84\xff\xff\xff\xff" + data[2:]),
        }

    @property
    def certificates(self) -> tuple[bytes, ...]:
        """Return the path of the first signer, its own certificate first, as far as the message has it."""
        return signer_path(self.message)

    @property
    def stripped_hybrid(self) -> dict[str, Change]:
        """Return the message without its quantum-resistant signers, where classical ones stay (T12 a)."""
        found = strip_quantum_resistant(self.message.data)
        if found is None:
            return {}
        return {f"{' and '.join(found.removed)} removed, {' and '.join(found.kept)} kept": self.wrap(found.data)}


def _whole(file: str, encode: Callable[[bytes], bytes]) -> Callable[[bytes], Change]:
    return lambda der: Change(changed={file: Content.whole(encode(der))})


def _pem(der: bytes) -> bytes:
    text = base64.b64encode(der)
    lines = (text[at : at + _LINE] for at in range(0, len(text), _LINE))
    return b"-----BEGIN CMS-----\n" + b"".join(line + b"\n" for line in lines) + b"-----END CMS-----\n"
