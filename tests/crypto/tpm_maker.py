"""TPM statements made by a real TPM: swtpm, with the tpm2-tools in front of it.

`tpm2_certify` sends a nonce of its own, so that TPM2_Certify is sent as its bytes (TCG, TPM 2.0 Library Part 3, 18.2).
"""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import pytest

TOOLS: Final = ("swtpm", "tpm2_createek", "tpm2_createak", "tpm2_create", "tpm2_quote", "tpm2_send")
ENDORSEMENT, ATTESTATION = 0x81010001, 0x81010002
_CERTIFY: Final = 0x00000148
_NULL_SCHEME: Final = b"\x00\x10"
_EMPTY_AUTH: Final = bytes.fromhex("40000009 0000 00 0000")
FIXED: Final = "fixedtpm|fixedparent|sensitivedataorigin|userwithauth|sign"
MOVABLE: Final = "sensitivedataorigin|userwithauth|sign"


@dataclass(frozen=True)
class Tpm:
    """A running TPM with an attestation key."""

    folder: Path
    tcti: str

    def run(self, *words: str, data: bytes = b"") -> bytes:
        """Run one tool in the TPM's folder and return what it prints."""
        env = {**os.environ, "TPM2TOOLS_TCTI": self.tcti}
        done = subprocess.run(
            words, cwd=self.folder, env=env, input=data, capture_output=True, check=False, timeout=120
        )
        assert done.returncode == 0, f"{words}: {done.stderr.decode()}"
        self._flush(env)
        return done.stdout

    def _flush(self, env: dict[str, str]) -> None:
        subprocess.run(["tpm2_flushcontext", "-t"], cwd=self.folder, env=env, capture_output=True, check=False)

    def read(self, name: str) -> bytes:
        """Return a file that a tool has written."""
        return (self.folder / name).read_bytes()

    def key(self, name: str, kind: str, attributes: str, handle: int) -> bytes:
        """Make a key of a kind (`ecc256:ecdsa`, `rsa2048:rsassa`) and return its TPM2B_PUBLIC."""
        self.run("tpm2_createprimary", "-C", "o", "-c", "primary.ctx", "-G", "ecc")
        made = ("tpm2_create", "-C", "primary.ctx", "-G", kind, "-u", f"{name}.pub", "-r", f"{name}.priv")
        self.run(*made, "-a", attributes)
        self.run("tpm2_load", "-C", "primary.ctx", "-u", f"{name}.pub", "-r", f"{name}.priv", "-c", f"{name}.ctx")
        self.run("tpm2_evictcontrol", "-C", "o", "-c", f"{name}.ctx", f"{handle:#x}")
        return self.read(f"{name}.pub")

    def certify(self, handle: int, nonce: bytes) -> tuple[bytes, bytes]:
        """Return the TPMS_ATTEST and the TPMT_SIGNATURE of TPM2_Certify over a key."""
        auth = 2 * _EMPTY_AUTH
        body = handle.to_bytes(4, "big") + ATTESTATION.to_bytes(4, "big") + len(auth).to_bytes(4, "big") + auth
        body += len(nonce).to_bytes(2, "big") + nonce + _NULL_SCHEME
        head = b"\x80\x02" + (10 + len(body)).to_bytes(4, "big") + _CERTIFY.to_bytes(4, "big")
        answer = self.run("tpm2_send", data=head + body)
        assert answer[6:10] == bytes(4), answer.hex()
        size = int.from_bytes(answer[10:14], "big")
        parameters = answer[14 : 14 + size]
        attest = 2 + int.from_bytes(parameters[:2], "big")
        return parameters[2:attest], parameters[attest:]

    def quote(self, nonce: bytes) -> tuple[bytes, bytes]:
        """Return the TPMS_ATTEST and the TPMT_SIGNATURE of TPM2_Quote over PCR 0 to 7."""
        self.run("tpm2_quote", "-c", f"{ATTESTATION:#x}", "-l", "sha256:0,1,2,3,4,5,6,7", "-q", nonce.hex(),
                 "-m", "quote.attest", "-s", "quote.sig")  # fmt: skip
        return self.read("quote.attest"), self.read("quote.sig")


def _free_port() -> int:
    """Return a port that is free, like the one after it, where the tools look for the control channel."""
    for _ in range(100):
        with socket.socket() as first, socket.socket() as second:
            first.bind(("127.0.0.1", 0))
            port = int(first.getsockname()[1])
            if port < 65535 and second.connect_ex(("127.0.0.1", port + 1)) != 0:
                return port
    pytest.fail("no two ports are free")


@contextmanager
def running(folder: Path) -> Iterator[Tpm]:
    """Run a fresh TPM with an endorsement key and an attestation key (ECDSA on P-256)."""
    lacking = [tool for tool in TOOLS if shutil.which(tool) is None]
    if lacking:
        pytest.skip(f"not installed: {', '.join(lacking)}")
    state = folder / "state"
    state.mkdir()
    port = _free_port()
    command = ["swtpm", "socket", "--tpm2", "--tpmstate", f"dir={state}", "--flags", "not-need-init,startup-clear"]
    command += ["--server", f"type=tcp,port={port},bindaddr=127.0.0.1"]
    command += ["--ctrl", f"type=tcp,port={port + 1},bindaddr=127.0.0.1"]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        _wait(port)
        tpm = Tpm(folder, f"swtpm:host=127.0.0.1,port={port}")
        tpm.run("tpm2_createek", "-c", f"{ENDORSEMENT:#x}", "-G", "ecc", "-u", "ek.pub")
        made = ("tpm2_createak", "-C", f"{ENDORSEMENT:#x}", "-c", "ak.ctx", "-G", "ecc", "-g", "sha256", "-s", "ecdsa")
        tpm.run(*made, "-u", "ak.pem", "-f", "pem")
        tpm.run("tpm2_evictcontrol", "-C", "o", "-c", "ak.ctx", f"{ATTESTATION:#x}")
        yield tpm
    finally:
        process.terminate()
        process.wait(10)


def _wait(port: int) -> None:
    for _ in range(100):
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.05)
    pytest.fail("swtpm does not answer")
