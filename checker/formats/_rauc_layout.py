"""Where the two parts of a RAUC bundle lie: payload, CMS message, and the message's size in the last eight bytes.

Source: rauc/rauc docs/reference.rst ("Bundle Formats").
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from checker.errors import FormatError
from checker.io.reader import Reader
from checker.model.artifact import Source, Span

SIZE_FIELD: Final = 8  # bytes, big-endian


@dataclass(frozen=True, kw_only=True)
class BundleLayout:
    """Payload and message of a bundle."""

    payload: Span
    message: Span


def read_layout(source: Source) -> BundleLayout:
    """Return where payload and message lie.

    Raises:
        FormatError: the stated size does not fit the file.
    """
    tail = Reader(source, max(0, source.size - SIZE_FIELD))
    size = tail.integer(SIZE_FIELD, "size of the CMS message", "big")
    end = source.size - SIZE_FIELD
    if not 0 < size < end:
        text = f"the CMS message is said to have {size} bytes, the bundle has {end} before this field"
        raise FormatError(text, offset=end, field="size of the CMS message")
    return BundleLayout(payload=Span(0, end - size), message=Span(end - size, end))
