"""The one place where the command line reads the clock."""

from __future__ import annotations

from datetime import UTC, datetime

from checker.errors import UsageError


def evaluation_time(text: str | None) -> str:
    """Return the evaluation time as RFC 3339 in UTC: the given date or time, else now, to the second.

    Raises:
        UsageError: the text is not an ISO 8601 date or time.
    """
    if text is None:
        return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    try:
        moment = datetime.fromisoformat(text)
        moment = moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    except (ValueError, OverflowError) as error:  # an offset can lead out of the calendar
        msg = f"--as-of {text}: not an ISO 8601 date or time such as 2026-11-23 or 2026-11-23T12:00:00Z"
        raise UsageError(msg) from error
    return moment.replace(tzinfo=None).isoformat(timespec="seconds") + "Z"  # strftime writes the year 1 as "1"
