"""Key encapsulation: published vectors, CMS recipients that other libraries encapsulated to, and what is only named."""

from __future__ import annotations

import base64
import hashlib
import json
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import mlkem
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from cryptography.hazmat.primitives.keywrap import aes_key_wrap, aes_key_wrap_with_padding
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from checker.crypto import _cms_envelope
from checker.crypto.cms import EnvelopedMessage
from checker.crypto.kem import frodo, ml_kem
from checker.crypto.kem.keys import secrets
from checker.crypto.keyring import DecryptionKey, KeyRing, read_decryption_key
from checker.errors import CryptoError, DecryptionError, FormatError, KeyMaterialError
from checker.formats._common import recipient_weaknesses
from checker.model.artifact import Recipient
from tests.crypto import frodo_maker
from tests.crypto import pq_vectors as vectors
from tests.crypto.pq_material import der, name, oid
from tests.crypto.pq_vectors import Tally

DATA = Path(__file__).parent / "data"
OIDS = {
    "ml-kem-512": "2.16.840.1.101.3.4.4.1",
    "ml-kem-768": "2.16.840.1.101.3.4.4.2",
    "ml-kem-1024": "2.16.840.1.101.3.4.4.3",
}
HYBRID = "1.3.6.1.5.5.7.6.58"
FRODO = "1.3.6.1.4.1.25258.1.14.1"
HKDF_SHA256, AES256_WRAP, AES256_GCM = (
    "1.2.840.113549.1.9.16.3.28",
    "2.16.840.1.101.3.4.1.45",
    "2.16.840.1.101.3.4.1.46",
)


def octets(text: str) -> bytes:
    return bytes.fromhex(text)


# Vectors


def test_nist_ml_kem() -> None:
    tally = Tally()
    for group, case in vectors.acvp("ML-KEM-encapDecap-FIPS203"):
        set_name = group["parameterSet"].lower()
        if group["function"] == "decapsulation":
            found = ml_kem.decapsulate(set_name, octets(case["dk"]), octets(case["c"]))
            tally.take("decapsulation", agrees=found == octets(case["k"]), case=case["tcId"])
        elif group["function"] == "decapsulationKeyCheck":
            tally.take(
                "check", agrees=is_key(set_name, octets(case["dk"])) is vectors.true(case["testPassed"]), case=case
            )
        # Encapsulation and the check of encapsulation keys belong to the sender's side, which is not here.
    for group, case in vectors.acvp("ML-KEM-keyGen-FIPS203"):
        set_name = group["parameterSet"].lower()
        private = ml_kem.expand(set_name, octets(case["d"]) + octets(case["z"]))
        same = private == octets(case["dk"]) and ml_kem.public_key(set_name, private) == octets(case["ek"])
        tally.take("expansion", agrees=same, case=case["tcId"])
    tally.done(decapsulation=30, check=30, expansion=75)


def is_key(set_name: str, private: bytes) -> bool:
    try:
        ml_kem.public_key(set_name, private)
    except KeyMaterialError:
        return False
    return True


@pytest.mark.parametrize("size", ["512", "768", "1024"])
def test_wycheproof_ml_kem(size: str) -> None:
    tally, set_name = Tally(), f"ml-kem-{size}"
    files = (f"mlkem_{size}_test.json", f"mlkem_{size}_semi_expanded_decaps_test.json")
    for file in files:
        for _, case in vectors.spread(vectors.wycheproof(file), 4):
            try:
                seed = octets(case["seed"]) if "seed" in case else b""
                private = ml_kem.expand(set_name, seed) if "seed" in case else octets(case["dk"])
                found = ml_kem.decapsulate(set_name, private, octets(case["c"]))
                agrees = case["result"] == "valid" and found == octets(case.get("K", found.hex()))
            except (KeyMaterialError, DecryptionError):
                agrees = case["result"] == "invalid"
            tally.take("cases", agrees=agrees, case=(file, case["tcId"], case["result"]))
    assert tally.counts["cases"] >= (209 if vectors.EVERY else 53)
    assert not tally.wrong


@pytest.mark.parametrize("size", ["512", "768", "1024"])
def test_edge_cases_of_cctv(size: str) -> None:
    set_name = f"ml-kem-{size}"
    for kind in ("strcmp", "unluckysample"):
        text = vectors.archive("edge_vectors")[f"cctv/ML-KEM/{kind}/ML-KEM-{size}.txt"]
        fields = dict(line.split(" = ", 1) for line in text.splitlines() if " = " in line)
        found = ml_kem.decapsulate(set_name, octets(fields["dk"]), octets(fields["c"]))
        assert found == octets(fields.get("K") or fields["k"])


FRODO_CASES = json.loads((DATA / "frodokem_kat.json").read_text())["cases"]


@pytest.mark.parametrize("case", [*vectors.spread(FRODO_CASES, 3)], ids=lambda case: case["set"])
def test_frodokem_vectors(case: Any) -> None:
    ephemeral, set_name = case["set"].startswith("e"), case["set"].lower().removeprefix("e")
    draw, security = frodo_maker.Drbg(octets(case["seed"])), frodo.SETS[set_name].security
    drawn = draw(frodo_maker.drawn_size(set_name, ephemeral=ephemeral))
    public, private = frodo_maker.keypair(set_name, drawn, ephemeral=ephemeral)
    ciphertext, secret = frodo_maker.encapsulate(set_name, public, draw(security if ephemeral else 3 * security))
    short = [hashlib.shake_256(item).hexdigest(16) for item in (public, private, ciphertext)]
    assert short == [case["pk"], case["sk"], case["ct"]]
    assert secret.hex() == case["ss"]
    assert frodo.decapsulate(set_name, private, ciphertext).hex() == case["ss"]
    assert frodo.public_key(set_name, private) == public
    flipped = ciphertext[:-1] + bytes([ciphertext[-1] ^ 1])
    assert frodo.decapsulate(set_name, private, flipped).hex() != case["ss"]  # implicit rejection


def test_one_flipped_bit_gives_a_secret_that_nobody_has() -> None:
    private = ml_kem.expand("ml-kem-512", bytes(range(64)))
    key = mlkem.MLKEM768PrivateKey.from_seed_bytes(bytes(range(64)))
    secret, ciphertext = key.public_key().encapsulate()
    own = ml_kem.expand("ml-kem-768", bytes(range(64)))
    assert ml_kem.decapsulate("ml-kem-768", own, ciphertext) == secret
    for at in (0, 500, len(ciphertext) - 1):
        flipped = bytearray(ciphertext)
        flipped[at] ^= 4
        assert ml_kem.decapsulate("ml-kem-768", own, bytes(flipped)) != secret
    for odd in (b"", ciphertext[:-1], ciphertext + b"\0"):
        with pytest.raises(DecryptionError):
            ml_kem.decapsulate("ml-kem-768", own, odd)
    for wrong in (private, own[:-1], b"", own[:1200] + bytes([own[1200] ^ 1]) + own[1201:]):
        with pytest.raises(KeyMaterialError):
            ml_kem.decapsulate("ml-kem-768", wrong, ciphertext)
    with pytest.raises(DecryptionError):
        frodo.decapsulate("frodokem-640-aes", bytes(19888), b"short")


def test_the_combination_of_the_hybrid_is_the_drafts_example() -> None:
    # draft-ietf-lamps-pq-composite-kem, example of the combiner of id-MLKEM768-X25519-SHA3-256.
    parts = (
        "c40c03784030d51cf7fff4364502adf83122bb658fccba8acb780f8bb0111a1a",
        "ad3af2ea79de53b4aca7d7361fb0e113d42859d22f43833118f6a77191be0b51",
        "11736b7b25250305b9d22307a9d9351aaf2a7a808264e106ab721bc0fa0f1671",
        "96560ec1619de5d414ac182b58736b857995ad3e2cf228bfd2f60ae43d892f49",
    )
    combined = combine(*(octets(part) for part in parts))
    assert combined.hex() == "903ec1ed0ef9a32ab02f95214e214a435ab2209b6f0d3e0645861e8a4913908d"


def combine(*parts: bytes) -> bytes:
    return hashlib.sha3_256(b"".join(parts) + b"\\.//^\\").digest()


# Key files


def pkcs8(identifier: str, content: bytes) -> bytes:
    return der(0x30, der(0x02, b"\0"), der(0x30, oid(identifier)), der(0x04, content))


def test_ml_kem_keys_are_read_as_seed_expanded_or_both() -> None:
    seed = bytes(range(64))
    private = ml_kem.expand("ml-kem-512", seed)
    forms = (der(0x80, seed), der(0x04, private), der(0x30, der(0x04, seed), der(0x04, private)))
    found = [read_decryption_key(pkcs8(OIDS["ml-kem-512"], form), "device.der") for form in forms]
    assert {key.kind for key in found} == {"ml-kem-512"}
    assert {key.facts.id for key in found} == {found[0].facts.id}
    assert found[0].facts.declared
    assert "ml-kem" in repr(found[0])
    assert private.hex() not in repr(found[0])
    with pytest.raises(KeyMaterialError, match="not of the same key"):
        read_decryption_key(pkcs8(OIDS["ml-kem-512"], der(0x30, der(0x04, bytes(64)), der(0x04, private))), "odd")
    for odd in (b"", der(0x80, seed[:-1]), der(0x04, private[:-1]), der(0x04, b""), b"\xff\xff"):
        with pytest.raises(KeyMaterialError):
            read_decryption_key(pkcs8(OIDS["ml-kem-512"], odd), "odd")


def test_a_pem_file_of_cryptography_is_the_same_key() -> None:
    key = mlkem.MLKEM1024PrivateKey.from_seed_bytes(bytes(64))
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    assert read_decryption_key(pem, "device.pem").kind == "ml-kem-1024"
    secret, ciphertext = key.public_key().encapsulate()
    assert secrets("ml-kem-1024", read_decryption_key(pem, "device.pem").secret, ciphertext) == (secret,)


def frodo_pair() -> tuple[bytes, bytes]:
    return frodo_maker.keypair("frodokem-640-shake", bytes(range(64)))


def test_frodokem_keys_are_read_bare_and_in_botans_pkcs8() -> None:
    _, private = frodo_pair()
    bare, wrapped = read_decryption_key(private, "frodo.key"), read_decryption_key(pkcs8(FRODO, private), "frodo.der")
    assert (bare.kind, wrapped.kind) == ("frodokem-640", "frodokem-640")
    assert bare.facts.id == wrapped.facts.id
    with pytest.raises(KeyMaterialError):
        read_decryption_key(bytes(len(private)), "zeros.key")


def test_hybrid_keys_have_both_halves() -> None:
    found = read_decryption_key(pkcs8(HYBRID, bytes(range(96))), "hybrid.der")
    assert found.kind == "x25519-ml-kem-768"
    with pytest.raises(KeyMaterialError, match="classical half"):
        read_decryption_key(pkcs8(HYBRID, bytes(95)), "hybrid.der")


def test_secrets_of_an_unknown_kem_are_an_error() -> None:
    for kind in ("newhope", "frodokem-640", "x25519-ml-kem-768", "ml-kem-768"):
        with pytest.raises(DecryptionError):
            secrets(kind, b"", b"")


# CMS


def kem_message(
    identifier: str,
    ciphertext: bytes,
    secret: bytes,
    *,
    ukm: bytes = b"",
    kdf: str = HKDF_SHA256,
    wrap: str = AES256_WRAP,
    size: int = 32,
    hashed: Any = hashes.SHA256,
    derived: int = 32,
) -> bytes:
    """Return AuthEnvelopedData with one KEMRecipientInfo (RFC 9629), its KEK derived by cryptography's HKDF.

    `size` is what the message says of the KEK, `derived` what it has.
    """
    wrapping = der(0x30, oid(wrap))
    field = der(0xA0, der(0x04, ukm)) if ukm else b""
    length = der(0x02, bytes([size]))
    info = der(0x30, wrapping, length, field)
    kek = HKDF(algorithm=hashed(), length=derived, salt=None, info=info).derive(secret)
    content_key, nonce = bytes(range(32)), bytes(12)
    sealed = AESGCM(content_key).encrypt(nonce, b"the update", None)
    rid = der(0x30, name("device"), der(0x02, b"\7"))
    wrapped = aes_key_wrap_with_padding if wrap in PADDED else aes_key_wrap
    info = der(
        0x30,
        der(0x02, b"\0"),
        rid,
        der(0x30, oid(identifier)),
        der(0x04, ciphertext),
        der(0x30, oid(kdf)),
        length,
        field,
        wrapping,
        der(0x04, wrapped(kek, content_key)),
    )
    recipient = der(0xA4, oid("1.2.840.113549.1.9.16.13.3"), info)
    algorithm = der(0x30, oid(AES256_GCM), der(0x30, der(0x04, nonce), der(0x02, b"\x10")))
    encrypted = der(0x30, oid("1.2.840.113549.1.7.1"), algorithm, der(0x80, sealed[:-16]))
    data = der(0x30, der(0x02, b"\0"), der(0x31, recipient), encrypted, der(0x04, sealed[-16:]))
    return der(0x30, oid("1.2.840.113549.1.9.16.1.23"), der(0xA0, data))


def ml_kem_768() -> tuple[DecryptionKey, bytes, bytes]:
    key = mlkem.MLKEM768PrivateKey.from_seed_bytes(bytes(range(64)))
    secret, ciphertext = key.public_key().encapsulate()
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    return read_decryption_key(pem, "device.pem"), secret, ciphertext


def ml_kem_512() -> tuple[DecryptionKey, bytes, bytes]:
    kem = pytest.importorskip("pqcrypto.kem", reason="pqcrypto is not installed").ml_kem_512
    private = ml_kem.expand("ml-kem-512", bytes(range(64)))
    ciphertext, secret = kem.encaps(ml_kem.public_key("ml-kem-512", private))
    key = read_decryption_key(pkcs8(OIDS["ml-kem-512"], der(0x80, bytes(range(64)))), "device.der")
    return key, bytes(secret), bytes(ciphertext)


def frodo_640() -> tuple[DecryptionKey, bytes, bytes]:
    public, private = frodo_pair()
    ciphertext, secret = frodo_maker.encapsulate("frodokem-640-shake", public, bytes(range(48)))
    return read_decryption_key(private, "frodo.key"), secret, ciphertext


def hybrid() -> tuple[DecryptionKey, bytes, bytes]:
    lattice, curve = mlkem.MLKEM768PrivateKey.from_seed_bytes(bytes(range(64))), bytes(range(64, 96))
    first, one = lattice.public_key().encapsulate()
    ephemeral, static = (
        X25519PrivateKey.from_private_bytes(bytes(range(32))),
        X25519PrivateKey.from_private_bytes(curve),
    )
    two, own = ephemeral.public_key().public_bytes_raw(), static.public_key().public_bytes_raw()
    secret = combine(first, ephemeral.exchange(static.public_key()), two, own)
    return read_decryption_key(pkcs8(HYBRID, bytes(range(64)) + curve), "hybrid.der"), secret, one + two


MAKERS = {
    "ml-kem-768": (ml_kem_768, OIDS["ml-kem-768"]),
    "ml-kem-512": (ml_kem_512, OIDS["ml-kem-512"]),
    "frodokem-640": (frodo_640, FRODO),
    "x25519-ml-kem-768": (hybrid, HYBRID),
}


@pytest.mark.parametrize("ukm", [b"", b"release 7"])
@pytest.mark.parametrize("kind", MAKERS)
def test_kem_recipients_are_opened_with_their_key_and_with_no_other(kind: str, ukm: bytes) -> None:
    make, identifier = MAKERS[kind]
    key, secret, ciphertext = make()
    message = EnvelopedMessage.parse(kem_message(identifier, ciphertext, secret, ukm=ukm))
    (facts,) = message.recipients
    assert (facts.algorithm, facts.wrapping_bits) == (kind, 256)
    assert facts.ephemeral == hashlib.sha256(ciphertext).hexdigest()
    opened = message.open(KeyRing.of(decryption=[key]))
    assert opened.content == b"the update"
    assert opened.recipients[0].unwrapped is True
    assert opened.encryption.decrypted is True
    flipped = ciphertext[:-1] + bytes([ciphertext[-1] ^ 1])
    for odd in (flipped, ciphertext[:-1]):
        with pytest.raises(DecryptionError):
            EnvelopedMessage.parse(kem_message(identifier, odd, secret, ukm=ukm)).decrypt(KeyRing.of(decryption=[key]))
    stranger = read_decryption_key(pkcs8(OIDS["ml-kem-768"], der(0x80, bytes(64))), "other")
    with pytest.raises(DecryptionError):
        message.decrypt(KeyRing.of(decryption=[stranger]))


WRAPS = {16: "2.16.840.1.101.3.4.1.5", 24: "2.16.840.1.101.3.4.1.25", 32: "2.16.840.1.101.3.4.1.45"}
PADDED = {"2.16.840.1.101.3.4.1.8": 16, "2.16.840.1.101.3.4.1.28": 24, "2.16.840.1.101.3.4.1.48": 32}
KDFS = {
    "1.2.840.113549.1.9.16.3.28": hashes.SHA256,
    "1.2.840.113549.1.9.16.3.29": hashes.SHA384,
    "1.2.840.113549.1.9.16.3.30": hashes.SHA512,
}


@pytest.mark.parametrize("kdf", KDFS)
@pytest.mark.parametrize(("wrap", "size"), [*((name, size) for size, name in WRAPS.items()), *PADDED.items()])
def test_every_derivation_and_every_wrap_of_aes_opens(kdf: str, wrap: str, size: int) -> None:
    key, secret, ciphertext = ml_kem_768()
    how: Any = {"kdf": kdf, "hashed": KDFS[kdf], "wrap": wrap, "size": size, "derived": size, "ukm": b"release 7"}
    message = EnvelopedMessage.parse(kem_message(OIDS["ml-kem-768"], ciphertext, secret, **how))
    assert message.recipients[0].wrapping_bits == size * 8
    assert message.open(KeyRing.of(decryption=[key])).content == b"the update"
    other = {"hashed": next(each for each in KDFS.values() if each is not KDFS[kdf])}
    with pytest.raises(CryptoError):  # what is named is what is computed
        EnvelopedMessage.parse(kem_message(OIDS["ml-kem-768"], ciphertext, secret, **(how | other))).decrypt(
            KeyRing.of(decryption=[key])
        )


@pytest.mark.parametrize(
    "how",
    [
        {"kdf": "1.3.133.16.840.9.44.1.2"},
        {"wrap": "1.2.840.113549.1.9.16.3.6"},
        {"wrap": "2.16.840.1.101.3.4.1.5"},
        {"size": 16},
        {"size": 0},
        {"size": 127},
    ],
)
def test_derivations_and_wraps_that_are_not_computed_are_an_error(how: Any) -> None:
    key, secret, ciphertext = ml_kem_768()
    message = EnvelopedMessage.parse(kem_message(OIDS["ml-kem-768"], ciphertext, secret, **how))
    with pytest.raises(CryptoError):
        message.decrypt(KeyRing.of(decryption=[key]))


@pytest.mark.parametrize(
    ("identifier", "kind"),
    [("1.3.6.1.4.1.2.267.8.3.3", "kyber-draft"), ("1.2.3.4", "1.2.3.4")],
)
def test_other_kems_are_named_and_not_opened(identifier: str, kind: str) -> None:
    key, secret, ciphertext = ml_kem_768()
    message = EnvelopedMessage.parse(kem_message(identifier, ciphertext, secret))
    assert message.recipients[0].algorithm == kind
    with pytest.raises(DecryptionError):
        message.decrypt(KeyRing.of(decryption=[key]))


def test_a_damaged_kem_recipient_is_a_format_error_or_stays_closed() -> None:
    key, secret, ciphertext = ml_kem_768()
    data = kem_message(OIDS["ml-kem-768"], ciphertext, secret)
    ring = KeyRing.of(decryption=[key])
    for at in range(0, len(data), 29):
        flipped = bytearray(data)
        flipped[at] ^= 0x10
        try:
            opened = EnvelopedMessage.parse(bytes(flipped)).decrypt(ring)
        except (CryptoError, FormatError):
            continue
        assert opened == b"the update"  # the flipped bit lay in the recipient's name or the like


@pytest.mark.parametrize("identifier", ["1.3.101.112", "1.3.101.113", "1.3.101.110", "1.3.101.111"])
@pytest.mark.parametrize("size", [1, 31, 33, 64])
def test_a_private_key_of_another_length_is_a_named_error(identifier: str, size: int) -> None:
    with pytest.raises(KeyMaterialError):
        read_decryption_key(pkcs8(identifier, der(0x04, bytes(range(size)))), "odd.pem")


def test_base64_is_not_mistaken_for_a_bare_key() -> None:
    with pytest.raises(KeyMaterialError):
        read_decryption_key(base64.b64encode(bytes(14916)), "text")


def test_drafts_are_warned_of_and_standards_are_not() -> None:
    named = [Recipient(algorithm=each) for each in ("newhope", "ml-kem-768", "kyber-draft", "kyber-draft")]
    found = [(item.code, item.where) for item in recipient_weaknesses(named)]
    assert found == [("pre-standard-kem", "kyber-draft"), ("pre-standard-kem", "newhope")]


def test_no_message_makes_more_decapsulations_than_a_limit_allows(monkeypatch: pytest.MonkeyPatch) -> None:
    key, secret, ciphertext = ml_kem_768()
    message = EnvelopedMessage.parse(kem_message(OIDS["ml-kem-768"], ciphertext, secret))
    ring = KeyRing.of(decryption=[key])
    monkeypatch.setattr(_cms_envelope, "MAX_KEM_WORK", 1)
    assert message.decrypt(ring) == b"the update"
    monkeypatch.setattr(_cms_envelope, "MAX_KEM_WORK", 0)
    with pytest.raises(DecryptionError, match="MAX_KEM_WORK"):
        message.decrypt(ring)
