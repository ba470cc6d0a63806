"""Pre-shared keys carried through: the right one is taken, and a near miss beside it, by real servers."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from checker.__main__ import run
from checker.crypto.tls.identity import PreSharedKey
from checker.model.endpoint import Answer, EndpointFacts, Reach
from tests.transport.battery import PSK, coap, s_server
from tests.transport.conftest import Probe, Start, needs
from tests.transport.pki import AS_OF, Pki

YES, NO, NOT_SHOWN = Answer.YES, Answer.NO, Answer.NOT_SHOWN
RIGHT = PreSharedKey("ota", bytes.fromhex(PSK))
WRONG = PreSharedKey("ota", bytes(16))


def trials(facts: EndpointFacts) -> dict[tuple[str, str], Answer]:
    return {(item.version, item.credential): item.accepted.answer for item in facts.psk_trials}


def by_version(facts: EndpointFacts, version: str) -> list[Answer]:
    found = trials(facts)
    return [found[version, name] for name in ("psk", "psk_other_identity", "psk_wrong_key")]


def test_mosquitto_takes_its_key_and_answers_connack(mosquitto: dict[str, int], probe: Probe) -> None:
    facts = probe(mosquitto["psk"], "mqtts", psk=RIGHT, enumerate_all=False)
    assert facts.reach is Reach.PSK_ONLY
    assert by_version(facts, "TLSv1.2") == by_version(facts, "TLSv1.3") == [YES, NO, NO]
    assert facts.versions["TLSv1.3"].answer is YES  # only with the key: no scanner, and no probe without it, can see it
    assert probe(mosquitto["psk"], "mqtts", enumerate_all=False).versions["TLSv1.3"].answer is NOT_SHOWN
    assert (facts.application.protocol, facts.application.status, facts.application.answered.answer) == ("mqtt", 0, YES)
    done = next(item for item in facts.handshakes if item.completed.answer is YES)
    assert (done.version, done.carried_by) == ("TLSv1.2", "otaudit")
    assert done.suite.startswith(("TLS_PSK_WITH_", "TLS_ECDHE_PSK_WITH_"))
    refused = probe(mosquitto["psk"], "mqtts", psk=WRONG, enumerate_all=False)
    assert trials(refused)["TLSv1.2", "psk"] is NO
    assert ("TLSv1.2", "psk_wrong_key") not in trials(refused)  # nothing is compared with a key that is not taken
    assert not any(item.completed.answer is YES for item in refused.handshakes)


@needs("openssl")
@pytest.mark.parametrize(
    ("options", "version", "expected"),
    [
        (("-tls1_2", "-cipher", "PSK-AES128-CCM8"), "TLSv1.2", [YES, YES, NO]),  # s_server knows one key for all
        (("-tls1_2", "-cipher", "PSK-AES256-GCM-SHA384"), "TLSv1.2", [YES, YES, NO]),
        (("-tls1_2", "-cipher", "PSK-CHACHA20-POLY1305"), "TLSv1.2", [YES, YES, NO]),
        (("-tls1_2", "-cipher", "ECDHE-PSK-CHACHA20-POLY1305"), "TLSv1.2", [YES, YES, NO]),
        *(
            (("-tls1_2", "-cipher", f"{cipher}:@SECLEVEL=0"), "TLSv1.2", [YES, YES, NO])
            for cipher in (
                "PSK-AES128-CBC-SHA256",
                "PSK-AES256-CBC-SHA384",
                "PSK-AES256-CBC-SHA",
                "ECDHE-PSK-AES128-CBC-SHA",
            )
        ),
        (("-tls1_2", "-cipher", "PSK-AES128-CBC-SHA256", "-no_etm"), "TLSv1.2", [YES, YES, NO]),
        (("-tls1_3",), "TLSv1.3", [YES, NO, NO]),
        (("-tls1_3", "-groups", "P-384"), "TLSv1.3", [YES, NO, NO]),
    ],
)
def test_s_server_with_a_key(
    pki: Pki, start: Start, probe: Probe, options: tuple[str, ...], version: str, expected: list[Answer]
) -> None:
    server = start(s_server(pki, "", "-nocert", "-psk", PSK, "-psk_identity", "ota", *options))
    facts = probe(server, "tls", psk=RIGHT, enumerate_all=False)
    assert by_version(facts, version) == expected
    assert (facts.reach, facts.versions[version].answer, facts.psk.answer) == (Reach.PSK_ONLY, YES, YES)


@needs("openssl")
@pytest.mark.parametrize(
    ("options", "version"),
    [
        (("-tls1_2", "-cipher", "DHE-PSK-AES128-GCM-SHA256"), "TLSv1.2"),
        (("-tls1_3", "-groups", "brainpoolP256r1"), "TLSv1.3"),
    ],
)
def test_a_server_whose_suites_we_lack_does_not_refuse_the_key(
    pki: Pki, start: Start, probe: Probe, options: tuple[str, ...], version: str
) -> None:
    server = start(s_server(pki, "", "-nocert", "-psk", PSK, "-psk_identity", "ota", *options))
    facts = probe(server, "tls", psk=RIGHT, enumerate_all=False)
    assert trials(facts) == {(version, "psk"): NOT_SHOWN}
    assert "perhaps to the suites that our own client speaks" in facts.psk_trials[0].accepted.reason


@needs("openssl")
def test_tls_1_3_with_keys_alone_is_not_said_to_be_refused(pki: Pki, start: Start, probe: Probe) -> None:
    """OpenSSL answers handshake_failure to a hello without a key, and so may one that lacks TLS 1.3."""
    server = start(s_server(pki, "", "-nocert", "-psk", PSK, "-psk_identity", "ota", "-tls1_3"))
    facts = probe(server, "tls", enumerate_all=False)
    assert (facts.versions["TLSv1.3"].answer, facts.versions["TLSv1.2"].answer) == (NOT_SHOWN, NO)
    assert probe(server, "tls", enumerate_all=False, psk=WRONG).versions["TLSv1.3"].answer is NOT_SHOWN
    older = start(s_server(pki, "ok", "-tls1_2"))
    assert probe(older, "tls", enumerate_all=False).versions["TLSv1.3"].answer is NO


@needs("openssl")
def test_a_server_with_a_certificate_that_declines_the_key_says_no(pki: Pki, start: Start, probe: Probe) -> None:
    facts = probe(start(s_server(pki, "ok", "-tls1_3")), "tls", psk=RIGHT, enumerate_all=False)
    assert trials(facts) == {("TLSv1.3", "psk"): NO}
    assert "goes on with its certificate" in facts.psk_trials[0].accepted.reason
    assert facts.reach is Reach.TLS


@needs("coap-server-openssl", "coap-server-gnutls")
@pytest.mark.parametrize("tool", ["coap-server-openssl", "coap-server-gnutls"])
def test_libcoap_answers_a_get_under_its_key(start: Start, probe: Probe, tool: str) -> None:
    """Its `-k` is the key itself, in letters. A wrong key meets silence, which is never "no"."""
    server = start(coap(tool, "-k", "secretkey", "-h", "ota"))
    facts = probe(server, "coaps", psk=PreSharedKey("me", b"secretkey"), timeout=1.2)
    assert by_version(facts, "DTLSv1.2") == [YES, YES, NOT_SHOWN]
    assert (facts.application.status, facts.application.answered.answer) == (205, YES)
    assert (facts.reach, facts.psk_identity_hint) == (Reach.PSK_ONLY, "ota")
    assert "DTLS drops what does not verify" in facts.psk_trials[-1].accepted.reason


@needs("openssl")
def test_a_dtls_server_of_one_session_is_left_in_order(pki: Pki, start: Start, probe: Probe) -> None:
    server = start(s_server(pki, "", "-dtls1_2", "-nocert", "-psk", PSK, "-psk_hint", "hint"))
    facts = probe(server, "dtls", psk=RIGHT)
    assert by_version(facts, "DTLSv1.2") == [YES, YES, NOT_SHOWN]
    assert facts.psk_identity_hint == "hint"


def test_no_pre_shared_key_is_shown_anywhere(
    mosquitto: dict[str, int], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "k.psk").write_text(PSK + "\n")
    record = tmp_path / "seen.json"
    words = ["--psk-identity", "ota", "--psk-file", str(tmp_path / "k.psk"), "--as-of", AS_OF, "-o", str(record)]
    run(["probe", f"mqtts://127.0.0.1:{mosquitto['psk']}", *words])
    shown = capsys.readouterr()
    assert "credential psk in TLSv1.2 served" in shown.out
    found: Any = json.loads(record.read_text())
    assert any(item["credential"] == "psk" for item in found["endpoints"][0]["psk_trials"])
    for text in (shown.out, shown.err, record.read_text(), repr(RIGHT)):
        assert PSK not in text.lower()
        assert bytes.fromhex(PSK).decode("latin-1") not in text
    assert run(["probe", "h:1", "--psk-identity", "ota"]) == 2
