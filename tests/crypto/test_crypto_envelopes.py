"""EnvelopedData and AuthEnvelopedData as the openssl command makes them: opened by the right key, by no other."""

from __future__ import annotations

import hashlib
from typing import Any

import pytest
from asn1crypto import core

from checker.crypto import _cms_envelope
from checker.crypto.cms import EnvelopedMessage
from checker.crypto.keyring import DecryptionKey, KeyRing, read_decryption_key
from checker.errors import CryptoError, DecryptionError, FormatError

KEK = "000102030405060708090a0b0c0d0e0f1011121314151617"
TRANSPORT = {
    "rsa-v15": (["-recip", "to-rsa.crt"], "to-rsa.key", "rsa-pkcs1v15-transport"),
    "rsa-oaep-sha1": (["-recip", "to-rsa.crt", "-keyopt", "rsa_padding_mode:oaep"], "to-rsa.key", "rsa-oaep"),
    "rsa-oaep-sha256": (
        ["-recip", "to-rsa.crt", "-keyopt", "rsa_padding_mode:oaep", "-keyopt", "rsa_oaep_md:sha256"],
        "to-rsa.key",
        "rsa-oaep",
    ),
    "rsa-oaep-mixed": (
        ["-recip", "to-rsa.crt", "-keyopt", "rsa_padding_mode:oaep", "-keyopt", "rsa_oaep_md:sha256",
         "-keyopt", "rsa_mgf1_md:sha1"],
        "to-rsa.key",
        "rsa-oaep",
    ),
    "ecdh-p256": (["-recip", "to-ec.crt"], "to-ec.key", "ecdh-es"),
    "ecdh-sha256-aes256": (
        ["-aes256-wrap", "-recip", "to-ec.crt", "-keyopt", "ecdh_kdf_md:sha256"], "to-ec.key", "ecdh-es"),
    "ecdh-sha512-aes192": (
        ["-aes192-wrap", "-recip", "to-ec.crt", "-keyopt", "ecdh_kdf_md:sha512"], "to-ec.key", "ecdh-es"),
    "kek-128": (["-secretkey", KEK[:32], "-secretkeyid", "0a0b"], KEK[:32], "aes-kw"),
    "kek-192": (["-secretkey", KEK[:48], "-secretkeyid", "0a0b"], KEK[:48], "aes-kw"),
    "kek-256": (["-secretkey", KEK[:32] * 2, "-secretkeyid", "0a0b"], KEK[:32] * 2, "aes-kw"),
    "mixed-rsa-and-ec": (["-recip", "to-rsa.crt", "-recip", "to-ec.crt"], "to-ec.key", "ecdh-es"),
}  # fmt: skip
CIPHERS = ["aes-128-cbc", "aes-192-cbc", "aes-256-cbc", "aes-128-gcm", "aes-256-gcm", "des-ede3-cbc"]


@pytest.fixture(scope="module", autouse=True)
def recipients(pki: Any) -> None:
    pki.issue("to-rsa", "rsa2048", "sub", "recipient")
    pki.issue("to-ec", "p256", "sub", "recipient")
    pki.issue("to-other", "rsa2048", "sub", "recipient")
    pki.issue("to-other-ec", "p256", "sub", "recipient")


def encrypt(pki: Any, transport: str, cipher: str = "aes-256-cbc", *extra: str) -> bytes:
    args = TRANSPORT[transport][0]
    options = [item for item in args if item.startswith("-aes")]
    rest = [item for item in args if item not in options]
    # `openssl cms` reads the certificates of -recip options; the last plain arguments are certificates too.
    pki.run("cms", "-encrypt", "-binary", "-in", "content", f"-{cipher}", *options, "-outform", "DER", "-out",
            "enveloped.cms", *extra, *rest)  # fmt: skip
    return bytes(pki.read("enveloped.cms"))


def opener(pki: Any, name: str) -> DecryptionKey:
    return read_decryption_key(pki.read(name) if name.endswith(".key") else name.encode(), name[:8])


@pytest.mark.parametrize("transport", TRANSPORT)
def test_the_right_key_opens_what_openssl_encrypted_and_a_wrong_one_does_not(pki: Any, transport: str) -> None:
    message = EnvelopedMessage.parse(encrypt(pki, transport))
    key = opener(pki, TRANSPORT[transport][1])
    opened = message.open(KeyRing.of(decryption=[key]))
    assert opened.content == pki.read("content")
    used = [item for item in opened.recipients if item.unwrapped]
    assert [(item.algorithm, item.key.id) for item in used] == [(TRANSPORT[transport][2], key.facts.id)]
    wrong = [opener(pki, "to-other.key"), opener(pki, "to-other-ec.key"), opener(pki, "ff" * 16)]
    with pytest.raises(DecryptionError):
        message.open(KeyRing.of(decryption=wrong))
    with pytest.raises(DecryptionError, match="none of 0"):
        message.decrypt(KeyRing.empty())


@pytest.mark.parametrize("cipher", CIPHERS)
def test_every_content_cipher_gives_the_same_bytes_and_its_facts(pki: Any, cipher: str) -> None:
    message = EnvelopedMessage.parse(encrypt(pki, "rsa-oaep-sha256", cipher))
    opened = message.open(KeyRing.of(decryption=[opener(pki, "to-rsa.key")]))
    assert opened.content == pki.read("content")
    facts = opened.encryption
    if cipher.startswith("aes"):
        name, bits, mode = cipher.split("-")
        assert (facts.cipher, facts.key_bits, facts.mode) == (name, int(bits), mode)
    else:
        assert (facts.cipher, facts.mode, facts.key_bits) == ("3des", "cbc", 168)
    aead = cipher.endswith("gcm")
    assert (facts.authenticated, facts.decrypted) == ((True, True) if aead else (None, None))
    assert facts.tag_bits == (128 if aead else None)
    assert len(facts.nonce) == (24 if aead else 32 if cipher.startswith("aes") else 16)
    assert len(facts.content_key_digest) == 64


@pytest.mark.parametrize("transport", ["rsa-v15", "ecdh-p256", "kek-128"])
def test_indefinite_length_messages_open_too(pki: Any, transport: str) -> None:
    message = EnvelopedMessage.parse(encrypt(pki, transport, "aes-128-cbc", "-stream"))
    assert message.decrypt(KeyRing.of(decryption=[opener(pki, TRANSPORT[transport][1])])) == pki.read("content")


def test_a_changed_byte_of_an_authenticated_message_is_found(pki: Any) -> None:
    data = encrypt(pki, "ecdh-p256", "aes-256-gcm")
    ciphertext = EnvelopedMessage.parse(data).ciphertext
    assert ciphertext is not None
    at = data.index(ciphertext) + 1000
    broken = data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]
    with pytest.raises(DecryptionError):
        EnvelopedMessage.parse(broken).decrypt(KeyRing.of(decryption=[opener(pki, "to-ec.key")]))


def test_a_message_to_a_fleet_of_forty_is_opened_by_the_last_of_them(pki: Any) -> None:
    fleet = ["-recip", "to-other-ec.crt"] * 39
    message = EnvelopedMessage.parse(encrypt(pki, "ecdh-p256", "aes-256-cbc", *fleet))
    opened = message.open(KeyRing.of(decryption=[opener(pki, "to-ec.key")]))
    assert (len(opened.recipients), opened.content) == (40, pki.read("content"))


def test_two_messages_to_one_recipient_differ_in_wrapped_and_ephemeral_keys(pki: Any) -> None:
    first, second = (EnvelopedMessage.parse(encrypt(pki, "ecdh-p256")).recipients[0] for _ in range(2))
    assert first.ephemeral != second.ephemeral
    assert first.wrapped != second.wrapped
    assert first.key.id == second.key.id


def test_unwrapped_content_keys_are_told_by_their_digest_only(pki: Any) -> None:
    pki.run("cms", "-EncryptedData_encrypt", "-binary", "-in", "content", "-aes-128-cbc", "-secretkey", "11" * 16,
            "-outform", "DER", "-out", "plain-key.cms")  # fmt: skip
    with pytest.raises(FormatError):  # EncryptedData names no recipient at all and is another content type
        EnvelopedMessage.parse(pki.read("plain-key.cms"))
    opened = EnvelopedMessage.parse(encrypt(pki, "kek-128")).open(KeyRing.of(decryption=[opener(pki, KEK[:32])]))
    assert hashlib.sha256(bytes.fromhex(KEK[:32])).hexdigest() != opened.encryption.content_key_digest
    assert KEK[:32] not in repr(opened)


def test_password_recipients_are_reported_and_not_opened(pki: Any) -> None:
    pki.run("cms", "-encrypt", "-binary", "-in", "content", "-aes-256-cbc", "-pwri_password", "secret", "-outform",
            "DER", "-out", "password.cms")  # fmt: skip
    message = EnvelopedMessage.parse(pki.read("password.cms"))
    assert [item.algorithm for item in message.recipients] == ["password"]
    with pytest.raises(CryptoError):
        message.decrypt(KeyRing.of(decryption=[opener(pki, "to-ec.key")]))


def tlv(tag: int, *parts: bytes) -> bytes:
    body = b"".join(parts)
    size = len(body)
    length = bytes([size]) if size < 128 else b"\x82" + size.to_bytes(2, "big")
    return bytes([tag]) + length + body


def oid(text: str) -> bytes:
    return bytes(core.ObjectIdentifier(text).dump())


def test_a_kem_recipient_shows_its_algorithm_ciphertext_and_wrapping_and_is_not_opened() -> None:
    """The message is written out by hand after RFC 9629, because openssl 3.0 makes no KEM recipients."""
    ciphertext, wrapped = bytes(1088), bytes(40)
    kem = tlv(0x30, b"\x02\x01\x00", tlv(0x80, b"recipient"), tlv(0x30, oid("2.16.840.1.101.3.4.4.2")),
              tlv(0x04, ciphertext), tlv(0x30, oid("1.2.840.113549.1.9.16.3.28")), b"\x02\x01\x20",
              tlv(0x30, oid("2.16.840.1.101.3.4.1.45")), tlv(0x04, wrapped))  # fmt: skip
    recipient = tlv(0xA4, oid("1.2.840.113549.1.9.16.13.3"), kem)
    content = tlv(0x30, oid("1.2.840.113549.1.7.1"),
                  tlv(0x30, oid("2.16.840.1.101.3.4.1.42"), tlv(0x04, bytes(16))), tlv(0x80, bytes(32)))  # fmt: skip
    enveloped = tlv(0x30, b"\x02\x01\x03", tlv(0x31, recipient), content)
    message = EnvelopedMessage.parse(tlv(0x30, oid("1.2.840.113549.1.7.3"), tlv(0xA0, enveloped)))
    (facts,) = message.recipients
    assert (facts.algorithm, facts.key.id, facts.wrapping_bits) == ("ml-kem-768", b"recipient".hex(), 256)
    assert facts.ephemeral == hashlib.sha256(ciphertext).hexdigest()
    assert facts.wrapped == hashlib.sha256(wrapped).hexdigest()
    assert (message.encryption.key_bits, facts.unwrapped) == (256, None)
    with pytest.raises(CryptoError):
        message.decrypt(KeyRing.of(decryption=[read_decryption_key(bytes(32), "k")]))


def test_every_recipient_that_a_given_key_opens_is_named_by_that_key(pki: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    message = EnvelopedMessage.parse(encrypt(pki, "mixed-rsa-and-ec"))
    mine, rsa, other = (opener(pki, f"{name}.key") for name in ("to-ec", "to-rsa", "to-other"))

    def named(*keys: DecryptionKey) -> set[str]:
        return {item.key.id for item in message.open(KeyRing.of(decryption=keys)).recipients if item.unwrapped}

    assert named(mine) == {mine.facts.id}
    assert named(mine, other) == named(other, mine) == {mine.facts.id}
    assert named(mine, rsa) == named(rsa, mine) == {mine.facts.id, rsa.facts.id}
    monkeypatch.setattr(_cms_envelope, "MAX_NAMED", 0)  # of a fleet's message, only the recipient that opened it
    assert len(named(mine, rsa)) == 1
