"""SignedData: our engine against the openssl command, kind by kind, and what must not pass."""

from __future__ import annotations

import datetime as dt
import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from asn1crypto import cms, pem, x509
from cryptography import x509 as crypto_x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, mldsa
from cryptography.hazmat.primitives.serialization import Encoding, load_pem_private_key

from checker.crypto.cms import SignedMessage, looks_like_cms
from checker.crypto.keyring import KeyRing, read_certificates, read_crls
from checker.crypto.keys import from_rsa_numbers, read_public_key
from checker.errors import FormatError, UnsupportedAlgorithmError
from checker.io.digests import digest
from checker.model.artifact import Signature
from checker.model.terms import Outcome

AS_OF = "2026-11-01T00:00:00Z"
# name: signer, extra arguments of `openssl cms -sign`, expected algorithm and hash
KINDS: dict[str, tuple[str, list[str], str, str]] = {
    "rsa-pkcs1v15": ("leaf-rsa2048", [], "rsa-pkcs1v15", "sha-256"),
    "rsa-pss-salt-32": (
        "leaf-rsa2048",
        ["-keyopt", "rsa_padding_mode:pss", "-keyopt", "rsa_pss_saltlen:32"],
        "rsa-pss",
        "sha-256",
    ),
    "rsa-pss-salt-20": (
        "leaf-rsa2048",
        ["-keyopt", "rsa_padding_mode:pss", "-keyopt", "rsa_pss_saltlen:20"],
        "rsa-pss",
        "sha-256",
    ),
    "ecdsa-p256": ("leaf-p256", [], "ecdsa", "sha-256"),
    "ecdsa-p384": ("leaf-p384", ["-md", "sha384"], "ecdsa", "sha-384"),
    "rsa-sha3": ("leaf-rsa2048", ["-md", "sha3-256"], "rsa-pkcs1v15", "sha3-256"),
    "ecdsa-brainpool": ("leaf-brainpool", [], "ecdsa", "sha-256"),
    "rsa-md5": ("leaf-rsa2048", ["-md", "md5"], "rsa-pkcs1v15", "md5"),
    "rsa-sha1": ("leaf-rsa2048", ["-md", "sha1"], "rsa-pkcs1v15", "sha-1"),
    "rsa-1024": ("leaf-rsa1024", [], "rsa-pkcs1v15", "sha-256"),
    "no-signed-attributes": ("leaf-rsa2048", ["-noattr"], "rsa-pkcs1v15", "sha-256"),
    "attached": ("leaf-p256", ["-nodetach"], "ecdsa", "sha-256"),
    "subject-key-id": ("leaf-p256", ["-keyid"], "ecdsa", "sha-256"),
    "ber-indefinite-length": ("leaf-p256", ["-stream", "-nodetach"], "ecdsa", "sha-256"),
    "ber-detached": ("leaf-p256", ["-stream"], "ecdsa", "sha-256"),
}


def sign(pki: Any, kind: str, *extra: str) -> bytes:
    signer, options, _, _ = KINDS[kind]
    out = f"{kind}{'-'.join(extra).replace('/', '')}.cms"
    pki.run("cms", "-sign", "-binary", "-in", "content", "-signer", f"{signer}.crt", "-inkey", f"{signer}.key",
            "-certfile", "sub.crt", "-outform", "DER", "-out", out, *options, *extra)  # fmt: skip
    return bytes(pki.read(out))


def openssl_accepts(pki: Any, data: bytes, content: str = "content", anchor: str = "root.crt") -> bool:
    pki.write("probe.cms", data)
    attached = [] if SignedMessage.parse(data).content is not None else ["-content", content]
    return bool(pki.accepts("cms", "-verify", "-binary", "-in", "probe.cms", "-inform", "DER", *attached, "-CAfile",
                            anchor, "-certfile", "sub.crt", "-purpose", "any", "-out", "verified"))  # fmt: skip


def over(data: bytes) -> Callable[[str], bytes]:
    return lambda name: digest(name, data)


def verify(pki: Any, data: bytes, ring: KeyRing, content: str = "content") -> tuple[Signature, ...]:
    message = SignedMessage.parse(data)
    source = None if message.content is not None else over(pki.read(content))
    return message.verify(source, ring, AS_OF)


@pytest.fixture(scope="module")
def ring(pki: Any) -> KeyRing:
    return KeyRing.of(anchors=read_certificates(pki.read("root.crt"), "root"))


@pytest.mark.parametrize("kind", KINDS)
def test_a_message_that_openssl_verifies_is_valid_with_its_algorithm_and_path(
    pki: Any, ring: KeyRing, kind: str
) -> None:
    data = sign(pki, kind)
    (found,) = verify(pki, data, ring)
    assert openssl_accepts(pki, data)
    assert (found.outcome, found.algorithm, found.hash) == (Outcome.VALID, *KINDS[kind][2:])
    assert found.chain is not None
    assert [c.subject for c in found.chain.certificates] == [
        f"O=Test, CN={KINDS[kind][0]}",
        "O=Test, CN=sub",
        "O=Test, CN=root",
    ]
    assert (found.chain.valid, found.key.declared, found.chain.anchor_name) == (True, True, "root")


@pytest.mark.parametrize("kind", KINDS)
def test_one_changed_byte_anywhere_in_signature_or_content_is_never_valid(pki: Any, ring: KeyRing, kind: str) -> None:
    data = sign(pki, kind)
    signature = SignedMessage.parse(data).signers[0].signature
    at = data.rindex(signature) + len(signature) - 1
    broken = data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]
    (found,) = verify(pki, broken, ring)
    assert found.outcome is Outcome.INVALID
    assert not openssl_accepts(pki, broken)
    if SignedMessage.parse(data).content is None:
        (found,) = verify(pki, data, ring, "other")
        assert found.outcome is Outcome.INVALID
        assert not openssl_accepts(pki, data, "other")


@pytest.mark.parametrize("kind", ["ecdsa-p256", "rsa-pkcs1v15"])
def test_a_strangers_anchor_leaves_the_key_unknown(pki: Any, kind: str) -> None:
    data = sign(pki, kind)
    (found,) = verify(pki, data, KeyRing.of(anchors=read_certificates(pki.read("stranger.crt"), "stranger")))
    assert found.outcome is Outcome.KEY_UNKNOWN
    assert not found.key.declared
    assert not openssl_accepts(pki, data, anchor="stranger.crt")
    (found,) = verify(pki, data, KeyRing.empty())
    assert (found.outcome, found.chain and found.chain.valid) == (Outcome.KEY_UNKNOWN, None)


def test_a_message_without_certificates_takes_the_key_from_the_ring(pki: Any) -> None:
    data = sign(pki, "ecdsa-p256", "-nocerts")
    message = SignedMessage.parse(data)
    assert [item.facts.subject for item in message.certificates] == ["O=Test, CN=sub"]
    assert verify(pki, data, KeyRing.empty())[0].outcome is Outcome.KEY_UNKNOWN
    declared = KeyRing.of(keys=[read_public_key(pki.read("leaf-p256.pub"), "signer")])
    other = KeyRing.of(keys=[read_public_key(pki.read("leaf-server.pub"), "other")])
    (found,) = verify(pki, data, declared)
    assert (found.outcome, found.key.name) == (Outcome.VALID, "signer")
    assert verify(pki, data, other)[0].outcome is Outcome.KEY_UNKNOWN
    unusable = from_rsa_numbers((1 << 2047) + 1, 1, "unusable")
    assert verify(pki, data, KeyRing.of(keys=[unusable, *declared.keys]))[0].outcome is Outcome.VALID
    assert verify(pki, data, KeyRing.of(keys=[unusable]))[0].outcome is not Outcome.VALID
    stocked = KeyRing.of(
        anchors=read_certificates(pki.read("root.crt"), "root"),
        intermediates=read_certificates(pki.read("leaf-p256.crt") + pki.read("sub.crt"), "stock"),
    )
    assert verify(pki, data, stocked)[0].outcome is Outcome.VALID


def test_each_of_two_signers_gets_its_own_outcome(pki: Any, ring: KeyRing) -> None:
    pki.run("cms", "-sign", "-binary", "-in", "content", "-signer", "leaf-rsa2048.crt", "-inkey", "leaf-rsa2048.key",
            "-signer", "leaf-p384.crt", "-inkey", "leaf-p384.key", "-certfile", "sub.crt", "-outform", "DER",
            "-out", "two.cms")  # fmt: skip
    data = pki.read("two.cms")
    assert sorted((s.algorithm, s.outcome) for s in verify(pki, data, ring)) == [
        ("ecdsa", Outcome.VALID),
        ("rsa-pkcs1v15", Outcome.VALID),
    ]
    last = SignedMessage.parse(data).signers[1].signature
    at = data.index(last) + len(last) - 1
    broken = data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]
    assert [s.outcome for s in verify(pki, broken, ring)] == [Outcome.VALID, Outcome.INVALID]


def test_an_expired_signer_is_refused_unless_the_certificate_itself_is_declared(pki: Any, ring: KeyRing) -> None:
    pki.run("cms", "-sign", "-binary", "-noattr", "-in", "content", "-signer", "leaf-expired.crt", "-inkey",
            "leaf-expired.key", "-certfile", "sub.crt", "-outform", "DER", "-out", "expired.cms")  # fmt: skip
    data = pki.read("expired.cms")
    (found,) = verify(pki, data, ring)
    assert (found.outcome, found.note) == (Outcome.INVALID, "certificate has expired")
    assert found.chain is not None
    assert (found.chain.expired, found.chain.valid) == (True, False)
    (found,) = verify(pki, data, KeyRing.of(keys=[read_public_key(pki.read("leaf-expired.crt"), "pinned")]))
    assert found.outcome is Outcome.VALID
    assert found.chain is not None
    assert (found.chain.expired, found.chain.valid) == (True, None)


def test_a_server_certificate_under_the_same_authority_does_not_sign_updates(pki: Any, ring: KeyRing) -> None:
    pki.run("cms", "-sign", "-binary", "-in", "content", "-signer", "leaf-server.crt", "-inkey", "leaf-server.key",
            "-certfile", "sub.crt", "-outform", "DER", "-out", "server.cms")  # fmt: skip
    (found,) = verify(pki, pki.read("server.cms"), ring)
    assert found.outcome is Outcome.INVALID
    assert "wrong purpose" in found.note
    allowed = KeyRing.of(anchors=ring.anchors, purposes=["1.3.6.1.5.5.7.3.1"])
    assert verify(pki, pki.read("server.cms"), allowed)[0].outcome is Outcome.VALID


def test_signed_attributes_cannot_be_taken_away_from_their_content_type(pki: Any, ring: KeyRing) -> None:
    data = sign(pki, "ecdsa-p256")
    wrong_type = data.replace(bytes.fromhex("06092a864886f70d010701"), bytes.fromhex("06092a864886f70d010705"), 1)
    (found,) = SignedMessage.parse(wrong_type).verify(over(pki.read("content")), ring, AS_OF)
    assert found.outcome is Outcome.INVALID
    assert "content-type" in found.note


def test_a_digest_that_differs_from_the_signature_algorithms_hash_is_refused(pki: Any, ring: KeyRing) -> None:
    data = sign(pki, "ecdsa-p256")
    swapped = data.replace(bytes.fromhex("06082a8648ce3d040302"), bytes.fromhex("06082a8648ce3d040303"))
    # The certificates inside use the same identifier: they become wrong too, but are not looked at before this check.
    (found,) = SignedMessage.parse(swapped).verify(over(pki.read("content")), ring, AS_OF)
    assert found.outcome is Outcome.INVALID
    assert "the content digest is sha-256" in found.note


def test_a_detached_message_without_its_content_is_undecidable(pki: Any, ring: KeyRing) -> None:
    (found,) = SignedMessage.parse(sign(pki, "ecdsa-p256")).verify(None, ring, AS_OF)
    assert found.outcome is Outcome.UNDECIDABLE


def test_a_digest_that_nobody_here_computes_is_undecidable(pki: Any, ring: KeyRing) -> None:
    def refuse(name: str) -> bytes:
        raise UnsupportedAlgorithmError(name)

    (found,) = SignedMessage.parse(sign(pki, "ecdsa-p256")).verify(refuse, ring, AS_OF)
    assert found.outcome is Outcome.UNDECIDABLE


def test_raucs_own_signatures_have_the_verdicts_that_its_authors_state(corpus: Path) -> None:
    folder = corpus / "rauc" / "openssl-ca"
    manifest = (folder / "manifest").read_bytes()
    bundle = (folder / "dev-ca.pem").read_bytes()
    ring = KeyRing.of(anchors=read_certificates(bundle, "dev"), crls=read_crls(bundle, "dev"))
    good, revoked = (
        SignedMessage.parse((folder / name).read_bytes()).verify(over(manifest), ring, AS_OF)[0]
        for name in ("manifest-a1.sig", "manifest-a2.sig")
    )
    assert good.outcome is Outcome.VALID
    assert good.chain is not None
    assert good.chain.revoked is False
    assert "RAUC test PKI" in good.key.published
    assert revoked.outcome is Outcome.INVALID
    assert revoked.chain is not None
    assert (revoked.chain.revoked, revoked.chain.valid) == (True, False)
    assert "revoked" in revoked.note
    without = KeyRing.of(anchors=ring.anchors)
    (unlisted,) = SignedMessage.parse((folder / "manifest-a2.sig").read_bytes()).verify(over(manifest), without, AS_OF)
    assert unlisted.outcome is Outcome.VALID
    assert unlisted.chain is not None
    assert unlisted.chain.revoked is None


@pytest.mark.parametrize(("name", "expected"), [("good", Outcome.VALID), ("invalid-sig", Outcome.INVALID)])
def test_a_rauc_bundles_trailing_signature_covers_the_bytes_before_it(
    corpus: Path, name: str, expected: Outcome
) -> None:
    data = (corpus / "rauc" / f"{name}-bundle.raucb").read_bytes()
    size = int.from_bytes(data[-8:], "big")
    ring = KeyRing.of(anchors=read_certificates((corpus / "rauc/openssl-ca/rel-ca.pem").read_bytes(), "rel"))
    (found,) = SignedMessage.parse(data[-8 - size : -8]).verify(over(data[: -8 - size]), ring, AS_OF)
    assert found.outcome is expected
    if expected is Outcome.INVALID:
        assert found.note == "the message digest does not match the content"


def test_a_bundle_whose_intermediate_is_missing_has_an_unknown_key(corpus: Path) -> None:
    data = (corpus / "rauc" / "good-bundle.raucb").read_bytes()
    size = int.from_bytes(data[-8:], "big")
    ring = KeyRing.of(anchors=read_certificates((corpus / "rauc/openssl-ca/root-ca.pem").read_bytes(), "root"))
    (found,) = SignedMessage.parse(data[-8 - size : -8]).verify(over(data[: -8 - size]), ring, AS_OF)
    assert found.outcome is not Outcome.VALID


def test_the_android_test_certificate_is_trusted_as_a_key_though_expired(corpus: Path) -> None:
    data = (corpus / "android-ota" / "otasigned_v4.zip").read_bytes()
    start, comment = int.from_bytes(data[-6:-4], "little"), int.from_bytes(data[-2:], "little")
    pinned = read_certificates((corpus / "android-ota" / "testkey_v4.x509.pem").read_bytes(), "otacerts")
    message = SignedMessage.parse(data[-start:-6])
    (found,) = message.verify(over(data[: len(data) - comment - 2]), KeyRing.of(anchors=pinned), AS_OF)
    assert found.outcome is Outcome.VALID
    assert found.chain is not None
    assert found.chain.expired is True
    assert "AOSP" in found.key.published
    (near,) = message.verify(over(data[: len(data) - comment - 1]), KeyRing.of(anchors=pinned), AS_OF)
    assert near.outcome is Outcome.INVALID


def build(content: bytes, certificate: bytes, oid: str, make: Callable[[bytes], bytes], *, attributes: bool) -> bytes:
    """Return SignedData that openssl 3.0 cannot make: schemes that take the message, SHA-512 as the digest."""
    identifier = {"algorithm": oid}
    attrs = cms.CMSAttributes(
        [
            cms.CMSAttribute({"type": "content_type", "values": ["data"]}),
            cms.CMSAttribute({"type": "message_digest", "values": [hashlib.sha512(content).digest()]}),
        ]
    )
    loaded = x509.Certificate.load(certificate)
    signer = {
        "version": "v1",
        "sid": {"issuer_and_serial_number": {"issuer": loaded.issuer, "serial_number": loaded.serial_number}},
        "digest_algorithm": {"algorithm": "sha512"},
        "signature_algorithm": identifier,
        "signature": make(attrs.dump() if attributes else content),
    } | ({"signed_attrs": attrs} if attributes else {})
    signed = {
        "version": "v1",
        "digest_algorithms": [{"algorithm": "sha512"}],
        "encap_content_info": {"content_type": "data"},
        "certificates": [loaded],
        "signer_infos": [signer],
    }
    return bytes(cms.ContentInfo({"content_type": "signed_data", "content": cms.SignedData(signed)}).dump())


@pytest.mark.parametrize("attributes", [True, False])
def test_ed25519_signers_are_verified_with_and_without_signed_attributes(
    pki: Any,
    ring: KeyRing,
    attributes: bool,  # noqa: FBT001
) -> None:
    content = pki.read("content")
    key: Any = load_pem_private_key(pki.read("leaf-ed25519.key"), None)
    certificate = pem.unarmor(pki.read("leaf-ed25519.crt"))[2]
    data = build(content, certificate, "1.3.101.112", key.sign, attributes=attributes)
    trusted = KeyRing.of(anchors=ring.anchors, intermediates=read_certificates(pki.read("sub.crt"), "sub"))
    message = SignedMessage.parse(data)
    (found,) = message.verify(over(content), trusted, AS_OF, content=lambda: content)
    assert (found.outcome, found.algorithm, found.hash) == (Outcome.VALID, "ed25519", "sha-512")
    (near,) = message.verify(over(content + b"x"), trusted, AS_OF, content=lambda: content + b"x")
    assert near.outcome is Outcome.INVALID


def test_ml_dsa_signers_are_verified_and_rest_on_the_message_digest(pki: Any) -> None:
    content = pki.read("content")
    key = mldsa.MLDSA65PrivateKey.generate()
    name = crypto_x509.Name([crypto_x509.NameAttribute(crypto_x509.NameOID.COMMON_NAME, "ml-dsa")])
    start = dt.datetime(2025, 1, 1, tzinfo=dt.UTC)
    made = (
        crypto_x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(7)
        .not_valid_before(start)
        .not_valid_after(start.replace(year=2035))
        .sign(key, None)
    )
    der = made.public_bytes(Encoding.DER)
    data = build(content, der, "2.16.840.1.101.3.4.3.18", key.sign, attributes=True)
    anchors = KeyRing.of(anchors=read_certificates(der, "pq"))
    (found,) = SignedMessage.parse(data).verify(over(content), anchors, AS_OF)
    assert (found.outcome, found.algorithm, found.hash, found.key.strength) == (
        Outcome.VALID,
        "ml-dsa-65",
        "sha-512",
        192,
    )
    at = data.index(SignedMessage.parse(data).signers[0].signature) + 100
    broken = data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]
    assert SignedMessage.parse(broken).verify(over(content), anchors, AS_OF)[0].outcome is Outcome.INVALID


@pytest.mark.parametrize("repeat", ["content_type", "message_digest"])
def test_an_attribute_that_must_stand_once_may_not_stand_twice(pki: Any, ring: KeyRing, repeat: str) -> None:
    data = sign(pki, "ecdsa-p256")
    info = cms.ContentInfo.load(data)
    signer = info["content"]["signer_infos"][0]
    attrs = list(signer["signed_attrs"])
    twin = next(item for item in attrs if item["type"].native == repeat)
    doubled = cms.CMSAttributes([*attrs, twin])
    key: Any = load_pem_private_key(pki.read("leaf-p256.key"), None)
    signer["signed_attrs"] = doubled
    signer["signature"] = key.sign(doubled.dump(), ec.ECDSA(hashes.SHA256()))
    (found,) = SignedMessage.parse(info.dump(force=True)).verify(over(pki.read("content")), ring, AS_OF)
    assert found.outcome is Outcome.INVALID
    assert "repeated" in found.note


def test_only_signed_and_enveloped_messages_look_like_cms(pki: Any) -> None:
    data = sign(pki, "ber-indefinite-length")
    assert looks_like_cms(data)
    assert looks_like_cms(data[:32])
    assert not looks_like_cms(pki.read("content"))
    assert not looks_like_cms(b"")
    with pytest.raises(FormatError, match="not CMS"):
        SignedMessage.parse(pki.read("root.crt"))
