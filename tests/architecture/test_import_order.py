"""The rooms of design.md section 3 import in one direction only."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

CHECKER = Path(__file__).resolve().parents[2] / "checker"
LAYERS = (
    {"__init__", "errors", "model"},
    {"resources", "discovery", "io"},
    {"crypto", "description"},
    {"transport"},
    {"formats"},
    {"trials"},
    {"probes"},
    {"rules"},
    {"assessment"},
    {"report"},
    {"pipeline"},
    {"cli"},
    {"__main__"},
)
RANK = {room: rank for rank, rooms in enumerate(LAYERS) for room in rooms}
MODULES = sorted(CHECKER.rglob("*.py"))
CRYPTOGRAPHY = {"cryptography", "asn1crypto", "OpenSSL", "pqcrypto"}


def room_of(path: Path) -> str:
    return path.relative_to(CHECKER).parts[0].removesuffix(".py")


def imported(path: Path) -> set[str]:
    names = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path.name}: relative imports hide the layer"
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
    return names


def test_every_room_has_its_place() -> None:
    assert {room_of(path) for path in MODULES} <= set(RANK)


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(CHECKER)))
def test_a_room_imports_only_from_its_left(path: Path) -> None:
    room = room_of(path)
    for name in imported(path):
        parts = name.split(".")
        if parts[0] != "checker" or len(parts) == 1:
            continue
        other = parts[1] if parts[1] in RANK else "__init__"
        allowed = other == room or RANK[other] < RANK[room] or (RANK[other] == RANK[room] == 1 and other != room)
        allowed = allowed or {room, other} <= {"model", "errors", "__init__"}
        assert allowed, f"{room} must not import {other}: {name}"


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(CHECKER)))
def test_only_the_crypto_room_imports_cryptography_libraries(path: Path) -> None:
    used = {name.split(".")[0] for name in imported(path)} & CRYPTOGRAPHY
    assert not used or room_of(path) == "crypto"


def test_rules_and_probes_do_not_know_each_other() -> None:
    for path in (CHECKER / "rules").glob("*.py"):
        assert not any(name.startswith("checker.probes") for name in imported(path)), path.name


def test_a_model_imports_nothing_but_models() -> None:
    for path in (CHECKER / "model").glob("*.py"):
        own = {name for name in imported(path) if name.startswith("checker")}
        assert all(name.startswith("checker.model") for name in own), path.name
