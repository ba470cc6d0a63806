"""The demonstrations of the documentation do what their pages say."""

from __future__ import annotations

import importlib.util
import runpy
import shutil
import subprocess
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

SCRIPT = Path(__file__).resolve().parents[2] / "docs" / "demonstrations" / "cmac_second_preimage.py"
KEY = bytes.fromhex("603deb1015ca71be2b73aef0857d77811f352c073b6108d72d9810a30914dff4")  # the example of SP 800-38B
GENUINE, EVIL = b"genuine firmware" * 64, b"another firmware" * 64


@pytest.fixture(scope="module")
def script() -> ModuleType:
    spec = importlib.util.spec_from_file_location("cmac_second_preimage", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def openssl_cmac(message: bytes) -> bytes:
    if shutil.which("openssl") is None:
        pytest.skip("openssl is not installed")
    command = [
        "openssl",
        "mac",
        "-cipher",
        "AES-256-CBC",
        "-macopt",
        f"hexkey:{KEY.hex()}",
        "-in",
        "-",
        "-binary",
        "CMAC",
    ]
    return subprocess.run(command, input=message, capture_output=True, check=True).stdout


@pytest.mark.parametrize("free", [0, 1, 30, 62])
def test_another_firmware_has_the_same_tag_and_differs_in_one_block(script: Any, free: int) -> None:
    forged = script.second_preimage(KEY, script.tag(KEY, GENUINE), EVIL, free)
    assert openssl_cmac(forged) == openssl_cmac(GENUINE) != openssl_cmac(EVIL)
    differing = [place for place in range(64) if forged[place * 16 : place * 16 + 16] != b"another firmware"]
    assert differing == [free]


def test_without_the_key_the_trick_does_not_work(script: Any) -> None:
    forged = script.second_preimage(bytes(32), script.tag(KEY, GENUINE), EVIL, 5)
    assert script.tag(KEY, forged) != script.tag(KEY, GENUINE)


@pytest.mark.parametrize(("size", "free"), [(1023, 3), (1024, 63), (1024, -1), (16, 0)])
def test_what_it_cannot_do_is_refused(script: Any, size: int, free: int) -> None:
    with pytest.raises(ValueError, match="whole blocks"):
        script.second_preimage(KEY, bytes(16), bytes(size), free)


def test_it_runs_as_its_page_says(capsys: pytest.CaptureFixture[str]) -> None:
    runpy.run_path(str(SCRIPT), run_name="__main__")
    lines = capsys.readouterr().out.splitlines()
    words = [line.split(" CMAC ")[1].split() for line in lines]
    assert len(lines) == 2
    assert words[0][0] == words[1][0]  # the same tag
    assert words[0][2] != words[1][2]  # and not the same firmware
