"""Raw quantum-resistant signatures beside a file: the key alone says the scheme, and no file is held in memory."""

from __future__ import annotations

import base64
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from checker.crypto.certificates import parse_certificate
from checker.crypto.cms import MAX_PREHASHES, SignedMessage
from checker.crypto.key_files import read_public_keys
from checker.crypto.keyring import KeyRing
from checker.crypto.keys import from_spki
from checker.formats._open import open_artifact
from checker.formats._signatures import contract
from checker.io.sources import FileSource
from checker.model.artifact import Signature
from checker.model.terms import Outcome
from tests.crypto import pq_material as material

CONTENT = b"firmware " * 500
MAKERS: dict[str, Callable[[], material.Signer]] = {
    "hss": lambda: material.hss(b"detached", start=9),
    "ml-dsa-44": lambda: material.ml_dsa(b"detached", "ml-dsa-44"),
    "slh-dsa-sha2-128f": material.slh_dsa,
}


def judged(kit: Any, signer: material.Signer, signature: bytes, content: bytes = CONTENT) -> Signature:
    ring = KeyRing.of(keys=[from_spki(signer.spki, "key")])
    found: Signature = kit.open(content, signature=signature, ring=ring).signatures[0]
    return found


@pytest.mark.parametrize("name", MAKERS)
def test_the_scheme_is_found_and_neither_content_nor_key_may_differ(
    kit: Any, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(contract, "MAX_MESSAGE", 10)  # a digest is enough, so that the limit does not matter
    signer = MAKERS[name]()
    signature = signer.sign(CONTENT)
    found = judged(kit, signer, signature)
    assert (found.outcome, found.algorithm) == (Outcome.VALID, name)
    assert found.one_time_index == (9 if name == "hss" else None)
    changed = judged(kit, signer, signature, CONTENT + b"\n")
    assert (changed.outcome, changed.one_time_keys) == (Outcome.INVALID, ())
    assert judged(kit, signer, signature[:-1] + bytes([signature[-1] ^ 1])).outcome is Outcome.INVALID
    assert judged(kit, signer, signature[:-1]).outcome is Outcome.KEY_UNKNOWN  # no such key makes that size
    others = {"hss": lambda: material.hss(b"other"), "ml-dsa-44": lambda: material.ml_dsa(b"other", "ml-dsa-44")}
    other = others.get(name, material.slh_dsa)()
    assert judged(kit, other, signature).outcome is Outcome.INVALID


@pytest.mark.parametrize("name", ["slh-dsa-sha2-256f", "slh-dsa-shake-256f"])
def test_the_longest_signatures_are_found_in_base64_too(kit: Any, name: str) -> None:
    signer = material.slh_dsa(name)
    written = base64.encodebytes(signer.sign(CONTENT))
    assert len(written) > 64 * 1024
    found = judged(kit, signer, written)
    assert (found.outcome, found.algorithm, found.encoding) == (Outcome.VALID, name, "base64 of raw")
    assert judged(kit, signer, written, CONTENT + b"\n").outcome is Outcome.INVALID


def test_a_bare_key_file_verifies_as_its_subject_public_key_info_does(kit: Any) -> None:
    signer = MAKERS["hss"]()
    ring = KeyRing.of(keys=read_public_keys(signer.raw, "bare.key"))
    image = kit.open(CONTENT, signature=signer.sign(CONTENT), ring=ring)
    assert image.signatures[0].outcome is Outcome.VALID
    assert image.coverage.uncovered == ()


def test_a_large_file_is_streamed(kit: Any, tmp_path: Path) -> None:
    size = 64 * 1024 * 1024
    with (tmp_path / "image").open("wb") as file:
        file.truncate(size)
    signer = MAKERS["ml-dsa-44"]()
    signature = signer.sign(bytes(size))
    ring = KeyRing.of(keys=[from_spki(signer.spki, "key")])
    source = FileSource(tmp_path / "image", "image")
    tracemalloc.start()
    image = open_artifact(source, kit.context(ring, signature), "detached")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    source.close()
    assert image.signatures[0].outcome is Outcome.VALID
    assert peak < 8 * 1024 * 1024


@pytest.mark.parametrize("pad", [b"", b"\n"])
def test_a_signature_in_a_context_is_valid_in_that_context_and_in_no_other(kit: Any, pad: bytes) -> None:
    signer: Any = material.ml_dsa(b"context", "ml-dsa-44")
    ring = KeyRing.of(keys=[from_spki(signer.spki, "key")])
    signature = signer.sign(CONTENT, b"pump update")
    for said, outcome in (
        (b"pump update", Outcome.INVALID if pad else Outcome.VALID),
        (b"pump updatE", Outcome.INVALID),
        (b"", Outcome.INVALID),
        (bytes(256), Outcome.UNDECIDABLE),
    ):
        found = kit.open(CONTENT + pad, signature=signature, ring=ring, options={"context": said.hex()})
        assert found.signatures[0].outcome is outcome
    plain = kit.open(CONTENT, signature=signer.sign(CONTENT), ring=ring, options={"context": b"pump update".hex()})
    assert plain.signatures[0].outcome is Outcome.INVALID


def test_a_context_that_is_no_hexadecimal_decides_nothing(kit: Any) -> None:
    signer = material.ml_dsa(b"context", "ml-dsa-44")
    ring = KeyRing.of(keys=[from_spki(signer.spki, "key")])
    found = kit.open(CONTENT, signature=signer.sign(CONTENT), ring=ring, options={"context": "pump"}).signatures[0]
    assert (found.outcome, "hexadecimal" in found.note) == (Outcome.UNDECIDABLE, True)


@pytest.mark.parametrize("name", MAKERS)
def test_a_cms_signer_without_attributes_needs_no_file_in_memory(
    kit: Any, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(contract, "MAX_MESSAGE", 10)
    signer = MAKERS[name]()
    leaf = material.certificate("leaf", signer, "leaf", signer)
    anchors = KeyRing.of(anchors=[parse_certificate(leaf)])
    bare = KeyRing.of(keys=[from_spki(signer.spki, "key")])
    for ring, certificates in ((anchors, [leaf]), (bare, [])):
        message = material.signed_data(CONTENT, signer, "leaf", certificates, attributes=False)
        found = kit.open(CONTENT, signature=message, ring=ring).signatures[0]
        assert (found.outcome, found.algorithm) == (Outcome.VALID, name)
        changed = kit.open(CONTENT + b"\n", signature=message, ring=ring).signatures[0]
        assert changed.outcome in {Outcome.INVALID, Outcome.KEY_UNKNOWN}


def test_many_certificates_of_one_signer_ask_for_few_passes_over_the_file() -> None:
    signer = material.ml_dsa(b"many", "ml-dsa-44")
    others = [material.ml_dsa(bytes([number]), "ml-dsa-44") for number in range(40)]
    certificates = [material.certificate("leaf", each, "leaf", each) for each in others]
    message = SignedMessage.parse(material.signed_data(CONTENT, signer, "leaf", certificates, attributes=False))
    assert len(message.prehashes(KeyRing.empty())) == MAX_PREHASHES


@pytest.mark.parametrize(("number", "size"), [(30, 64 + 3309), (31, 114 + 4627), (32, 7856), (33, 17088), (34, 29792)])
def test_an_openpgp_signature_of_a_quantum_resistant_scheme_is_named_and_undecided(
    kit: Any, number: int, size: int
) -> None:
    """Algorithms 30 to 34 of OpenPGP's quantum-resistant extension: no maker is at hand, and nothing is verified."""
    hashed = b"\x05\x02" + (1_700_000_000).to_bytes(4, "big")
    head = bytes([6, 0, number, 10]) + len(hashed).to_bytes(4, "big") + hashed + bytes(4)
    body = head + b"\xab\xcd" + bytes([32]) + bytes(32 + size)
    length = b"\xff" + len(body).to_bytes(4, "big")
    found = kit.open(CONTENT, signature=b"\xc2" + length + body, ring=KeyRing.empty()).signatures[0]
    assert (found.outcome, found.encoding) == (Outcome.UNDECIDABLE, "OpenPGP")
    assert f"algorithm {number}" in found.note
