"""Attestations from files to verdicts: the pump with tokens for its keys and anchor, and one near miss for each."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import pytest
from cryptography.hazmat.primitives.asymmetric import mldsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from checker.crypto.keyring import read_certificates
from checker.model.assessment import Assessment
from checker.model.terms import Grade, Reading, Verdict
from checker.pipeline import Options, assess
from samples.build import golden
from tests.crypto import attestation_maker as maker
from tests.crypto.attestation_maker import NONCE, psa_claims, token

PROVED: Final = ("SIGN-E1", "SIGN-E2", "SIGN-E3-PK2", "PROT-E1", "PROT-E2", "PROT-B4")
MAKER: Final = mldsa.MLDSA65PrivateKey.generate()
KEK: Final = mldsa.MLDSA65PrivateKey.generate()
Make = Callable[..., Assessment]


def claims(key: str = "", **changes: Any) -> dict[int, object]:
    return psa_claims(**({"c8": {3: bytes.fromhex(key)}} if key else {}) | changes)


class Pump:
    """The quantum sample in a folder of its own, with an attestation for each thing."""

    def __init__(self, folder: Path, keys: list[tuple[str, str]]) -> None:
        self.folder = folder
        self.keys = keys
        (anchor,) = read_certificates((folder / "trust/root.crt.pem").read_bytes(), "root")
        self.anchor = bytes.fromhex(anchor.key.spki_sha256)
        self.lines: list[str] = []

    def give(self, name: str, proves: str, body: dict[int, object], key: Any = MAKER, nonce: bytes = NONCE) -> None:
        """Write a token and name it in the description."""
        (self.folder / f"{name}.cbor").write_bytes(token(body, key))
        self.lines.append(f"  - {{file: {name}.cbor, proves: {proves}, root: maker.pem, nonce: {nonce.hex()}}}\n")

    def assess(self) -> Assessment:
        """Return the assessment with all that was given."""
        public = MAKER.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
        (self.folder / "maker.pem").write_bytes(public)
        update = self.folder / "update.yaml"
        update.write_text(update.read_text() + "attestations:\n" + "".join(self.lines))
        return assess(update, Options(as_of=golden.AS_OF))


@pytest.fixture(scope="module")
def keys() -> list[tuple[str, str]]:
    """Return the pump's keys of updates by id, each with the words for it."""
    found = assess(golden.SAMPLES / "quantum/update.yaml", Options(as_of=golden.AS_OF))
    words = {"image-signing": "image signing key", "key-wrapping": "device key"}
    records = [(str(item.values["key"]), item.values["roles"]) for item in found.evidence.of("key")]
    return [(key, word) for key, roles in records for role, word in words.items() if role in roles]  # type: ignore[operator]


@pytest.fixture
def pump(tmp_path: Path, keys: list[tuple[str, str]]) -> Pump:
    shutil.copytree(golden.SAMPLES / "quantum", tmp_path / "pump", ignore=shutil.ignore_patterns("expected"))
    device = tmp_path / "pump" / "device.yaml"
    own, count = re.subn(r"^attestations:.*?(?=^documents:)", "", device.read_text(), flags=re.MULTILINE | re.DOTALL)
    assert count == 1  # the sample's own tokens
    device.write_text(own)
    return Pump(tmp_path / "pump", keys)


def fill(pump: Pump, without: str = "") -> None:
    """Give good tokens for everything but one thing."""
    for number, (key, words) in enumerate(pump.keys):
        if words != without:
            pump.give(f"key-{number}", words, claims(key))
    if without != "device anchor":
        pump.give("anchor", "device anchor", claims(c2399=[{2: bytes(32), 5: pump.anchor}]))
    if without != "producer key-encryption key":
        pump.give("kek", "producer key-encryption key", claims(c8={1: akp(KEK)}))


def akp(key: mldsa.MLDSA65PrivateKey) -> dict[int, object]:
    return {1: 7, 3: -49, -1: key.public_key().public_bytes_raw()}


def verdicts(found: Assessment) -> dict[str, Verdict]:
    return {
        item.requirement.id: item.judgement(Grade.PROVED, Reading.LETTER).verdict
        for item in found.findings
        if item.requirement.id in PROVED
    }


def test_tokens_for_all_keys_and_the_anchor_prove_what_files_cannot(pump: Pump) -> None:
    fill(pump)
    found = pump.assess()
    assert verdicts(found) == dict.fromkeys(PROVED, Verdict.PASS)
    chains = [item for item in found.evidence.of("chain") if item.values.get("use") == "signing"]
    assert chains
    assert all(item.values["anchor_attested"] is True for item in chains)
    assert {item.values["quantum_resistant"] for item in found.evidence.of("attestation")} == {True}


def test_without_attestations_they_stay_unknown(pump: Pump) -> None:
    found = assess(pump.folder / "update.yaml", Options(as_of=golden.AS_OF))
    assert {name for name, item in verdicts(found).items() if item is Verdict.UNKNOWN} == set(PROVED) - {"PROT-B4"}


@pytest.mark.parametrize(
    ("words", "changes", "expected"),
    [
        ("image signing key", {"c2395": 0x4000}, {"SIGN-E1": Verdict.FAIL}),
        ("device key", {"c263": 0}, {"PROT-E1": Verdict.FAIL}),
        ("device key", {"c10": bytes(32)}, {"PROT-E1": Verdict.UNKNOWN}),
        ("image signing key", {"c8": None}, {"SIGN-E1": Verdict.UNKNOWN}),
        ("image signing key", {"c8": {3: bytes(32)}}, {"SIGN-E1": Verdict.UNKNOWN}),
        ("producer key-encryption key", {"c2395": 0x2000}, {"PROT-E2": Verdict.FAIL}),
        ("producer key-encryption key", {"c8": None}, {"PROT-E2": Verdict.UNKNOWN}),
        ("device anchor", {"c2395": 0x5000}, {"SIGN-E2": Verdict.FAIL}),
        ("device anchor", {"c2399": [{2: bytes(32), 5: bytes(32)}]}, {"SIGN-E2": Verdict.FAIL, "SIGN-E3-PK2": None}),
        ("device anchor", {"c2399": None}, {"SIGN-E2": Verdict.UNKNOWN, "SIGN-E3-PK2": Verdict.UNKNOWN}),
        ("device anchor", {"c10": bytes(32)}, {"SIGN-E2": Verdict.UNKNOWN, "SIGN-E3-PK2": Verdict.UNKNOWN}),
    ],
)
def test_a_token_with_one_fault_proves_its_requirement_no_longer(
    pump: Pump, words: str, changes: dict[str, Any], expected: dict[str, Verdict | None]
) -> None:
    fill(pump, without=words)
    key = next((key for key, word in pump.keys if word == words), "")
    good: dict[str, Any] = {"c2399": [{2: bytes(32), 5: pump.anchor}]}
    if words == "producer key-encryption key":
        good["c8"] = {1: akp(KEK)}
    for number, (other, word) in enumerate(pump.keys):
        if word == words and other != key:
            pump.give(f"other-{number}", words, claims(other))
    pump.give("odd", words, claims(key, **good | changes))
    found = verdicts(pump.assess())
    for name in PROVED:
        wanted = expected.get(name, Verdict.PASS)
        if wanted is None:
            assert found[name] is not Verdict.PASS, name
        elif name != "PROT-B4":
            assert found[name] is wanted, (name, found)


def test_tokens_of_another_maker_prove_nothing(pump: Pump) -> None:
    other = maker.p256()
    for number, (key, words) in enumerate(pump.keys):
        pump.give(f"key-{number}", words, claims(key), key=other)
    pump.give("anchor", "device anchor", claims(c2399=[{2: bytes(32), 5: pump.anchor}]), key=other)
    pump.give("kek", "producer key-encryption key", claims(c8={1: akp(KEK)}), key=other)
    found = verdicts(pump.assess())
    assert {name: found[name] for name in PROVED if name != "PROT-B4"} == {
        name: Verdict.UNKNOWN for name in PROVED if name != "PROT-B4"
    }
