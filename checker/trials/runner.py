"""The only place that starts a process (design.md section 6): no shell, no environment, bounded, and nothing stays.

A process gets a session of its own, which is killed as a whole at the time limit and at the end. Whatever left that
session comes back to us, since we adopt orphans while a process runs (`prctl(2)`, PR_SET_CHILD_SUBREAPER), and is
killed too. Elsewhere than on Linux only the session is killed.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import resource
import selectors
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from checker.trials.contract import Run

SEARCH: Final = ("/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin")
_ADOPT: Final = 36  # PR_SET_CHILD_SUBREAPER of prctl(2)
_STEP: Final = 0.05  # seconds between two looks at a silent process
_COUNT: Final = 0.2  # seconds between two counts of its family
_READ: Final = 64 * 1024  # bytes per read
_NOT_STARTED: Final = 127  # what shells report of a command that is not there
_PROC: Final = Path("/proc")


@dataclass(frozen=True, kw_only=True)
class Limits:
    """What one process may use. Time and processor time in seconds, the others in bytes; `processes` counts all."""

    time: float = 30
    memory: int = 8 << 30  # of address space: programs in Go and Java reserve much more than they use
    file_size: int = 4 << 30  # of each file that it writes
    output: int = 64 * 1024  # that is kept: the first and the last half
    processes: int = 256  # of the whole family; RLIMIT_NPROC does not hold for root, so they are counted


LIMITS: Final = Limits()


def search_path() -> str:
    """Return where programs are looked for: the system's folders, then that of the interpreter that runs this."""
    own = str(Path(sys.executable).parent)
    return os.pathsep.join((*SEARCH, *(() if own in SEARCH else (own,))))


def environment(folder: Path) -> dict[str, str]:
    """Return all that a process sees of the environment: no name and no path of its caller but the scratch folder's."""
    return {
        "PATH": search_path(),
        "HOME": str(folder),
        "TMPDIR": str(folder),
        "LANG": "C.UTF-8",
        "PYTHONDONTWRITEBYTECODE": "1",  # or a Python program leaves __pycache__ beside itself
    }


def run(argv: Sequence[str], folder: Path, limits: Limits = LIMITS) -> Run:
    """Run one command in a scratch folder and return what it did; nothing of it runs when this returns.

    A command that cannot be started exits with 127, as in a shell, and its output says why.
    """
    with _adopted() as leftovers:
        try:
            process = _start(argv, folder, limits)
        except (OSError, ValueError, subprocess.SubprocessError) as error:
            reason = getattr(error, "strerror", None) or type(error).__name__
            return Run(exit_code=_NOT_STARTED, output=f"cannot be started: {reason}\n")
        kept = _Kept(limits.output)
        ended = False
        try:
            ended = _watch(process, kept, limits, leftovers)
        finally:
            _end(process, leftovers)
            _drain(process, kept)
    code = process.returncode
    return Run(
        exit_code=max(code, 0),
        output=kept.text(),
        signal=0 if ended and code >= 0 else max(-code, 0),
        timed_out=not ended,
        truncated=kept.truncated,
    )


def _start(argv: Sequence[str], folder: Path, limits: Limits) -> subprocess.Popen[bytes]:
    return subprocess.Popen(  # noqa: S603 - an argument vector that the user allowed with --active
        list(argv),
        cwd=folder,
        env=environment(folder),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,
        preexec_fn=_bound(limits),  # noqa: PLW1509 - it only makes system calls
        umask=0o077,
    )


def _bound(limits: Limits) -> Callable[[], None]:
    """Return what sets the limits of a process before it becomes the command."""
    seconds = int(limits.time) + 1
    wanted = (
        (resource.RLIMIT_CPU, seconds),
        (resource.RLIMIT_AS, limits.memory),
        (resource.RLIMIT_FSIZE, limits.file_size),
        (resource.RLIMIT_CORE, 0),
    )

    def bound() -> None:
        for what, most in wanted:
            _, hard = resource.getrlimit(what)
            value = most if hard == resource.RLIM_INFINITY else min(most, hard)
            resource.setrlimit(what, (value, value))

    return bound


@dataclass
class _Kept:
    """The beginning and the end of an output of any length."""

    most: int
    head: bytearray = field(default_factory=bytearray)
    tail: bytearray = field(default_factory=bytearray)
    truncated: bool = False

    def add(self, data: bytes) -> None:
        room = max(0, self.most // 2 - len(self.head))
        self.head += data[:room]
        self.tail += data[room:]
        over = len(self.tail) - self.most // 2
        if over > 0:
            del self.tail[:over]
            self.truncated = True

    def text(self) -> str:
        middle = b"\n...\n" if self.truncated else b""
        return bytes(self.head + middle + self.tail).decode("utf-8", "replace")


def _watch(process: subprocess.Popen[bytes], kept: _Kept, limits: Limits, leftovers: Callable[[], set[int]]) -> bool:
    """Read what a process says until it ends; return whether it did so in time, and with a bounded family."""
    end = time.monotonic() + limits.time
    assert process.stdout is not None  # noqa: S101 - it was started with a pipe
    os.set_blocking(process.stdout.fileno(), False)
    with selectors.DefaultSelector() as selector:
        selector.register(process.stdout, selectors.EVENT_READ)
        look = time.monotonic() + _COUNT
        while process.poll() is None:
            if selector.get_map() and selector.select(_STEP) and not _read(process, kept):
                selector.unregister(process.stdout)
            elif not selector.get_map():
                with contextlib.suppress(subprocess.TimeoutExpired):
                    process.wait(_STEP)
            now = time.monotonic()
            if now > end:
                return False
            if now > look:
                look = now + _COUNT
                if len(_family(leftovers())) > limits.processes:
                    return False
    return True


def _read(process: subprocess.Popen[bytes], kept: _Kept) -> bool:
    """Read once; return whether there may be more."""
    assert process.stdout is not None  # noqa: S101 - it was started with a pipe
    try:
        data = os.read(process.stdout.fileno(), _READ)
    except BlockingIOError:
        return True
    kept.add(data)
    return bool(data)


def _end(process: subprocess.Popen[bytes], leftovers: Callable[[], set[int]]) -> None:
    """Kill the session, and everything that left it, until nothing is there."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    while family := _family(leftovers()):  # whoever dies hands its children over to us
        _kill(family)


def _kill(family: set[int]) -> None:
    for pid in family:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.kill(pid, signal.SIGKILL)
    for pid in family:
        with contextlib.suppress(ChildProcessError):  # not ours yet: its parent is still dying
            os.waitpid(pid, 0)


def _drain(process: subprocess.Popen[bytes], kept: _Kept) -> None:
    """Read what lies in the pipe: all writers are dead, so it ends."""
    assert process.stdout is not None  # noqa: S101 - it was started with a pipe
    with process.stdout:
        os.set_blocking(process.stdout.fileno(), False)
        for _ in range(64):  # a pipe holds 1 MiB at most (pipe(7), pipe-max-size)
            before = len(kept.head) + len(kept.tail)
            if not _read(process, kept) or len(kept.head) + len(kept.tail) == before:
                return


@contextlib.contextmanager
def _adopted() -> Iterator[Callable[[], set[int]]]:
    """Adopt orphans for a while; yields a function that returns those processes of ours that were not there before."""
    before = _children()
    _adopt(on=True)
    try:
        yield lambda: _children() - before
    finally:
        _adopt(on=False)


def _adopt(*, on: bool) -> None:
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_ADOPT, int(on), 0, 0, 0)


def _children() -> set[int]:
    """Return the processes whose parent we are."""
    own = os.getpid()
    return {pid for pid, parent in _parents().items() if parent == own}


def _family(heads: set[int]) -> set[int]:
    """Return processes and all that descend from them."""
    parents = _parents() if heads else {}
    found, newer = set(heads), set(heads)
    while newer:
        newer = {pid for pid, parent in parents.items() if parent in newer} - found
        found |= newer
    return found


def _parents() -> dict[int, int]:
    """Return the parent of every process that can be seen; nothing where there is no /proc (proc(5))."""
    found = {}
    for entry in _PROC.iterdir() if _PROC.is_dir() else ():
        with contextlib.suppress(OSError, ValueError, IndexError):
            if entry.name.isdigit():
                status = (entry / "stat").read_bytes()
                found[int(entry.name)] = int(status[status.rindex(b")") + 2 :].split()[1])
    return found
