"""Verifiers and staging keys in descriptions: everything is read, and a slip is said at its place."""

from __future__ import annotations

import re
import time
from collections.abc import Callable

import pytest

from checker.description.model import Description
from tests.description.conftest import Faults

Read = Callable[..., Description]
VERIFIER = """\
artifacts: [{{file: a, device: A, signature: s, companions: {{manifest: m}}}}]
verifier:
  adapter: command
  device: A
  argv: ["{{python}}", agent.py, "{{artifact}}", "{{signature}}", "{{manifest}}", "{{state}}"]
  boot: ["{{python}}", boot.py, "{{state}}"]
  report: [./report, "{{state}}"]
  state: lab/state
  installed: slots/b.bin
  log: update.log
  reasons: {{signature: is wrong, digest: "mismatch$"}}
{}"""


def test_every_field_is_read(read: Read) -> None:
    found = read(VERIFIER.format("")).verifier
    assert found is not None
    assert found.argv[3:] == ("{signature}", "{manifest}", "{state}")
    assert (found.device, found.installed, found.log) == ("A", "slots/b.bin", "update.log")
    assert (found.boot[1], found.report[0]) == ("boot.py", "./report")
    assert found.state is not None
    assert found.state.path == "lab/state"
    assert list(found.reasons.items()) == [("signature", "is wrong"), ("digest", "mismatch$")]


def test_the_order_of_the_reasons_is_the_authors(read: Read) -> None:
    text = VERIFIER.format("").replace('{signature: is wrong, digest: "mismatch$"}', "{digest: b, key: a, decrypt: c}")
    found = read(text).verifier
    assert found is not None
    assert list(found.reasons) == ["digest", "key", "decrypt"]


def test_staging_keys_of_the_update_go_before_the_devices(read: Read) -> None:
    device = "staging: {signer: {key: device.pem}, authority: {key: ca.pem, certificate: ca.crt}}\n"
    found = read("staging: {signer: {key: update.pem, certificate: update.crt}}\n", device_more=device).staging
    assert found.signer is not None
    assert found.authority is not None
    assert (found.signer.key.path, found.signer.certificate and found.signer.certificate.path) == (
        "update.pem",
        "update.crt",
    )
    assert found.authority.key.path == "ca.pem"
    assert found.revoked is None


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("{signature}", "{signatur}", "'{signatur}' is no placeholder; did you mean 'signature'?"),
        ("{artifact}", "{Artifact}", "'{Artifact}' is no placeholder; did you mean 'artifact'?"),
        ("{manifest}", "{xyz}", "'{xyz}' is no placeholder; known here: python, artifact, state, signature, manifest"),
        ('boot.py, "{state}"', 'boot.py, "{artifact}"', "'{artifact}' is no placeholder; known here: python, state"),
        ("  state: lab/state\n", "", "{state} is put in here, and the command names no state"),
        ("  state: lab/state\n", "", "installed lies below the state, and the command names no state"),
        ("state: lab/state", "state: ../state", "leads out of the description's folder"),
        ("slots/b.bin", "../b.bin", "'../b.bin' leads out of the state; name a file below it"),
        ("slots/b.bin", "/etc/passwd", "'/etc/passwd' leads out of the state; name a file below it"),
        ("update.log", ".", "'.' leads out of the state; name a file below it"),
        ("  device: A\n  argv", "  device: B\n  argv", "'B' is no device of an artifact; known here: A"),
        ("device: A\n", "devise: A\n", "unknown key 'devise'; did you mean 'device'?"),
        ("signature: is wrong", "signatur: is wrong", "unknown key 'signatur'; did you mean 'signature'?"),
        ("is wrong", "'(wrong'", "is no regular expression"),
        ("is wrong", "'(a+)+b'", "the pattern may take too long"),
        ("is wrong", "'a*b*c*d'", "the pattern may take too long"),
        ("is wrong", "'(?=a)b'", "the pattern may take too long"),
        ("is wrong", r"'(a)\1'", "the pattern may take too long"),
        ("is wrong", "'" + "a" * 201 + "'", "the pattern has 201 characters"),
    ],
)
def test_a_slip_is_said_at_its_place(faults: Faults, old: str, new: str, said: str) -> None:
    text = VERIFIER.format("").replace(old, new, 1)
    assert text != VERIFIER.format("")
    found = faults(text)
    assert any(said in line for line in found), found
    assert all(re.match(r"update\.yaml:\d+:\d+: \$\.verifier", line) for line in found)


def test_the_adapter_command_needs_a_command(faults: Faults) -> None:
    assert faults("verifier: {adapter: command}\n") == [
        "update.yaml:5:11: $.verifier: the adapter 'command' needs argv: the command and its arguments, one by one"
    ]


def test_a_targets_verifier_is_looked_at_too(faults: Faults) -> None:
    device = "targets: [{id: m, verifier: {adapter: command, argv: ['{signatur}']}}]\n"
    (found,) = faults(device_more=device)
    assert found.startswith("device.yaml:4:")


@pytest.mark.parametrize("role", ["signer", "authority", "revoked"])
def test_a_staging_key_stays_below_the_folder(faults: Faults, role: str) -> None:
    (found,) = faults(f"staging: {{{role}: {{key: ../key.pem}}}}\n")
    assert "leads out of the description's folder" in found
    (found,) = faults(f"staging: {{{role}: {{certificate: c.pem}}}}\n")
    assert "'key' is missing" in found


@pytest.mark.parametrize("pattern", ["a.*a.*b", "[a-z]*[a-z]*!", r"\*\*\*+x", "(?:a|b) c+", "(?i)wrong"])
def test_a_pattern_that_is_taken_ends_soon(read: Read, pattern: str) -> None:
    text = VERIFIER.format("").replace("signature: is wrong", f"signature: '{pattern}'")
    found = read(text).verifier
    assert found is not None
    start = time.monotonic()
    re.search(found.reasons["signature"], "a" * 200)
    assert time.monotonic() - start < 20
