"""How long a user waits before anything happens, beside pip-audit. Aim: `--help` 250 ms and half of pip-audit's."""

from __future__ import annotations

from benchmarks._measure import BIN, interleaved, table


def main() -> None:
    """Print the measurement."""
    costs = interleaved(
        {
            "pip-audit --help": [BIN / "pip-audit", "--help"],
            "otaudit --help": [BIN / "otaudit", "--help"],
            "otaudit check --help": [BIN / "otaudit", "check", "--help"],
            "otaudit --version": [BIN / "otaudit", "--version"],
        },
        rounds=9,
    )
    print(table(costs, "pip-audit --help"))
