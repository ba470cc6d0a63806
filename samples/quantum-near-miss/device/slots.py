"""What the pump keeps: two slots for images, a reference for what each must hold, a clock and a log.

The folder stands for the pump's memory. On a pump, `device.json` lies in the secure element, where no other software
can rewrite it. Whatever is written replaces the old file in one step, so that a power cut leaves the old or the new.
"""

from __future__ import annotations

import hashlib
import json
import os
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

Version = tuple[int, ...]


class RefusedError(Exception):
    """The pump does not do this, for a reason of one word, and in words for people."""

    def __init__(self, reason: str, words: str) -> None:
        super().__init__(f"{reason}: {words}")
        self.reason, self.words = reason, words


class Device:
    """The memory of one pump."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        try:
            self._facts: dict[str, Any] = json.loads((folder / "device.json").read_text())
            self.clock = datetime.fromisoformat(self._facts["clock"])
            self.active, self.pending = str(self._facts["active"]), bool(self._facts["pending"])
            self.idle = {"a": "b", "b": "a"}[self.active]
            self.running, self.newest = self._version(self.active), self._version(self.active)
            self.activations = int(self._facts["activations"])
            if self.pending:
                self.newest = max(self.newest, self._version(self.idle))
        except (OSError, ValueError, KeyError, TypeError, RecursionError):
            raise RefusedError("state", "the memory of the pump cannot be read") from None

    def _version(self, slot: str) -> Version:
        return tuple(int(part) for part in self._facts["references"][slot]["version"])

    def install(self, image: bytes, version: Version) -> None:
        """Write a verified image to the idle slot, and what it must be read back as."""
        _replace(self._slot(self.idle), image)
        self._facts["references"][self.idle] = {"version": version, **_sums(image)}
        self._save(pending=True)
        self.log("installed", "", f"slot {self.idle}")

    def activate(self) -> None:
        """Compare what lies in the new slot with its reference, and run it only if hash and checksum are right.

        Raises:
            RefusedError: it is not what was verified; it is thrown away, and the old slot runs on.
        """
        slot = self.idle if self.pending else self.active
        if not self._intact(slot):
            if self.pending:
                self._slot(slot).unlink(missing_ok=True)
                self._facts["references"].pop(slot)
                self._save(pending=False)
            raise RefusedError("digest", f"slot {slot} does not hold what was verified; slot {self.active} stays")
        if self.pending:
            self._facts.update(active=slot, activations=self.activations + 1)
            self._save(pending=False)
            self.active, self.running = slot, self._version(slot)
            self.log("activated", "", f"slot {slot}")

    def _intact(self, slot: str) -> bool:
        reference = self._facts["references"][slot]
        return self._held(slot) == {name: reference.get(name) for name in ("sha3_256", "crc_32")}

    def facts(self) -> dict[str, Any]:
        """Return what a service technician may read."""
        return {
            "active": self.active,
            "version": ".".join(str(part) for part in self.running),
            "pending": self.pending,
            "slots": {slot: self._held(slot) for slot in "ab"},
            "activations": self.activations,
        }

    @contextmanager
    def logged(self, event: str) -> Iterator[None]:
        """Write a refusal into the log on its way out."""
        try:
            yield
        except RefusedError as refusal:
            self.log(event, refusal.reason, refusal.words)
            raise

    def log(self, event: str, reason: str, words: str) -> None:
        """Append one line to the log of the pump."""
        entry = {"time": self.clock.isoformat(), "event": event, "reason": reason, "words": words}
        with (self.folder / "update.log").open("a") as file:
            file.write(json.dumps(entry) + "\n")

    def _slot(self, slot: str) -> Path:
        return self.folder / "slots" / f"{slot}.bin"

    def _held(self, slot: str) -> dict[str, str]:
        """Return the sums of what a slot holds, as it is read back; nothing for an empty slot."""
        path = self._slot(slot)
        return _sums(path.read_bytes()) if path.exists() else {}

    def _save(self, *, pending: bool) -> None:
        self.pending = self._facts["pending"] = pending
        _replace(self.folder / "device.json", json.dumps(self._facts, indent=1).encode() + b"\n")


def _sums(image: bytes) -> dict[str, str]:
    """Return the hash, which decides, and the checksum, which only finds damage."""
    return {"sha3_256": hashlib.sha3_256(image).hexdigest(), "crc_32": f"{zlib.crc32(image):08x}"}


def _replace(path: Path, data: bytes) -> None:
    path.parent.mkdir(exist_ok=True)
    new = path.with_suffix(".new")
    with new.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    new.replace(path)
