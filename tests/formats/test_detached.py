from __future__ import annotations

import base64
from pathlib import Path
from typing import Any

import pytest
from asn1crypto import cms
from cryptography.hazmat.primitives.asymmetric import ed25519

from checker.crypto.keyring import KeyRing
from checker.crypto.keys import from_ed25519
from checker.errors import FormatError, UnknownFormatError
from checker.formats._signatures import contract
from checker.io.limits import MAX_HEADER
from checker.model.artifact import INEXPRESSIBLE
from checker.model.terms import Outcome

CONTENT = b"firmware " * 500


@pytest.fixture(scope="module")
def signed(tool: Any, keys: Path, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Sign CONTENT with openssl: `signed("rsa-2048", "-sigopt", …)` returns the raw signature."""
    folder = tmp_path_factory.mktemp("raw")
    (folder / "fw").write_bytes(CONTENT)

    def sign(kind: str, *options: str, hash_name: str = "sha256") -> bytes:
        if kind == "ed25519":
            command: tuple[Any, ...] = ("openssl", "pkeyutl", "-sign", "-rawin", "-inkey", keys / f"{kind}.pem")
            tool(*command, "-in", folder / "fw", "-out", folder / "sig")
        else:
            command = ("openssl", "dgst", f"-{hash_name}", "-sign", keys / f"{kind}.pem", *options)
            tool(*command, "-out", folder / "sig", folder / "fw")
        return (folder / "sig").read_bytes()

    return sign


def _cms(tool: Any, pki: Path, *options: str, signer: str = "rsa") -> bytes:
    (pki / "fw").write_bytes(CONTENT)
    tool("openssl", "cms", "-sign", "-binary", "-in", "fw", "-signer", f"{signer}.pem", "-inkey", f"{signer}.key",
         "-out", "sig", *options, cwd=pki)  # fmt: skip
    return (pki / "sig").read_bytes()


@pytest.mark.parametrize(("name", "outcome"), [("a1", Outcome.VALID), ("a2", Outcome.INVALID)])
def test_the_rauc_manifests_of_the_corpus(kit: Any, corpus: Path, expected: Any, name: str, outcome: Outcome) -> None:
    folder = corpus / "rauc" / "openssl-ca"
    truth = expected["rauc"][f"openssl-ca/manifest-{name}.sig"]
    image = kit.open(
        folder / "manifest",
        signature=(folder / f"manifest-{name}.sig").read_bytes(),
        anchors=[folder / "dev-ca.pem"],
        crls=[folder / "dev" / "crl.pem"],
    )
    (signature,) = image.signatures
    assert signature.outcome is outcome
    assert signature.chain.certificates[0].subject.endswith(truth["signer"].split(" ")[0])
    revoked = "REVOKED" in truth.get("verdict", "")
    assert ("signer-revoked" in kit.codes(image)) is revoked
    assert bool(image.coverage.uncovered) is revoked


def test_the_revoked_signer_verifies_mathematically_where_no_list_is_given(kit: Any, corpus: Path) -> None:
    folder = corpus / "rauc" / "openssl-ca"
    signature = (folder / "manifest-a2.sig").read_bytes()
    image = kit.open(folder / "manifest", signature=signature, anchors=[folder / "dev" / "ca.cert.pem"])
    assert image.signatures[0].chain.revoked is None


def test_the_wrong_root_does_not_validate_the_rauc_manifest(kit: Any, corpus: Path) -> None:
    folder = corpus / "rauc" / "openssl-ca"
    signature = (folder / "manifest-a1.sig").read_bytes()
    image = kit.open(folder / "manifest", signature=signature, anchors=[folder / "rel" / "release-1.cert.pem"])
    assert image.signatures[0].outcome is not Outcome.VALID


def test_the_raw_ed25519_signature_of_the_corpus(kit: Any, corpus: Path, expected: Any) -> None:
    truth = expected["jcat"]["colorhug/firmware.bin.ed25519"]
    content = (corpus / "jcat" / truth["covers"]).read_bytes()
    signature = (corpus / "jcat" / "colorhug" / "firmware.bin.ed25519").read_bytes()
    key = [corpus / "jcat" / truth["valid_with"].split(" ")[0]]
    image = kit.open(content, signature=signature, keys=key)
    assert (image.signatures[0].outcome, image.signatures[0].algorithm) == (Outcome.VALID, "ed25519")
    broken = bytes([content[0] ^ 1]) + content[1:]
    image = kit.open(broken, signature=signature, keys=key)
    assert image.signatures[0].outcome is Outcome.INVALID
    assert image.coverage.uncovered == image.coverage.payload


@pytest.mark.parametrize(
    ("kind", "options", "hash_name", "expected_scheme"),
    [
        ("rsa-2048", (), "sha256", ("rsa-pkcs1v15", "sha-256", "raw")),
        ("rsa-2048", ("-sigopt", "rsa_padding_mode:pss"), "sha256", ("rsa-pss", "sha-256", "raw")),
        ("rsa-2048", (), "sha1", ("rsa-pkcs1v15", "sha-1", "raw")),
        ("rsa-3072", (), "sha3-512", ("rsa-pkcs1v15", "sha3-512", "raw")),
        ("ecdsa-p256", (), "sha256", ("ecdsa", "sha-256", "DER")),
        ("ecdsa-p384", (), "sha384", ("ecdsa", "sha-384", "DER")),
        ("ed25519", (), "", ("ed25519", "sha-512", "raw")),
    ],
)
def test_the_scheme_of_a_raw_signature_is_found_by_trying(
    kit: Any, keys: Path, signed: Any, kind: str, options: Any, hash_name: str, expected_scheme: Any
) -> None:
    data = signed(kind, *options, hash_name=hash_name)
    every = sorted(keys.glob("*.pub.pem"))
    (signature,) = kit.open(CONTENT, signature=data, keys=[key for key in every if "x" not in key.name]).signatures
    assert signature.outcome is Outcome.VALID
    assert (signature.algorithm, signature.hash, signature.encoding) == expected_scheme
    assert signature.key.name == f"{kind}.pub.pem"
    (signature,) = kit.open(CONTENT + b"!", signature=data, keys=[keys / f"{kind}.pub.pem"]).signatures
    assert signature.outcome is Outcome.INVALID


def test_a_weak_hash_of_a_valid_signature_is_told(kit: Any, keys: Path, signed: Any) -> None:
    image = kit.open(CONTENT, signature=signed("rsa-2048", hash_name="sha1"), keys=[keys / "rsa-2048.pub.pem"])
    assert "weak-digest" in kit.codes(image)


def test_base64_of_a_der_signature_is_what_cosign_writes(kit: Any, keys: Path, signed: Any) -> None:
    text = base64.b64encode(signed("ecdsa-p256")) + b"\n"
    (signature,) = kit.open(CONTENT, signature=text, keys=[keys / "ecdsa-p256.pub.pem"]).signatures
    assert (signature.outcome, signature.encoding) == (Outcome.VALID, "base64 of DER")


def test_no_declared_key_and_a_wrong_key_are_different_answers(kit: Any, keys: Path, signed: Any) -> None:
    data = signed("ecdsa-p256")
    assert kit.open(CONTENT, signature=data).signatures[0].outcome is Outcome.KEY_UNKNOWN
    other_kind = kit.open(CONTENT, signature=data, keys=[keys / "rsa-2048.pub.pem"])
    assert other_kind.signatures[0].outcome is Outcome.KEY_UNKNOWN
    same_kind = kit.open(CONTENT, signature=data, keys=[keys / "stranger.pub.pem"])
    assert same_kind.signatures[0].outcome is Outcome.INVALID
    assert "stranger" in same_kind.signatures[0].note


@pytest.mark.parametrize(
    "options",
    [
        ("-outform", "DER"),
        ("-outform", "PEM"),
        ("-outform", "DER", "-stream"),
        ("-outform", "DER", "-noattr"),
        ("-outform", "DER", "-keyid"),
        ("-outform", "DER", "-keyopt", "rsa_padding_mode:pss"),
        ("-outform", "DER", "-md", "sha512"),
    ],
)
def test_cms_in_every_form_of_openssl_verifies(kit: Any, tool: Any, pki: Path, options: Any) -> None:
    data = _cms(tool, pki, *options)
    (signature,) = kit.open(CONTENT, signature=data, anchors=[pki / "root.pem"]).signatures
    assert signature.outcome is Outcome.VALID, signature.note
    (signature,) = kit.open(CONTENT + b"!", signature=data, anchors=[pki / "root.pem"]).signatures
    assert signature.outcome is Outcome.INVALID
    (signature,) = kit.open(CONTENT, signature=data).signatures
    assert signature.outcome is Outcome.KEY_UNKNOWN


def test_a_cms_message_that_carries_other_content_does_not_cover_the_file(kit: Any, tool: Any, pki: Path) -> None:
    data = _cms(tool, pki, "-outform", "DER", "-nodetach")
    assert kit.open(CONTENT, signature=data, anchors=[pki / "root.pem"]).signatures[0].outcome is Outcome.VALID
    other = kit.open(b"something else " * 99, signature=data, anchors=[pki / "root.pem"])
    assert other.signatures[0].outcome is Outcome.INVALID


def test_a_certificate_of_the_same_name_but_another_key_is_no_anchor(
    kit: Any, tool: Any, pki: Path, tmp_path: Path
) -> None:
    tool("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", tmp_path / "k", "-out",
         tmp_path / "root.pem", "-subj", "/CN=root", "-addext", "basicConstraints=critical,CA:TRUE")  # fmt: skip
    data = _cms(tool, pki, "-outform", "DER", signer="ec")
    (signature,) = kit.open(CONTENT, signature=data, anchors=[tmp_path / "root.pem"]).signatures
    assert signature.outcome is not Outcome.VALID
    assert kit.open(CONTENT, signature=data, anchors=[pki / "root.pem"]).signatures[0].outcome is Outcome.VALID


def test_a_damaged_openpgp_or_minisign_signature_is_invalid(kit: Any) -> None:
    armoured = b"-----BEGIN PGP SIGNATURE-----\n\niQ==\n-----END PGP SIGNATURE-----\n"
    for data, kind in ((armoured, "OpenPGP"), (b"untrusted comment: x\nRWQ=\n", "minisign or signify")):
        (signature,) = kit.open(CONTENT, signature=data).signatures
        assert (signature.outcome, signature.encoding) == (Outcome.INVALID, kind)
        assert "damaged" in signature.note


def test_an_empty_signature_file_is_no_signature(kit: Any) -> None:
    image = kit.open(CONTENT, signature=b" \n")
    assert image.signatures[0].outcome is Outcome.ABSENT
    assert "unsigned" in kit.codes(image)


def test_without_a_signature_file_plain_content_is_of_no_known_format(kit: Any) -> None:
    with pytest.raises(UnknownFormatError):
        kit.open(CONTENT)
    with pytest.raises(FormatError, match="signature"):
        kit.open(CONTENT, format_id="detached")


def test_what_the_format_cannot_say_is_inexpressible(kit: Any) -> None:
    image = kit.open(CONTENT, signature=b"x" * 64)
    assert image.hardware is INEXPRESSIBLE
    assert image.version.version is INEXPRESSIBLE


def test_random_bytes_are_not_said_to_lie_in_clear(kit: Any) -> None:
    import random

    noise = random.Random(1).randbytes(100_000)  # noqa: S311 - reproducible noise, not a secret
    assert kit.open(noise, signature=b"x" * 64).encryption[0].encrypted is None
    assert kit.open(CONTENT, signature=b"x" * 64).encryption[0].encrypted is False


def test_large_files_leave_ed25519_undecided_and_hashes_decided(
    kit: Any, keys: Path, signed: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(contract, "MAX_MESSAGE", len(CONTENT) - 1)
    image = kit.open(CONTENT, signature=signed("ed25519"), keys=[keys / "ed25519.pub.pem"])
    assert image.signatures[0].outcome is Outcome.UNDECIDABLE
    image = kit.open(CONTENT, signature=signed("ecdsa-p256"), keys=[keys / "ecdsa-p256.pub.pem"])
    assert image.signatures[0].outcome is Outcome.VALID


@pytest.mark.parametrize("kind", ["rsa-2048", "ecdsa-p256", "ed25519"])
def test_no_flipped_bit_of_a_signature_leaves_it_valid(kit: Any, keys: Path, signed: Any, kind: str) -> None:
    data, ring = signed(kind), kit.ring(keys=[keys / f"{kind}.pub.pem"])
    for offset in range(len(data)):
        mutant = bytearray(data)
        mutant[offset] ^= 0x10
        image = kit.open(CONTENT, signature=bytes(mutant), ring=ring)
        assert image.signatures[0].outcome is not Outcome.VALID, offset


def test_every_truncation_and_flip_of_a_cms_signature_is_answered(kit: Any, tool: Any, pki: Path) -> None:
    data, ring = _cms(tool, pki, "-outform", "DER", "-nocerts"), kit.ring(anchors=[pki / "root.pem"])
    for size in range(0, len(data), 3):
        assert kit.open(CONTENT, signature=data[:size], ring=ring).signatures[0].outcome is not Outcome.VALID
    for offset in range(0, len(data), 3):
        mutant = data[:offset] + bytes([data[offset] ^ 4]) + data[offset + 1 :]
        kit.open(CONTENT, signature=mutant, ring=ring)


def _cms_over_the_message(key: ed25519.Ed25519PrivateKey, key_id: bytes) -> bytes:
    """Return CMS without signed attributes by Ed25519 (RFC 8419 3.2), which the openssl command cannot make."""
    signer = cms.SignerInfo({
        "version": "v3",
        "sid": cms.SignerIdentifier("subject_key_identifier", key_id),
        "digest_algorithm": {"algorithm": "sha512"},
        "signature_algorithm": {"algorithm": "ed25519"},
        "signature": key.sign(CONTENT),
    })  # fmt: skip
    signed = cms.SignedData({
        "version": "v3",
        "digest_algorithms": [{"algorithm": "sha512"}],
        "encap_content_info": {"content_type": "data"},
        "signer_infos": [signer],
    })  # fmt: skip
    return bytes(cms.ContentInfo({"content_type": "signed_data", "content": signed}).dump())


def test_cms_over_the_message_itself_needs_the_whole_file(kit: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    key = ed25519.Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
    data = _cms_over_the_message(key, b"id")
    ring = KeyRing.of(keys=[from_ed25519(key.public_key().public_bytes_raw())])
    assert kit.open(CONTENT, signature=data, ring=ring).signatures[0].outcome is Outcome.VALID
    assert kit.open(CONTENT + b"!", signature=data, ring=ring).signatures[0].outcome is not Outcome.VALID
    monkeypatch.setattr(contract, "MAX_MESSAGE", 10)
    (signature,) = kit.open(CONTENT, signature=data, ring=ring).signatures
    assert (signature.outcome, "larger than MAX_MESSAGE" in signature.note) == (Outcome.UNDECIDABLE, True)


def test_a_companion_that_is_too_large_is_refused(kit: Any) -> None:
    with pytest.raises(FormatError, match="MAX_HEADER"):
        kit.open(CONTENT, signature=b"x" * (MAX_HEADER + 1))
