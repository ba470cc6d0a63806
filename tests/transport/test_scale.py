"""Many endpoints at once, and the time of one."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import time
from pathlib import Path

from checker.crypto.certificates import parse_certificate
from checker.crypto.keyring import KeyRing
from checker.model.endpoint import Reach
from checker.transport.probe import examine_all
from checker.transport.target import Options, Target
from tests.transport.battery import free_port
from tests.transport.conftest import Probe
from tests.transport.pki import AS_OF, Pki

ENDPOINTS = 200
PROGRAM = """
import asyncio, pathlib, re, sys
from checker.transport.probe import examine_all
from checker.transport.target import Options, Target
options = Options(as_of=sys.argv[2], timeout=20.0, enumerate_all=False, parallel=2)
targets = [Target(scheme="https", host="127.0.0.1", port=int(sys.argv[1]), server_name="localhost")] * int(sys.argv[3])
found = asyncio.run(examine_all(targets, options, at_once=int(sys.argv[3])))
assert all(item.application.status == 200 for item in found), {item.reach for item in found}
status = pathlib.Path("/proc/self/status").read_text()  # ru_maxrss would count the process that started this one
print(int(re.search(r"VmHWM:\\s+(\\d+) kB", status).group(1)) // 1024)
"""


def test_200_endpoints_at_once_stay_below_100_mib(nginx: dict[str, int]) -> None:
    command = [sys.executable, "-c", PROGRAM, str(nginx["both"]), AS_OF, str(ENDPOINTS)]
    top = Path(__file__).resolve().parents[2]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=top)
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) < 100


LEAN = """
import sys
from checker.transport.probe import examine
from checker.transport.target import Options, Target
facts = examine(Target(scheme="https", host="127.0.0.1", port=int(sys.argv[1])), Options(as_of=sys.argv[2]))
assert facts.application.status == 200
print(*sorted(name for name in sys.modules if name in sys.argv[3:]))
"""


def test_a_plain_probe_loads_nothing_of_what_it_does_not_use(nginx: dict[str, int]) -> None:
    rooms = [
        "transport.fetch",
        "transport.revocation",
        "crypto.tls.psk12",
        "crypto.tls.staple",
        "crypto.tls.revocation",
    ]
    unused = [*(f"checker.{name}" for name in rooms), "http.client"]
    command = [sys.executable, "-c", LEAN, str(nginx["both"]), AS_OF, *unused]
    top = Path(__file__).resolve().parents[2]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=top)
    assert (done.returncode, done.stdout.split()) == (0, []), done.stderr


def test_endpoints_come_back_in_order(nginx: dict[str, int], pki: Pki) -> None:
    ring = KeyRing.of(anchors=[parse_certificate(pki.root.der)])
    options = Options(as_of=AS_OF, ring=ring, enumerate_all=False)
    ports = [nginx["both"], free_port(), nginx["plain"]]
    targets = [Target(scheme="https", host="127.0.0.1", port=port, server_name="localhost") for port in ports]
    found = asyncio.run(examine_all(targets, options))
    assert [item.port for item in found] == ports
    assert [item.reach for item in found] == [Reach.TLS, Reach.REFUSED, Reach.PLAINTEXT]


def test_one_endpoint_takes_far_less_than_a_second(nginx: dict[str, int], probe: Probe) -> None:
    times = []
    for _ in range(5):
        began = time.perf_counter()
        probe(nginx["both"])
        times.append(time.perf_counter() - began)
    assert sorted(times)[2] < 0.5  # generous: 25 ms on an idle machine, see benchmarks/endpoint.py
