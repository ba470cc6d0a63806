"""GnuPG for the samples: a home of its own, and one clock."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final

from samples.build._tools import run

START: Final = "20260101T000000!"


@dataclass(frozen=True)
class Gpg:
    """A home folder of GnuPG; its path has to be short, since a socket lies in it."""

    home: Path

    def run(self, *words: str | Path, stdin: bytes | None = None, at: str = START) -> bytes:
        """Run gpg without any question."""
        head: list[str | Path] = [
            "gpg",
            "--homedir",
            self.home,
            "--batch",
            "--yes",
            "--quiet",
            "--no-tty",
            "--faked-system-time",
            at,
        ]
        return run([*head, "--pinentry-mode", "loopback", "--passphrase", "", *words], stdin=stdin)

    def make(self, name: str, algorithm: str, usage: str = "sign", expires: str = "never") -> str:
        """Make a key and return its fingerprint."""
        self.run("--quick-gen-key", f"{name} <{name}@acme.example>", algorithm, usage, expires)
        listing = self.run("--with-colons", "--list-keys", f"{name}@acme.example").decode()
        return next(line.split(":")[9] for line in listing.splitlines() if line.startswith("fpr:"))

    def export(self, name: str, target: Path, *, armour: bool = True) -> None:
        """Write the public half."""
        options = ["--armor"] if armour else []
        target.write_bytes(self.run(*options, "--export", f"{name}@acme.example"))

    def sign(self, name: str, content: Path, target: Path, *options: str, at: str = "20260601T000000!") -> None:
        """Write a detached signature."""
        self.run("--local-user", f"{name}@acme.example", "--output", target, *options, "--detach-sign", content, at=at)

    def close(self) -> None:
        """Stop what runs for this home, which goes with it."""
        run(["gpgconf", "--homedir", self.home, "--kill", "all"])
