"""One verifier at work: an offer in a fresh scratch folder, what it answered, and what that did to the device's state.

Everything happens in a folder that nothing outlives. Paths of this machine are taken out of a verifier's words.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Final

from checker.description.model import Command
from checker.errors import FormatError, InputError
from checker.io.sources import FileSource
from checker.model.artifact import Source
from checker.trials import files, runner
from checker.trials.contract import Adapter, Answer, Genuine, Offer, Outcome, Place, Run
from checker.trials.runner import LIMITS, Limits
from checker.trials.words import fill

_PREFIX: Final = "otaudit-trial-"
_OFFERED: Final = "offered"
_FIRST: Final = "first"
_STATE: Final = "state"

Runner = Callable[[Sequence[str], Path, Limits], Run]


@dataclass(frozen=True, kw_only=True)
class Seen:
    """What one offer led to. `unchanged` and `logged` are None where nothing tells."""

    answer: Answer
    unchanged: bool | None = None
    logged: bool | None = None


class NotTriedError(Exception):
    """A trial could not be made: something before the offer did not happen. Its text says what, in words."""


@dataclass(frozen=True, kw_only=True)
class Bench:
    """One verifier, what it is offered, and all that a trial needs. Nothing here belongs to one trial.

    `pool` has the files of every artifact that an offer may name, by its id. `state` is the device's state that every
    trial starts with a copy of.
    """

    command: Command
    adapter: Adapter
    genuine: Genuine
    pool: Mapping[str, Mapping[str, Source]]
    base: Path = Path()
    state: Path | None = None
    settings: Mapping[str, str] = field(default_factory=dict)
    limits: Limits = LIMITS
    run: Runner = runner.run

    def offer(self, offer: Offer) -> Seen:
        """Make one offer and return what came of it.

        Raises:
            NotTriedError: what has to precede the offer did not happen.
            FormatError, InputError: a file cannot be written or changed as the offer says.
        """
        with self._scratch() as place:
            if offer.after:
                self._install(self._at(place, _FIRST, self.pool[offer.after]))
            origin = self.pool[offer.instead] if offer.instead else self.genuine.files
            parts = files.offered(self.genuine, offer, origin)
            there = replace(place, files=files.write_all(place.folder / _OFFERED, parts))
            return self._spoilt(there, offer) if offer.spoil else self._offered(there)

    def control(self) -> Answer:
        """Offer what is genuine (T00). Where the device boots by a command of its own, it has to start it, too."""
        with self._scratch() as place:
            there = self._at(place, _OFFERED, self.genuine.files)
            answer = self._ask(there)
            if answer.outcome is not Outcome.ACCEPTED or not self.command.boot or not self.adapter.installs:
                return answer
            boot = self._boot(there)
            return boot if boot.outcome is Outcome.ACCEPTED else replace(boot, words=f"at boot: {boot.words}")

    def lacks(self, offer: Offer) -> str:
        """Return what the description would have to say so that an offer makes sense here; nothing where it does."""
        if not (offer.after or offer.spoil):
            return ""
        if not self.adapter.installs:
            return f"a verifier that installs; {self.adapter.id} only verifies"
        needed: dict[str, object] = {"state": self.state, "report": self.command.report}
        if offer.spoil:
            needed |= {"boot": self.command.boot, "installed": self.command.installed}
        missing = [name for name, value in needed.items() if not value]
        return f"{' and '.join(missing)} of the verifier's command" if missing else ""

    @contextmanager
    def _scratch(self) -> Iterator[Place]:
        with tempfile.TemporaryDirectory(prefix=_PREFIX, ignore_cleanup_errors=True) as name:
            folder = Path(name).resolve()
            state = folder / _STATE if self.state is not None else None
            if self.state is not None and state is not None:
                files.copy_state(self.state, state)
            yield Place(folder=folder, files={}, state=state, base=self.base, settings=self.settings)

    def _at(self, place: Place, name: str, sources: Mapping[str, Source]) -> Place:
        parts = {key: (source, files.whole(source)) for key, source in sources.items()}
        return replace(place, files=files.write_all(place.folder / name, parts))

    def _started(self, argv: Sequence[str], place: Place) -> Run:
        done = self.run(argv, place.folder, self.limits)
        text = done.output.replace(f"{place.folder}/", "").replace(str(place.folder), "")
        return replace(done, output=text.replace(f"{self.base.absolute()}/", ""))

    def _ask(self, place: Place) -> Answer:
        return self.adapter.answer(self.command, self._started(self.adapter.argv(self.command, place), place))

    def _boot(self, place: Place) -> Answer:
        return self.adapter.answer(self.command, self._started(fill(self.command.boot, place), place))

    def _install(self, place: Place) -> None:
        """Install what is genuine as the device does: offered, and booted where it has a command for that."""
        answer = self._ask(place)
        if answer.outcome is Outcome.ACCEPTED and self.command.boot:
            answer = self._boot(place)
        if answer.outcome is not Outcome.ACCEPTED:
            raise NotTriedError(f"what has to be installed first was not accepted: {answer.words or answer.outcome}")

    def _offered(self, place: Place) -> Seen:
        before, lines = self._told(place), self._logged(place)
        answer = self._ask(place)
        after = self._told(place)
        unchanged = None if before is None or after is None else before == after
        size = self._logged(place)
        return Seen(answer=answer, unchanged=unchanged, logged=None if lines is None or size is None else size > lines)

    def _spoilt(self, place: Place, offer: Offer) -> Seen:
        """Have what is genuine accepted, change it where it lies, and boot.

        A refusal counts as one only where the device's own report still differs from that after a genuine boot.
        """
        new = self._activated
        answer = self._ask(place)
        if answer.outcome is not Outcome.ACCEPTED:
            raise NotTriedError(f"the genuine update was not accepted: {answer.words or answer.outcome}")
        self._spoil(place, offer)
        lines = self._logged(place)
        boot = self._boot(place)
        report = self._report(place)
        size = self._logged(place)
        if report is None:
            raise NotTriedError("the device's report failed after the boot, so nobody knows which version is active")
        if boot.outcome is Outcome.REFUSED and report == new:
            boot = replace(boot, outcome=Outcome.ACCEPTED, words="refused at boot, but the report shows it as active")
        return Seen(answer=boot, logged=None if lines is None or size is None else size > lines)

    def _spoil(self, place: Place, offer: Offer) -> None:
        path = None if place.state is None else files.inside(place.state, self.command.installed)
        if path is None or offer.spoil is None:
            raise NotTriedError(f"after an accepted update there is no file {self.command.installed} in the state")
        with FileSource(path, self.command.installed) as source:
            content = offer.spoil(source)
        files.replace_content(path, content)

    @cached_property
    def _activated(self) -> str:
        """Return the device's report after a genuine update was installed and booted.

        Raises:
            NotTriedError: it is not accepted, or the report does not show the difference.
        """
        if not self._steady:
            raise NotTriedError("the device's report fails, or says something else each time it is asked")
        with self._scratch() as place:
            old = self._report(place)
            self._install(self._at(place, _OFFERED, self.genuine.files))
            new = self._report(place)
        if old is None or new is None:
            raise NotTriedError("the device's report failed, so nobody knows which version is active")
        if old == new:
            raise NotTriedError("the device's report is the same before and after a genuine update")
        return new

    @cached_property
    def _steady(self) -> bool:
        """Return whether the device's report says the same twice where nothing happens in between."""
        with self._scratch() as place:
            first = self._report(place)
            return first is not None and first == self._report(place)

    def _told(self, place: Place) -> str | None:
        """Return what tells one state from another: the device's own report, else all files but the log."""
        if self.command.report:
            return self._report(place) if self._steady else None
        log = [self.command.log] if self.command.log else []
        try:
            return None if place.state is None else files.fingerprint(place.state, log)
        except (OSError, InputError, FormatError):
            return None

    def _report(self, place: Place) -> str | None:
        done = self._started(fill(self.command.report, place), place)
        return done.output if done.exit_code == 0 and not done.signal and not done.timed_out else None

    def _logged(self, place: Place) -> int | None:
        """Return the size of the log in bytes, 0 where it is not there yet; None where none is named."""
        if place.state is None or not self.command.log:
            return None
        path = files.inside(place.state, self.command.log)
        return 0 if path is None else path.stat().st_size


def missing_program(adapter: Adapter) -> str:
    """Return the program that an adapter needs and this machine has not, or nothing."""
    there = not adapter.program or shutil.which(adapter.program, path=runner.search_path())
    return "" if there else adapter.program
