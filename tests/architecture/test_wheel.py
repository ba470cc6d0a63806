"""What ships: the package and its data, and nothing else. No stray file and no key."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

TOP = Path(__file__).resolve().parents[2]
DATA = ("rules", "schemas", "templates")


def known_to_git() -> set[str]:
    command = ["git", "ls-files", "--cached", "--", "checker", *DATA]
    done = subprocess.run(command, cwd=TOP, capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip("not a git checkout: the list of files that belong to the project is not known")
    return {name for name in done.stdout.splitlines() if (TOP / name).is_file()}


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> set[str]:
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(folder), str(TOP)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    with zipfile.ZipFile(next(folder.glob("*.whl"))) as archive:
        return {name for name in archive.namelist() if ".dist-info/" not in name}


def test_the_wheel_holds_exactly_the_package_and_its_data(wheel: set[str]) -> None:
    expected = {name if name.startswith("checker/") else f"checker/_data/{name}" for name in known_to_git()}
    assert wheel == expected


def test_no_key_and_no_sample_ships(wheel: set[str]) -> None:
    suspicious = {
        name for name in wheel if name.endswith((".pem", ".key", ".der", ".p12", ".bin")) or "samples" in name
    }
    assert not suspicious


@pytest.mark.parametrize(
    "needed", ["checker/__main__.py", "checker/_data/schemas/update.schema.json", "checker/py.typed"]
)
def test_what_a_run_needs_is_there(wheel: set[str], needed: str) -> None:
    assert needed in wheel


def test_an_installed_wheel_runs_away_from_the_checkout(tmp_path: Path, wheel: set[str]) -> None:
    del wheel
    command = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(tmp_path), str(TOP)]
    subprocess.run(command, capture_output=True, check=True)
    site = tmp_path / "site"
    with zipfile.ZipFile(next(tmp_path.glob("*.whl"))) as archive:
        archive.extractall(site)
    script = (
        f"import sys; sys.path.insert(0, {str(site)!r});"
        "from checker import resources; from checker.rules.load import load_default;"
        f"assert str(resources.folder('rules')).startswith({str(site)!r}); print(load_default().id)"
    )
    command = [sys.executable, "-I", "-c", script]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout.strip()) == (0, "ntia-2017"), done.stderr
