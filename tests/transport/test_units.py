"""Pieces that no real server of the battery reaches: damaged names and certificates, pins without a path, sequences."""

from __future__ import annotations

import pytest

from checker.crypto.certificates import parse_certificate
from checker.crypto.keyring import KeyRing
from checker.crypto.tls.authorities import authority_texts
from checker.crypto.tls.session import Session
from checker.model.endpoint import Answer, Fact
from checker.transport.chain import describe
from checker.transport.link import Recording, sequence
from checker.transport.target import Options
from tests.transport.battery import port, says
from tests.transport.conftest import Probe, Start
from tests.transport.pki import AS_OF, Pki

YES, NO, NOT_SHOWN = Answer.YES, Answer.NO, Answer.NOT_SHOWN


def options(pki: Pki | None = None, *pins: str) -> Options:
    ring = KeyRing.of(anchors=[parse_certificate(pki.root.der)]) if pki else KeyRing.empty()
    return Options(as_of=AS_OF, ring=ring, pins=pins)


def session(*ders: bytes) -> Session:
    return Session(certificates=ders)


def test_a_damaged_certificate_shows_nothing(pki: Pki) -> None:
    chain, pins = describe(session(b"\x30\x03abc"), "localhost", options(pki, "sha256/x"), 7)
    assert (chain.path_valid.answer, chain.path_valid.exchanges) == (NOT_SHOWN, (7,))
    assert chain.name_matches.answer is Answer.NOT_ASKED
    assert pins.matches.answer is Answer.NOT_ASKED
    raw = Session(certificates=(b"\x30\x03abc",), raw_public_key=True)
    assert describe(raw, "localhost", options(), 0)[0].path_valid.answer is NOT_SHOWN


def test_an_order_that_is_wrong_is_named(pki: Pki) -> None:
    ok, middle, root = pki.leaves["ok"].der, pki.intermediate.der, pki.root.der
    assert describe(session(ok, middle), "localhost", options(pki), 0)[0].in_order.answer is YES
    wrong = describe(session(ok, root, middle), "localhost", options(pki), 0)[0]
    assert (wrong.in_order.answer, wrong.anchor_sent.answer) == (NO, YES)
    assert wrong.missing_intermediate.answer is NO
    assert wrong.path_valid.answer is YES


def test_without_anchors_there_is_no_path_verdict(pki: Pki) -> None:
    chain, _ = describe(session(pki.leaves["ok"].der), "localhost", options(), 0)
    assert chain.path_valid.answer is Answer.NOT_ASKED
    assert chain.missing_intermediate.answer is NOT_SHOWN


def test_a_pinned_authority_that_was_only_sent_proves_nothing(pki: Pki) -> None:
    """A rogue leaf beside the true intermediate: the pin is among what was sent, and nothing ties the two together."""
    sent = session(pki.leaves["rogueleaf"].der, pki.intermediate.der)
    pin = describe(session(pki.intermediate.der), "x", options(), 0)[1].leaf
    assert describe(sent, "localhost", options(pki, pin), 0)[1].matches.answer is NOT_SHOWN
    true = session(pki.leaves["ok"].der, pki.intermediate.der)
    assert describe(true, "localhost", options(pki, pin), 0)[1].matches.answer is YES


def test_a_leaf_for_clients_is_no_server(pki: Pki) -> None:
    chain, _ = describe(session(pki.leaves["device"].der, pki.intermediate.der), "device-1", options(pki), 0)
    assert (chain.server_auth.answer, chain.name_matches.answer, chain.path_valid.answer) == (NO, YES, NO)


def test_names_of_authorities_are_text_or_their_hex(pki: Pki) -> None:
    name = pki.root.certificate.subject.public_bytes()
    assert authority_texts((name, b"\xff\0")) == ("Common Name: root", "ff00")
    assert len(authority_texts((name,) * 100)) == 64


def recording(zero: float, milliseconds: float, *turns: tuple[float, bytes]) -> Recording:
    found = Recording("x", 10, zero=zero, milliseconds=milliseconds)
    found.sent = [(at, data) for at, data in turns if data == b">"]
    found.received = [(at, data) for at, data in turns if data == b"<"]
    return found


@pytest.mark.parametrize(
    ("starts", "expected"),
    [((0.0, 0.0), 1), ((0.0, 1.0), 2), ((0.0, 0.5), 1), ((), 0)],
)
def test_turns_in_sequence_are_counted_over_connections(starts: tuple[float, ...], expected: int) -> None:
    every = [recording(start, 900.0, (0.0, b">"), (800.0, b"<")) for start in starts]
    assert sequence(every) == expected


def test_a_transcript_keeps_what_fits_and_counts_the_rest() -> None:
    found = Recording("x", 4)
    found.take(0.0, b"abcdef")
    found.take(0.1, b"gh")
    assert found.exchange().truncated == 4
    assert found.exchange().received == ((0.0, b"abcd".hex()),)


def test_a_flood_is_cut_off(start: Start, probe: Probe) -> None:
    flood = b"\x17\x03\x03\x40\x00" + bytes(0x4000)
    facts = probe(start(port(says(flood * 400))), "tls", timeout=5.0)
    assert facts.reach.value in {"garbage", "silent", "closed"}
    assert facts.versions == {}


def test_four_answers_are_four() -> None:
    assert [Fact(answer=item).known for item in (YES, NO, NOT_SHOWN, Answer.NOT_ASKED)] == [True, False, None, None]
