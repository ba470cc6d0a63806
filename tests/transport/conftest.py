"""The battery, started once a session."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from checker.crypto.certificates import parse_certificate, parse_crl
from checker.crypto.keyring import KeyRing
from checker.crypto.tls.identity import ClientIdentity, read_identity
from checker.model.endpoint import EndpointFacts
from checker.transport.probe import examine
from checker.transport.target import Options, Target
from tests.transport import battery
from tests.transport.battery import Server
from tests.transport.pki import AS_OF, Pki

Probe = Callable[..., EndpointFacts]
Start = Callable[[contextlib.AbstractContextManager[Any]], Any]


@pytest.fixture(scope="session")
def pki(tmp_path_factory: pytest.TempPathFactory) -> Pki:
    return Pki(tmp_path_factory.mktemp("pki"))


@pytest.fixture(scope="session")
def identity(pki: Pki) -> ClientIdentity:
    device = pki.leaves["device"]
    return read_identity(device.chain, device.key_pem, "device")


@pytest.fixture(scope="session")
def probe(pki: Pki) -> Probe:
    """Examine a loopback port against the battery's root."""

    def run(
        port: int, scheme: str = "https", name: str = "localhost", host: str = "127.0.0.1", **changes: Any
    ) -> EndpointFacts:
        anchors = [parse_certificate(pki.root.der, "root")]
        ring = KeyRing.of(anchors=anchors, crls=[parse_crl(crl) for crl in changes.pop("crls", ())])
        path = changes.pop("path", "/")
        options = Options(**{"as_of": AS_OF, "ring": ring, "timeout": 2.0, **changes})
        return examine(Target(scheme=scheme, host=host, port=port, server_name=name, path=path), options)

    return run


@pytest.fixture
def start() -> Iterator[Start]:
    """Start a server that ends with the test."""
    with contextlib.ExitStack() as stack:
        yield stack.enter_context


def needs(*tools: str) -> pytest.MarkDecorator:
    missing = [tool for tool in tools if shutil.which(tool) is None]
    return pytest.mark.skipif(bool(missing), reason=f"not installed: {', '.join(missing)}")


@pytest.fixture(scope="session")
def nginx(pki: Pki, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, int]]:
    if shutil.which("nginx") is None:
        pytest.skip("not installed: nginx")
    verify = f"ssl_client_certificate {pki.path('root.pem')}; ssl_verify_depth 3;"
    old = "ssl_protocols TLSv1 TLSv1.1 TLSv1.2 TLSv1.3; ssl_ciphers ALL:@SECLEVEL=0;"
    staple = "ssl_stapling on; ssl_stapling_file"
    servers = {
        "both": Server(),
        "rsa": Server("rsa2048", old),
        "mutual": Server(lines=f"ssl_verify_client on; {verify}"),
        "optional": Server(lines=f"ssl_verify_client optional; {verify}"),
        "staple": Server(lines=f"{staple} {pki.path('ok.ocsp')};"),
        "revoked": Server(lines=f"{staple} {pki.path('revoked.ocsp')};"),
        "forgetful": Server(lines="ssl_session_tickets off; ssl_session_cache off;"),
        "early": Server(lines="ssl_protocols TLSv1.2 TLSv1.3; ssl_early_data on;"),
        "onegroup": Server(lines="ssl_ecdh_curve P-521;"),
        "staticrsa": Server("rsa2048", "ssl_protocols TLSv1.2; ssl_ciphers AES128-SHA256:AES256-GCM-SHA384;"),
        "redirect": Server(body="return 302 http://elsewhere.example/x;"),
        "missing": Server(body="return 404;"),
        **{name: Server(name) for name in ("expired", "future", "wronghost", "rogueleaf", "noint", "selfsigned")},
        "rsa1024": Server("rsa1024", "ssl_ciphers DEFAULT:@SECLEVEL=0;"),
    }
    with battery.nginx(pki, tmp_path_factory.mktemp("nginx"), servers) as ports:
        yield ports


@pytest.fixture(scope="session")
def mosquitto(pki: Pki, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, int]]:
    if shutil.which("mosquitto") is None:
        pytest.skip("not installed: mosquitto")
    with battery.mosquitto(pki, tmp_path_factory.mktemp("mosquitto")) as ports:
        yield ports
