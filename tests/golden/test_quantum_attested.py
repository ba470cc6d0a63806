"""The pump's attestations: with all of them the rows of keys are proved; one thing less, and they are not."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import cbor2
import pytest
from cryptography import x509

from checker.model.assessment import Assessment
from checker.model.terms import Grade, Reading, Step, Tier, Verdict
from checker.pipeline import Options, assess
from samples.build import _quantum_attestations as build
from samples.build import golden
from samples.build._tools import KEYS

ASKED: Final = {"SIGN-E1", "SIGN-E2", "SIGN-E3-PK2", "PROT-E1", "PROT-E2"}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    unread = shutil.ignore_patterns("expected", "device", "lab")
    copy = Path(shutil.copytree(golden.SAMPLES / "quantum", tmp_path / "quantum", ignore=unread))
    shutil.copytree(golden.SAMPLES / "quantum" / "device", copy / "device")
    shutil.copytree(golden.SAMPLES / "quantum" / "lab", copy / "lab")
    return copy


def assessed(folder: Path) -> Assessment:
    return assess(folder / "update.yaml", Options(as_of=golden.AS_OF))


def unproved(found: Assessment) -> dict[str, Verdict]:
    """Return the questions that attestations answer and that are not passed."""
    asked = (item for item in found.findings if item.requirement.id in ASKED)
    verdicts = {item.requirement.id: item.judgement(Grade.PROVED, Reading.LETTER).verdict for item in asked}
    return {name: verdict for name, verdict in verdicts.items() if verdict is not Verdict.PASS}


def protect(found: Assessment) -> Tier | None:
    row = next(item for item in found.rows if item.step is Step.PROTECT)
    return row.tiers[Grade.PROVED, Reading.LETTER]


def edited(folder: Path, pattern: str, new: str) -> None:
    path = folder / "device.yaml"
    text, count = re.subn(pattern, new, path.read_text())
    assert count == 1, pattern
    path.write_text(text)


def signed_again(name: str, **changes: Any) -> Callable[[Path], None]:
    """Return an edit that has the same hardware sign other claims; None leaves one out."""

    def edit(folder: Path) -> None:
        path = folder / "attestations" / f"{name}.cose"
        _, chain, payload, _ = cbor2.loads(path.read_bytes()).value
        key = f"element-{name.split('-')[1]}" if re.match(r"device-[AB]", name) else "module"
        certificate = x509.load_der_x509_certificate(chain[build.X5CHAIN])
        changed = cbor2.loads(payload) | {getattr(build, claim): value for claim, value in changes.items()}
        claims = {claim: value for claim, value in changed.items() if value is not None}
        attester = build.Attester(certificate=certificate, key=KEYS / f"quantum-{key}.pem")
        path.write_bytes(build._token(claims, attester))

    return edit


def without(name: str) -> Callable[[Path], None]:
    return lambda folder: edited(folder, rf"  - \{{file: attestations/{name}\.cose, .*\n.*\n", "")


def with_nonce(name: str) -> Callable[[Path], None]:
    return lambda folder: edited(folder, rf"(attestations/{name}\.cose, .*\n     nonce: )[0-9a-f]{{2}}", r"\g<1>99")


UNKNOWN, FAIL = Verdict.UNKNOWN, Verdict.FAIL
TAKEN: Final[dict[str, tuple[Callable[[Path], None], dict[str, Verdict]]]] = {
    "the token of one device's key": (without("device-B-2025"), {"PROT-E1": UNKNOWN}),
    "the nonce of one device's token": (with_nonce("device-A-2025"), {"PROT-E1": UNKNOWN}),
    "the key that a token is bound to": (signed_again("device-A-2025", CONFIRMATION=None), {"PROT-E1": UNKNOWN}),
    "the lock of one device": (signed_again("device-A-2025", LIFECYCLE=0x1000), {"PROT-E1": FAIL}),
    "the token of the producer's key": (without("device-ca"), {"PROT-E2": UNKNOWN}),
    "the token of a signing key": (without("release-2026"), {"SIGN-E1": UNKNOWN}),
}  # fmt: skip


def test_with_all_attestations_every_question_to_the_hardware_is_answered(folder: Path) -> None:
    found = assessed(folder)
    assert unproved(found) == {}
    assert protect(found) is Tier.QUANTUM


@pytest.mark.parametrize("what", TAKEN)
def test_without(folder: Path, what: str) -> None:
    take, expected = TAKEN[what]
    take(folder)
    found = assessed(folder)
    assert unproved(found) == expected
    if any(name.startswith("PROT") for name in expected):
        assert protect(found) is not Tier.QUANTUM


def test_without_an_anchor_in_the_tokens_the_anchor_is_not_proved(folder: Path) -> None:
    path = folder / "device.yaml"
    path.write_text(path.read_text().replace("proves: [device key, device anchor]", "proves: device key"))
    assert unproved(assessed(folder)) == {"SIGN-E2": UNKNOWN, "SIGN-E3-PK2": UNKNOWN}


def test_tokens_that_name_another_anchor_disprove_it(folder: Path) -> None:
    for device in "AB":
        component = {build.KIND: "controller", build.MEASUREMENT: bytes(32), build.SIGNER: bytes(32)}
        signed_again(f"device-{device}-2026", COMPONENTS=[component])(folder)
    assert unproved(assessed(folder)) == {"SIGN-E2": FAIL, "SIGN-E3-PK2": UNKNOWN}
