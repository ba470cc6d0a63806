"""The real tools that make the samples, at a fixed time and with fixed keys."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

KEYS = Path(__file__).resolve().parent / "keys"
BIN = Path(sys.executable).parent


class MissingToolError(RuntimeError):
    """A tool that makes the samples is not installed."""


def require(*names: str) -> None:
    """Stop with the names of the tools that are missing."""
    missing = [name for name in names if not (shutil.which(name) or (BIN / name).exists())]
    if missing:
        msg = f"not installed: {', '.join(missing)}"
        raise MissingToolError(msg)


def firmware(label: str, size: int) -> bytes:
    """Return `size` bytes that look like firmware: a readable head, dense code, and padding; fixed by the label."""
    head = f"otaudit sample: {label}\n".encode().ljust(64, b"\0")
    code = hashlib.shake_256(label.encode()).digest(size // 2)
    return (head + code).ljust(size, b"\xff")


def key_bytes(label: str, size: int) -> bytes:
    """Return a fixed symmetric key or IV."""
    return hashlib.shake_256(f"sample key: {label}".encode()).digest(size)


def run(command: Sequence[str | Path], *, cwd: Path | None = None, stdin: bytes | None = None, at: str = "") -> bytes:
    """Run a tool and return what it prints; `at` is the local time that it sees (libfaketime)."""
    words = [str(word) for word in command]
    prefix = ["faketime", "-f", f"{at}"] if at else []
    environment = {"PATH": f"{BIN}:{os.environ['PATH']}", "TZ": "UTC", "LC_ALL": "C", "HOME": "/nonexistent"}
    done = subprocess.run(prefix + words, cwd=cwd, input=stdin, capture_output=True, env=environment, check=False)
    if done.returncode:
        msg = f"{words[0]} failed: {done.stderr.decode(errors='replace')}"
        raise RuntimeError(msg)
    return done.stdout


def imgtool(source: Path, target: Path, *options: str) -> None:
    """Make an MCUboot image."""
    run(
        [
            BIN / "imgtool",
            "sign",
            "--align",
            "8",
            "-H",
            "0x200",
            "--pad-header",
            "-S",
            "0x20000",
            *options,
            source,
            target,
        ]
    )


def public_half(private: Path, target: Path) -> None:
    """Write the public key of a private one."""
    run(["openssl", "pkey", "-in", private, "-pubout", "-out", target])


def cpio(folder: Path, names: Sequence[str], target: Path, moment: int) -> None:
    """Pack files in this order as cpio newc with checksums, all with the same time (seconds since 1970)."""
    for name in names:
        (folder / name).chmod(0o644)
        os.utime(folder / name, (moment, moment))
    listing = "".join(f"{name}\n" for name in names).encode()
    target.write_bytes(
        run(["cpio", "-o", "-H", "crc", "--reproducible", "--quiet", "-R", "0:0"], cwd=folder, stdin=listing)
    )
