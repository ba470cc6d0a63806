"""Profiles: what a published guideline demands of an endpoint, as data (`profiles/*.yaml`), and its use in checks.

A check `{profile: rfc-9325, lines: [suites], where: {step: receive}}` stands for those lines of the profile, all of
them where none is named; a finding then names the line and what offends against it (docs/rules.md, Profiles).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from checker.model.evidence import EvidenceSet, Value
from checker.model.requirement import Profile, ProfileLine, Reference, RuleSet
from checker.rules._checks import Outcome, Scope, evaluate
from checker.rules._conditions import Inputs, Setting
from checker.rules._files import Files
from checker.rules._validate import Trees, did_you_mean
from checker.rules._yaml import Path

_CHECK: Final = ("every", "some", "none", "where", "that", "at_least")
_KEYS: Final = frozenset({"profile", "lines", "where"})


@dataclass(frozen=True, kw_only=True)
class Held:
    """One line of a profile held against evidence."""

    line: ProfileLine
    outcome: Outcome


def hold(rules: RuleSet, name: str, evidence: EvidenceSet, inputs: Inputs) -> tuple[Held, ...]:
    """Return how evidence meets each line of a profile; it does no I/O and reads no clock.

    Raises:
        KeyError: the rule set has no such profile.
    """
    records: dict[str, list[Any]] = {}
    for record in evidence.records:
        records.setdefault(record.kind, []).append(record)
    scope = Scope(records=records, setting=Setting(tables=rules.tables, inputs=inputs))
    return tuple(Held(line=line, outcome=evaluate(line.check, scope)) for line in rules.profiles[name].lines)


# Reading


def read_profiles(files: Files, trees: Trees) -> dict[str, Profile]:
    """Return the profiles of a rule set by id; what is wrong with them is kept in `files`."""
    found: dict[str, Profile] = {}
    for name in files.profiles:
        data = files.data(name)
        if not data or files.problems:
            continue
        profile = _profile(data)
        if f"profiles/{profile.id}.yaml" != name:
            files.blame(name, ("id",), f"the id {profile.id!r} is not the file's name")
        for index, line in enumerate(profile.lines):
            for path, message in trees.check(line.check):
                files.blame(name, ("lines", index, *path), message)
        found[profile.id] = profile
    return found


def _profile(data: Mapping[str, Any]) -> Profile:
    source = data["source"]
    lines = tuple(_line(item, source) for item in data["lines"])
    return Profile(id=data["id"], title=data["title"], source=_reference(source), dated=str(data["dated"]), lines=lines)


def _line(item: Mapping[str, Any], source: Mapping[str, Any]) -> ProfileLine:
    given = {key: item[key] for key in ("document", "section", "status") if key in item}
    own = given if "document" in given else {**source, **given}
    reference = _reference(own)
    says = f"{item['says']} ({reference.printable()})"
    check = {key: item[key] for key in _CHECK if key in item} | {"says": says}
    return ProfileLine(id=item["id"], says=item["says"], check=check, level=item["level"], reference=reference)


def _reference(item: Mapping[str, Any]) -> Reference:
    return Reference(document=item["document"], section=str(item.get("section", "")), status=item.get("status", "V"))


# Use in checks


def profile_faults(tree: Value, profiles: Mapping[str, Profile], path: Path = ()) -> Iterator[tuple[Path, str]]:
    """Yield every fault of the places where a check names a profile."""
    for key, part in _parts(tree):
        yield from profile_faults(part, profiles, (*path, key))
    if not isinstance(tree, Mapping) or "profile" not in tree:
        return
    name = str(tree["profile"])
    if name not in profiles:
        yield (*path, "profile"), f"there is no profile {name!r}{did_you_mean(name, profiles)}"
        return
    for key in sorted(set(tree) - _KEYS):
        yield (*path, key), f"{key!r} does not belong here{did_you_mean(key, _KEYS)}"
    known = [line.id for line in profiles[name].lines]
    for index, line in enumerate(_names(tree)):
        if line not in known:
            yield (*path, "lines", index), f"{name} has no line {line!r}{did_you_mean(line, known)}"


def expand(tree: Any, profiles: Mapping[str, Profile]) -> Any:  # noqa: ANN401 - a tree of any shape, returned in that shape
    """Return a check with every named profile replaced by its lines."""
    if isinstance(tree, Mapping):
        if tree.get("profile") in profiles:
            return {"all": [_within(line, tree.get("where")) for line in _wanted(tree, profiles)]}
        return {key: expand(part, profiles) for key, part in tree.items()}
    if isinstance(tree, Sequence) and not isinstance(tree, str):
        return [expand(part, profiles) for part in tree]
    return tree


def _wanted(tree: Mapping[str, Value], profiles: Mapping[str, Profile]) -> list[ProfileLine]:
    names = _names(tree)
    return [line for line in profiles[str(tree["profile"])].lines if line.id in names or not names]


def _names(tree: Mapping[str, Value]) -> list[str]:
    lines = tree.get("lines", ())
    return [str(line) for line in lines] if isinstance(lines, Sequence) and not isinstance(lines, str) else []


def _within(line: ProfileLine, where: Value) -> dict[str, Value]:
    """Return a line's check over fewer records."""
    parts = [part for part in (line.check.get("where"), where) if part is not None]
    check = {key: value for key, value in line.check.items() if key != "where"}
    return {**check, "where": parts[0] if len(parts) == 1 else {"all": parts}} if parts else check


def _parts(tree: Value) -> list[tuple[str | int, Value]]:
    if isinstance(tree, Mapping):
        return list(tree.items())
    return list(enumerate(tree)) if isinstance(tree, Sequence) and not isinstance(tree, str) else []
