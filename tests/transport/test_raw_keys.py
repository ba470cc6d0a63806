"""Raw public keys over TLS (RFC 7250), by GnuTLS: asked for, shown, and proved by the handshake."""

from __future__ import annotations

import contextlib

import pytest

from checker.model.endpoint import Answer, Reach
from tests.transport.battery import free_port, process
from tests.transport.conftest import Probe, Start, needs
from tests.transport.pki import Pki

YES, NO, NOT_SHOWN = Answer.YES, Answer.NO, Answer.NOT_SHOWN
ONLY12, ONLY13 = "NORMAL:-VERS-ALL:+VERS-TLS1.2", "NORMAL:-VERS-ALL:+VERS-TLS1.3"


def gnutls(
    pki: Pki, priority: str, *, certificate: bool = False, raw: bool = True
) -> contextlib.AbstractContextManager[int]:
    port = free_port()
    command = ["gnutls-serv", "-p", str(port), "--http", "--disable-client-cert", "--priority", priority]
    if raw:
        command += ["--rawpkkeyfile", pki.path("ok.key"), "--rawpkfile", pki.path("public.pem")]
    if certificate:
        command += ["--x509certfile", pki.path("ok.chain"), "--x509keyfile", pki.path("ok.key")]
    return process(command, port)


@needs("gnutls-serv")
@pytest.mark.parametrize(
    ("priority", "version"),
    [(f"{ONLY12}:+CTYPE-SRV-RAWPK", "TLSv1.2"), (f"{ONLY13}:+CTYPE-SRV-RAWPK", "TLSv1.3")],
)
def test_a_server_with_a_raw_key_alone_shows_it_and_is_not_said_to_refuse(
    pki: Pki, start: Start, probe: Probe, priority: str, version: str
) -> None:
    facts = probe(start(gnutls(pki, priority)), pins=(pki.pin("ok"),), enumerate_all=False)
    assert (facts.reach, facts.versions[version].answer) == (Reach.TLS, YES)
    assert (facts.chain.raw_public_key.answer, facts.chain.raw_public_key_pin) == (YES, pki.pin("ok"))
    assert "it signed the handshake" in facts.chain.raw_public_key.reason
    assert NO not in {facts.groups.classes["classical"].answer, facts.psk.answer, facts.versions["TLSv1.3"].answer} - (
        {NO} if version == "TLSv1.2" else set()
    )
    if version == "TLSv1.3":
        assert facts.pins.matches.answer is YES
        assert next(item for item in facts.handshakes if item.completed.answer is YES).carried_by == "otaudit"


@needs("gnutls-serv")
def test_a_pin_of_another_key_is_not_met(pki: Pki, start: Start, probe: Probe) -> None:
    server = start(gnutls(pki, f"{ONLY13}:+CTYPE-SRV-RAWPK"))
    assert probe(server, pins=(pki.pin("ok2"),), enumerate_all=False).pins.matches.answer is NO


@needs("gnutls-serv")
def test_a_server_with_both_shows_its_certificate_and_its_raw_key(pki: Pki, start: Start, probe: Probe) -> None:
    facts = probe(start(gnutls(pki, "NORMAL:+CTYPE-SRV-RAWPK", certificate=True)), enumerate_all=True)
    assert (facts.chain.path_valid.answer, facts.chain.raw_public_key.answer) == (YES, YES)
    assert facts.chain.raw_public_key_pin == facts.pins.leaf == pki.pin("ok")


@needs("gnutls-serv")
@pytest.mark.parametrize(("everything", "answer"), [(True, NO), (False, Answer.NOT_ASKED)])
def test_a_server_without_raw_keys_says_no_where_it_was_asked(
    pki: Pki,
    start: Start,
    probe: Probe,
    everything: bool,  # noqa: FBT001 - a parameter
    answer: Answer,
) -> None:
    server = start(gnutls(pki, "NORMAL", certificate=True, raw=False))
    assert probe(server, enumerate_all=everything).chain.raw_public_key.answer is answer
