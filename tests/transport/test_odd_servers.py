"""Servers that are set up in ways of their own; each of these was once answered wrongly or not at all."""

from __future__ import annotations

import socket
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ed25519
from OpenSSL import SSL

from checker.crypto.tls import records
from checker.crypto.tls.identity import ClientIdentity
from checker.model.endpoint import Answer, Reach
from tests.transport.battery import Serve, Server, closed, port, pyopenssl, reset, s_server, says, silent
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
    refused = probe(start(port(says(record(b"\2\x78", records.ALERT)))), "tls", enumerate_all=False)
    assert {fact.answer for fact in refused.versions.values()} == {NOT_SHOWN}
    assert "no_application_protocol (120)" in refused.reason


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


@needs("nginx")
@pytest.mark.parametrize(("lines", "answer"), [("", YES), ("ssl_session_tickets off; ssl_session_cache off;", NO)])
def test_a_session_can_be_resumed_though_the_server_closed_it_rudely(
    pki: Pki, start: Start, probe: Probe, tmp_path: Any, lines: str, answer: Answer
) -> None:
    """The library spoils a session whose connection goes without a close_notify; that was taken for the server's no."""
    rude = Server(lines=f"ssl_protocols TLSv1.2 TLSv1.3; {lines}", body="return 444;")
    ports = start(run_nginx(pki, tmp_path, {"rude": rude}))
    assert probe(ports["rude"], enumerate_all=False).resumption.answer is answer


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


def mutual(pki: Pki, *, cuts: bool) -> Any:
    """Return what demands a client certificate of the root, and cuts off others (or nobody) without a word."""

    def prepare(context: SSL.Context) -> None:
        context.set_verify(SSL.VERIFY_PEER, lambda *_: True)

    inner = pyopenssl(pki, prepare=prepare)
    context = SSL.Context(SSL.TLS_SERVER_METHOD)
    prepare(context)
    context.use_certificate_chain_file(pki.path("ok.chain"))
    context.use_privatekey_file(pki.path("ok.key"))

    def serve(sock: socket.socket) -> None:
        if not cuts:
            inner(sock)
            return
        sock.settimeout(None)
        connection = SSL.Connection(context, sock)
        connection.set_accept_state()
        connection.do_handshake()
        shown = connection.get_peer_certificate()
        if shown is not None and shown.to_cryptography() == pki.leaves["device"].certificate:
            connection.recv(4096)
            connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
            connection.shutdown()

    return serve


def test_a_server_that_cuts_off_bad_clients_without_a_word_refuses_them(
    pki: Pki, start: Start, probe: Probe, identity: ClientIdentity
) -> None:
    """As Node does. One cut is chance; twice, with the valid client served before and after, is an answer."""
    facts = probe(start(port(mutual(pki, cuts=True))), identity=identity, enumerate_all=False)
    found = {item.credential: item.accepted for item in facts.client.trials}
    bad = ("foreign_ca", "expired", "self_signed")
    assert (found["valid"].answer, [found[name].answer for name in bad]) == (YES, [NO, NO, NO])
    assert all("each time, while the valid credential is served" in found[name].reason for name in bad)
    everyone = probe(start(port(mutual(pki, cuts=False))), identity=identity, enumerate_all=False)
    assert {item.accepted.answer for item in everyone.client.trials} == {YES}


def test_a_cut_without_a_valid_client_that_is_served_shows_nothing(
    pki: Pki, start: Start, probe: Probe, identity: ClientIdentity
) -> None:
    other = pki.issue("other-device", Leaf(usage=pki.client_auth))
    stranger = ClientIdentity((other.der, pki.intermediate.der), other.key)
    facts = probe(start(port(mutual(pki, cuts=True))), identity=stranger, enumerate_all=False)
    assert NO not in {item.accepted.answer for item in facts.client.trials}
    assert identity.certificates != stranger.certificates


def test_a_silent_address_is_not_the_last_word_of_a_name(
    pki: Pki, start: Start, probe: Probe, monkeypatch: pytest.MonkeyPatch
) -> None:
    good, quiet, real = start(port(pyopenssl(pki))), start(port(silent)), socket.getaddrinfo

    def both(host: str, *args: Any, **options: Any) -> Any:
        if host != "two.example":
            return real(host, *args, **options)
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", number)) for number in (quiet, good)]

    monkeypatch.setattr(socket, "getaddrinfo", both)
    facts = probe(good, host="two.example", enumerate_all=False, timeout=0.7)
    assert (facts.reach, facts.application.status) == (Reach.TLS, 200)
    assert facts.exchanges[0].ended == "timeout"


def intolerant(pki: Pki, limit: int, what: Serve) -> Serve:
    """Return a server of TLS 1.2 behind a box that does something else to hellos above a size."""
    inner = pyopenssl(pki, prepare=lambda context: context.set_max_proto_version(SSL.TLS1_2_VERSION))

    def serve(sock: socket.socket) -> None:
        head = sock.recv(5, socket.MSG_PEEK | socket.MSG_WAITALL)
        (what if int.from_bytes(head[3:5]) > limit else inner)(sock)

    return serve


@pytest.mark.parametrize("what", [closed, reset, silent])
def test_a_server_that_drops_long_hellos_is_still_one_of_tls(pki: Pki, start: Start, probe: Probe, what: Serve) -> None:
    facts = probe(start(port(intolerant(pki, 500, what))), timeout=0.7, enumerate_all=False)
    assert (facts.reach, facts.versions["TLSv1.2"].answer) == (Reach.TLS, YES)
    assert "drops long hellos" in facts.reason
    assert not facts.suites["TLSv1.2"].complete
    assert NO not in {facts.suites["TLSv1.2"].classes[name].answer for name in ("null", "export", "rc4")}


def test_a_box_that_drops_hellos_of_two_packets_does_not_hide_the_handshake(
    pki: Pki, start: Start, probe: Probe
) -> None:
    facts = probe(start(port(intolerant(pki, 1400, reset))), timeout=1.0, enumerate_all=False)
    assert any(item.completed.answer is YES and item.version == "TLSv1.2" for item in facts.handshakes)
    assert (facts.chain.path_valid.answer, facts.application.status) == (YES, 200)
