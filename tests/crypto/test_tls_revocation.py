"""Responses and lists that were fetched, damaged in every way: a typed answer, and never "good" by mistake."""

from __future__ import annotations

import contextlib
import subprocess
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from checker.crypto.certificates import Certificate, parse_certificate
from checker.crypto.tls.identity import read_identity
from checker.crypto.tls.revocation import ocsp_request, read_list, read_response, sources
from checker.errors import KeyMaterialError
from checker.model.endpoint import Answer
from checker.transport.fetch import _body, _whole
from tests.transport.pki import AS_OF, Leaf, Pki, told_at


@pytest.fixture(scope="module")
def pki(tmp_path_factory: pytest.TempPathFactory) -> Pki:
    return Pki(Path(tmp_path_factory.mktemp("pki")))


def pair(pki: Pki) -> tuple[Certificate, Certificate]:
    return parse_certificate(pki.leaves["ok"].der), parse_certificate(pki.intermediate.der)


def test_a_request_is_the_one_that_openssl_makes(pki: Pki, tmp_path: Path) -> None:
    out = tmp_path / "q.der"
    command = ["openssl", "ocsp", "-issuer", pki.path("int.pem"), "-cert", pki.path("ok.pem")]
    command += ["-no_nonce", "-reqout", str(out)]
    subprocess.run(command, check=True, capture_output=True)
    assert ocsp_request(*pair(pki)) == out.read_bytes()


def test_sources_are_those_of_the_certificate(pki: Pki) -> None:
    holder = pki.issue(
        "told", Leaf(more=told_at(ocsp=("http://a/", "http://b/", "http://c/"), lists=("http://d/x.crl",)))
    )
    found = sources(parse_certificate(holder.der))
    assert (found.responders, found.lists) == (("http://a/", "http://b/"), (("http://d/x.crl", ("http://d/x.crl",)),))
    assert sources(pair(pki)[0]).responders == ()


@pytest.mark.parametrize("kind", ["ocsp", "crl"])
def test_every_flipped_byte_of_a_revoked_answer_is_never_good(pki: Pki, kind: str) -> None:
    leaf, issuer = pair(pki)
    data = pki.staple("ok", revoked=True) if kind == "ocsp" else pki.list("ok")
    read = read_response if kind == "ocsp" else lambda der, *rest: read_list(der, rest[0], rest[1], (), rest[2])
    assert read(data, leaf, issuer, AS_OF).revoked.answer is Answer.YES
    for at in range(len(data)):
        damaged = data[:at] + bytes([data[at] ^ 0x20]) + data[at + 1 :]
        assert read(damaged, leaf, issuer, AS_OF).revoked.answer is not Answer.NO, at
        assert read(data[:at], leaf, issuer, AS_OF).revoked.answer is not Answer.NO


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=200), st.sampled_from([b"", b"HTTP/1.1 200 OK\r\n", b"HTTP/1.1 200 OK\r\n\r\n"]))
def test_any_answer_of_a_web_server_is_a_body_or_an_error(data: bytes, head: bytes) -> None:
    try:
        if _whole(bytearray(head + data), 100):
            assert len(_body(head + data, 100)) <= 100
    except ValueError:
        return


@settings(max_examples=200, deadline=None)
@given(data=st.binary(max_size=300))
def test_any_bytes_are_read_without_an_error(pki: Pki, data: bytes) -> None:
    leaf, issuer = pair(pki)
    assert read_response(data, leaf, issuer, AS_OF).revoked.answer is Answer.NOT_SHOWN
    assert read_list(data, leaf, issuer, (), AS_OF).revoked.answer is Answer.NOT_SHOWN


def test_a_damaged_client_certificate_is_a_typed_error(pki: Pki) -> None:
    """An unknown version was neither: cryptography's own exception for it is no ValueError."""
    holder = pki.leaves["device"]
    for at in range(len(holder.der)):
        damaged = holder.der[:at] + bytes([holder.der[at] ^ 0x20]) + holder.der[at + 1 :]
        with contextlib.suppress(KeyMaterialError):
            read_identity(damaged, holder.key_pem, "device")
