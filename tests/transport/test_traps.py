"""Each trap of tls.md section 6 has a test named after it; bounds on what a hostile port can cost."""

from __future__ import annotations

import resource
import socket
import time

import pytest

from checker.crypto.tls import messages, records
from checker.crypto.tls.identity import ClientIdentity
from checker.model.endpoint import Answer, EndpointFacts, Reach
from tests.transport.battery import Serve, closed, drips, port, pyopenssl, relay, s_server, says
from tests.transport.conftest import Probe, Start, needs
from tests.transport.pki import Pki

YES, NO, NOT_SHOWN = Answer.YES, Answer.NO, Answer.NOT_SHOWN
RANDOM = bytes(range(32))


def server_hello(version: int = 0x0303, suite: int = 0xC02B) -> bytes:
    return records.message(messages.SERVER_HELLO, version.to_bytes(2) + RANDOM + b"\0" + suite.to_bytes(2) + b"\0")


def record(payload: bytes, kind: int = records.HANDSHAKE) -> bytes:
    return records.records(kind, payload, 0x0303)


def test_a_tls_1_2_server_hello_is_not_yet_acceptance(start: Start, probe: Probe) -> None:
    """As Go does: a ServerHello to a SHA-1-only hello, and then alert 40."""
    refused = record(server_hello()) + record(b"\2\x28", records.ALERT)
    facts = probe(start(port(says(refused))), "tls", enumerate_all=False)
    assert facts.signature_schemes.classes["sha-1"].answer is NO


def test_group_order_is_the_servers_or_ours_so_no_preference_is_claimed(nginx: dict[str, int], probe: Probe) -> None:
    facts = probe(nginx["both"], enumerate_all=True)
    again = probe(nginx["both"], enumerate_all=True)
    assert set(facts.groups.accepted) == set(again.groups.accepted)
    assert not any("prefer" in name for name in vars(type(facts)))


def test_big_hellos_are_short_lists_in_dtls(start: Start, pki: Pki, probe: Probe) -> None:
    facts = probe(start(s_server(pki, "ok", "-dtls1_2")), "dtls")
    hellos = [bytes.fromhex(data) for item in facts.exchanges for _, data in item.sent if data.startswith("16")]
    assert hellos
    assert max(len(hello) for hello in hellos) < 1200


@needs("openssl")
def test_one_session_servers_are_left_with_a_fatal_alert(start: Start, pki: Pki, probe: Probe) -> None:
    facts = probe(start(s_server(pki, "ok", "-dtls1_2")), "dtls")
    questions = [item for item in facts.exchanges if item.ended == "hello"]
    assert questions
    assert all(item.sent[-1][1].startswith("15") for item in questions)
    assert NOT_SHOWN not in {fact.answer for fact in facts.versions.values()}


def test_the_memory_bio_of_dtls_is_cut_into_datagrams(
    start: Start, pki: Pki, probe: Probe, identity: ClientIdentity
) -> None:
    options = ("-dtls1_2", "-verify", "3", "-CAfile", pki.path("root.pem"))
    facts = probe(start(s_server(pki, "ok", *options)), "dtls", identity=identity)
    flight = next(item for item in facts.exchanges if "valid" in item.purpose)
    for _, data in flight.sent:
        raw = bytes.fromhex(data)
        assert len(raw) == 13 + int.from_bytes(raw[11:13])


@needs("openssl")
def test_a_tls_1_3_refusal_comes_after_our_finished(start: Start, pki: Pki, probe: Probe) -> None:
    options = ("-tls1_3", "-Verify", "3", "-verify_return_error", "-CAfile", pki.path("root.pem"))
    facts = probe(start(s_server(pki, "ok", *options)), "tls", enumerate_all=False)
    trial = facts.client.trials[0]
    assert trial.accepted.answer is NO
    assert "certificate_required (116), after our Finished" in trial.accepted.reason
    assert facts.handshakes[0].completed.answer is YES


def test_a_peer_that_says_nothing_after_our_finished_costs_a_short_limit(pki: Pki, start: Start, probe: Probe) -> None:
    began = time.monotonic()
    facts = probe(start(port(pyopenssl(pki))), "tls", timeout=20.0, enumerate_all=False)
    assert time.monotonic() - began < 5
    assert facts.handshakes[0].completed.answer is YES


def test_silence_on_every_question_but_the_first_is_a_rate_limiter(start: Start, probe: Probe) -> None:
    """An exit code or an empty list would look like "nothing weak is accepted"."""
    seen: list[int] = []

    def limited(sock: socket.socket) -> None:
        seen.append(1)
        if len(seen) == 1:
            says(record(server_hello()))(sock)
        else:
            closed(sock)

    facts = probe(start(port(limited)), "tls", timeout=0.5)
    assert facts.reach is Reach.RATE_LIMITED
    assert NO not in {fact.answer for fact in facts.versions.values()}
    assert all(not offer.complete for offer in facts.suites.values())


@needs("openssl")
@pytest.mark.parametrize(("ciphers", "answer"), [("ALL:eNULL:@SECLEVEL=0", YES), ("ALL:@SECLEVEL=0", NO)])
def test_all_excludes_enull_and_both_are_seen(
    start: Start, pki: Pki, probe: Probe, ciphers: str, answer: Answer
) -> None:
    server = start(s_server(pki, "rsa1024", "-cipher", ciphers))
    facts = probe(server, "tls", enumerate_all=True)
    assert facts.suites["TLSv1.2"].classes["null"].answer is answer
    assert facts.suites["TLSv1.2"].complete


@needs("openssl")
def test_a_server_of_one_connection_at_a_time_is_asked_again(start: Start, pki: Pki, probe: Probe) -> None:
    """s_server answers no HEAD, and while it waits nobody else is served."""
    facts = probe(start(s_server(pki, "ok")), "https", timeout=0.7, enumerate_all=False)
    assert NOT_SHOWN not in {fact.answer for fact in facts.versions.values()}
    assert facts.versions["TLSv1.2"].answer is YES


def test_an_internal_error_is_a_refusal_only_when_it_comes_again(start: Start, probe: Probe) -> None:
    seen: set[bytes] = set()

    def moody(sock: socket.socket) -> None:
        data = sock.recv(4096)
        question = data[:11] + data[43:44] + data[44 + data[43] :]  # without its random and session id
        sock.sendall(record(b"\2\x5a" if question in seen else b"\2\x50", records.ALERT))
        seen.add(question)

    facts = probe(start(port(moody)), "tls", enumerate_all=False)
    assert NO not in {fact.answer for fact in facts.versions.values()}
    steady = probe(start(port(says(record(b"\2\x50", records.ALERT)))), "tls", enumerate_all=False)
    assert {fact.answer for fact in steady.versions.values()} == {NO}


def test_a_failure_of_our_own_library_is_not_the_servers_refusal(start: Start, probe: Probe) -> None:
    nonsense = record(server_hello()) + record(records.message(11, b"\0\0\3\0\0\0") + records.message(14, b""))
    facts = probe(start(port(says(nonsense))), "https", enumerate_all=False)
    assert facts.handshakes[0].completed.answer is NOT_SHOWN
    assert "our own library" in facts.handshakes[0].completed.reason
    assert facts.client.trials[0].accepted.answer is NOT_SHOWN


def bounded(probe: Probe, start: Start, serve: Serve, seconds: float, megabytes: int = 40) -> EndpointFacts:
    began, before = time.monotonic(), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    facts = probe(start(port(serve)), "tls", timeout=1.0, enumerate_all=False)
    assert time.monotonic() - began < seconds
    assert (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024 < megabytes
    return facts


def test_a_drip_fed_handshake_ends_at_the_deadline(start: Start, probe: Probe) -> None:
    facts = bounded(probe, start, drips(record(server_hello()), 0.05), 3.0)
    assert facts.reach is Reach.SILENT


def test_record_fragments_of_one_byte_are_joined(start: Start, probe: Probe) -> None:
    hello = b"".join(record(bytes([byte])) for byte in server_hello())
    facts = probe(start(port(says(hello))), "tls", enumerate_all=False)
    assert facts.versions["TLSv1.2"].answer is YES


@pytest.mark.parametrize("size", [0xFFFFFF, 300_000])
def test_an_oversized_message_is_refused_by_its_header(start: Start, probe: Probe, size: int) -> None:
    bomb = record(server_hello()) + record(bytes([11]) + size.to_bytes(3) + bytes(16_000))
    facts = bounded(probe, start, says(bomb), 10.0)
    assert facts.handshakes[0].completed.answer is NOT_SHOWN


def test_a_certificate_bomb_of_100_mb_stays_small(start: Start, probe: Probe) -> None:
    chunk = bytes([11]) + (200_000).to_bytes(3) + bytes(200_000)

    def flood(sock: socket.socket) -> None:
        sock.recv(4096)
        sock.sendall(record(server_hello()))
        for _ in range(500):
            sock.sendall(record(chunk))

    bounded(probe, start, flood, 10.0)


def test_a_thousand_certificates_are_refused(start: Start, pki: Pki, probe: Probe) -> None:
    der = pki.leaves["ok"].der
    chain = (len(der).to_bytes(3) + der) * 1000
    flight = record(server_hello()) + record(records.message(11, len(chain).to_bytes(3) + chain))
    facts = bounded(probe, start, says(flight), 10.0)
    assert facts.chain.sent == ()


def test_empty_records_do_not_spin_us(start: Start, probe: Probe) -> None:
    facts = bounded(probe, start, says(record(b"") * 20_000), 5.0)
    assert facts.reach is Reach.GARBAGE


def test_five_round_trips_on_a_slow_link(nginx: dict[str, int], start: Start, probe: Probe) -> None:
    """At 100 ms each way, which is far above what this machine adds."""
    slow = start(port(relay(nginx["both"], 0.1)))
    facts = probe(slow, timeout=10.0, path="/")
    assert facts.round_trips <= 5
    assert facts.milliseconds < 5.9 * 200
    assert facts.versions["TLSv1.3"].answer is YES
    assert facts.chain.path_valid.answer is YES
    assert facts.suites["TLSv1.2"].classes["null"].answer is NO
    assert not facts.suites["TLSv1.2"].complete


def test_parallel_connections_stay_below_the_cap(start: Start, probe: Probe) -> None:
    open_now, most = [0], [0]

    def counted(sock: socket.socket) -> None:
        sock.recv(4096)
        open_now[0] += 1
        most[0] = max(most[0], open_now[0])
        time.sleep(0.02)
        open_now[0] -= 1
        sock.sendall(record(b"\2\x28", records.ALERT))

    server = start(port(counted))
    probe(server, "tls", enumerate_all=False)
    assert 2 < most[0] <= 8
    most[0] = 0
    probe(server, "tls", enumerate_all=False, gentle=True)
    assert most[0] <= 2


def test_the_rate_limit_holds(start: Start, probe: Probe) -> None:
    server = start(port(says(record(b"\2\x28", records.ALERT))))
    facts = probe(server, "tls", enumerate_all=False, rate=50.0, parallel=8)
    assert facts.milliseconds >= (facts.connections - 2) * 20


def test_transcripts_hold_what_passed_and_no_private_key(
    nginx: dict[str, int], pki: Pki, probe: Probe, identity: ClientIdentity
) -> None:
    facts = probe(nginx["mutual"], identity=identity, enumerate_all=False)
    everything = repr(facts)
    number = pki.leaves["device"].key.private_numbers().private_value
    assert f"{number:064x}" not in everything
    assert str(number) not in everything
    assert "PRIVATE" not in everything
    assert all(item.started and item.ended for item in facts.exchanges)
    assert all(item.sent for item in facts.exchanges)
    assert facts.chain.sent[0].sha256 in everything
    sent = [data for item in facts.exchanges if "valid" in item.purpose for _, data in item.sent]
    assert any(pki.leaves["device"].der.hex()[:64] in data for data in sent)  # TLS 1.2 shows certificates in the clear


def test_clock_and_random_are_arguments(nginx: dict[str, int], probe: Probe) -> None:
    facts = probe(nginx["both"], enumerate_all=False, random=lambda size: b"\x07" * size)
    hellos = [data for item in facts.exchanges[:1] for _, data in item.sent]
    assert "07" * 32 in hellos[0]
    assert facts.exchanges[0].started.endswith("Z")


def test_a_tar_pit_ends_with_the_budget(start: Start, probe: Probe) -> None:
    """It answers each hello with another suite, slowly, and would do so for hours."""

    def pit(sock: socket.socket) -> None:
        data = sock.recv(4096)
        time.sleep(0.2)
        at = 44 + data[43]
        suite = data[at + 2 : at + 4]
        sock.sendall(record(records.message(2, b"\3\3" + RANDOM + b"\0" + suite + b"\0")))

    began = time.monotonic()
    facts = probe(start(port(pit)), "tls", enumerate_all=True, budget=1.0, timeout=1.0)
    assert time.monotonic() - began < 6
    assert not any(offer.complete for offer in facts.suites.values())
    assert any(item.ended == "not made" for item in facts.exchanges)


def test_every_address_of_a_name_is_tried(
    start: Start, pki: Pki, probe: Probe, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = socket.getaddrinfo

    def both(host: str, *args: object, **options: object) -> object:
        if host == "localhost":
            return [*real("::1", *args, **options), *real("127.0.0.1", *args, **options)]  # type: ignore[arg-type]
        return real(host, *args, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(socket, "getaddrinfo", both)
    facts = probe(start(port(pyopenssl(pki))), host="localhost", enumerate_all=False)
    assert (facts.address, facts.application.status) == ("127.0.0.1", 200)
    assert facts.exchanges[0].ended == "refused"
