"""Files that carry a detached kind of signature in themselves: signify's `-e`, and OpenPGP's cleartext framework.

Source: OpenBSD signify(1) `-e`; RFC 9580 section 7.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Final

from checker.crypto.key_forms.minisign import COMMENT
from checker.errors import FormatError, LimitError
from checker.formats._signatures import minisign
from checker.io.limits import MAX_HEADER
from checker.io.sources import BytesSource, Window
from checker.model.artifact import Source, Span

_CLEARSIGNED: Final = b"-----BEGIN PGP SIGNED MESSAGE-----"
_ARMOUR: Final = b"\n-----BEGIN PGP SIGNATURE-----"
_END: Final = b"-----END PGP SIGNATURE-----"
_HEAD: Final = 2 * minisign.MAX_LINE
_HEADERS: Final = re.compile(rb"-----BEGIN PGP SIGNED MESSAGE-----[ \t]*\r?\n(?:[^\r\n]+\r?\n)*\r?\n")


@dataclass(frozen=True)
class Embedded:
    """What is signed, as its signature sees it, where it lies in the file, and the signature."""

    content: Source
    span: Span
    signature: bytes = field(repr=False)
    trailing: int = 0  # bytes behind the signature that nothing signs


def find(source: Source) -> Embedded | None:
    """Return the two parts of a file that carries its own signature, or None.

    Raises:
        FormatError: it begins like one and is damaged.
        LimitError: it is a signed text of more than `MAX_HEADER` bytes.
    """
    head = source.read(0, _HEAD)
    if head.startswith(_CLEARSIGNED):
        return _clearsigned(source)
    if not head.startswith(COMMENT):
        return None
    try:
        found = minisign.parse(head)
    except FormatError:  # a key, or a signature that is damaged
        return None
    if found.trusted is not None or found.end >= source.size:
        return None
    content = Window(source, source.name, found.end, source.size - found.end)
    return Embedded(content, Span(found.end, source.size), head[: found.end])


def _clearsigned(source: Source) -> Embedded:
    if source.size > MAX_HEADER:
        raise LimitError(f"a signed text of more than MAX_HEADER ({MAX_HEADER}) bytes", field="signed text")
    data = source.read(0, source.size)
    head = _HEADERS.match(data)
    end = data.rfind(_ARMOUR)
    if head is None or end < head.end() - 1:
        raise FormatError("the signed text has no end of headers, or no signature", field="signed text")
    text = data[head.end() : max(end, head.end())].removesuffix(b"\r")
    lines = (line.removeprefix(b"- ").rstrip(b" \t\r") for line in text.split(b"\n"))
    content = BytesSource(source.name, b"\n".join(lines))
    trailing = data[end:].partition(_END)[2].strip()
    return Embedded(content, Span(head.end(), end), data[end + 1 :], len(trailing))
