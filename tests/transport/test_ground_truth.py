"""Every row of the ground truth (tls.md 2.1), answered; each server's truth is its own configuration."""

from __future__ import annotations

import pytest

from checker.crypto.tls.identity import ClientIdentity
from checker.model.endpoint import Answer, ClientAuth, EndpointFacts, Reach
from tests.transport.battery import free_port, port, pyopenssl, reset, s_server, says, silent
from tests.transport.conftest import Probe, Start, needs
from tests.transport.pki import DAY, Leaf, Pki

YES, NO, NOT_SHOWN = Answer.YES, Answer.NO, Answer.NOT_SHOWN


def versions(facts: EndpointFacts, answer: Answer = YES) -> set[str]:
    return {name for name, fact in facts.versions.items() if fact.answer is answer}


def trials(facts: EndpointFacts) -> dict[str, Answer]:
    return {item.credential: item.accepted.answer for item in facts.client.trials}


def test_nginx_with_two_versions_names_every_suite_and_group(nginx: dict[str, int], probe: Probe) -> None:
    facts = probe(nginx["both"], enumerate_all=True)
    assert versions(facts) == {"TLSv1.2", "TLSv1.3"}
    assert versions(facts, NO) == {"SSLv3", "TLSv1.0", "TLSv1.1"}
    assert {name: len(offer.accepted) for name, offer in facts.suites.items()} == {"TLSv1.2": 15, "TLSv1.3": 3}
    assert len(facts.groups.accepted) == 10
    assert all(offer.complete for offer in (*facts.suites.values(), facts.groups, facts.signature_schemes))
    assert (facts.groups.classes["hybrid"].answer, facts.groups.classes["classical"].answer) == (NO, YES)
    assert (facts.chain.path_valid.answer, facts.chain.name_matches.answer) == (YES, YES)
    assert (facts.downgrade_sentinel.answer, facts.secure_renegotiation.answer) == (YES, YES)
    assert (facts.extended_master_secret.answer, facts.compression.answer) == (YES, NO)
    assert (facts.application.status, facts.resumption.answer, facts.fresh_challenge.answer) == (200, YES, YES)
    assert facts.client.state is ClientAuth.NOT_ASKED


@pytest.mark.parametrize(("server", "bits", "strength"), [("rsa1024", 1024, 80), ("rsa", 2048, 112)])
def test_the_size_of_the_key_comes_from_the_certificate(
    nginx: dict[str, int], probe: Probe, server: str, bits: int, strength: int
) -> None:
    chain = probe(nginx[server], enumerate_all=False).chain
    assert (chain.sent[0].key.bits, chain.weakest_bits) == (bits, strength)


@needs("openssl")
@pytest.mark.parametrize(("digest", "weak"), [("sha1", YES), ("sha256", NO)])
def test_a_sha1_signature_in_the_chain_is_named(
    pki: Pki, start: Start, probe: Probe, digest: str, weak: Answer
) -> None:
    name = pki.signed_by_openssl(digest)
    facts = probe(
        start(port(pyopenssl(pki, name, prepare=lambda context: context.set_cipher_list(b"ALL:@SECLEVEL=0"))))
    )
    assert facts.chain.weak_hash.answer is weak
    assert ("sha-1" in facts.chain.weak_hash.reason) == (weak is YES)


@pytest.mark.parametrize(
    ("server", "window", "name", "path"),
    [
        ("both", YES, YES, YES),
        ("expired", NO, YES, NO),
        ("future", NO, YES, NO),
        ("wronghost", YES, NO, YES),
        ("rogueleaf", YES, YES, NO),
        ("noint", YES, YES, NO),
        ("selfsigned", YES, YES, NO),
    ],
)
def test_each_fault_of_a_certificate_is_its_own_verdict(
    nginx: dict[str, int], probe: Probe, server: str, window: Answer, name: Answer, path: Answer
) -> None:
    chain = probe(nginx[server], enumerate_all=False).chain
    found = (chain.within_validity.answer, chain.name_matches.answer, chain.path_valid.answer)
    assert found == (window, name, path)
    assert (chain.self_signed_leaf.answer is YES) == (server == "selfsigned")


def test_a_rogue_authority_and_a_missing_intermediate_are_told_apart(
    nginx: dict[str, int], probe: Probe, identity: ClientIdentity
) -> None:
    missing = probe(nginx["noint"], enumerate_all=False, identity=identity).chain.missing_intermediate
    rogue = probe(nginx["rogueleaf"], enumerate_all=False, identity=identity).chain.missing_intermediate
    assert (missing.answer, rogue.answer) == (YES, NOT_SHOWN)
    assert "CN=int" in missing.reason
    assert "CN=rogue" in rogue.reason


@needs("openssl")
def test_s_server_that_requires_certificates_in_tls_1_2_still_shows_its_suites(
    pki: Pki, start: Start, probe: Probe, identity: ClientIdentity
) -> None:
    options = ("-tls1_2", "-Verify", "3", "-verify_return_error", "-CAfile", pki.path("root.pem"))
    facts = probe(start(s_server(pki, "ok", *options)), "tls", identity=identity, enumerate_all=True)
    assert len(facts.suites["TLSv1.2"].accepted) == 7
    assert facts.suites["TLSv1.2"].complete
    assert (facts.client.state, facts.client.requested.answer) == (ClientAuth.REQUIRED, YES)
    assert trials(facts) == {"none": NO, "valid": YES, "foreign_ca": NO, "expired": NO, "self_signed": NO}
    assert facts.chain.path_valid.answer is YES


def test_mosquitto_requires_certificates_by_an_alert_after_our_finished(
    mosquitto: dict[str, int], probe: Probe, identity: ClientIdentity
) -> None:
    facts = probe(mosquitto["mutual"], "mqtts", identity=identity, enumerate_all=True)
    assert {name: len(offer.accepted) for name, offer in facts.suites.items()} == {"TLSv1.2": 7, "TLSv1.3": 3}
    assert facts.client.state is ClientAuth.REQUIRED
    assert trials(facts)["valid"] is YES
    assert trials(facts)["none"] is NO
    assert YES not in {trials(facts)[name] for name in ("foreign_ca", "expired", "self_signed")}
    assert any("certificate_required (116)" in item.accepted.reason for item in facts.client.trials)


@pytest.mark.parametrize(
    ("server", "state", "none", "foreign"),
    [
        ("mutual", ClientAuth.REQUIRED_BY_APPLICATION, NO, NO),
        ("optional", ClientAuth.ASKED, YES, NO),
        ("both", ClientAuth.NOT_ASKED, YES, YES),
    ],
)
def test_nginx_asks_in_tls_and_requires_by_http(
    nginx: dict[str, int],
    probe: Probe,
    identity: ClientIdentity,
    server: str,
    state: ClientAuth,
    none: Answer,
    foreign: Answer,
) -> None:
    facts = probe(nginx[server], identity=identity, enumerate_all=False)
    assert facts.client.state is state
    found = trials(facts)
    assert (found["none"], found["valid"], found["foreign_ca"], found["expired"]) == (none, YES, foreign, foreign)


def test_mosquittos_psk_listener_shows_suites_hint_and_tls_1_1(mosquitto: dict[str, int], probe: Probe) -> None:
    facts = probe(mosquitto["psk"], "mqtts", enumerate_all=True)
    assert facts.reach is Reach.PSK_ONLY
    assert {name: len(offer.accepted) for name, offer in facts.suites.items()} == {"TLSv1.1": 12, "TLSv1.2": 19}
    assert (facts.psk.answer, facts.psk_identity_hint) == (YES, "ota")
    assert trials(facts)["none"] is NOT_SHOWN  # refused for want of a key, which says nothing about certificates


@pytest.mark.parametrize(
    ("group", "by", "reach"),
    [
        ("X25519MLKEM768", "pyOpenSSL", Reach.TLS),
        ("SecP256r1MLKEM768", "pyOpenSSL", Reach.TLS),
        ("SecP384r1MLKEM1024", "otaudit", Reach.PQ_ONLY),
        ("MLKEM512", "otaudit", Reach.PQ_ONLY),
        ("MLKEM768", "otaudit", Reach.PQ_ONLY),
        ("MLKEM1024", "otaudit", Reach.PQ_ONLY),
        ("P-256", "pyOpenSSL", Reach.TLS),
    ],
)
def test_a_server_of_one_group_completes_a_handshake_in_it(
    pki: Pki, start: Start, probe: Probe, group: str, by: str, reach: Reach
) -> None:
    facts = probe(start(port(pyopenssl(pki, groups=group))))
    name = {"P-256": "secp256r1"}.get(group, group)
    assert versions(facts) >= {"TLSv1.3"}
    assert name in facts.completed_groups
    done = next(item for item in facts.handshakes if item.completed.answer is YES)
    assert (done.group, done.carried_by, done.signature_scheme) == (name, by, "ecdsa_secp256r1_sha256")
    quantum = Answer.YES if "MLKEM" in name else NO
    assert YES in {quantum, facts.groups.classes["classical"].answer}
    assert facts.groups.classes["classical"].answer is not quantum
    assert facts.chain.path_valid.answer is YES
    assert facts.reach in {reach, Reach.PQ_ONLY if "MLKEM" in name else reach}
    assert facts.application.status == 200


def test_plain_http_is_told_at_once(nginx: dict[str, int], probe: Probe) -> None:
    facts = probe(nginx["plain"])
    assert (facts.reach, facts.versions) == (Reach.PLAINTEXT, {})
    assert bytes.fromhex(facts.first_bytes).startswith(b"HTTP/")


def test_plain_mqtt_that_resets_strangers_is_told_by_its_own_greeting(mosquitto: dict[str, int], probe: Probe) -> None:
    facts = probe(mosquitto["plain"], "mqtts")
    assert facts.reach is Reach.PLAINTEXT
    assert "mqtt" in facts.reason


@pytest.mark.parametrize(
    ("serve", "reach"),
    [
        (silent, Reach.SILENT),
        (reset, Reach.RESET),
        (says(b"\0\1\2\3\xff" * 9), Reach.GARBAGE),
        (says(b"SSH-2.0-x\r\n"), Reach.PLAINTEXT),
    ],
)
def test_each_kind_of_port_that_is_not_tls_has_its_name(
    start: Start, probe: Probe, serve: object, reach: Reach
) -> None:
    facts = probe(start(port(serve)), timeout=0.5)  # type: ignore[arg-type]
    assert facts.reach is reach
    assert facts.reason
    assert NO not in {fact.answer for fact in facts.versions.values()}


def test_a_closed_port_is_refused_and_not_silent(probe: Probe) -> None:
    assert probe(free_port()).reach is Reach.REFUSED


def test_a_name_without_an_address_is_unreachable(probe: Probe) -> None:
    assert probe(443, host="name.invalid").reach is Reach.UNREACHABLE


@pytest.mark.parametrize(
    ("server", "stapled", "revoked"), [("staple", YES, NO), ("revoked", YES, YES), ("both", NO, Answer.NOT_ASKED)]
)
def test_a_staple_is_verified_and_decides_revocation(
    nginx: dict[str, int], probe: Probe, server: str, stapled: Answer, revoked: Answer
) -> None:
    chain = probe(nginx[server], enumerate_all=False).chain
    assert (chain.stapled.answer, chain.revoked.answer) == (stapled, revoked)
    assert chain.staple is None or chain.staple.verified.answer is YES


@pytest.mark.parametrize(("listed", "revoked", "path"), [(("ok",), YES, NO), (("ok2",), NO, YES)])
def test_a_revocation_list_decides_where_no_staple_comes(
    nginx: dict[str, int], pki: Pki, probe: Probe, listed: tuple[str, ...], revoked: Answer, path: Answer
) -> None:
    chain = probe(nginx["both"], enumerate_all=False, crls=[pki.crl(*listed)]).chain
    assert (chain.revoked.answer, chain.revoked_by, chain.path_valid.answer) == (revoked, "crl", path)


def test_pins_of_leaf_issuer_and_backup_are_told_apart(nginx: dict[str, int], pki: Pki, probe: Probe) -> None:
    first = probe(nginx["both"], enumerate_all=False)
    assert first.pins.matches.answer is Answer.NOT_ASKED
    other = "sha256/" + "A" * 43 + "="
    both = probe(nginx["both"], enumerate_all=False, pins=(first.pins.leaf, other)).pins
    assert (both.matches.answer, both.matches_leaf.answer, both.matches_issuer.answer) == (YES, YES, NO)
    assert both.backup.answer is YES
    issuer = probe(nginx["both"], enumerate_all=False, pins=(first.pins.issuers[0],)).pins
    assert (issuer.matches.answer, issuer.matches_leaf.answer, issuer.backup.answer) == (YES, NO, NO)
    assert probe(nginx["both"], enumerate_all=False, pins=(other,)).pins.matches.answer is NO
    assert first.pins.leaf == pki.pin("ok")


def test_early_data_redirects_and_sessions_are_seen(nginx: dict[str, int], probe: Probe) -> None:
    early = probe(nginx["early"], enumerate_all=False)
    assert (early.early_data.answer, early.early_data_size) == (YES, 16384)
    assert probe(nginx["both"], enumerate_all=False).early_data.answer is NO
    forgetful = probe(nginx["forgetful"], enumerate_all=False)
    assert (forgetful.tickets.answer, forgetful.resumption.answer) == (NO, NO)
    redirect = probe(nginx["redirect"], enumerate_all=False).application
    assert (redirect.status, redirect.redirect) == (302, "http://elsewhere.example/x")
    assert (redirect.redirect_other_host.answer, redirect.redirect_plaintext.answer) == (YES, YES)


@pytest.mark.parametrize(("twin", "answer"), [("plain", YES), ("", NO)])
def test_the_same_service_without_tls_is_looked_for(
    nginx: dict[str, int], probe: Probe, twin: str, answer: Answer
) -> None:
    plain = nginx[twin] if twin else free_port()
    assert probe(nginx["both"], enumerate_all=False, plaintext_port=plain).plaintext_twin.answer is answer


def test_static_rsa_and_nothing_else(nginx: dict[str, int], probe: Probe) -> None:
    facts = probe(nginx["staticrsa"], enumerate_all=True)
    assert set(facts.suites["TLSv1.2"].accepted) == {
        "TLS_RSA_WITH_AES_128_CBC_SHA256",
        "TLS_RSA_WITH_AES_256_GCM_SHA384",
    }
    assert {item.name for item in facts.offenders} == set(facts.suites["TLSv1.2"].accepted)
    assert facts.groups.accepted == ()


def test_one_group_is_one_group(nginx: dict[str, int], probe: Probe) -> None:
    assert probe(nginx["onegroup"], enumerate_all=True).groups.accepted == ("secp521r1",)


def test_ipv6_is_examined_like_ipv4(pki: Pki, start: Start, probe: Probe) -> None:
    server = start(port(pyopenssl(pki), address="::1"))
    facts = probe(server, host="::1")
    assert (facts.address, facts.reach, facts.application.status) == ("::1", Reach.TLS, 200)


def test_an_expired_credential_may_be_given_and_a_made_one_says_so(
    nginx: dict[str, int], pki: Pki, probe: Probe, identity: ClientIdentity
) -> None:
    old = pki.leaves["expired"]  # of the right authority
    given = ClientIdentity((old.der, pki.intermediate.der), old.key)
    for credentials, said in (({}, True), ({"expired": given}, False)):
        facts = probe(nginx["mutual"], identity=identity, credentials=credentials, enumerate_all=False)
        trial = next(item for item in facts.client.trials if item.credential == "expired")
        assert trial.accepted.answer is NO
        assert ("made here" in trial.accepted.reason) is said


def test_an_identity_that_has_ended_is_the_expired_one_and_no_valid_one_is_claimed(
    nginx: dict[str, int], pki: Pki, probe: Probe, identity: ClientIdentity
) -> None:
    old = pki.issue("old", Leaf(start=-60 * DAY, end=-DAY, usage=pki.client_auth))
    ended = ClientIdentity((old.der, pki.intermediate.der), old.key)
    found = {item.credential: item.accepted for item in probe(nginx["mutual"], identity=ended).client.trials}
    assert (found["valid"].answer, found["expired"].answer) == (NOT_SHOWN, NO)
    assert "not tried: the given identity ended on" in found["valid"].reason
    assert "given, of the authority CN=int" in found["expired"].reason
    facts = probe(nginx["mutual"], identity=identity, credentials={"expired": identity}, enumerate_all=False)
    found = {item.credential: item.accepted for item in facts.client.trials}
    assert (found["valid"].answer, found["expired"].answer) == (YES, NOT_SHOWN)
    assert "ends only on" in found["expired"].reason
