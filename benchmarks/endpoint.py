"""The endpoint probe on nginx with TLS 1.2 and 1.3, beside sslscan and SSLyze: in process, whole process, slow link.

SSLyze is looked for on the path and beside `SSLYZE` (it is AGPL and pins an older cryptography: keep it in an
environment of its own). What is not installed is named and left out.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import resource
import shutil
import statistics
import time
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks._measure import BIN, interleaved, table
from checker.crypto.certificates import parse_certificate
from checker.crypto.keyring import KeyRing
from checker.transport.probe import examine, examine_all
from checker.transport.target import Options, Target
from tests.transport.battery import Server, nginx, port, relay
from tests.transport.pki import AS_OF, Pki

ROUNDS = 15
ENDPOINTS = 200
SLOW = 0.15  # seconds each way: a link of 300 ms


def _target(number: int) -> Target:
    return Target(scheme="https", host="127.0.0.1", port=number, server_name="localhost")


def _in_process(number: int, ring: KeyRing) -> None:
    for title, everything in (("questions", False), ("every name", True)):
        options = Options(as_of=AS_OF, ring=ring, enumerate_all=everything)
        runs = [examine(_target(number), options) for _ in range(ROUNDS + 1)][1:]
        times = [facts.milliseconds for facts in runs]
        print(
            f"in process, {title}: median {statistics.median(times):.1f} ms, best {min(times):.1f} ms, "
            f"{runs[0].connections} connections"
        )


def _whole_process(number: int, anchor: Path) -> None:
    ours: list[str | Path] = [
        BIN / "otaudit",
        "probe",
        f"https://127.0.0.1:{number}",
        "--sni",
        "localhost",
        "--trust",
        anchor,
    ]
    commands: dict[str, Sequence[str | Path]] = {"otaudit probe": ours}
    sslyze = os.environ.get("SSLYZE") or shutil.which("sslyze")
    if shutil.which("sslscan"):
        commands["sslscan"] = ["sslscan", "--no-colour", f"127.0.0.1:{number}"]
    else:
        print("left out: sslscan is not installed")
    if sslyze:
        commands["SSLyze"] = [sslyze, f"127.0.0.1:{number}"]
    else:
        print("left out: SSLyze is not installed (SSLYZE=path)")
    print(table(interleaved(commands, ROUNDS), "otaudit probe"))


def _slow_link(number: int, ring: KeyRing) -> None:
    with port(relay(number, SLOW)) as slow:
        facts = examine(_target(slow), Options(as_of=AS_OF, ring=ring, timeout=10.0))
    print(f"at {SLOW * 2:.1f} s a round trip: {facts.milliseconds / 1000:.2f} s, {facts.round_trips} in sequence")


def _many(number: int, ring: KeyRing) -> None:
    options = Options(as_of=AS_OF, ring=ring, enumerate_all=False, parallel=2, timeout=20.0)
    began = time.perf_counter()
    found = asyncio.run(examine_all([_target(number)] * ENDPOINTS, options, at_once=ENDPOINTS))
    seconds, peak = time.perf_counter() - began, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"{len(found)} endpoints at once: {seconds:.1f} s, peak {peak:.0f} MiB of this process")


def main() -> None:
    """Start nginx on loopback and measure everything."""
    if shutil.which("nginx") is None:
        print("left out: nginx is not installed")
        return
    with TemporaryDirectory() as name, contextlib.ExitStack() as stack:
        folder = Path(name)
        pki = Pki(folder)
        server = folder / "nginx"
        server.mkdir()
        number = stack.enter_context(nginx(pki, server, {"both": Server()}))["both"]
        ring = KeyRing.of(anchors=[parse_certificate(pki.root.der)])
        _in_process(number, ring)
        _whole_process(number, Path(pki.path("root.pem")))
        _slow_link(number, ring)
        _many(number, ring)
