"""The runner: no shell, no environment, bounded in every way, and nothing that it started is there afterwards."""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from checker.trials import runner
from checker.trials.runner import Limits, run

DAEMON = """
import os, sys, time
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        open("daemon", "w").write(str(os.getpid()))
        time.sleep(60)
    os._exit(0)
os.wait()
while not os.path.exists("daemon") or not open("daemon").read():
    time.sleep(0.01)
"""
FORKS = """
import os, time
for number in range(400):
    if os.fork() == 0:
        {leave}
        time.sleep(60)
        os._exit(0)
time.sleep(60)
"""


def python(code: str) -> list[str]:
    return [sys.executable, "-S", "-c", code]


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2][0] != "Z"
    except FileNotFoundError:
        return False


def test_a_status_and_both_outputs_in_the_order_of_arrival(tmp_path: Path) -> None:
    done = run(["sh", "-c", "echo one; echo two >&2; echo three; exit 7"], tmp_path)
    assert (done.exit_code, done.output, done.signal, done.timed_out) == (7, "one\ntwo\nthree\n", 0, False)


def test_words_are_not_given_to_a_shell(tmp_path: Path) -> None:
    assert run(["echo", "$HOME; `id` > x"], tmp_path).output == "$HOME; `id` > x\n"
    assert list(tmp_path.iterdir()) == []


def test_nothing_of_the_environment_gets_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SECRET_TOKEN", "x")
    told = dict(line.split("=", 1) for line in run(["env"], tmp_path).output.splitlines())
    assert set(told) == {"PATH", "HOME", "TMPDIR", "LANG", "PYTHONDONTWRITEBYTECODE"}
    assert told["HOME"] == told["TMPDIR"] == str(tmp_path)


def test_it_runs_in_the_scratch_folder_without_input(tmp_path: Path) -> None:
    assert run(["sh", "-c", "pwd; cat"], tmp_path).output == f"{tmp_path}\n"


def test_a_command_that_is_not_there_is_no_accident(tmp_path: Path) -> None:
    done = run(["no-such-program-at-all"], tmp_path)
    assert (done.exit_code, done.timed_out) == (127, False)
    assert done.output == "cannot be started: No such file or directory\n"
    assert run(["a\0b"], tmp_path).exit_code == 127


def test_the_signal_that_ended_it_is_told(tmp_path: Path) -> None:
    done = run(["sh", "-c", "kill -SEGV $$"], tmp_path)
    assert (done.signal, done.timed_out) == (signal.SIGSEGV, False)


def test_a_hang_ends_at_the_limit_with_all_that_it_started(tmp_path: Path) -> None:
    code = "sleep 61 & echo $! > child; sleep 62"
    start = time.monotonic()
    done = run(["sh", "-c", code], tmp_path, Limits(time=0.3))
    assert done.timed_out
    assert time.monotonic() - start < 20
    assert not alive(int((tmp_path / "child").read_text()))


def test_one_that_ignores_a_polite_end_is_ended(tmp_path: Path) -> None:
    assert run(["sh", "-c", "trap '' TERM INT HUP; while :; do :; done"], tmp_path, Limits(time=0.3)).timed_out


@pytest.mark.skipif(sys.platform != "linux", reason="orphans are adopted on Linux only")
def test_a_daemon_that_left_the_session_does_not_stay(tmp_path: Path) -> None:
    done = run(python(DAEMON), tmp_path)
    assert (done.exit_code, done.timed_out) == (0, False)
    assert not alive(int((tmp_path / "daemon").read_text()))


def test_a_child_that_keeps_the_output_open_does_not_delay_the_answer(tmp_path: Path) -> None:
    start = time.monotonic()
    done = run(["sh", "-c", "sleep 60 & echo here"], tmp_path, Limits(time=30))
    assert (done.output, done.timed_out) == ("here\n", False)
    assert time.monotonic() - start < 20


@pytest.mark.skipif(sys.platform != "linux", reason="processes are counted on Linux only")
@pytest.mark.parametrize("leave", ["pass", "os.setsid()"])
def test_a_fork_bomb_is_bounded_and_cleared_away(tmp_path: Path, leave: str) -> None:
    before = runner._children()
    done = run(python(FORKS.format(leave=leave)), tmp_path, Limits(time=60, processes=40))
    assert done.timed_out
    assert runner._children() == before


def test_a_flood_is_cut_and_its_end_is_kept(tmp_path: Path) -> None:
    code = "import sys; sys.stdout.write('first\\n' + 'x' * 30_000_000 + '\\nlast\\n')"
    done = run(python(code), tmp_path, Limits(output=1000))
    assert done.truncated
    assert len(done.output) < 1100
    assert done.output.startswith("first\n")
    assert done.output.endswith("x\nlast\n")


def test_an_endless_flood_ends_at_the_limit(tmp_path: Path) -> None:
    done = run(["yes"], tmp_path, Limits(time=0.5, output=1000))
    assert (done.timed_out, done.truncated) == (True, True)


def test_an_output_at_the_limit_is_whole(tmp_path: Path) -> None:
    done = run(["printf", "%s", "y" * 1000], tmp_path, Limits(output=1000))
    assert (done.output, done.truncated) == ("y" * 1000, False)
    assert run(["printf", "%s", "y" * 1001], tmp_path, Limits(output=1000)).truncated


def test_bytes_that_are_no_text_do_no_harm(tmp_path: Path) -> None:
    assert run(["printf", r"a\377b"], tmp_path).output == "a\N{REPLACEMENT CHARACTER}b"


def test_memory_is_bounded(tmp_path: Path) -> None:
    code = "data = bytearray(900 << 20); print('got it')"
    assert run(python(code), tmp_path).output == "got it\n"
    assert "MemoryError" in run(python(code), tmp_path, Limits(memory=512 << 20)).output


def test_a_file_is_bounded(tmp_path: Path) -> None:
    code = "import signal; signal.signal(signal.SIGXFSZ, signal.SIG_DFL); open('big', 'wb').write(bytes(3 << 20))"
    assert run(python(code), tmp_path, Limits(file_size=1 << 20)).signal == signal.SIGXFSZ
    assert (tmp_path / "big").stat().st_size <= 1 << 20


def test_processor_time_is_bounded_for_one_that_hides_from_the_clock(tmp_path: Path) -> None:
    code = "import resource; print(resource.getrlimit(resource.RLIMIT_CPU), resource.getrlimit(resource.RLIMIT_CORE))"
    assert run(python(code), tmp_path, Limits(time=5)).output == "(6, 6) (0, 0)\n"


def test_other_children_of_ours_are_left_alone(tmp_path: Path) -> None:
    own = os.posix_spawn("/bin/sleep", ["sleep", "60"], {})
    try:
        run(["true"], tmp_path)
        assert alive(own)
    finally:
        os.kill(own, signal.SIGKILL)
        os.waitpid(own, 0)


def test_files_of_the_caller_are_not_open_in_it(tmp_path: Path) -> None:
    with (tmp_path / "secret").open("w") as secret:
        os.set_inheritable(secret.fileno(), True)
        told = run(["ls", "-l", "/proc/self/fd"], tmp_path).output
    assert "secret" not in told


@pytest.mark.parametrize("fault", [KeyboardInterrupt, RuntimeError])
def test_an_interruption_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fault: type[BaseException]
) -> None:
    def interrupted(*_: object) -> Callable[[], bool]:
        raise fault

    before = runner._children()
    monkeypatch.setattr(runner, "_watch", interrupted)
    with pytest.raises(fault):
        run(["sleep", "60"], tmp_path)
    assert runner._children() == before
