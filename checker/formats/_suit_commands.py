"""SUIT command sequences, walked without a device: every alternative is taken, and each parameter keeps all its values.

Source: draft-ietf-suit-manifest-34 sections 6.4 and 8.4.8 to 8.4.11; draft-ietf-suit-update-management and
draft-ietf-suit-trust-domains for the further commands.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from checker.errors import FormatError, LimitError
from checker.formats._suit_manifest import Manifest
from checker.io.cbor import Item, Major

# Parameters
VENDOR_ID, CLASS_ID, IMAGE_DIGEST, USE_BEFORE, SLOT = range(1, 6)
IMAGE_SIZE: Final = 14
CONTENT: Final = 18
ENCRYPTION_INFO: Final = 19
URI: Final = 21
SOURCE_COMPONENT: Final = 22
INVOKE_ARGS: Final = 23
DEVICE_ID: Final = 24
MINIMUM_BATTERY, UPDATE_PRIORITY, VERSION, WAIT_INFO = 26, 27, 28, 29
# Conditions; several have the numbers of the parameters that they compare
IMAGE_MATCH: Final = 3
DEPENDENCY_INTEGRITY: Final = 7
UPDATE_AUTHORIZED: Final = 27
# Directives
INHERITED: Final = 0  # no command of SUIT: a dependency gets the content that its dependent has set
PROCESS_DEPENDENCY: Final = 11
SET_COMPONENT_INDEX: Final = 12
TRY_EACH: Final = 15
WRITE: Final = 18
SET_PARAMETERS, OVERRIDE_PARAMETERS, FETCH, COPY, INVOKE = 19, 20, 21, 22, 23
SWAP, RUN_SEQUENCE, UNLINK, OVERRIDE_MULTIPLE, COPY_PARAMS = 31, 32, 33, 34, 35

MAX_STEPS: Final = 200_000  # commands times components, and values that are copied: some seconds at most
MAX_SEQUENCE_DEPTH: Final = 16  # sequences inside sequences; published manifests have two

Values = tuple[Item, ...]
Parameters = dict[int, Values]


@dataclass(frozen=True)
class Event:
    """A command that was met, for one component, with the values that its parameters may have then."""

    command: int
    component: int
    section: str
    parameters: Mapping[int, Values] = field(repr=False)

    def items(self, parameter: int) -> Values:
        """Return the values that a parameter may have."""
        return self.parameters.get(parameter, ())


@dataclass
class _State:
    current: tuple[int, ...]
    parameters: dict[int, Parameters]

    def copy(self) -> _State:
        return _State(self.current, {index: dict(values) for index, values in self.parameters.items()})

    @property
    def size(self) -> int:
        return 1 + sum(1 + len(values) for values in self.parameters.values())


@dataclass
class Walk:
    """All events of a manifest, in order."""

    manifest: Manifest
    events: list[Event] = field(default_factory=list)
    steps: int = 0

    def run(self) -> list[Event]:
        """Walk the shared sequence, and each other sequence from the state that it leaves.

        Raises:
            FormatError: a sequence is damaged.
            LimitError: the sequences ask for more than `MAX_STEPS`.
        """
        first = tuple(index for index in (0,) if index in self.manifest.names)
        start = _State(first, {index: {} for index in self.manifest.names})
        if self.manifest.shared is not None:
            self._sequence(self.manifest.shared, start, "shared-sequence", 0)
        for name, item in self.manifest.sequences.items():
            state = self._copied(start, item)
            state.current = first
            self._sequence(item, state, name, 0)
        return self.events

    def _spend(self, steps: int, item: Item) -> None:
        self.steps += steps
        if self.steps > MAX_STEPS:
            raise LimitError(f"more than MAX_STEPS ({MAX_STEPS}) steps", offset=item.span.start, field="commands")

    def _copied(self, state: _State, item: Item) -> _State:
        self._spend(state.size, item)
        return state.copy()

    def _sequence(self, sequence: Item, state: _State, section: str, depth: int) -> None:
        parts = sequence.array(section)
        if len(parts) % 2:
            raise FormatError("a command lacks its argument", offset=sequence.span.start, field=section)
        if depth > MAX_SEQUENCE_DEPTH:
            message = f"nested deeper than MAX_SEQUENCE_DEPTH ({MAX_SEQUENCE_DEPTH})"
            raise LimitError(message, offset=sequence.span.start, field=section)
        for command, argument in zip(parts[::2], parts[1::2], strict=True):
            self._spend(len(state.current), command)
            self._command(command.integer(section), argument, state, section, depth)

    def _command(self, number: int, argument: Item, state: _State, section: str, depth: int) -> None:
        if number == SET_COMPONENT_INDEX:
            state.current = self._indices(argument)
        elif number == TRY_EACH:
            self._try_each(argument, state, section, depth)
        elif number == RUN_SEQUENCE:
            self._sequence(argument.wrapped("run-sequence"), state, section, depth + 1)
        elif number in {SET_PARAMETERS, OVERRIDE_PARAMETERS}:
            for index in state.current:
                self._set(state, index, argument, keep=number == SET_PARAMETERS)
        elif number == OVERRIDE_MULTIPLE:
            for key, values in argument.map("override-multiple").items():
                self._set(state, self._index(key, values), values, keep=False)
        elif number == COPY_PARAMS:
            self._copy_parameters(argument, state)
        else:
            self._note(number, argument, state, section)

    def _note(self, number: int, argument: Item, state: _State, section: str) -> None:
        for index in state.current:
            values = state.parameters.get(index, {})
            self._spend(1 + len(values), argument)
            self.events.append(Event(number, index, section, dict(values)))
        if number == PROCESS_DEPENDENCY:
            for index, values in state.parameters.items():
                self._spend(1 + len(values), argument)
                if CONTENT in values:
                    self.events.append(Event(INHERITED, index, section, dict(values)))

    def _indices(self, argument: Item) -> tuple[int, ...]:
        if argument.is_true:
            return tuple(self.manifest.names)
        if argument.major is Major.ARRAY:
            self._spend(len(argument.children), argument)
            return tuple(dict.fromkeys(self._index(each.number, each) for each in argument.children))
        return (self._index(argument.number, argument),)

    def _index(self, value: object, item: Item) -> int:
        if not isinstance(value, int) or value not in self.manifest.names:
            shown = f"{value!r}"[:40]
            raise FormatError(f"there is no component {shown}", offset=item.span.start, field="component-index")
        return value

    def _set(self, state: _State, index: int, argument: Item, *, keep: bool) -> None:
        found = argument.map("parameters")
        self._spend(len(found), argument)
        values = state.parameters.setdefault(index, {})
        for key, value in found.items():
            if not isinstance(key, int):
                raise FormatError("a parameter's number is expected", offset=value.span.start, field="parameters")
            if not (keep and key in values):
                values[key] = (value,)

    def _copy_parameters(self, argument: Item, state: _State) -> None:
        for key, numbers in argument.map("copy-params").items():
            source = state.parameters.get(self._index(key, numbers), {})
            wanted = [each.integer("copy-params") for each in numbers.array("copy-params")]
            self._spend(len(wanted) * len(state.current), argument)
            for index in state.current:
                state.parameters[index].update({each: source[each] for each in wanted if each in source})

    def _try_each(self, argument: Item, state: _State, section: str, depth: int) -> None:
        """Walk every alternative from the same state; afterwards, each parameter may have any of their values."""
        ends = []
        for alternative in argument.array("try-each"):
            branch = self._copied(state, alternative)
            if not alternative.is_null:
                self._sequence(alternative.wrapped("try-each"), branch, section, depth + 1)
            ends.append(branch)
        if ends:
            state.current = tuple(dict.fromkeys(index for end in ends for index in end.current))
            state.parameters = self._merge(ends, argument)

    def _merge(self, ends: Sequence[_State], item: Item) -> dict[int, Parameters]:
        merged: dict[int, Parameters] = {}
        for end in ends:
            for index, values in end.parameters.items():
                into = merged.setdefault(index, {})
                for key, alternatives in values.items():
                    self._spend(len(alternatives) + len(into.get(key, ())), item)
                    into[key] = tuple(dict.fromkeys((*into.get(key, ()), *alternatives)))
        return merged
