"""The update agent and the boot loader of the pump PC-9: `update`, `boot` and `report`.

An example of a device's own verifier: it shares no code with otaudit. Every refusal is one line of output,
`refused: REASON: WORDS`, the exit status 1, and a line in the log of the pump. `message.py` opens an update, `slots.py`
keeps what is installed.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
from collections.abc import Callable
from pathlib import Path

from slots import Device, RefusedError, Version

MAX_MESSAGE = 1 << 20  # bytes; the flash of the pump holds no more
MAX_SIGNATURE = 1 << 16
HEAD = re.compile(rb"otaudit sample: pump controller (\d{1,5})\.(\d{1,5})\.(\d{1,5})\n\0*\Z")
HEAD_SIZE = 64  # bytes


def main() -> int:
    """Run one command; 0 where it was done, 1 where it was refused."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("command", choices=COMMANDS)
    parser.add_argument("--state", type=Path, required=True, help="the folder that stands for the pump's memory")
    parser.add_argument("files", nargs="*", type=Path, metavar="FILE", help="update: the message and its signature")
    words = parser.parse_intermixed_args()
    if len(words.files) != (2 if words.command == "update" else 0):
        parser.error("update takes a message and its signature; the others take no file")
    try:
        done = COMMANDS[words.command](Device(words.state), *words.files)
    except RefusedError as refusal:
        print(f"refused: {refusal}")
        return 1
    except OSError as error:
        print(f"refused: state: the memory of the pump fails: {error.strerror}")
        return 1
    print(done)
    return 0


def update(device: Device, message: Path, signature: Path) -> str:
    """Verify an update, and only then write it to the slot that is not running; `boot` activates it."""
    with device.logged("refused"):
        image = _opened(device, message, signature)
        version = _newer(image, device.newest)
    device.install(image, version)
    return f"accepted: {_text(version)} is in slot {device.idle}"


def _opened(device: Device, message: Path, signature: Path) -> bytes:
    from message import Trust, open_update  # the boot loader needs nothing of it

    try:
        trust = Trust.load(device.folder, device.clock)
    except (OSError, ValueError, TypeError):
        raise RefusedError("state", "anchor, lists, keys or policy of the pump cannot be read") from None
    data = _read(message, MAX_MESSAGE, RefusedError("size", "the message is empty or missing"))
    signed = _read(signature, MAX_SIGNATURE, RefusedError("signature", "there is no signature"))
    return open_update(data, signed, trust)


def _read(path: Path, most: int, missing: RefusedError) -> bytes:
    try:
        with path.open("rb") as file:
            data = file.read(most + 1)
    except OSError:
        raise missing from None
    if not data:
        raise missing
    if len(data) > most:
        raise RefusedError("size", f"more than {most} bytes")
    return data


def _newer(image: bytes, newest: Version) -> Version:
    """Return the version that the image itself states, so that the signature covers it."""
    head = HEAD.match(image[:HEAD_SIZE])
    if head is None or len(image) < HEAD_SIZE:
        raise RefusedError("compatibility", "this is no image for the controller of a pump")
    version = tuple(int(part) for part in head.groups())
    if version <= newest:
        raise RefusedError("version", f"{_text(version)} is not newer than {_text(newest)}")
    return version


def _text(version: Version) -> str:
    return ".".join(str(part) for part in version)


def boot(device: Device) -> str:
    """Read back what was installed and compare it; activate it, or stay with the slot that runs."""
    with device.logged("not activated"):
        device.activate()
    return f"running: {_text(device.running)} from slot {device.active}"


def report(device: Device) -> str:
    """Return what runs, what every slot holds, and how often something was activated."""
    return json.dumps(device.facts(), sort_keys=True)


COMMANDS: dict[str, Callable[..., str]] = {"update": update, "boot": boot, "report": report}

if __name__ == "__main__":
    sys.exit(main())
