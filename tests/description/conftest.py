from collections.abc import Callable
from pathlib import Path

import pytest

from checker.description.load import load
from checker.description.model import Description
from checker.errors import DescriptionError

DEVICE = "otaudit: device/1\nvendor: Acme\nmodel: GW-200\n"
UPDATE = "otaudit: update/1\ndevice: device.yaml\nid: gw200-2.4.1\nversion: 2.4.1\n"

Write = Callable[..., Path]
Faults = Callable[..., list[str]]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Write files below one folder (by keyword `update`, `device`, `keys`) and return the path of update.yaml."""

    def make(*, update: str = UPDATE, device: str = DEVICE, keys: str | None = None) -> Path:
        for name, text in (("update", update), ("device", device), ("keys", keys)):
            if text is not None:
                (tmp_path / f"{name}.yaml").write_text(text, encoding="utf-8", newline="")
        return tmp_path / "update.yaml"

    return make


@pytest.fixture
def read(write: Write) -> Callable[..., Description]:
    """Load what `write` wrote. `more` is appended to a minimal update, `device_more` to a minimal device."""

    def make(more: str = "", *, device_more: str = "", keys: str | None = None) -> Description:
        return load(write(update=UPDATE + more, device=DEVICE + device_more, keys=keys))

    return make


@pytest.fixture
def faults(read: Callable[..., Description]) -> Faults:
    """Return the error lines of what must not load."""

    def make(more: str = "", *, device_more: str = "", keys: str | None = None) -> list[str]:
        with pytest.raises(DescriptionError) as caught:
            read(more, device_more=device_more, keys=keys)
        return str(caught.value).splitlines()

    return make
