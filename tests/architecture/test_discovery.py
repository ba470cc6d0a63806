"""Plug-ins are found by looking at the folder, and a broken one is refused."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from checker.crypto.key_forms.contract import KeyForm
from checker.discovery import PlugIn, PlugInError, discover, find, module_names
from checker.formats.contract import Format
from checker.probes.contract import Probe
from checker.report.contract import Renderer
from checker.trials.contract import Adapter, Anatomy, Mutation

CHECKER = Path(__file__).resolve().parents[2] / "checker"


@dataclass(frozen=True)
class Thing:
    id: str


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    folder = tmp_path / "things_for_discovery"
    folder.mkdir()
    (folder / "__init__.py").touch()
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr(sys.modules[__name__], "Thing", Thing)
    sys.modules["thing_home"] = sys.modules[__name__]
    yield folder
    for name in [name for name in sys.modules if name.startswith(("things_for_discovery", "thing_home"))]:
        del sys.modules[name]


def plug_in(folder: Path, name: str, identity: str) -> None:
    (folder / f"{name}.py").write_text(f"from thing_home import Thing\nTHING = Thing({identity!r})\n")


def test_every_public_module_is_a_plug_in_sorted_by_name(package: Path) -> None:
    plug_in(package, "second_one", "second-one")
    plug_in(package, "first", "first")
    (package / "_helper.py").write_text("raise RuntimeError")
    found = discover("things_for_discovery", "THING", Thing)
    assert [thing.id for thing in found] == ["first", "second-one"]


def test_an_id_that_is_not_the_files_name_is_refused(package: Path) -> None:
    plug_in(package, "first", "firts")
    with pytest.raises(PlugInError, match="not its file's name"):
        discover("things_for_discovery", "THING", Thing)


def test_a_module_without_the_constant_is_refused(package: Path) -> None:
    (package / "first.py").write_text("THNG = 1\n")
    with pytest.raises(PlugInError, match="must state THING"):
        discover("things_for_discovery", "THING", Thing)


def test_finding_one_does_not_import_the_others(package: Path) -> None:
    plug_in(package, "first", "first")
    (package / "broken.py").write_text("raise RuntimeError")
    assert find("things_for_discovery", "first", "THING", Thing).id == "first"
    with pytest.raises(PlugInError, match="there is no thing 'frist'"):
        find("things_for_discovery", "frist", "THING", Thing)


@pytest.mark.parametrize(
    ("room", "constant", "kind"),
    [
        ("crypto/key_forms", "FORM", KeyForm),
        ("formats", "FORMAT", Format),
        ("probes", "PROBE", Probe),
        ("report", "RENDERER", Renderer),
        ("trials/adapters", "ADAPTER", Adapter),
        ("trials/anatomies", "ANATOMY", Anatomy),
        ("trials/mutations", "MUTATION", Mutation),
    ],
)
def test_the_folder_listing_and_the_discovered_plug_ins_are_the_same(room: str, constant: str, kind: type) -> None:
    listed = {path.stem for path in (CHECKER / room).glob("[a-z]*.py")} - {"contract"}
    found: tuple[PlugIn, ...] = discover(f"checker.{room.replace('/', '.')}", constant, kind)
    assert {item.id.replace("-", "_") for item in found} == listed
    assert listed == set(module_names(f"checker.{room.replace('/', '.')}"))
