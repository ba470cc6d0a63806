"""From the facts of an endpoint to evidence: what was seen, what was refused, and what nobody knows."""

from __future__ import annotations

import base64
from dataclasses import replace
from types import MappingProxyType
from typing import Any

import pytest

from checker.description.model import Endpoint, Place
from checker.model.artifact import CertificateFacts, ChainFacts, KeyFacts
from checker.model.endpoint import (
    Answer,
    Application,
    ClientAuth,
    ClientAuthentication,
    CredentialTrial,
    EndpointFacts,
    Fact,
    Handshake,
    Offender,
    Offer,
    Pins,
    Reach,
    ServerChain,
)
from checker.model.evidence import Evidence
from checker.model.terms import Method, Party, Reason, Step
from checker.probes import _endpoint_facts as facts_of
from checker.probes import _run
from checker.probes.contract import Examined
from checker.probes.endpoint import PROBE
from checker.report._endpoint_data import endpoint_json
from checker.transport.address import target_of

YES, NO, OPEN = Fact(answer=Answer.YES), Fact(answer=Answer.NO), Fact(answer=Answer.NOT_SHOWN, reason="silence")
KEY = KeyFacts(id="ab" * 32, algorithm="ec-p256", bits=256, strength=128)
LEAF = CertificateFacts(
    sha256="01" * 32, subject="CN=updates", issuer="CN=ca", serial="1", key=KEY, signature_algorithm="ecdsa",
    signature_hash="sha-256", not_before="2026-10-01T00:00:00Z", not_after="2027-10-01T00:00:00Z", ca=False,
    key_usage=("digital_signature",), extended_key_usage=("serverAuth",),
)  # fmt: skip
KINDS = {*PROBE.kinds, "chain", "certificate", "weakness"}
REFUSED = {"SSLv3": NO, "TLSv1.0": NO, "TLSv1.1": NO}
GOOD = EndpointFacts(
    scheme="https",
    host="127.0.0.1",
    port=8443,
    reach=Reach.TLS,
    versions=MappingProxyType({**REFUSED, "TLSv1.2": YES, "TLSv1.3": YES}),
    suites=MappingProxyType(
        {
            "TLSv1.2": Offer(accepted=("TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256",), complete=True),
            "TLSv1.3": Offer(accepted=("TLS_AES_128_GCM_SHA256",), complete=True),
        }
    ),
    groups=Offer(accepted=("X25519MLKEM768", "x25519"), complete=True),
    handshakes=(
        Handshake(completed=YES, version="TLSv1.3", suite="TLS_AES_128_GCM_SHA256", group="X25519MLKEM768"),
    ),
    chain=ServerChain(
        sent=(LEAF,), path_valid=YES, name_matches=YES, within_validity=YES, weakest_bits=128, weak_hash=NO,
        anchor_sent=NO, stapled=NO,
        path=ChainFacts(certificates=(LEAF,), valid=True, anchor="cd" * 32, checked_at="2026-11-01T00:00:00Z"),
    ),
    pins=Pins(leaf="sha256/x", declared=("sha256/x", "sha256/y"), matches=YES, backup=YES),
    early_data=NO,
    client=ClientAuthentication(state=ClientAuth.NOT_ASKED, requested=NO),
)  # fmt: skip


def ending(moment: str) -> ServerChain:
    return replace(GOOD.chain, sent=(replace(LEAF, not_after=moment),))


def endpoint(name: str = "main", **words: Any) -> Endpoint:
    return Endpoint(id=name, url="https://127.0.0.1:8443/fw", place=Place("update.yaml", 1, 1), **words)


def seen(lab: Any, *found: EndpointFacts | None, **gap: Any) -> list[Evidence]:
    refs = tuple(endpoint(f"main{number or ''}") for number in range(len(found)))
    lab.say(endpoints=refs)
    examined = tuple(Examined(ref=ref, facts=facts, **gap) for ref, facts in zip(refs, found, strict=True))
    context = replace(lab.context, examined=examined, live=True)
    return [record for record in _run._run(context, [PROBE], strict=True).records if record.kind in KINDS]


def one(records: list[Evidence], kind: str) -> Evidence:
    (record,) = [item for item in records if item.kind == kind]
    return record


def test_an_endpoint_becomes_an_offer_and_a_session_that_were_tested_by_whoever_runs_the_tool(lab: Any) -> None:
    records = seen(lab, GOOD)
    offer, session = one(records, "tls_offer"), one(records, "tls_session")
    assert offer.values["versions"] == ("TLSv1.2", "TLSv1.3")
    assert offer.values["legacy_refused"] is True
    assert offer.values["strong_only"] is True
    assert offer.values["suites"] == ("TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256", "TLS_AES_128_GCM_SHA256")
    assert offer.values["groups"] == ("X25519MLKEM768", "x25519")
    assert offer.values["early_data"] is False
    assert session.values["group"] == "X25519MLKEM768"
    assert session.values["chain_valid"] is True
    assert (session.values["pin_matches"], session.values["backup_pin"]) == (True, True)
    assert (offer.method, offer.party, offer.values["step"]) == (Method.TESTED, Party.SECOND, "receive")


def test_one_version_that_fell_silent_leaves_it_open_whether_old_ones_are_refused(lab: Any) -> None:
    silent = replace(GOOD, versions=MappingProxyType({**GOOD.versions, "TLSv1.0": OPEN}))
    offer = one(seen(lab, silent), "tls_offer")
    assert "legacy_refused" not in offer.values
    assert "suites" not in offer.values
    assert "strong_only" not in offer.values
    accepted = replace(GOOD, versions=MappingProxyType({**GOOD.versions, "TLSv1.0": OPEN, "TLSv1.1": YES}))
    assert one(seen(lab, accepted), "tls_offer").values["legacy_refused"] is False


def test_half_a_list_of_suites_never_looks_like_a_clean_one(lab: Any) -> None:
    half = Offer(accepted=("TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256",), complete=False)
    offer = one(seen(lab, replace(GOOD, suites=MappingProxyType({**GOOD.suites, "TLSv1.2": half}))), "tls_offer")
    assert "suites" not in offer.values
    assert "strong_only" not in offer.values
    one_version = replace(GOOD, suites=MappingProxyType({"TLSv1.3": GOOD.suites["TLSv1.3"]}))
    assert "suites" not in one(seen(lab, one_version), "tls_offer").values


def test_one_offender_is_enough_even_in_half_a_list(lab: Any) -> None:
    bad = Offender(kind="suite", name="TLS_RSA_WITH_AES_128_CBC_SHA", classes=("cbc",), version="TLSv1.2")
    half = Offer(accepted=(), complete=False)
    facts = replace(GOOD, suites=MappingProxyType({**GOOD.suites, "TLSv1.2": half}), offenders=(bad,))
    offer = one(seen(lab, facts), "tls_offer")
    assert offer.values["strong_only"] is False
    assert offer.values["weak_suites"] == ("TLS_RSA_WITH_AES_128_CBC_SHA",)


@pytest.mark.parametrize(
    ("suite", "strong"),
    [
        ("TLS_AES_128_CCM_8_SHA256", True),
        ("TLS_ECDHE_ECDSA_WITH_AES_128_CCM", True),
        ("TLS_DHE_RSA_WITH_CHACHA20_POLY1305_SHA256", True),
        ("TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA256", False),
        ("TLS_RSA_WITH_AES_128_GCM_SHA256", False),
        ("TLS_DH_anon_WITH_AES_128_GCM_SHA256", False),
        ("TLS_ECDH_anon_WITH_AES_128_CBC_SHA", False),
        ("TLS_PSK_WITH_AES_128_GCM_SHA256", False),
        ("TLS_ECDHE_ECDSA_WITH_NULL_SHA", False),
    ],
)
def test_a_suite_is_strong_by_its_name_alone(suite: str, strong: bool) -> None:  # noqa: FBT001
    assert facts_of.strong(suite) is strong


def test_silence_is_a_timeout_and_plain_text_is_no_tls(lab: Any) -> None:
    records = seen(lab, replace(GOOD, reach=Reach.SILENT, reason="nothing within 3 s"))
    assert {record.unavailable for record in records if record.kind != "weakness"} == {Reason.TIMEOUT}
    records = seen(lab, replace(GOOD, reach=Reach.PLAINTEXT, reason="HTTP/1.1 400"))
    assert one(records, "tls_offer").values["protocol"] == "none"
    assert one(records, "tls_session").unavailable is Reason.UNREADABLE


def test_a_failure_of_our_own_is_never_the_servers_refusal(lab: Any) -> None:
    records = seen(lab, replace(GOOD, reach=Reach.ERROR, reason="no entropy"))
    assert {record.unavailable for record in records if record.kind != "weakness"} == {Reason.PROBE_FAILED}


def test_an_endpoint_that_could_not_be_asked_says_why_in_every_record(lab: Any) -> None:
    records = seen(lab, None, error="key.pem: cannot be read", reason="unreadable")
    assert {record.kind for record in records if record.unavailable is Reason.UNREADABLE} == {
        "tls_offer", "tls_session", "server_trial", "chain", "certificate",
    }  # fmt: skip


def test_without_a_completed_handshake_there_is_an_offer_and_no_session(lab: Any) -> None:
    failed = Handshake(completed=Fact(answer=Answer.NOT_SHOWN, reason="closed in the middle"))
    records = seen(lab, replace(GOOD, handshakes=(failed,)))
    assert one(records, "tls_offer").unavailable is None
    assert "closed in the middle" in one(records, "tls_session").explanation


def test_the_servers_path_becomes_a_chain_of_its_own_use(lab: Any) -> None:
    records = seen(lab, GOOD)
    chain, leaf = one(records, "chain"), one(records, "certificate")
    assert (chain.values["use"], chain.values["valid"], chain.values["purpose"]) == ("tls-server", True, True)
    assert (leaf.values["position"], leaf.values["lifetime_days"]) == ("leaf", 365)
    assert "separate_from_tls" not in chain.values


def test_client_credentials_become_trials_and_an_open_answer_stays_open(lab: Any) -> None:
    trials = (
        CredentialTrial(credential="none", accepted=NO, refused_by="tls"),
        CredentialTrial(credential="valid", accepted=YES),
        CredentialTrial(credential="foreign_ca", accepted=OPEN),
        CredentialTrial(credential="self_signed", accepted=NO, refused_by="application"),
    )
    client = ClientAuthentication(state=ClientAuth.REQUIRED, requested=YES, trials=trials)
    records = seen(lab, replace(GOOD, client=client, fresh_challenge=YES))
    found = {item.values["identity"]: item for item in records if item.kind == "server_trial"}
    assert {name: item.values.get("served") for name, item in found.items()} == {
        "none": False, "valid": True, "foreign": None, "self-signed": False,
    }  # fmt: skip
    assert found["foreign"].unavailable is Reason.UNREADABLE
    assert (found["valid"].values["fresh_challenge"], found["valid"].values["before_transfer"]) == (True, True)
    assert "fresh_challenge" not in found["none"].values
    assert one(records, "tls_offer").values["client_auth"] == "required"


def test_no_identity_means_that_no_trial_was_possible(lab: Any) -> None:
    trial = one(seen(lab, GOOD), "server_trial")
    assert trial.unavailable is Reason.NOT_DECLARED
    assert "client_identity" in trial.explanation


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"application": Application(redirect="http://x/", redirect_plaintext=YES)}, "redirect-in-clear"),
        ({"application": Application(redirect="https://y/", redirect_other_host=YES)}, "redirect-other-host"),
        ({"application": Application(clock_skew=-301.0)}, "server-clock-off"),
        ({"application": Application(clock_skew=300.0)}, ""),
        ({"plaintext_twin": YES, "plaintext_twin_port": 80}, "plaintext-twin"),
        ({"plaintext_twin": OPEN}, ""),
        ({"chain": replace(GOOD.chain, missing_intermediate=YES)}, "missing-intermediate"),
        (
            {"chain": replace(GOOD.chain, sent=(replace(LEAF, not_after="2026-12-01T00:00:00Z"),))},
            "certificate-ends-soon",
        ),
        ({"chain": replace(GOOD.chain, sent=(replace(LEAF, not_after="2026-12-01T00:00:01Z"),))}, ""),
        ({"chain": replace(GOOD.chain, sent=(replace(LEAF, not_after="2026-10-31T00:00:00Z"),))}, ""),
    ],
)
def test_what_lies_beyond_the_table_is_told(lab: Any, changes: dict[str, Any], code: str) -> None:
    records = seen(lab, replace(GOOD, **changes))
    told = [item.values["code"] for item in records if item.kind == "weakness" and item.unavailable is None]
    assert told == ([code] if code else [])


def test_one_key_behind_two_endpoints_is_told_and_behind_two_names_of_one_is_not(lab: Any) -> None:
    def told(*found: EndpointFacts) -> bool:
        return any(item.values.get("code") == "shared-endpoint-key" for item in seen(lab, *found))

    assert told(GOOD, replace(GOOD, port=9443))
    assert not told(GOOD, GOOD)
    other = replace(LEAF, key=replace(KEY, id="ef" * 32))
    assert not told(GOOD, replace(GOOD, port=9443, chain=replace(GOOD.chain, sent=(other,))))
    second = ServerChain(sent=(LEAF,))
    assert told(GOOD, replace(GOOD, port=9443, chain=replace(GOOD.chain, sent=(other,)), other_chains=(second,)))
    pin = "sha256/" + base64.b64encode(bytes.fromhex(KEY.id)).decode()
    assert told(GOOD, replace(GOOD, port=9443, chain=ServerChain(raw_public_key_pin=pin)))
    assert not told(GOOD, replace(GOOD, port=9443, chain=ServerChain(raw_public_key_pin="sha256/" + "A" * 43 + "=")))


def test_a_second_certificate_counts_for_the_session(lab: Any) -> None:
    bad = ServerChain(sent=(LEAF,), within_validity=NO, path_valid=NO, name_matches=YES, weak_hash=NO, weakest_bits=112)
    (record,) = [item for item in seen(lab, replace(GOOD, other_chains=(bad,))) if item.kind == "tls_session"]
    found = {
        name: record.values.get(name) for name in ("chain_valid", "within_validity", "name_matches", "weakest_bits")
    }
    assert found == {"chain_valid": False, "within_validity": False, "name_matches": True, "weakest_bits": 112}


def test_a_key_that_an_endpoint_shows_is_a_tls_key_of_the_inventory(lab: Any) -> None:
    lab.say(endpoints=(endpoint(),))
    context = replace(lab.context, examined=(Examined(ref=endpoint(), facts=GOOD),), live=True)
    keys = [item for item in _run.run(context, strict=True).of("key") if item.values.get("key") == KEY.id]
    assert [item.values["roles"] for item in keys] == [("tls",)]


@pytest.mark.parametrize(
    ("url", "scheme", "host", "port", "path"),
    [
        ("https://updates.example/fw?id=1", "https", "updates.example", 443, "/fw?id=1"),
        ("mqtts://[::1]:8883", "mqtts", "::1", 8883, "/"),
        ("coaps://10.0.0.1/fw", "coaps", "10.0.0.1", 5684, "/fw"),
        ("http://updates.example/fw", "https", "updates.example", 80, "/fw"),
    ],
)
def test_an_address_leads_to_a_target(url: str, scheme: str, host: str, port: int, path: str) -> None:
    target = target_of(url)
    assert (target.scheme, target.host, target.port, target.path) == (scheme, host, port, path)


@pytest.mark.parametrize("url", ["ftp://updates.example", "https://:443", "tls://host:99999"])
def test_an_address_that_leads_nowhere_is_refused(url: str) -> None:
    with pytest.raises(ValueError, match=r"speak|host|Port|port"):
        target_of(url)


def test_without_permission_nothing_is_asked_and_every_slot_says_how_to_ask(lab: Any) -> None:
    lab.say(endpoints=(endpoint(step=Step.SEND),))
    records = _run._run(lab.context, [PROBE], strict=True).records
    assert {item.unavailable for item in records if item.kind in PROBE.kinds} == {Reason.NOT_PERMITTED}
    assert all(item.values["endpoint"] == "main" for item in records if item.kind in PROBE.kinds)


def test_a_record_of_somebody_else_is_examined_and_never_tested(lab: Any) -> None:
    offer = one(seen(lab, GOOD, recorded=True), "tls_offer")
    assert (offer.method, offer.party) == (Method.EXAMINED, Party.FIRST)


def test_a_record_speaks_of_endpoints_by_scheme_host_and_port(lab: Any) -> None:
    lab.say(endpoints=(endpoint(), replace(endpoint("other"), url="https://127.0.0.1:8444/fw")))
    found, missing = _run.read_examined(lab.description, endpoint_json([GOOD]))
    assert (found.facts, found.recorded) == (GOOD, True)
    assert (missing.facts, missing.reason) == (None, Reason.MISSING_RECORD.value)
    bad = lab.say(endpoints=(replace(endpoint(), url="ftp://x"),)).description
    assert _run.read_examined(bad, endpoint_json([GOOD]))[0].reason == Reason.UNSUPPORTED_FORMAT.value


def test_a_record_needs_no_permission_to_connect(lab: Any) -> None:
    lab.say(endpoints=(endpoint(),))
    context = replace(lab.context, examined=(Examined(ref=endpoint(), facts=GOOD, recorded=True),))
    assert one([item for item in _run._run(context, [PROBE], strict=True).records if item.kind in KINDS], "tls_offer")
