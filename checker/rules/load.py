"""A rule set's folder → `RuleSet`; everything that is wrong with it is said at once, with file, line and column."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from importlib.resources.abc import Traversable
from typing import Any, Final

from checker import resources
from checker.errors import RuleError
from checker.model.requirement import (
    Cell,
    CrosswalkEntry,
    Dependency,
    ObservationRule,
    Profile,
    Reference,
    Requirement,
    RowRules,
    RuleSet,
)
from checker.model.terms import CELL_TIERS, Method, Reading, Severity, Step, Tier
from checker.rules._files import Files, read_all
from checker.rules._kinds import Kinds
from checker.rules._validate import Trees, did_you_mean
from checker.rules._yaml import Path
from checker.rules.profiles import expand, profile_faults, read_profiles

DEFAULT: Final = "ntia-2017"
_PLACEHOLDER: Final = re.compile(r"\$\{([a-z_]+)\}")
_TREES: Final = ("check", "modern", "applies_when", "contradicted_by")
_OWN: Final = frozenset({"use", "with", "id", "tier"})


@dataclass(frozen=True)
class Entry:
    """One requirement as it was written: its data after instantiation, and where each key came from."""

    file: str
    path: Path
    data: Mapping[str, Any]
    step: str
    family: str = ""
    family_path: Path = ()
    own: frozenset[str] = frozenset()  # keys that stand in the row's file, not in the family
    values: Mapping[str, str] = field(default_factory=dict)  # of the placeholders

    def place(self, *keys: str | int) -> tuple[str, Path]:
        """Return the file and the path of a key."""
        if self.family and keys and keys[0] not in self.own:
            return "families", (*self.family_path, *keys)
        return self.file, (*self.path, *keys)


@dataclass(frozen=True)
class Loaded:
    """A rule set together with how its requirements were written, for the tests of the rules."""

    rules: RuleSet
    entries: tuple[Entry, ...]


def load_default() -> RuleSet:
    """Return the rule set that ships, `rules/ntia-2017`.

    Raises:
        RuleError: it is not valid.
        MissingDataError: it is not installed.
    """
    return load(resources.folder("rules") / DEFAULT)


def load(folder: Traversable) -> RuleSet:
    """Return a rule set.

    Raises:
        RuleError: it is not valid; the error carries every problem.
    """
    return load_with_entries(folder).rules


def load_with_entries(folder: Traversable) -> Loaded:
    """Return a rule set and its requirements as they were written.

    Raises:
        RuleError: it is not valid.
    """
    files = read_all(folder)
    _stop(files)
    trees = Trees(Kinds.load(), files.data("tables"))
    profiles = read_profiles(files, trees)
    _stop(files)
    entries = tuple(_entries(files, profiles))
    _stop(files)
    _check_trees(files, entries, trees)
    _stop(files)
    rules = _build(files, entries, trees, profiles)
    _check_whole(files, entries, rules)
    _stop(files)
    return Loaded(rules, entries)


def _stop(files: Files) -> None:
    if files.problems:
        raise RuleError(tuple(dict.fromkeys(files.problems)))


# --- Requirements as they are written ---------------------------------------------------------------------------------


def _entries(files: Files, profiles: Mapping[str, Profile]) -> Iterator[Entry]:
    for entry in _written(files):
        trees = {name: entry.data[name] for name in _TREES if entry.data.get(name) is not None}
        for name, tree in trees.items():
            for path, message in profile_faults(tree, profiles):
                files.blame(*entry.place(name, *path), f"{entry.data['id']}: {message}")
        yield replace(entry, data={**entry.data, **{name: expand(tree, profiles) for name, tree in trees.items()}})


def _written(files: Files) -> Iterator[Entry]:
    listed = files.data("families").get("families", ())
    families = {item["id"]: (("families", index), item) for index, item in enumerate(listed)}
    for name in files.rows:
        row = files.data(name)
        for index, item in enumerate(row["requirements"]):
            path: Path = ("requirements", index)
            if "use" not in item:
                yield Entry(name, path, item, row["step"])
            elif item["use"] in families:
                yield _instantiate(files, name, path, item, row["step"], families[item["use"]])
            else:
                hint = did_you_mean(item["use"], families)
                files.blame(name, (*path, "use"), f"there is no family {item['use']!r}{hint}")


def _instantiate(
    files: Files, name: str, path: Path, item: Mapping[str, Any], step: str, family: tuple[Path, Mapping[str, Any]]
) -> Entry:
    values = {key: str(value) for key, value in item.get("with", {}).items()}
    own = {key: value for key, value in item.items() if key not in ("use", "with")}
    data = fill({**family[1], **own}, values)
    missing = sorted(set(_PLACEHOLDER.findall(str(data))))
    if missing:
        files.blame(name, (*path, "with"), f"`with` gives no value for {', '.join(missing)}")
    return Entry(
        name, path, dict(data), step, family=item["use"], family_path=family[0], own=frozenset(own), values=values
    )


def fill(tree: Any, values: Mapping[str, str]) -> Any:  # noqa: ANN401 - a tree of any shape, returned in that shape
    """Return a tree with every `${name}` replaced."""
    if isinstance(tree, str):
        return _PLACEHOLDER.sub(lambda found: values.get(found[1], found[0]), tree)
    if isinstance(tree, Mapping):
        return {fill(key, values): fill(item, values) for key, item in tree.items()}
    if isinstance(tree, Sequence):
        return [fill(item, values) for item in tree]
    return tree


def _check_trees(files: Files, entries: tuple[Entry, ...], trees: Trees) -> None:
    for entry in entries:
        for name in _TREES:
            if entry.data.get(name) is not None:
                for path, message in trees.check(entry.data[name]):
                    files.blame(*entry.place(name, *path), f"{entry.data['id']}: {message}")
        grouping = entry.data.get("for_each")
        if isinstance(grouping, Mapping):
            _check_grouping(files, entry, grouping, trees)


def _check_grouping(files: Files, entry: Entry, grouping: Mapping[str, Any], trees: Trees) -> None:
    kind = grouping["kind"]
    if not trees.kinds.has(kind, kind):
        hint = did_you_mean(kind, trees.kinds.fields)
        files.blame(*entry.place("for_each", "kind"), f"{kind!r} is no kind with a field of its own name{hint}")
        return
    if "where" in grouping:
        for path, message in trees.condition(grouping["where"], kind, ("where",)):
            files.blame(*entry.place("for_each", *path), f"{entry.data['id']}: {message}")


# --- The rule set -----------------------------------------------------------------------------------------------------


def _build(files: Files, entries: tuple[Entry, ...], trees: Trees, profiles: Mapping[str, Profile]) -> RuleSet:
    head, tiers = files.data("ruleset"), files.data("tiers")
    requirements = tuple(_requirement(entry) for entry in entries)
    fields = {"target"} | {str(item.grouping["kind"]) for item in requirements if item.grouping is not None}
    return RuleSet(
        id=head["id"],
        title=head["title"],
        version=str(head["version"]),
        digest=files.digest,
        rows={Step(item["step"]): _row(item) for item in tiers["rows"]},
        cells=tuple(_cell(item) for item in tiers["cells"]),
        requirements=requirements,
        dependencies=tuple(_dependency(item) for item in tiers.get("dependencies", ())),
        crosswalk=tuple(_crosswalk(item) for item in files.data("crosswalk").get("entries", ())),
        tables=trees.tables,
        profiles=profiles,
        default_reading=Reading(head.get("default_reading", "letter")),
        observations={code: _observation(item) for code, item in files.data("observations").items()},
        grouped_kinds={
            name: frozenset(kind for kind in trees.kinds.fields if trees.kinds.has(kind, name))
            for name in sorted(fields)
        },
    )


def _requirement(entry: Entry) -> Requirement:
    data = entry.data
    needs = data.get("needs", {})
    grouping = data.get("for_each")
    return Requirement(
        id=data["id"],
        step=Step(entry.step),
        tier=Tier(data["tier"]),
        title=data["title"],
        reading=" ".join(data["reading"].split()),
        check=data.get("check"),
        basis=data.get("basis", "letter"),
        method=Method(needs.get("method", "tested")),
        by_document=data.get("by_document", False),
        max_age_days=needs.get("max_age_days"),
        for_each="target" if grouping == "target" else "",
        grouping=grouping if isinstance(grouping, Mapping) else None,
        blocking=data.get("blocking", True),
        below_basic=data.get("below_basic", False),
        severity=Severity(data.get("severity", "medium")),
        replaces=tuple(data.get("replaces", ())),
        applies_when=data.get("applies_when"),
        contradicted_by=data.get("contradicted_by"),
        modern=data.get("modern"),
        fix=data.get("fix", {}),
        effort=data.get("effort", 2),
        references=tuple(_reference(item) for item in data.get("references", ())),
    )


def _reference(item: Mapping[str, Any]) -> Reference:
    edition = f" {item['edition']}" if "edition" in item else ""
    return Reference(
        document=f"{item['document']}{edition}",
        section=str(item.get("section", "")),
        status=item.get("status", "V"),
    )


def _row(item: Mapping[str, Any]) -> RowRules:
    return RowRules(
        step=Step(item["step"]),
        title=item["title"],
        description=item["description"],
        ceiling=Tier(item["ceiling"]),
        not_applicable=item.get("not_applicable", "never"),
        security=item.get("security", False),
    )


def _cell(item: Mapping[str, Any]) -> Cell:
    return Cell(
        step=Step(item["step"]),
        tier=Tier(item["tier"]),
        table=item["table"],
        slide=item["slide"],
        by_reference=item["by_reference"],
        conflict=item.get("conflict", ""),
        ruling=" ".join(item.get("ruling", "").split()),
    )


def _dependency(item: Mapping[str, Any]) -> Dependency:
    return Dependency(
        id=item["id"],
        why=item["why"],
        step=Step(item["step"]) if "step" in item else None,
        tier=Tier(item["tier"]) if "tier" in item else None,
        needs_step=Step(item["needs_step"]) if "needs_step" in item else None,
        needs_tier=Tier(item["needs_tier"]) if "needs_tier" in item else None,
        needs_requirement=item.get("needs_requirement", ""),
        or_not_applicable=item.get("or_not_applicable", False),
        judged_by=tuple(item.get("judged_by", ())),
    )


def _crosswalk(item: Mapping[str, Any]) -> CrosswalkEntry:
    return CrosswalkEntry(
        step=Step(item["step"]),
        tiers=tuple(Tier(tier) for tier in item["tiers"]),
        references=tuple(_reference(reference) for reference in item["references"]),
    )


def _observation(item: Mapping[str, Any]) -> ObservationRule:
    return ObservationRule(
        step=Step(item["step"]), severity=Severity(item["severity"]), title=item["title"], fix=item.get("fix", "")
    )


# --- The rule set as a whole ------------------------------------------------------------------------------------------


def _check_whole(files: Files, entries: tuple[Entry, ...], rules: RuleSet) -> None:
    _check_table(files, rules)
    known: dict[str, Requirement] = {}
    for entry, item in zip(entries, rules.requirements, strict=True):
        if item.id in known:
            files.blame(*entry.place("id"), f"the id {item.id} is here twice")
        known[item.id] = item
    for entry, item in zip(entries, rules.requirements, strict=True):
        _check_requirement(files, entry, item, known)
    _check_dependencies(files, rules, known)


def _check_table(files: Files, rules: RuleSet) -> None:
    for step in Step:
        if step not in rules.rows:
            files.blame("tiers", ("rows",), f"there is no row {step}")
        for tier in CELL_TIERS:
            cells = [cell for cell in rules.cells if (cell.step, cell.tier) == (step, tier)]
            if len(cells) != 1:
                files.blame("tiers", ("cells",), f"the cell {step} {tier} is there {len(cells)} times, not once")
            elif cells[0].by_reference and tier is Tier.BASIC:
                files.blame("tiers", ("cells",), f"the cell {step} {tier} has nothing on its left to refer to")
            elif not cells[0].by_reference and not _asks(rules, step, tier):
                files.blame("tiers", ("cells",), f"no blocking requirement asks for the cell {step} {tier}")
    for index, cell in enumerate(rules.cells):
        if not cell.by_reference and cell.step in rules.rows and cell.tier.rank > rules.rows[cell.step].ceiling.rank:
            files.blame("tiers", ("cells", index), f"{cell.step} {cell.tier} lies above the row's ceiling")


def _asks(rules: RuleSet, step: Step, tier: Tier) -> bool:
    return any(item.blocking and (item.step, item.tier) == (step, tier) for item in rules.requirements)


def _check_requirement(files: Files, entry: Entry, item: Requirement, known: Mapping[str, Requirement]) -> None:
    for outcome in ("fail", "unknown"):
        if not item.fix.get(outcome) and not (outcome == "fail" and item.check is None):
            files.blame(*entry.place("fix"), f"{item.id}: no advice for {outcome}")
    if item.blocking and not item.references:
        files.blame(*entry.place("references"), f"{item.id}: no references")
    if item.modern is not None and item.check is None:
        files.blame(*entry.place("modern"), f"{item.id}: a modern check stands beside a check")
    for index, name in enumerate(item.replaces):
        lower = known.get(name)
        if lower is None:
            hint = did_you_mean(name, known)
            files.blame(*entry.place("replaces", index), f"{item.id} replaces {name!r}, which does not exist{hint}")
        elif lower.step is not item.step or lower.tier.rank >= item.tier.rank:
            files.blame(
                *entry.place("replaces", index), f"{item.id} replaces {name}, which is no lower cell of its row"
            )


def _check_dependencies(files: Files, rules: RuleSet, known: Mapping[str, Requirement]) -> None:
    for index, item in enumerate(rules.dependencies):
        for name in (*item.judged_by, *((item.needs_requirement,) if item.needs_requirement else ())):
            if name not in known:
                hint = did_you_mean(name, known)
                files.blame("tiers", ("dependencies", index), f"{item.id} names {name!r}, which does not exist{hint}")
        by_step = item.needs_step is not None and item.needs_tier is not None
        ways = by_step + bool(item.needs_requirement) + bool(item.judged_by)
        if ways != 1 or ((item.step is None) != (item.tier is None)) or (item.step is None and not item.judged_by):
            files.blame(
                "tiers",
                ("dependencies", index),
                f"{item.id}: give step and tier, with needs_step and needs_tier or needs_requirement; or judged_by",
            )
