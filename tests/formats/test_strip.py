"""T12 prepared: a hybrid without its quantum-resistant signer opens, and its classical signature is still valid."""

from __future__ import annotations

import base64
import shutil
import subprocess
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from checker.crypto.keyring import KeyRing, read_certificates
from checker.formats._open import open_artifact
from checker.formats._strip import strip_quantum_resistant
from checker.formats.contract import Context
from checker.io.sources import BytesSource
from checker.model.artifact import Artifact
from checker.model.terms import Outcome
from samples.build import _pki
from samples.build._pki import Profile
from samples.build._quantum_cms import Signer, signed_data
from samples.build._tools import KEYS
from tests.crypto import pq_material as material
from tests.crypto.test_crypto_composite import OIDS, make

CONTENT = b"firmware " * 500
MOMENT = datetime(2026, 10, 1, 12, tzinfo=UTC)
ROOT = KEYS / "quantum-root.pem"


def issued(name: str, serial: int, key: Path, root: Any) -> Signer:
    profile = Profile(
        name=name, serial=serial, years=(2026, 2028), usage=("digital_signature",), purposes=(_pki.CODE_SIGNING,)
    )
    return Signer(certificate=_pki.issue(profile, key, root, ROOT), key=key)


@pytest.fixture(scope="module")
def root() -> Any:
    profile = Profile(name="Root", serial=1, years=(2024, 2040), ca=True, usage=("key_cert_sign", "crl_sign"))
    return _pki.issue(profile, ROOT, None, ROOT)


@pytest.fixture(scope="module")
def lattice(root: Any) -> Signer:
    return issued("Lattice", 2, KEYS / "quantum-signer-2026.pem", root)


@pytest.fixture(scope="module")
def classical(root: Any) -> Signer:
    return issued("Classical", 3, KEYS / "gateway-signer-2026.pem", root)


def opened(signature: bytes, root: Any) -> Artifact:
    ring = KeyRing.of(anchors=read_certificates(_pki.pem(root), "root.pem"))
    companions = {"signature": BytesSource("file.sig", signature)}
    return open_artifact(
        BytesSource("file.bin", CONTENT), Context(keys=ring, as_of="2026-11-01T00:00:00Z", companions=companions)
    )


def said(signature: bytes, root: Any) -> list[tuple[str, Outcome]]:
    return sorted((item.algorithm, item.outcome) for item in opened(signature, root).signatures)


@pytest.mark.parametrize(
    "form",
    [bytes, base64.b64encode, lambda data: b"-----BEGIN CMS-----\n%b-----END CMS-----\n" % base64.encodebytes(data)],
)
def test_the_classical_signature_stays_valid_and_the_other_is_gone(
    root: Any, lattice: Signer, classical: Signer, form: Any
) -> None:
    whole = form(signed_data(CONTENT, [lattice, classical], MOMENT))
    assert said(whole, root) == [("ecdsa", Outcome.VALID), ("ml-dsa-65", Outcome.VALID)]
    mutation = strip_quantum_resistant(whole)
    assert mutation is not None
    assert (mutation.removed, mutation.kept) == (("ml-dsa-65",), ("ecdsa",))
    assert said(mutation.data, root) == [("ecdsa", Outcome.VALID)]
    assert strip_quantum_resistant(mutation.data) is None


def test_openssl_takes_what_is_left(lattice: Signer, classical: Signer, tmp_path: Path) -> None:
    if shutil.which("openssl") is None:
        pytest.skip("openssl is not installed")
    whole = signed_data(CONTENT, [lattice, classical], MOMENT)
    mutation = strip_quantum_resistant(whole)
    assert mutation is not None
    (tmp_path / "content").write_bytes(CONTENT)
    (tmp_path / "signer.pem").write_bytes(_pki.pem(classical.certificate))

    def verify(data: bytes) -> int:
        (tmp_path / "sig").write_bytes(data)
        command = ["openssl", "cms", "-verify", "-binary", "-inform", "DER", "-in", "sig", "-content", "content"]
        chain = ["-noverify", "-certfile", "signer.pem", "-out", "out"]
        return subprocess.run([*command, *chain], cwd=tmp_path, capture_output=True, check=False).returncode

    assert verify(mutation.data) == 0
    assert verify(mutation.data[:-1] + bytes([mutation.data[-1] ^ 1])) != 0


def test_a_signed_message_with_its_content_is_stripped_too(root: Any, lattice: Signer, classical: Signer) -> None:
    mutation = strip_quantum_resistant(signed_data(CONTENT, [lattice, classical], MOMENT, attached=True))
    assert mutation is not None
    ring = KeyRing.of(anchors=read_certificates(_pki.pem(root), "root.pem"))
    found = open_artifact(BytesSource("file.p7m", mutation.data), Context(keys=ring, as_of="2026-11-01T00:00:00Z"))
    assert found.format == "cms"
    assert [(item.algorithm, item.outcome) for item in found.signatures] == [("ecdsa", Outcome.VALID)]
    assert found.images[0].size == len(CONTENT)


def test_a_signer_of_an_unknown_scheme_is_no_classical_one() -> None:
    identifier = material.der(0x30, material.oid("1.2.3.4.5"))
    signer = material.Signer(lambda _: b"signature", material.ecdsa(3).spki, identifier)
    assert strip_quantum_resistant(material.signed_data(CONTENT, signer, "root", [])) is None


def test_of_one_kind_only_there_is_nothing_to_strip(lattice: Signer, classical: Signer) -> None:
    assert strip_quantum_resistant(signed_data(CONTENT, [lattice], MOMENT)) is None
    assert strip_quantum_resistant(signed_data(CONTENT, [classical], MOMENT)) is None


def test_a_composite_cannot_be_taken_apart() -> None:
    made = make("ml-dsa-65-ecdsa-p256")
    identifier = material.der(0x30, material.oid(OIDS[made.name]))
    signer = material.Signer(made.sign, material.spki(OIDS[made.name], made.raw), identifier)
    assert strip_quantum_resistant(material.signed_data(CONTENT, signer, "root", [])) is None


@pytest.mark.parametrize("data", [b"", b"no message", b"\x30\x80", bytes(64)])
def test_what_is_no_message_is_left_alone(data: bytes) -> None:
    assert strip_quantum_resistant(data) is None


def test_a_damaged_message_is_left_alone(lattice: Signer, classical: Signer) -> None:
    whole = signed_data(CONTENT, [lattice, classical], MOMENT)
    for cut in (10, 40, len(whole) // 2, len(whole) - 1):
        assert strip_quantum_resistant(whole[:cut]) is None
