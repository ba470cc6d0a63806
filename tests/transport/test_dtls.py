"""DTLS: versions, PSK, certificates, CoAP above, and the rules of UDP (tls.md 6)."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Iterator

import pytest

from checker.crypto.tls.identity import ClientIdentity
from checker.crypto.tls.session import Session
from checker.model.endpoint import Answer, ClientAuth, Reach
from checker.transport.chain import describe
from checker.transport.target import Options
from tests.transport.battery import PSK, coap, free_port, process, s_server
from tests.transport.conftest import Probe, Start, needs
from tests.transport.pki import AS_OF, Pki

YES, NO = Answer.YES, Answer.NO


@needs("openssl")
@pytest.mark.parametrize(
    ("option", "leaf", "accepted", "refused", "suites"),
    [("-dtls1_2", "ok", "DTLSv1.2", "DTLSv1.0", 7), ("-dtls1", "rsa2048", "DTLSv1.0", "DTLSv1.2", 16)],
)
def test_s_server_speaks_one_version_of_dtls(  # noqa: PLR0917
    pki: Pki, start: Start, probe: Probe, option: str, leaf: str, accepted: str, refused: str, suites: int
) -> None:
    facts = probe(
        start(s_server(pki, leaf, option, "-cipher", "ALL:@SECLEVEL=0" if leaf == "rsa2048" else "DEFAULT")), "dtls"
    )
    assert (facts.versions[accepted].answer, facts.versions[refused].answer) == (YES, NO)
    assert len(facts.suites[accepted].accepted) == suites
    assert facts.handshakes[0].completed.answer is YES
    assert facts.handshakes[0].version == accepted
    assert facts.chain.path_valid.answer is YES
    assert facts.fresh_challenge.answer is YES


@needs("openssl")
def test_a_psk_only_dtls_port_tells_its_hint(pki: Pki, start: Start, probe: Probe) -> None:
    options = (
        "-dtls1_2",
        "-nocert",
        "-psk",
        PSK,
        "-psk_hint",
        "ota",
        "-cipher",
        "PSK-AES128-CCM8:PSK-AES128-GCM-SHA256",
    )
    facts = probe(start(s_server(pki, "", *options)), "dtls")
    assert facts.reach is Reach.PSK_ONLY
    assert set(facts.suites["DTLSv1.2"].accepted) == {"TLS_PSK_WITH_AES_128_CCM_8", "TLS_PSK_WITH_AES_128_GCM_SHA256"}
    assert (facts.psk.answer, facts.psk_identity_hint) == (YES, "ota")


@needs("coap-server-openssl", "coap-server-gnutls")
@pytest.mark.parametrize("tool", ["coap-server-openssl", "coap-server-gnutls"])
def test_libcoap_answers_a_get_under_its_certificate(pki: Pki, start: Start, probe: Probe, tool: str) -> None:
    server = start(coap(tool, "-c", pki.path("ok.chain"), "-j", pki.path("ok.key"), "-n"))
    facts = probe(server, "coaps", timeout=1.2, path="/")
    assert facts.versions["DTLSv1.2"].answer is YES
    assert (facts.application.status, facts.application.answered.answer) == (205, YES)
    assert (facts.client.state, facts.chain.name_matches.answer) == (ClientAuth.NOT_ASKED, YES)


@needs("gnutls-serv")
def test_gnutls_that_refuses_by_silence_still_names_what_it_takes(pki: Pki, start: Start, probe: Probe) -> None:
    """It answers no list of which it takes nothing, so its lists stay open; what it takes is asked for first."""
    number = free_port(socket.SOCK_DGRAM)
    files = ["--x509certfile", pki.path("ok.chain"), "--x509keyfile", pki.path("ok.key"), "--disable-client-cert"]
    server = start(process(["gnutls-serv", "-u", "-p", str(number), "--priority", "NORMAL", *files], number, udp=True))
    offer = probe(server, "dtls", timeout=1.2).suites["DTLSv1.2"]
    assert "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256" in offer.accepted
    assert not offer.complete
    assert Answer.NO not in {fact.answer for fact in offer.classes.values()}


@needs("coap-server-openssl")
def test_libcoap_that_acknowledges_first_and_answers_later(pki: Pki, start: Start, probe: Probe) -> None:
    server = start(coap("coap-server-openssl", "-c", pki.path("ok.chain"), "-j", pki.path("ok.key"), "-n"))
    facts = probe(server, "coaps", path="/async?1", enumerate_all=False, timeout=4.0)
    assert (facts.application.status, facts.application.answered.answer) == (205, YES)


@needs("coap-server-openssl")
def test_libcoap_that_requires_certificates_takes_only_the_valid_one(
    pki: Pki, start: Start, probe: Probe, identity: ClientIdentity
) -> None:
    options = ("-c", pki.path("ok.chain"), "-j", pki.path("ok.key"), "-C", pki.path("root.pem"))
    facts = probe(start(coap("coap-server-openssl", *options)), "coaps", identity=identity)
    assert facts.client.state is ClientAuth.REQUIRED
    found = {item.credential: item.accepted.answer for item in facts.client.trials}
    assert found == {"none": NO, "valid": YES, "foreign_ca": NO, "expired": NO, "self_signed": NO}


@needs("coap-server-openssl", "coap-server-gnutls")
@pytest.mark.parametrize("tool", ["coap-server-openssl", "coap-server-gnutls"])
def test_libcoap_with_a_pre_shared_key(start: Start, probe: Probe, tool: str) -> None:
    facts = probe(start(coap(tool, "-k", PSK, "-h", "ota")), "coaps", timeout=1.2)
    assert facts.reach in {Reach.PSK_ONLY, Reach.TLS}  # GnuTLS refuses the rest by silence, so "only" is not shown
    assert "TLS_PSK_WITH_AES_128_CCM_8" in facts.suites["DTLSv1.2"].accepted
    assert (facts.psk.answer, facts.psk_identity_hint) == (YES, "ota")
    assert facts.handshakes[0].completed.answer is not YES


@needs("coap-server-gnutls", "openssl")
def test_a_raw_public_key_is_shown_with_its_pin(pki: Pki, start: Start, probe: Probe) -> None:
    server = start(coap("coap-server-gnutls", "-M", pki.path("raw.pem"), "-n"))
    facts = probe(server, "coaps", timeout=1.2, pins=(pki.pin("ok"),))
    assert facts.chain.raw_public_key.answer is YES
    assert facts.chain.raw_public_key_pin == pki.pin("ok")
    assert facts.pins.matches.answer is YES
    assert "it signed the handshake" in facts.chain.raw_public_key.reason
    raw = Session(raw_public_key=True, certificates=(bytes.fromhex(pki.spki("ok")),))
    other = Options(as_of=AS_OF, pins=(pki.pin("ok2"),))
    assert describe(raw, "localhost", other, 0)[1].matches.answer is NO
    unproved = describe(raw, "localhost", Options(as_of=AS_OF, pins=(pki.pin("ok"),)), 0)[1]
    assert unproved.matches.answer is Answer.NOT_SHOWN  # anybody can show a public key


@contextlib.contextmanager
def udp(answer: bytes | None, *, lost: int = 0) -> Iterator[int]:
    """Answer each datagram with the same bytes (None: not at all), after losing the first ones."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind(("127.0.0.1", 0))
        sock.settimeout(0.1)
        stopping = threading.Event()
        seen = []

        def loop() -> None:
            while not stopping.is_set():
                try:
                    _, peer = sock.recvfrom(65536)
                except TimeoutError:
                    continue
                seen.append(peer)
                if answer is not None and len(seen) > lost:
                    sock.sendto(answer, peer)

        thread = threading.Thread(target=loop)
        thread.start()
        try:
            yield int(sock.getsockname()[1])
        finally:
            stopping.set()
            thread.join()


def test_udp_silence_is_never_no(start: Start, probe: Probe) -> None:
    facts = probe(start(udp(None)), "dtls", timeout=1.2)
    assert facts.reach is Reach.SILENT
    assert facts.versions == {}


def test_a_lost_datagram_is_sent_again(start: Start, probe: Probe) -> None:
    alert = bytes.fromhex("15fefd0000000000000000000202 28".replace(" ", ""))
    facts = probe(start(udp(alert, lost=1)), "dtls", timeout=2.0)
    assert facts.reach is Reach.TLS
    assert len(facts.exchanges[0].sent) == 2
    assert facts.versions["DTLSv1.2"].answer is NO


def test_a_closed_udp_port_is_told_by_icmp(probe: Probe) -> None:
    assert probe(free_port(socket.SOCK_DGRAM), "dtls").reach is Reach.REFUSED


def test_udp_garbage_is_garbage(start: Start, probe: Probe) -> None:
    assert probe(start(udp(b"\0" * 50)), "dtls").reach is Reach.GARBAGE
