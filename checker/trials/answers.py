"""From what a process did to what a verifier said: crashes and hangs told apart from refusals (harness rule 4)."""

from __future__ import annotations

import re
import signal
from collections.abc import Callable, Iterable
from typing import Final

from checker.description.model import Command
from checker.trials.contract import Answer, Cause, Outcome, Run
from checker.trials.words import ABSENT

_MAX_WORDS: Final = 200  # characters of a verifier's words that go into a record
_MAX_LINE: Final = 200  # characters of a line that a pattern is held against
_MAX_LINES: Final = 200  # lines of that, the last ones
_SHELL: Final = 128  # a shell exits with 128 + the number of the signal that ended its command
_FATAL: Final = {
    _SHELL + number
    for number in (signal.SIGILL, signal.SIGABRT, signal.SIGBUS, signal.SIGFPE, signal.SIGSEGV, signal.SIGSYS)
}
# What the run times of languages and sanitizers print when a program breaks down.
_BREAKDOWN: Final = re.compile(
    r"^Traceback \(most recent call last\):"  # Python
    r"|^thread '[^']{0,99}' (?:\(\d{1,20}\) )?panicked at "  # Rust
    r"|^Exception in thread \""  # Java
    r"|^(?:panic|fatal error): |^goroutine \d{1,20} \["  # Go
    r"|==\d{1,20}==\s?ERROR: [A-Za-z]{1,40}Sanitizer"  # ASan, LSan, MSan, TSan
    r"|: runtime error: "  # UBSan
    r"|^\*\*\* (?:stack smashing|buffer overflow) detected",  # glibc
    re.MULTILINE,
)

Pattern = tuple[re.Pattern[str], Cause]


def said(*pairs: tuple[str, Cause]) -> tuple[Pattern, ...]:
    """Return patterns in order, each over one line, without regard to case."""
    return tuple((re.compile(pattern, re.IGNORECASE), cause) for pattern, cause in pairs)


# A companion that was left out is offered under such a name (`words.ABSENT`): the tool says that it is not there.
MISSING: Final = said((rf"{ABSENT}-signature", Cause.SIGNATURE))
# OpenSSL's own words for certificates and CMS messages (X509_verify_cert_error_string, crypto/cms/cms_err.c).
OPENSSL: Final = said(
    (r"certificate has expired|certificate is not yet valid", Cause.TIME),
    (r": ?Verify error: ", Cause.KEY),
    (r"invalid certificate", Cause.KEY),
    (r"no signers|no content signers|content type not signed data", Cause.SIGNATURE),
    (r"content verify error", Cause.DIGEST),
    (r":(?:verification failure|bad signature)", Cause.SIGNATURE),
)


def broken(run: Run) -> Answer | None:
    """Return the answer of a process that did not end properly, or None where it did."""
    if run.timed_out or run.signal == signal.SIGXCPU:
        return Answer(outcome=Outcome.TIMEOUT, words="did not end in time, or started too many processes")
    if run.signal:
        return Answer(outcome=Outcome.CRASHED, words=f"ended by signal {run.signal}")
    if run.exit_code in _FATAL:
        return Answer(outcome=Outcome.CRASHED, words=f"ended by signal {run.exit_code - _SHELL}, as its shell says")
    if found := _BREAKDOWN.search(run.output):
        return Answer(outcome=Outcome.CRASHED, words=shortened(_line_at(run.output, found.start())))
    return None


def judged(run: Run, patterns: Iterable[Pattern], *, accepted: bool | None = None) -> Answer:
    """Return the answer of a tool; the first pattern that matches says why it refused.

    It accepts by exit status 0, where `accepted` does not say it by other means.
    """
    if found := broken(run):
        return found
    if run.exit_code == 0 if accepted is None else accepted:
        return Answer(outcome=Outcome.ACCEPTED)
    cause, words = why(run.output, patterns)
    return Answer(outcome=Outcome.REFUSED, cause=cause, words=words or f"exit status {run.exit_code}")


def by_status(patterns: Iterable[Pattern]) -> Callable[[Command, Run], Answer]:
    """Return how the answers of a tool are read that says by its exit status whether it accepts."""
    known = tuple(patterns)
    return lambda _command, run: judged(run, known)


def why(output: str, patterns: Iterable[Pattern]) -> tuple[Cause, str]:
    """Return the cause that the first matching pattern names, and the line that says so; else the last line."""
    lines = [line[:_MAX_LINE] for line in output.splitlines() if line.strip()][-_MAX_LINES:]
    for pattern, cause in patterns:
        for line in lines:
            if pattern.search(line):
                return cause, shortened(line)
    return Cause.UNSAID, shortened(lines[-1]) if lines else ""


def _line_at(text: str, offset: int) -> str:
    start = text.rfind("\n", 0, offset) + 1
    return text[start : start + _MAX_WORDS].split("\n", 1)[0]


def shortened(line: str) -> str:
    """Return one printable line of bounded length."""
    clean = "".join(char if char.isprintable() else " " for char in line).strip()
    return clean if len(clean) <= _MAX_WORDS else f"{clean[: _MAX_WORDS - 1]}…"
