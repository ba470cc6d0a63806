"""Servers that are set up in ways of their own; each of these was once answered wrongly or not at all."""

from __future__ import annotations

import socket
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ed25519

from checker.crypto.tls import records
from checker.model.endpoint import Answer, Reach
from tests.transport.battery import Server, port, s_server, says
from tests.transport.battery import nginx as run_nginx
from tests.transport.conftest import Probe, Start, needs
from tests.transport.pki import DAY, Leaf, Pki
from tests.transport.test_traps import record, server_hello

YES, NO, NOT_SHOWN, NOT_ASKED = Answer.YES, Answer.NO, Answer.NOT_SHOWN, Answer.NOT_ASKED


def subjects(facts: Any) -> list[str]:
    return [item.sent[0].subject for item in (facts.chain, *facts.other_chains) if item.sent]


@needs("openssl")
@pytest.mark.parametrize("version", [(), ("-tls1_2",)])
def test_a_server_with_two_kinds_of_certificate_shows_both(
    pki: Pki, start: Start, probe: Probe, version: tuple[str, ...]
) -> None:
    second = ("-dcert", pki.path("rsa2048.pem"), "-dkey", pki.path("rsa2048.key"), "-dcert_chain", pki.path("int.pem"))
    facts = probe(start(s_server(pki, "ok", *second, *version)), "tls")
    assert sorted(subjects(facts)) == ["CN=ok", "CN=rsa2048"]
    assert [item.path_valid.answer for item in (facts.chain, *facts.other_chains)] == [YES, YES]
    assert facts.pins.leaf == pki.pin(subjects(facts)[0].removeprefix("CN="))
    alone = probe(start(s_server(pki, "ok", *version)), "tls")
    assert alone.other_chains == ()


@needs("nginx")
def test_the_second_certificate_is_judged_too(pki: Pki, start: Start, probe: Probe, tmp_path: Any) -> None:
    pki.issue("old-ed25519", Leaf(key=ed25519.Ed25519PrivateKey.generate(), start=-60 * DAY, end=-DAY))
    second = f"ssl_certificate {pki.path('old-ed25519.chain')}; ssl_certificate_key {pki.path('old-ed25519.key')};"
    ports = start(run_nginx(pki, tmp_path, {"two": Server(lines=f"ssl_protocols TLSv1.3; {second}")}))
    facts = probe(ports["two"])
    assert sorted(subjects(facts)) == ["CN=ok", "CN=old-ed25519"]
    by_name = {item.sent[0].subject: item for item in (facts.chain, *facts.other_chains)}
    assert by_name["CN=ok"].within_validity.answer is YES
    assert by_name["CN=old-ed25519"].within_validity.answer is NO


@needs("openssl")
def test_a_server_that_demands_an_application_protocol_is_examined(pki: Pki, start: Start, probe: Probe) -> None:
    """Ours is http/1.1, which this one refuses; with none, or with its own, it goes on."""
    facts = probe(start(s_server(pki, "ok", "-alpn", "h2")), "https", timeout=1.0, enumerate_all=False)
    assert facts.handshakes[-1].completed.answer is YES
    assert facts.chain.path_valid.answer is YES
    chosen = probe(start(s_server(pki, "ok", "-alpn", "h2")), "tls", alpn=("h2",), enumerate_all=False)
    assert chosen.handshakes[0].alpn == "h2"
    wrong = probe(start(s_server(pki, "ok", "-alpn", "h2")), "tls", alpn=("mqtt",), enumerate_all=False)
    assert wrong.handshakes[0].completed.answer is NO
    assert "no_application_protocol (120)" in wrong.handshakes[0].completed.reason


def test_a_server_that_answers_only_those_who_name_a_protocol(start: Start, probe: Probe) -> None:
    def demanding(sock: socket.socket) -> None:
        named = b"\x02h2" in sock.recv(4096)
        sock.sendall(record(server_hello()) if named else record(b"\2\x78", records.ALERT))

    facts = probe(start(port(demanding)), "tls", enumerate_all=False)
    assert facts.versions["TLSv1.2"].answer is YES
    closed = probe(start(port(says(record(b"\2\x78", records.ALERT)))), "tls", enumerate_all=False)
    assert {fact.answer for fact in closed.versions.values()} == {NOT_SHOWN}
    assert "no_application_protocol (120)" in closed.reason


@needs("openssl")
def test_curves_that_our_library_lacks_do_not_hide_the_certificate(pki: Pki, start: Start, probe: Probe) -> None:
    """pyOpenSSL offers no brainpool curves; TLS 1.2 shows its certificates in the clear, and the key signs."""
    server = start(s_server(pki, "ok", "-tls1_2", "-groups", "brainpoolP256r1"))
    facts = probe(server, "tls", pins=(pki.pin("ok"),))
    assert facts.handshakes[0].completed.answer is NO
    assert (facts.chain.path_valid.answer, facts.chain.name_matches.answer) == (YES, YES)
    assert facts.pins.matches.answer is YES
    assert probe(server, "tls", pins=(pki.pin("ok2"),)).pins.matches.answer is NO


@needs("openssl")
def test_a_refused_client_shows_nothing_of_resumption(pki: Pki, start: Start, probe: Probe) -> None:
    options = ("-tls1_3", "-Verify", "1", "-verify_return_error", "-CAfile", pki.path("root.pem"))
    assert probe(start(s_server(pki, "ok", *options)), "tls", enumerate_all=False).resumption.answer is NOT_ASKED


@needs("openssl")
def test_a_server_of_another_name_says_so(pki: Pki, start: Start, probe: Probe) -> None:
    cert = ("-cert2", pki.path("ok2.pem"), "-key2", pki.path("ok2.key"))
    server = start(s_server(pki, "ok", "-servername", "other.example", "-servername_fatal", *cert))
    facts = probe(server, "tls", enumerate_all=False)
    assert (facts.reach, "unrecognized_name (112)" in facts.reason) == (Reach.TLS, True)
    assert facts.versions["TLSv1.3"].answer is NOT_SHOWN
    assert probe(server, "tls", "other.example", enumerate_all=False).versions["TLSv1.3"].answer is YES


@needs("openssl")
def test_a_server_that_asks_again_for_another_group_is_completed_in_it(pki: Pki, start: Start, probe: Probe) -> None:
    facts = probe(start(s_server(pki, "ok", "-tls1_3", "-groups", "P-521")), "tls")
    assert facts.groups.accepted == ("secp521r1",)
    assert facts.completed_groups == ("secp521r1",)
