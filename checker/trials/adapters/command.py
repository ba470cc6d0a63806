"""Any command that says by its exit status whether it accepts. Exit 0 is yes; everything else that ends properly is no.

Why it refuses is said by the `reasons` of the description, or by a last line of JSON of its own:
`{"otaudit": "answer", "outcome": "refused", "reason": "signature", "detail": "…"}`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import replace

from checker.description.model import Command
from checker.trials.answers import broken, judged, shortened
from checker.trials.contract import Adapter, Answer, Cause, Outcome, Place, Run
from checker.trials.words import fill


def _argv(command: Command, place: Place) -> Sequence[str]:
    return fill(command.argv, place)


def _answer(command: Command, run: Run) -> Answer:
    patterns = [(re.compile(pattern), Cause(cause)) for cause, pattern in command.reasons.items()]
    by_status = judged(run, patterns)
    own = None if broken(run) else _own_words(run.output)
    if own is None:
        return by_status
    if own.outcome is not by_status.outcome:
        text = f"says {own.outcome.value!r}, and exits with {run.exit_code}"
        return Answer(outcome=Outcome.CRASHED, words=text)
    return own if own.cause is not Cause.UNSAID else replace(own, cause=by_status.cause)


def _own_words(output: str) -> Answer | None:
    """Return the answer of the last line, where it is one; a line that is no answer says nothing."""
    lines = output.rstrip().splitlines()
    try:
        told = json.loads(lines[-1]) if lines and lines[-1].startswith("{") else None
        if not isinstance(told, dict) or told.get("otaudit") != "answer":
            return None
        outcome = Outcome(str(told.get("outcome")))
    except (ValueError, RecursionError):
        return None
    reason = told.get("reason")
    cause = Cause(reason) if isinstance(reason, str) and reason in set(Cause) else Cause.UNSAID
    return Answer(outcome=outcome, cause=cause, words=shortened(str(told.get("detail", ""))))


ADAPTER = Adapter(
    id="command",
    title="any command, given word by word",
    program="",
    settings={},
    argv=_argv,
    answer=_answer,
    unchecked="whatever the command itself does not check",
    installs=True,
)
