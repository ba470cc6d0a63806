"""Beside sslscan on the same servers: nothing that it finds is missed or contradicted, or a reason is written."""

from __future__ import annotations

import os
import ssl
import subprocess
import threading
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from checker.crypto.tls import names
from checker.model.endpoint import Answer, EndpointFacts
from tests.transport.battery import port, s_server
from tests.transport.conftest import Probe, Start, needs
from tests.transport.pki import Pki

pytestmark = needs("sslscan")
REASONS = {
    "mutual": "sslscan 2.0.7 loses TLS 1.2 where a client certificate is required (rbsec/sslscan 119 and 249)",
    "psk": "sslscan has no suites with pre-shared keys to offer",
}
# Not compared: sslscan's "renegotiation" is whether a client may renegotiate; ours is the sign of RFC 5746.


class Scan:
    """What sslscan says of a port."""

    def __init__(self, number: int, folder: Path) -> None:
        out = folder / "scan.xml"
        command = ["sslscan", "--no-colour", f"--xml={out}", "--sni-name=localhost", f"127.0.0.1:{number}"]
        subprocess.run(
            command, capture_output=True, env=os.environ | {"OPENSSL_CONF": "/dev/null"}, timeout=60, check=False
        )
        self.tree = ET.parse(out).getroot()  # noqa: S314 - our own tool's output

    def suites(self) -> dict[str, set[int]]:
        found: dict[str, set[int]] = {}
        for item in self.tree.iter("cipher"):
            found.setdefault(item.attrib["sslversion"], set()).add(int(item.attrib["id"], 16))
        return found

    def versions(self) -> dict[str, bool]:
        return {
            f"{item.attrib['type'].upper()}v{item.attrib['version']}": item.attrib["enabled"] == "1"
            for item in self.tree.iter("protocol")
        }

    def groups(self) -> set[str]:
        return {item.attrib["name"].split(" ")[0] for item in self.tree.iter("group")}  # "secp256r1 (NIST P-256)"


def ours(facts: EndpointFacts) -> dict[str, set[int]]:
    return {name: {names.SUITE_NUMBERS[item] for item in offer.accepted} for name, offer in facts.suites.items()}


def agree(facts: EndpointFacts, scan: Scan) -> None:
    assert ours(facts) == scan.suites()
    assert all(offer.complete for offer in facts.suites.values())
    for version, enabled in scan.versions().items():
        if version in facts.versions:
            assert (facts.versions[version].answer is Answer.YES) == enabled, version
    compression = scan.tree.find(".//compression")
    if compression is not None and facts.compression.known is not None:
        assert facts.compression.known == (compression.attrib["supported"] == "1")


@pytest.mark.parametrize("server", ["both", "rsa", "staticrsa", "onegroup"])
def test_nginx(nginx: dict[str, int], probe: Probe, tmp_path: Path, server: str) -> None:
    facts, scan = probe(nginx[server], enumerate_all=True), Scan(nginx[server], tmp_path)
    agree(facts, scan)
    assert scan.groups() <= set(facts.groups.accepted)


@needs("openssl")
@pytest.mark.parametrize(
    ("leaf", "options"),
    [
        ("rsa1024", ("-cipher", "ALL:eNULL:@SECLEVEL=0")),
        ("rsa2048", ("-tls1", "-cipher", "ALL:@SECLEVEL=0")),
        ("ok", ("-tls1_3",)),
    ],
)
def test_s_server(pki: Pki, start: Start, probe: Probe, tmp_path: Path, leaf: str, options: tuple[str, ...]) -> None:
    server = start(s_server(pki, leaf, *options))
    agree(probe(server, "tls", enumerate_all=True), Scan(server, tmp_path))


def test_mosquitto(mosquitto: dict[str, int], probe: Probe, tmp_path: Path) -> None:
    agree(probe(mosquitto["tls"], "mqtts", enumerate_all=True), Scan(mosquitto["tls"], tmp_path))


@pytest.mark.parametrize("server", sorted(REASONS))
def test_where_sslscan_finds_less_the_reason_still_holds(
    mosquitto: dict[str, int], probe: Probe, tmp_path: Path, server: str
) -> None:
    theirs = Scan(mosquitto[server], tmp_path).suites()
    found = ours(probe(mosquitto[server], "mqtts", enumerate_all=True))
    assert all(numbers <= found.get(version, set()) for version, numbers in theirs.items())
    assert sum(map(len, found.values())) > sum(map(len, theirs.values())), REASONS[server]


@pytest.mark.parametrize(("lowest", "expected"), [("TLSv1_2", {"TLSv1.2", "TLSv1.3"}), ("TLSv1_3", {"TLSv1.3"})])
def test_pythons_own_ssl_server(
    pki: Pki, start: Start, probe: Probe, tmp_path: Path, lowest: str, expected: set[str]
) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pki.path("ok.chain"), pki.path("ok.key"))
    context.minimum_version = ssl.TLSVersion[lowest]
    lock = threading.Lock()

    def serve(sock: object) -> None:
        with lock, context.wrap_socket(sock, server_side=True) as secure:  # type: ignore[arg-type]
            secure.recv(4096)
            secure.sendall(b"HTTP/1.1 204 No Content\r\n\r\n")

    server = start(port(serve))
    facts = probe(server, enumerate_all=True)
    assert set(facts.suites) == expected
    agree(facts, Scan(server, tmp_path))
    assert facts.application.status == 204
