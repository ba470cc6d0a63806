"""ISO 8601 dates and RFC 3339 times as moments in UTC."""

from __future__ import annotations

import datetime as dt
import re
from typing import Final

_DATE: Final = re.compile(r"\d{4}-\d{2}-\d{2}")
_TIME: Final = re.compile(r"\d{4}-\d{2}-\d{2}[Tt ]\d{2}:\d{2}(:\d{2}(\.\d{1,6})?)?([Zz]|[+-]\d{2}:\d{2})")


def is_date(text: str) -> bool:
    """Return whether a text is a whole day: `2031-01-01`."""
    return _DATE.fullmatch(text) is not None


def moment(value: object) -> dt.datetime | None:
    """Return a date (its first second) or a time with an offset as a moment in UTC; None for anything else."""
    if not isinstance(value, str) or not (is_date(value) or _TIME.fullmatch(value)):
        return None
    try:
        found = dt.datetime.fromisoformat(value.upper())
        return found.replace(tzinfo=dt.UTC) if found.tzinfo is None else found.astimezone(dt.UTC)
    except (ValueError, OverflowError):
        return None
