"""Does content lie in clear? Beginning, middle and end are looked at; all have to hold what no cipher makes."""

from __future__ import annotations

from typing import Final

from checker.formats import _common as common
from checker.model.artifact import Encryption, Source

WINDOW: Final = 64 * 1024  # bytes that are looked at in each place


def encryption_of(source: Source) -> Encryption:
    """Return whether content is encrypted, as far as its bytes tell."""
    starts = (0, max(0, (source.size - WINDOW) // 2), max(0, source.size - WINDOW))
    if source.size and all(common.plausible(source.read(start, WINDOW)) for start in starts):
        return Encryption(encrypted=False)
    return Encryption(encrypted=None, note="the bytes look random: encrypted or compressed, and nothing says which")
