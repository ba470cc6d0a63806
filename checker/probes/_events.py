"""Update logs as text: JSON Lines of `schemas/log-event`, with a hash chain over the lines where the log has one.

The reader is total: whatever the bytes, it returns events and problems with their lines, never an exception. A line
that cannot be taken for what it says (a key twice, NaN, a lone surrogate) is refused rather than guessed at.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Any, Final

from jsonschema import Draft202012Validator

from checker import resources
from checker.errors import Problem
from checker.io.limits import MAX_LOG_LINE
from checker.probes._records import one_line

GENESIS: Final = "0" * 64  # `previous` of a chain's first line
MAX_EVENTS: Final = 20_000  # of one log: an update has some dozens; a log of years is to be cut to the update
MAX_PROBLEMS: Final = 20  # that are told one by one


@dataclass(frozen=True, kw_only=True)
class Event:
    """One event and its 1-based line."""

    line: int
    values: Mapping[str, Any]

    def text(self, name: str) -> str:
        """Return a text field, empty where it is missing."""
        value = self.values.get(name, "")
        return value if isinstance(value, str) else ""

    @property
    def name(self) -> str:
        """Return what happened: applied, reverified and so on."""
        return self.text("event")

    @property
    def result(self) -> str:
        """Return success, failure, deferred, or nothing."""
        return self.text("result")

    @property
    def time(self) -> datetime:
        """Return when it happened (the reader has checked that the text is a time)."""
        return datetime.fromisoformat(self.text("time"))

    @property
    def day(self) -> date:
        """Return the day in UTC; where the offset leads out of the calendar, the day as it was written."""
        try:
            return self.time.astimezone(UTC).date()
        except OverflowError:
            return self.time.date()


@dataclass(frozen=True, kw_only=True)
class LogText:
    """A log as it was read.

    `chained` is None where no line carries `previous`, True where every line names the one before it, and False where
    the chain is broken. `head` is the SHA-256 of the last event line. `envelope` is a DSSE envelope in the last line.
    """

    events: tuple[Event, ...]
    problems: tuple[Problem, ...]
    chained: bool | None
    head: str
    envelope: Mapping[str, Any] | None = None


class _BadLineError(ValueError):
    """A line is refused; the message says why."""


def read(name: str, data: bytes) -> LogText:
    """Return what the bytes of a log hold; `name` is for the problems' texts. Never raises."""
    shape = Draft202012Validator(json.loads(resources.read("schemas", "log-event.schema.json")))
    events: list[Event] = []
    problems: list[Problem] = []
    links: list[str] = []
    head, envelope = GENESIS, None
    for number, line in _lines(data):
        if envelope is not None:
            problems.append(_problem(name, number, "a line follows the signed head"))
        if len(links) >= MAX_EVENTS:
            problems.append(_problem(name, number, f"more than {MAX_EVENTS} events; give the log of one update"))
            break
        try:
            values = _parsed(line)
            if "payloadType" in values:
                envelope = values
                continue
            _conforms(shape, values)
            events.append(Event(line=number, values=values))
            links.append(_link(values, head))
        except _BadLineError as error:
            problems.append(_problem(name, number, str(error)))
            links.append("bad")
        head = hashlib.sha256(line).hexdigest()
    return LogText(
        events=tuple(events), problems=_bounded(problems), chained=_chain(links), head=head, envelope=envelope
    )


def _lines(data: bytes) -> Iterator[tuple[int, bytes]]:
    """Yield the lines that are not blank, without their ends, one at a time."""
    start, number = 0, 0
    while start < len(data):
        end = data.find(b"\n", start)
        end = len(data) if end < 0 else end
        number += 1
        line = data[start:end].removesuffix(b"\r")
        if line.strip():
            yield number, line
        start = end + 1


def _parsed(line: bytes) -> dict[str, Any]:
    if len(line) > MAX_LOG_LINE:
        raise _BadLineError(f"the line has {len(line)} bytes, at most {MAX_LOG_LINE} are read")
    try:
        value = json.loads(line.decode("utf-8"), object_pairs_hook=_unique, parse_constant=_constant)
        json.dumps(value, ensure_ascii=False).encode("utf-8")
    except UnicodeEncodeError as error:
        raise _BadLineError("a text holds half a surrogate pair") from error
    except _BadLineError:
        raise
    except UnicodeDecodeError as error:
        raise _BadLineError(f"is not UTF-8 at byte {error.start}") from error
    except (ValueError, RecursionError) as error:
        raise _BadLineError(f"is not JSON: {one_line(str(error))}") from error
    if not isinstance(value, dict):
        raise _BadLineError("is not a JSON object")
    return value


def strict_json(data: bytes) -> dict[str, Any]:
    """Return a JSON object that is read as strictly as a log line, of any size.

    Raises:
        ValueError: it is not one; the message says why.
    """
    try:
        value = json.loads(data.decode("utf-8"), object_pairs_hook=_unique, parse_constant=_constant)
    except RecursionError as error:
        raise _BadLineError("is nested too deeply") from error
    if not isinstance(value, dict):
        raise _BadLineError("is not a JSON object")
    return value


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(pairs)
    if len(made) != len(pairs):
        names = [key for key, _ in pairs]
        twice = next(key for key in names if names.count(key) > 1)
        raise _BadLineError(f"the key {one_line(repr(twice))} stands twice")
    return made


def _constant(text: str) -> None:
    raise _BadLineError(f"{text} is not a JSON number")


def _conforms(shape: Draft202012Validator, values: Mapping[str, Any]) -> None:
    error = next(shape.iter_errors(values), None)
    if error is not None:
        raise _BadLineError(f"{one_line(error.json_path)}: {one_line(error.message)}")
    try:
        parsed = datetime.fromisoformat(values["time"])
    except ValueError as fault:
        raise _BadLineError(f"$.time: {values['time']} is not a date and time") from fault
    if parsed.tzinfo is None:
        raise _BadLineError("$.time: has no offset from UTC")


def _link(values: Mapping[str, Any], head: str) -> str:
    if "previous" not in values:
        return "none"
    return "right" if values["previous"] == head else "wrong"


def _chain(links: list[str]) -> bool | None:
    """Return whether the chain is whole; a log in which no line has a link is not a broken chain, but none."""
    if "right" not in links and "wrong" not in links:
        return None
    return all(link == "right" for link in links)


def _problem(name: str, line: int, text: str) -> Problem:
    return Problem(file=name, line=line, column=1, path="$", message=text)


def _bounded(problems: list[Problem]) -> tuple[Problem, ...]:
    if len(problems) <= MAX_PROBLEMS:
        return tuple(problems)
    rest = problems[MAX_PROBLEMS]
    text = f"{len(problems) - MAX_PROBLEMS} more lines cannot be read"
    return (*problems[:MAX_PROBLEMS], _problem(rest.file, rest.line, text))
