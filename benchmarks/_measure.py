"""Measuring whole processes: wall time, and the most memory they held."""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

BIN = Path(sys.executable).parent


@dataclass(frozen=True, kw_only=True)
class Cost:
    """The median over several runs: seconds, and the peak resident set in MiB."""

    seconds: float
    mebibytes: float


def once(command: Sequence[str | Path]) -> Cost:
    """Run a command once."""
    start = time.perf_counter()
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONDONTWRITEBYTECODE"}
    words = [str(word) for word in command]
    process = subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=environment)
    _, _, usage = os.wait4(process.pid, 0)
    process.returncode = 0  # wait4 has reaped it
    return Cost(seconds=time.perf_counter() - start, mebibytes=usage.ru_maxrss / 1024)


def interleaved(commands: dict[str, Sequence[str | Path]], rounds: int) -> dict[str, Cost]:
    """Run commands in turn, so that a busy moment of the machine hits all of them alike; return their medians."""
    runs: dict[str, list[Cost]] = {name: [] for name in commands}
    for command in commands.values():  # once unmeasured: byte code and page cache, as on every later run
        once(command)
    for _ in range(rounds):
        for name, command in commands.items():
            runs[name].append(once(command))
    return {
        name: Cost(
            seconds=statistics.median(cost.seconds for cost in costs),
            mebibytes=max(cost.mebibytes for cost in costs),
        )
        for name, costs in runs.items()
    }


def table(costs: dict[str, Cost], peer: str) -> str:
    """Return the measurements and their ratio to the peer."""
    rows = [f"{'command':<24} {'seconds':>8} {'MiB':>6} {'ratio':>6}"]
    for name, cost in costs.items():
        ratio = cost.seconds / costs[peer].seconds
        rows.append(f"{name:<24} {cost.seconds:>8.3f} {cost.mebibytes:>6.0f} {ratio:>6.2f}")
    return "\n".join(rows)
