"""From a description to the verdicts of Send and Receive, over real servers on loopback; and `otaudit probe` of one."""

from __future__ import annotations

import base64
import hashlib
import json
import time
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from checker.__main__ import run
from checker.model.assessment import Assessment
from checker.model.endpoint import Answer, Manner
from checker.model.terms import Reason, Verdict
from checker.pipeline import Options, assess
from tests.transport.battery import PSK, free_port, port, responder, silent
from tests.transport.conftest import Start, needs
from tests.transport.pki import AS_OF, DAY, Leaf, Pki, told_at


class Described:
    """A description whose only endpoint is a server of the battery."""

    def __init__(self, folder: Path, pki: Pki) -> None:
        self.folder, self.pki = folder, pki
        device = pki.leaves["device"]
        (folder / "root.pem").write_bytes(pki.root.pem)
        (folder / "device.pem").write_bytes(device.chain)
        (folder / "device.key").write_bytes(device.key_pem)

    def pin(self, leaf: str) -> str:
        public = self.pki.leaves[leaf].certificate.public_key()
        spki = public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
        return "sha256/" + base64.b64encode(hashlib.sha256(spki).digest()).decode()

    def assess(
        self,
        port: int,
        *,
        live: bool = True,
        pins: tuple[str, ...] = (),
        manner: Manner | None = None,
        more: tuple[dict[str, Any], ...] = (),
        expired: dict[str, str] | None = None,
    ) -> Assessment:
        trust = {"anchors": ["root.pem"], "pins": list(pins)} if pins else {"anchors": ["root.pem"]}
        device = {
            "otaudit": "device/1", "vendor": "Acme", "model": "GW", "targets": [{"id": "main"}],
            "trust": {"transport": trust, "devices": {"anchors": ["root.pem"]}},
        }  # fmt: skip
        endpoint: dict[str, Any] = {
            "id": "updates", "url": f"https://localhost:{port}/fw",
            "client_identity": {"cert": "device.pem", "key": "device.key"},
        }  # fmt: skip
        if expired is not None:
            endpoint["client_identity"]["expired"] = expired
        update = {"otaudit": "update/1", "device": device, "id": "u", "version": "1", "endpoints": [endpoint, *more]}
        (self.folder / "update.yaml").write_text(json.dumps(update))
        return assess(self.folder / "update.yaml", Options(as_of=AS_OF, live=live, manner=manner or Manner()))


@pytest.fixture
def described(tmp_path: Path, pki: Pki) -> Described:
    return Described(tmp_path, pki)


def verdicts(found: Assessment, *names: str) -> dict[str, str]:
    return {
        item.requirement.id: item.judgement().verdict.value for item in found.findings if item.requirement.id in names
    }


def test_mutual_tls_proves_that_the_device_is_verified_and_that_it_must_be(described: Described, nginx: Any) -> None:
    found = described.assess(nginx["mutual"])
    wanted = ("SEND-U1", "SEND-U2", "RECV-U3", "RECV-E3")
    assert verdicts(found, *wanted) == dict.fromkeys(wanted, "pass")


def test_without_mutual_tls_nobody_verifies_the_device(described: Described, nginx: Any) -> None:
    found = described.assess(nginx["both"])
    assert verdicts(found, "SEND-U1", "SEND-U2") == {"SEND-U1": "fail", "SEND-U2": "fail"}


def test_a_client_certificate_that_is_optional_is_not_demanded(described: Described, nginx: Any) -> None:
    assert verdicts(described.assess(nginx["optional"]), "SEND-U1", "SEND-U2") == {"SEND-U1": "pass", "SEND-U2": "fail"}


def test_an_old_server_fails_and_the_finding_names_version_and_suite(described: Described, nginx: Any) -> None:
    found = {item.requirement.id: item for item in described.assess(nginx["rsa"]).findings}
    version, suites = found["RECV-U1"], found["RECV-U2"]
    assert version.judgement().verdict is Verdict.FAIL
    assert suites.judgement().verdict is Verdict.FAIL
    told = suites.judgement().explanation
    assert "TLS_RSA_WITH_AES_128_CBC_SHA" in told
    assert "RFC 9325 4.1 and 4.2" in told


@pytest.mark.parametrize("server", ["expired", "wronghost", "rogueleaf", "noint", "selfsigned"])
def test_a_certificate_with_one_fault_fails_receive(described: Described, nginx: Any, server: str) -> None:
    assert verdicts(described.assess(nginx[server]), "RECV-U3") == {"RECV-U3": "fail"}


def test_pins_are_met_with_what_the_server_shows(described: Described, nginx: Any) -> None:
    def session(*pins: str) -> dict[str, Any]:
        found = described.assess(nginx["both"], pins=pins)
        (record,) = [item for item in found.evidence.of("tls_session") if item.unavailable is None]
        return {name: record.values.get(name) for name in ("pin_declared", "pin_matches", "backup_pin")}

    right, other = described.pin("ok"), described.pin("expired")
    assert session(right, other) == {"pin_declared": True, "pin_matches": True, "backup_pin": True}
    assert session(other)["pin_matches"] is False
    assert session(right)["backup_pin"] is False
    assert session()["pin_declared"] is False


def test_without_permission_nothing_is_asked(described: Described, nginx: Any) -> None:
    found = described.assess(nginx["mutual"], live=False)
    assert {record.unavailable for record in found.evidence.of("tls_offer")} == {Reason.NOT_PERMITTED}
    assert verdicts(found, "SEND-U2", "RECV-U3") == {"SEND-U2": "unknown", "RECV-U3": "unknown"}


def test_a_port_where_nobody_listens_leaves_everything_open(described: Described) -> None:
    found = described.assess(1)
    assert verdicts(found, "SEND-U2", "RECV-U2", "RECV-U3") == dict.fromkeys(
        ("SEND-U2", "RECV-U2", "RECV-U3"), "unknown"
    )


def test_a_live_check_keeps_the_transcripts_and_judges_them_again_without_the_endpoint(
    described: Described, nginx: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    described.assess(nginx["mutual"], live=False)
    update, record = str(tmp_path / "update.yaml"), tmp_path / "seen.json"
    run(["check", update, "--as-of", AS_OF, "--live", "--save-endpoints", str(record), "-q"])
    assert described.pki.leaves["device"].key_pem.splitlines()[1] not in record.read_bytes()
    run(["check", update, "--as-of", AS_OF, "--endpoint-record", str(record), "-o", "json:-", "-q"])
    report = json.loads(capsys.readouterr().out)
    offers = [item for item in report["evidence"]["records"] if item["kind"] == "tls_offer"]
    assert [(item["method"], item["values"]["client_auth"]) for item in offers] == [
        ("examined", "required_by_application")
    ]
    assert run(["check", update, "--live", "--save-endpoints", "-", "-o", "json:-"]) == 2


def test_the_probe_command_writes_a_record_that_says_the_same_again(
    nginx: Any, described: Described, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["--trust", str(tmp_path / "root.pem"), "--profile", "rfc-9325", "--as-of", AS_OF]
    record = tmp_path / "endpoint.json"
    first = run(["probe", f"https://localhost:{nginx['rsa']}/", *words, "-o", str(record)])
    shown = capsys.readouterr().out
    assert run(["probe", "--from", str(record), "--profile", "rfc-9325", "--as-of", AS_OF]) == first == 1
    assert capsys.readouterr().out == shown
    key = described.pki.leaves["device"].key_pem.splitlines()[1]
    assert key not in record.read_bytes()
    assert all(item["sent"] for item in json.loads(record.read_text())["endpoints"][0]["exchanges"])


@needs("openssl", "nginx")
@pytest.mark.parametrize(
    ("revoked", "fetch", "told"),
    [
        (False, True, [True, True, False]),
        (True, True, [True, True, True]),
        (False, False, [True, False, None]),
    ],
)
def test_the_devices_own_responder_is_asked_for_send(
    described: Described,
    nginx: Any,
    start: Start,
    tmp_path: Path,
    revoked: bool,  # noqa: FBT001 - a parameter
    fetch: bool,  # noqa: FBT001
    told: list[bool | None],
) -> None:
    number, pki = free_port(), described.pki
    place = told_at(ocsp=(f"http://127.0.0.1:{number}",))
    device = pki.issue("told-device", Leaf(usage=pki.client_auth, names=("device-1",), more=place))
    start(
        responder(pki, tmp_path, "int", number=number, known=("told-device",), revoked="told-device" if revoked else "")
    )
    (tmp_path / "device.pem").write_bytes(device.chain)
    (tmp_path / "device.key").write_bytes(device.key_pem)
    found = described.assess(nginx["mutual"], manner=Manner(fetch=fetch))
    (path,) = [item for item in found.evidence.of("chain") if item.values.get("use") == "tls-client"]
    assert [path.values.get(name) for name in ("revocation_named", "revocation_checked", "revoked")] == told
    assert verdicts(found, "SEND-E-PK7")["SEND-E-PK7"] == ("fail" if revoked else "unknown")  # no artifact is described


def test_options_of_an_endpoint_go_before_those_of_the_command(described: Described, nginx: Any, start: Start) -> None:
    quiet = start(port(silent))
    words = {"url": f"tls://127.0.0.1:{quiet}", "timeout": 1}
    began = time.monotonic()
    found = described.assess(nginx["both"], manner=Manner(timeout=30.0, gentle=True, rate=100.0), more=(words,))
    assert time.monotonic() - began < 15
    reasons = {item.values.get("endpoint"): item.unavailable for item in found.evidence.of("tls_offer")}
    assert reasons == {"updates": None, words["url"]: Reason.TIMEOUT}
    by_port = {item.port: item for item in found.endpoints}
    assert by_port[quiet].exchanges[0].milliseconds < 3000
    asked = by_port[nginx["both"]]
    assert asked.milliseconds > (asked.connections - 2) * 10


def test_an_expired_credential_of_the_right_authority_may_be_described(described: Described, nginx: Any) -> None:
    old = described.pki.issue("old-device", Leaf(start=-60 * DAY, end=-DAY, usage=described.pki.client_auth))
    (described.folder / "old.pem").write_bytes(old.chain)
    (described.folder / "old.key").write_bytes(old.key_pem)
    for expired, said in (({"cert": "old.pem", "key": "old.key"}, "given"), (None, "made here")):
        (facts,) = described.assess(nginx["mutual"], expired=expired).endpoints
        trial = next(item for item in facts.client.trials if item.credential == "expired")
        assert (trial.accepted.answer, said in trial.accepted.reason) == (Answer.NO, True)


def test_a_described_pre_shared_key_is_tried_and_never_shown(described: Described, nginx: Any, mosquitto: Any) -> None:
    (described.folder / "a.psk").write_text(PSK)
    (described.folder / "bad.psk").write_text("secretkey")
    address = f"mqtts://127.0.0.1:{mosquitto['psk']}"
    good = {"url": address, "psk": {"identity": "ota", "key": "a.psk"}}
    bad = {"id": "bad", "url": f"mqtts://localhost:{mosquitto['psk']}", "psk": {"identity": "ota", "key": "bad.psk"}}
    found = described.assess(nginx["both"], more=(good, bad))
    facts = next(item for item in found.endpoints if item.port == mosquitto["psk"])
    taken = {item.credential: item.accepted.answer for item in facts.psk_trials if item.version == "TLSv1.2"}
    assert taken == {"psk": Answer.YES, "psk_other_identity": Answer.NO, "psk_wrong_key": Answer.NO}
    sessions = [item for item in found.evidence.of("tls_session") if item.values.get("endpoint") == address]
    assert [item.values.get("version") for item in sessions] == ["TLSv1.2"]
    (refused,) = [item for item in found.evidence.of("tls_offer") if item.values.get("endpoint") == "bad"]
    assert "holds no key in hexadecimal" in refused.explanation
    assert PSK not in repr(found).lower()
    assert "secretkey" not in repr(found)


def test_the_probe_command_takes_an_expired_credential(
    described: Described, nginx: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    old = described.pki.issue("old-device", Leaf(start=-60 * DAY, end=-DAY, usage=described.pki.client_auth))
    (tmp_path / "old.pem").write_bytes(old.chain)
    (tmp_path / "old.key").write_bytes(old.key_pem)
    words = ["probe", f"https://localhost:{nginx['mutual']}/", "--trust", str(tmp_path / "root.pem"), "--as-of", AS_OF]
    words += ["--client-cert", str(tmp_path / "device.pem"), "--client-key", str(tmp_path / "device.key")]
    run([*words, "--expired-client-cert", str(tmp_path / "old.pem"), "--expired-client-key", str(tmp_path / "old.key")])
    shown = " ".join(capsys.readouterr().out.replace("│", " ").split())
    assert "credential expired refused by application: HTTP 400; it was given, of the authority CN=int" in shown
    assert run([*words, "--expired-client-cert", str(tmp_path / "old.pem")]) == 2
    assert "belong together" in capsys.readouterr().err
