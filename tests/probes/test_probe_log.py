"""Update logs: order, identity, recomputed digests, signatures and chains, each beside its near miss."""

from __future__ import annotations

import base64
import hashlib
import json
import re
import subprocess
import zlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from checker.model.artifact import DigestCheck, Signature
from checker.model.terms import Method, Outcome, Reason
from checker.probes import _events
from checker.probes.log import PROBE

CPU, RADIO = b"main firmware " * 100, b"radio firmware " * 90
Line = dict[str, Any]


def at(minute: int, event: str, **fields: Any) -> Line:
    stamp = f"2026-10-01T10:{minute:02}:00Z"
    return {"event": event, "time": stamp, "device": "A", "update": "gw-2.4.1", **fields}


def sha(data: bytes) -> Line:
    return {"algorithm": "sha-256", "value": hashlib.sha256(data).hexdigest()}


def verified(data: bytes, **fields: Any) -> Line:
    hashed = {"name": "sha-256", "value": hashlib.sha256(data).hexdigest(), "reference": "signed"} | fields
    return {"result": "success", "read_back": True, "hash": hashed}


def crc(data: bytes) -> Line:
    return {"checksum": {"name": "crc-32", "value": f"{zlib.crc32(data):08x}"}}


def story(data: bytes) -> list[Line]:
    """Return an update of a device with one target as it should be."""
    return [
        at(0, "announced", audience="end user", content=["version"]),
        at(1, "approved", audience="end user", result="success"),
        at(2, "endpoint_verified", result="success", channel="https"),
        at(3, "downloaded", result="success", digest=sha(data), tls_version="1.3"),
        at(4, "signature_checked", result="success"),
        at(5, "precondition_checked", name="free space", result="success"),
        at(6, "applied", result="success", to_version="2.4.1"),
        at(7, "reverified", **verified(CPU), **crc(CPU)),
        at(8, "activated", result="success", to_version="2.4.1"),
        at(9, "reported", result="success", from_version="2.4.0", to_version="2.4.1"),
        at(10, "cleaned_up", result="success", leftovers=0),
    ]


@pytest.fixture
def gateway(lab: Any, bundle: Callable[..., Any]) -> Any:
    """A device with one target and one deliverable, which is a container of its firmware."""
    artifact, data = bundle({"cpu": CPU})
    lab.targets("cpu").artifact(artifact, data, device="A")
    lab.data = data
    return lab


@pytest.fixture
def pair(lab: Any, bundle: Callable[..., Any]) -> Any:
    """A device with two targets."""
    artifact, data = bundle({"cpu": CPU, "radio": RADIO})
    lab.targets("cpu", "radio").artifact(artifact, data, device="A")
    lab.data = data
    return lab


def orders(lab: Any, before: str, after: str) -> dict[str, Any]:
    found = [item for item in lab.run(PROBE) if item.kind == "log_order"]
    mine = [item for item in found if (item.values.get("before"), item.values.get("after")) == (before, after)]
    return {str(item.values["target"]): item.values.get("holds") for item in mine}


# Order


def test_a_good_log_keeps_every_order(gateway: Any) -> None:
    gateway.log(story(gateway.data), device="A")
    answers = [item.values.get("holds") for item in gateway.run(PROBE) if item.kind == "log_order"]
    assert answers.count(True) == len(answers) - 2  # `distributed` and `notified` do not occur


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("announced", "applied"),
        ("approved", "applied"),
        ("precondition_checked", "applied"),
        ("endpoint_verified", "downloaded"),
        ("downloaded", "signature_checked"),
        ("signature_checked", "applied"),
        ("reverified", "activated"),
        ("activated", "cleaned_up"),
    ],
)
def test_two_events_swapped_break_their_order_and_their_absence_does_not(gateway: Any, before: str, after: str) -> None:
    lines = story(gateway.data)
    places = {line["event"]: place for place, line in enumerate(lines)}
    moved = [line for line in lines if line["event"] != before]
    late = lines[places[before]] | {"time": "2026-10-01T11:00:00Z"}
    gateway.log([*moved, late], name="swapped.jsonl", device="A")
    assert orders(gateway, before, after) == {"cpu": False}
    gateway.say(logs=())
    gateway.log(moved, name="absent.jsonl", device="A")
    assert orders(gateway, before, after) == {"cpu": None}


def test_a_time_that_runs_backwards_contradicts_the_order_of_the_lines(gateway: Any) -> None:
    lines = story(gateway.data)
    lines[7]["time"] = "2026-10-01T12:00:00Z"  # re-verified after it was activated
    gateway.log(lines, device="A")
    assert orders(gateway, "reverified", "activated") == {"cpu": False}
    assert gateway.one(PROBE, "log").values["monotonic"] is False


def test_a_failed_check_before_the_event_is_no_check(gateway: Any) -> None:
    lines = story(gateway.data)
    lines[4]["result"] = "failure"
    gateway.log(lines, device="A")
    assert orders(gateway, "signature_checked", "applied") == {"cpu": False}


def test_a_check_without_a_result_is_unknown(gateway: Any) -> None:
    lines = story(gateway.data)
    del lines[4]["result"]
    gateway.log(lines, device="A")
    assert orders(gateway, "signature_checked", "applied") == {"cpu": None}


def test_a_second_apply_needs_a_second_reverification(gateway: Any) -> None:
    lines = story(gateway.data)
    again = [at(11, "applied", result="success", to_version="2.4.1"), at(12, "activated", result="success")]
    gateway.log([*lines, *again], device="A")
    assert orders(gateway, "reverified", "activated") == {"cpu": False}


def test_one_precondition_that_failed_spoils_those_that_passed(gateway: Any) -> None:
    lines = story(gateway.data)
    lines.insert(5, at(5, "precondition_checked", name="mains power", result="failure"))
    gateway.log(lines, device="A")
    assert orders(gateway, "precondition_checked", "applied") == {"cpu": False}


def test_the_reverification_of_one_target_is_not_that_of_another(pair: Any) -> None:
    lines = story(pair.data)
    lines[7]["target"] = "cpu"
    lines[8]["target"] = "radio"
    pair.log(lines, device="A")
    assert orders(pair, "reverified", "activated") == {"cpu": None, "radio": None}


def test_a_reverification_that_names_no_target_counts_for_none_of_two(pair: Any) -> None:
    lines = story(pair.data)
    del lines[7]["hash"]
    pair.log(lines, device="A")
    assert orders(pair, "reverified", "activated") == {"cpu": None, "radio": None}


def test_clean_up_after_a_refusal_is_in_order(gateway: Any) -> None:
    lines = [at(3, "downloaded", digest=sha(gateway.data)), at(4, "refused", reason="signature"), at(5, "cleaned_up")]
    gateway.log(lines, device="A")
    assert orders(gateway, "activated", "cleaned_up") == {"cpu": True}


# Identity


def test_a_good_log_is_about_the_artifact(gateway: Any) -> None:
    gateway.log(story(gateway.data), device="A", external=True)
    values = gateway.one(PROBE, "log").values
    assert (values["artifact_matches"], values["device_matches"], values["external"]) == (True, True, True)
    reported = gateway.one(PROBE, "log_event", event="reported").values
    assert (reported["update_id_matches"], reported["version_matches"], reported["complete"]) == (True, True, True)


def test_a_log_of_another_update_says_so(gateway: Any) -> None:
    gateway.log([line | {"update": "gw-2.4.2"} for line in story(gateway.data)], device="A")
    assert gateway.one(PROBE, "log").values["artifact_matches"] is False
    assert gateway.one(PROBE, "log_event", event="reported").values["update_id_matches"] is False


def test_a_log_that_names_no_update_is_not_known_to_be_about_it(gateway: Any) -> None:
    gateway.log([{k: v for k, v in line.items() if k != "update"} for line in story(gateway.data)], device="A")
    assert "artifact_matches" not in gateway.one(PROBE, "log").values


def test_events_of_another_update_beside_this_one_do_not_count_for_it(gateway: Any) -> None:
    old = at(0, "reverified", **verified(CPU)) | {"update": "gw-2.4.0"}
    nameless = {k: v for k, v in at(0, "staged", result="success").items() if k != "update"}
    gateway.log([old, nameless, *story(gateway.data)], device="A")
    flags = [item.values.get("artifact_matches") for item in gateway.run(PROBE) if item.kind == "log_event"]
    assert sorted(map(str, flags)) == sorted(["False", "None"] + ["True"] * 11)


def test_a_version_one_step_off_does_not_match(gateway: Any) -> None:
    lines = story(gateway.data)
    lines[9]["to_version"] = "2.4.2"
    gateway.log(lines, device="A")
    assert gateway.one(PROBE, "log_event", event="reported").values["version_matches"] is False


def test_the_log_of_another_device_does_not_match(gateway: Any) -> None:
    gateway.log([line | {"device": "B"} for line in story(gateway.data)], device="A")
    assert gateway.one(PROBE, "log").values["device_matches"] is False


def test_an_event_without_a_field_that_its_step_asks_for_is_not_complete(gateway: Any) -> None:
    lines = story(gateway.data)
    del lines[9]["from_version"]
    gateway.log(lines, device="A")
    assert gateway.one(PROBE, "log_event", event="reported").values["complete"] is False


def test_the_digest_of_another_file_does_not_match(gateway: Any) -> None:
    lines = story(gateway.data)
    lines[3]["digest"] = sha(gateway.data + b"\0")
    gateway.log(lines, device="A")
    assert gateway.one(PROBE, "log_event", event="downloaded").values["digest_matches"] is False
    assert gateway.one(PROBE, "log").values["artifact_matches"] is False


def test_the_digest_of_the_neighbours_image_does_not_match(pair: Any) -> None:
    lines = [at(1, "distributed", target="cpu", digest=sha(CPU)), at(2, "distributed", target="radio", digest=sha(CPU))]
    pair.log(lines, device="A")
    assert pair.one(PROBE, "log_event", target="cpu").values["digest_matches"] is True
    assert pair.one(PROBE, "log_event", target="radio").values["digest_matches"] is False


# Re-verification


def test_hash_and_checksum_of_the_installed_image_are_recomputed(gateway: Any) -> None:
    gateway.log(story(gateway.data), device="A")
    values = gateway.one(PROBE, "reverification").values
    assert values["hash"] == {"name": "sha-256", "bits": 256, "collision_bits": 128}
    assert (values["hash_matches"], values["checksum_matches"]) == (True, True)
    assert (values["checksum_bits"], values["checksum_crc"]) == (32, True)
    assert (values["reference_authentic"], values["reference_quantum_resistant"]) == (True, False)
    assert (values["before_activation"], values["read_back"]) == (True, True)


def test_the_hash_of_the_container_is_not_that_of_the_installed_image(gateway: Any, bundle: Any) -> None:
    artifact, data = bundle({"cpu": CPU}, sha256="77" * 32)
    gateway.opened.clear()
    gateway.say(artifacts=()).artifact(artifact, data + b"trailer", device="A")
    lines = story(data + b"trailer")
    lines[7] |= verified(data + b"trailer")
    gateway.log(lines, device="A")
    found = [item.values.get("hash_matches") for item in gateway.run(PROBE) if item.kind == "reverification"]
    assert False in found
    assert True not in found


def test_a_repaired_checksum_beside_a_wrong_hash_does_not_help(gateway: Any) -> None:
    lines = story(gateway.data)
    lines[7] |= verified(CPU + b"!")
    gateway.log(lines, device="A")
    records = [item for item in gateway.run(PROBE) if item.kind == "reverification"]
    assert [item.values.get("hash_matches") for item in records if item.unavailable is None] == [False]
    assert [item.unavailable for item in records if item.unavailable] == [Reason.MISSING_RECORD]


def test_a_checksum_one_off_does_not_match(gateway: Any) -> None:
    lines = story(gateway.data)
    lines[7]["checksum"]["value"] = f"{zlib.crc32(CPU) ^ 1:08x}"
    gateway.log(lines, device="A")
    assert gateway.one(PROBE, "reverification").values["checksum_matches"] is False


def test_a_checksum_that_is_no_crc_is_named_so(gateway: Any) -> None:
    lines = story(gateway.data)
    lines[7]["checksum"] = {"name": "adler-32", "value": f"{zlib.adler32(CPU):08x}"}
    gateway.log(lines, device="A")
    values = gateway.one(PROBE, "reverification").values
    assert (values["checksum_crc"], values["checksum_bits"]) == (False, 32)
    assert "checksum_matches" not in values


def test_an_image_of_another_target_without_a_reverification_leaves_a_gap(pair: Any) -> None:
    lines = story(pair.data)
    lines[7]["target"] = "cpu"
    pair.log(lines, device="A")
    gaps = [item for item in pair.run(PROBE) if item.kind == "reverification" and item.unavailable]
    assert [item.values["target"] for item in gaps] == ["radio"]


def test_a_hash_that_was_computed_while_writing_is_no_authentic_reference(gateway: Any) -> None:
    lines = story(gateway.data)
    lines[7] |= verified(CPU, reference="computed")
    gateway.log(lines, device="A")
    assert gateway.one(PROBE, "reverification").values["reference_authentic"] is False


def test_a_reference_that_no_valid_signature_covers_is_not_authentic(lab: Any, bundle: Any) -> None:
    artifact, data = bundle({"cpu": CPU}, signatures=(Signature(outcome=Outcome.INVALID, algorithm="ecdsa"),))
    bare = artifact.images
    plain = DigestCheck(name="sum", algorithm="sha-256", expected="00", actual="00")
    images = tuple(type(image)(**{**vars(image), "digests": (plain,)}) for image in bare)
    lab.targets("cpu").artifact(type(artifact)(**{**vars(artifact), "images": images}), data, device="A")
    lab.log(story(data), device="A")
    assert lab.one(PROBE, "reverification").values["reference_authentic"] is False


def test_a_keyed_tag_cannot_be_recomputed_and_is_not_taken_for_equal(gateway: Any) -> None:
    lines = story(gateway.data)
    tag = {"name": "aes-256-cmac", "value": "00" * 16, "keyed": "cmac", "tag_bits": 128, "key_id": "fleet"}
    lines[7]["hash"] = tag
    gateway.key("fleet")
    gateway.log(lines, device="A")
    values = gateway.run(PROBE)
    record = next(item.values for item in values if item.kind == "reverification" and item.unavailable is None)
    assert (record["keyed"], record["key_unique"]) == ("cmac", False)
    assert "hash_matches" not in record


def test_an_activation_before_the_reverification_is_seen(gateway: Any) -> None:
    lines = story(gateway.data)
    lines[7], lines[8] = lines[8], lines[7]
    gateway.log(lines, device="A")
    assert gateway.one(PROBE, "reverification").values["before_activation"] is False


@pytest.mark.parametrize(("after", "equal"), [("aa", True), ("ab", False)])
def test_user_data_persists_if_its_digests_are_equal(gateway: Any, after: str, equal: bool) -> None:  # noqa: FBT001
    lines = story(gateway.data)
    lines[8]["data"] = {"before": "aa", "after": after}
    gateway.log(lines, device="A")
    assert gateway.one(PROBE, "persistence").values["equal"] is equal


# How far a log is believed


def _methods(lab: Any) -> set[Method]:
    return {item.method for item in lab.run(PROBE) if item.unavailable is None}


def _nothing_said(lab: Any) -> bool:
    events = [item for item in lab.run(PROBE) if item.kind != "log"]
    return bool(events) and all(item.unavailable for item in events)


def _chained(lines: list[Line]) -> bytes:
    done, head = [], "0" * 64
    for line in lines:
        text = json.dumps(line | {"previous": head}).encode()
        done.append(text)
        head = hashlib.sha256(text).hexdigest()
    return b"\n".join(done) + b"\n"


class Signer:
    """OpenSSL as the second implementation: makes a key and signs."""

    def __init__(self, folder: Path, name: str, *options: str) -> None:
        self.folder, self.key = folder, folder / f"{name}.key"
        subprocess.run(["openssl", "genpkey", "-out", self.key, *options], check=True, capture_output=True)
        self.public = subprocess.run(
            ["openssl", "pkey", "-in", self.key, "-pubout"], check=True, capture_output=True
        ).stdout

    def sign(self, message: bytes, *options: str) -> bytes:
        path = self.folder / "message"
        path.write_bytes(message)
        command = ["openssl", "pkeyutl", "-sign", "-rawin", "-inkey", str(self.key), "-in", str(path), *options]
        return subprocess.run(command, check=True, capture_output=True).stdout

    def envelope(self, payload: bytes, kind: str, *options: str) -> bytes:
        pae = b" ".join([b"DSSEv1", b"%d" % len(kind), kind.encode(), b"%d" % len(payload), payload])
        signature = base64.b64encode(self.sign(pae, *options)).decode()
        body = {"payloadType": kind, "payload": base64.b64encode(payload).decode(), "signatures": [{"sig": signature}]}
        return json.dumps(body).encode()


LOG_TYPE = "application/vnd.otaudit.update-log+jsonl"
HEAD_TYPE = "application/vnd.otaudit.log-head+json"
ED25519 = ("-algorithm", "ED25519")
P256 = ("-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256")
P384 = ("-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-384")
RSA = ("-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048")
PSS = ("-digest", "sha256", "-pkeyopt", "rsa_padding_mode:pss")


def plain(lines: list[Line]) -> bytes:
    return b"".join(json.dumps(line).encode() + b"\n" for line in lines)


@pytest.mark.parametrize(
    ("key", "options"),
    [
        (ED25519, ()),
        (P256, ("-digest", "sha256")),
        (P384, ("-digest", "sha384")),
        (RSA, ("-digest", "sha256")),
        (RSA, PSS),
    ],
    ids=["ed25519", "p256", "p384", "rsa-pkcs1", "rsa-pss"],
)
def test_a_log_that_openssl_signed_is_tested(
    gateway: Any, tmp_path: Path, key: tuple[str, ...], options: tuple[str, ...]
) -> None:
    signer, body = Signer(tmp_path, "log", *key), plain(story(gateway.data))
    envelope = gateway.file("A.dsse.json", signer.envelope(body, LOG_TYPE, *options))
    gateway.log_keys(signer.public).log(body, device="A", signature=envelope)
    assert _methods(gateway) == {Method.TESTED}
    assert gateway.one(PROBE, "log").values["signed"] is True


def test_an_unsigned_log_is_examined(gateway: Any) -> None:
    gateway.log(story(gateway.data), device="A")
    assert _methods(gateway) == {Method.EXAMINED}


def test_a_signed_log_with_one_byte_changed_says_nothing(gateway: Any, tmp_path: Path) -> None:
    signer, body = Signer(tmp_path, "log", *ED25519), plain(story(gateway.data))
    envelope = gateway.file("A.dsse.json", signer.envelope(body, LOG_TYPE))
    gateway.log_keys(signer.public).log(body.replace(b"2.4.0", b"2.3.9"), device="A", signature=envelope)
    assert gateway.one(PROBE, "log").values["signed"] is False
    assert _nothing_said(gateway)


def test_a_signature_by_a_stranger_is_none(gateway: Any, tmp_path: Path) -> None:
    signer, own = Signer(tmp_path, "stranger", *ED25519), Signer(tmp_path, "own", *ED25519)
    body = plain(story(gateway.data))
    envelope = gateway.file("A.dsse.json", signer.envelope(body, LOG_TYPE))
    gateway.log_keys(own.public).log(body, device="A", signature=envelope)
    assert _nothing_said(gateway)


def test_a_signature_that_no_declared_key_can_judge_leaves_the_log_examined(gateway: Any, tmp_path: Path) -> None:
    signer, body = Signer(tmp_path, "log", *ED25519), plain(story(gateway.data))
    gateway.log(body, device="A", signature=gateway.file("A.dsse.json", signer.envelope(body, LOG_TYPE)))
    assert _methods(gateway) == {Method.EXAMINED}


def test_a_signature_over_another_type_of_payload_does_not_count(gateway: Any, tmp_path: Path) -> None:
    signer, body = Signer(tmp_path, "log", *ED25519), plain(story(gateway.data))
    envelope = gateway.file("A.dsse.json", signer.envelope(body, "application/vnd.in-toto+json"))
    gateway.log_keys(signer.public).log(body, device="A", signature=envelope)
    assert gateway.one(PROBE, "log").unavailable is Reason.UNREADABLE


def test_a_log_may_itself_be_the_envelope(gateway: Any, tmp_path: Path) -> None:
    signer = Signer(tmp_path, "log", *ED25519)
    gateway.log_keys(signer.public).log(signer.envelope(plain(story(gateway.data)), LOG_TYPE), device="A")
    assert _methods(gateway) == {Method.TESTED}
    assert gateway.one(PROBE, "log").values["events"] == 11


def test_a_whole_chain_is_tested_and_says_that_nobody_signed_it(gateway: Any) -> None:
    gateway.log(_chained(story(gateway.data)), device="A")
    values = gateway.one(PROBE, "log").values
    assert _methods(gateway) == {Method.TESTED}
    assert (values["chained"], values["signed"]) == (True, False)


@pytest.mark.parametrize("damage", ["change", "drop", "swap", "unlink"])
def test_a_broken_chain_says_nothing(gateway: Any, damage: str) -> None:
    lines = _chained(story(gateway.data)).splitlines()
    if damage == "change":
        lines[4] = lines[4].replace(b"success", b"failure")
    elif damage == "drop":
        del lines[4]
    elif damage == "swap":
        lines[4], lines[5] = lines[5], lines[4]
    else:
        lines[4] = json.dumps({k: v for k, v in json.loads(lines[4]).items() if k != "previous"}).encode()
    gateway.log(b"\n".join(lines), device="A")
    assert gateway.one(PROBE, "log").values["chained"] is False
    assert _nothing_said(gateway)


def _with_head(signer: Signer, body: bytes, **changes: Any) -> bytes:
    lines = body.splitlines()
    said = {"head": hashlib.sha256(lines[-1]).hexdigest(), "events": len(lines)} | changes
    return body + signer.envelope(json.dumps(said).encode(), HEAD_TYPE) + b"\n"


def test_a_signed_head_signs_the_whole_chain(gateway: Any, tmp_path: Path) -> None:
    signer = Signer(tmp_path, "log", *ED25519)
    gateway.log_keys(signer.public).log(_with_head(signer, _chained(story(gateway.data))), device="A")
    values = gateway.one(PROBE, "log").values
    assert (values["signed"], values["chained"], values["events"]) == (True, True, 11)


def test_a_signed_head_shows_that_the_end_was_cut_off(gateway: Any, tmp_path: Path) -> None:
    signer = Signer(tmp_path, "log", *ED25519)
    lines = _with_head(signer, _chained(story(gateway.data))).splitlines()
    gateway.log_keys(signer.public).log(b"\n".join([*lines[:-3], lines[-1]]), device="A")
    assert _nothing_said(gateway)


def test_a_signed_head_over_lines_that_are_not_chained_signs_only_the_last(gateway: Any, tmp_path: Path) -> None:
    signer = Signer(tmp_path, "log", *ED25519)
    gateway.log_keys(signer.public).log(_with_head(signer, plain(story(gateway.data))), device="A")
    assert gateway.one(PROBE, "log").values["signed"] is False
    assert _methods(gateway) == {Method.EXAMINED}


# Bad input


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (b'{"event": "applied", "event": "refused", "time": "2026-10-01T10:00:00Z"}', "stands twice"),
        (b'{"event": "cleaned_up", "time": "2026-10-01T10:00:00Z", "leftovers": NaN}', "not a JSON number"),
        (b'{"event": "applied", "time": "yesterday"}', "$.time"),
        (b'{"event": "applied", "time": "2026-02-30T10:00:00Z"}', "not a date"),
        (b'{"event": "exploded", "time": "2026-10-01T10:00:00Z"}', "$.event"),
        (b'{"event": "applied", "time": "2026-10-01T10:00:00Z", "typo": 1}', "typo"),
        (b'{"event": "refused", "time": "2026-10-01T10:00:00Z", "reason": "\\ud800"}', "surrogate"),
        (b"[1, 2]", "not a JSON object"),
        (b"\xff\xfe", "not UTF-8"),
        (b"[" * 100_000, "not JSON"),
        (b'{"x": ' + b"9" * 5000 + b"}", "not JSON"),
    ],
)
def test_a_bad_line_is_told_with_its_number_and_leaves_a_gap(gateway: Any, line: bytes, message: str) -> None:
    gateway.log(plain(story(gateway.data)[:2]) + line + b"\n", device="A")
    gap = next(item for item in gateway.run(PROBE) if item.kind == "log_event" and item.unavailable)
    assert gap.unavailable is Reason.UNREADABLE
    assert gap.explanation.startswith("A.jsonl:3:1: $: ")
    assert message in gap.explanation
    assert len(gap.explanation) < 400


def test_many_bad_lines_are_told_in_bounded_number(gateway: Any) -> None:
    gateway.log(b"bad\n" * 5000, device="A")
    assert len([item for item in gateway.run(PROBE) if item.kind == "log_event"]) <= _events.MAX_PROBLEMS + 2


def test_a_log_that_is_missing_is_unreadable_and_no_log_is_not_declared(gateway: Any) -> None:
    assert {item.unavailable for item in gateway.run(PROBE)} == {Reason.NOT_DECLARED}
    ref = gateway.log([], device="A")
    (gateway.folder / ref.file.path).unlink()
    assert {item.unavailable for item in gateway.run(PROBE)} == {Reason.UNREADABLE}


def test_an_empty_log_says_nothing(gateway: Any) -> None:
    gateway.log(b"", device="A")
    assert _nothing_said(gateway)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=True) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.binary(max_size=60) | json_values.map(lambda value: json.dumps(value).encode()), max_size=5))
def test_the_reader_never_raises_whatever_the_lines(lines: list[bytes]) -> None:
    text = _events.read("any.jsonl", b"\n".join(lines))
    assert len(text.problems) <= _events.MAX_PROBLEMS + 1
    assert all(problem.line >= 1 for problem in text.problems)


@settings(max_examples=60, deadline=None)
@given(st.integers(min_value=0, max_value=3000))
def test_a_log_cut_short_anywhere_gives_its_whole_lines(length: int) -> None:
    body = _chained(story(b"x"))
    text = _events.read("cut.jsonl", body[:length])
    assert len(text.events) <= body[:length].count(b"\n") + 1
    assert text.chained is not False or text.problems


def test_the_schema_and_the_page_name_the_same_fields() -> None:
    root = Path(__file__).resolve().parents[2]
    schema: Mapping[str, Any] = json.loads((root / "schemas" / "log-event.schema.json").read_text())
    page = (root / "docs" / "update-log.md").read_text()
    names = {*schema["properties"], *schema["properties"]["event"]["enum"], *schema["properties"]["hash"]["properties"]}
    told = {word for code in re.findall(r"`([^`\n]+)`", page) for word in re.findall(r"\w+", code)}
    assert names <= told
