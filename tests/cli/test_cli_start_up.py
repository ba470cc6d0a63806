"""`--help` must stay fast: what is heavy is imported inside the commands only."""

from __future__ import annotations

import subprocess
import sys

import pytest

from checker import __version__

HEAVY = {
    "yaml",
    "jsonschema",
    "cryptography",
    "jinja2",
    "asn1crypto",
    "OpenSSL",
    "libconf",
    "numpy",
    "pydantic",
    "rich.console",
}


def otaudit(*arguments: str, options: tuple[str, ...] = ()) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, *options, "-m", "checker", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("arguments", [["--help"], ["check", "--help"], ["inspect", "--help"], ["rules", "--help"]])
def test_help_imports_nothing_heavy(arguments: list[str]) -> None:
    done = otaudit(*arguments, options=("-X", "importtime"))
    assert done.returncode == 0
    imported = {line.rpartition("|")[2].strip() for line in done.stderr.splitlines() if line.startswith("import time:")}
    assert "typer" in imported
    assert not imported & HEAVY


def test_the_version_is_answered_before_typer_is_imported() -> None:
    done = otaudit("--version", options=("-X", "importtime"))
    assert done.stdout == f"otaudit {__version__}\n"
    assert "typer" not in done.stderr


def test_the_help_names_every_exit_status() -> None:
    text = " ".join(otaudit("--help").stdout.split())
    for words in ("0 gate met", "1 gate not met", "2 bad command line", "3 undecided", "4 a report", "70 internal"):
        assert words in text


def test_no_arguments_is_a_usage_error_that_shows_the_help() -> None:
    done = otaudit()
    assert done.returncode == 2
    assert "Usage: otaudit" in done.stdout + done.stderr
