"""The documentation says what the code does."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

from checker.discovery import module_names
from checker.errors import ExitStatus
from checker.rules.load import load_default
from docs.build.__main__ import DOCS, pages

TOP = DOCS.parent
MARKDOWN = sorted(
    path
    for path in [*TOP.glob("*.md"), *DOCS.rglob("*.md"), TOP / "samples" / "README.md"]
    if "adr/0000" not in str(path)
)


@pytest.mark.parametrize("name", ["requirements.md", "commands.md"])
def test_a_generated_page_is_up_to_date(name: str) -> None:
    assert (DOCS / name).read_text() == pages()[name], "run `make docs`"


def test_every_requirement_is_documented_and_nothing_else() -> None:
    documented = re.findall(r"^### ([A-Z0-9-]+):", (DOCS / "requirements.md").read_text(), re.MULTILINE)
    assert documented == [item.id for item in sorted(load_default().requirements, key=lambda item: item.step.number)]


def test_the_readme_lists_every_exit_status_and_no_other() -> None:
    section = (TOP / "README.md").read_text().split("## Exit status")[1].split("\n## ")[0]
    assert {int(number) for number in re.findall(r"^\| (\d+) \|", section, re.MULTILINE)} == set(ExitStatus)


@pytest.mark.parametrize("path", MARKDOWN, ids=lambda path: str(path.relative_to(TOP)))
def test_links_to_files_lead_somewhere(path: Path) -> None:
    for target in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", path.read_text()):
        assert (path.parent / target).exists(), target


def test_the_commands_of_the_readme_exist() -> None:
    text = (TOP / "README.md").read_text()
    used = set(re.findall(r"\.venv/bin/otaudit (\w+)", text))
    known = {name.rstrip("_") for name in module_names("checker.cli")} - {"app"}
    assert used
    assert used <= known
    targets = set(re.findall(r"^make (\w+)$", text, re.MULTILINE))
    assert targets == {"demo", "check"}
    for target in targets:
        assert re.search(rf"^{target}:", (TOP / "Makefile").read_text(), re.MULTILINE)


def test_ci_runs_the_second_command_of_the_readme() -> None:
    assert "exec make check" in (TOP / ".ci" / "run").read_text()


def test_no_page_names_a_registry_host_or_a_path_of_one_machine() -> None:
    names = subprocess.run(["git", "ls-files"], cwd=TOP, capture_output=True, text=True, check=False).stdout.split("\n")
    if len(names) < 10:
        pytest.skip("not a git checkout: which files belong to the project is not known")
    forbidden = re.compile(r"pypi\.org|files\.pythonhosted|registry\.npmjs|deb\.debian\.org|/work/main|/root/")
    for name in filter(None, names):
        path = TOP / name
        if (
            path.is_file()
            and path.suffix in {".md", ".py", ".yaml", ".toml", ".j2", ".css", ".json", ""}
            and path != Path(__file__)
        ):
            found = forbidden.search(path.read_text(errors="replace"))
            assert found is None, f"{name}: {found.group() if found else ''}"
