from __future__ import annotations

import hashlib
import struct
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.keywrap import aes_key_wrap

from checker.errors import FormatError, LimitError, UnknownFormatError
from checker.formats import mcuboot
from checker.formats._mcuboot_layout import read_layout
from checker.io.sources import BytesSource
from checker.model.terms import Outcome

SIGNERS = {
    "rsa-2048": ("rsa-pss", "sha-256"),
    "rsa-3072": ("rsa-pss", "sha-256"),
    "ecdsa-p256": ("ecdsa", "sha-256"),
    "ecdsa-p384": ("ecdsa", "sha-384"),
    "ed25519": ("ed25519", "sha-256"),
}
RECIPIENTS = {  # imgtool wants both keys of one family
    "rsa-2048": ("rsa-2048", "rsa-oaep"),
    "ecdsa-p256": ("ecdsa-p256", "ecies-p256"),
    "x25519": ("ed25519", "ecies-x25519"),
}
CORPUS_IMAGE = "zephyr-v3.5.0-2795-g28ff83515d/hello_world"


def test_the_corpus_image_is_what_expected_yaml_says(kit: Any, corpus: Path, expected: Any) -> None:
    folder, truth = corpus / "mcuboot", expected["mcuboot"][f"{CORPUS_IMAGE}.signed.bin"]
    image = kit.open(folder / f"{CORPUS_IMAGE}.signed.bin", keys=[folder / truth["valid_with"]])
    (signature,) = image.signatures
    assert signature.outcome is Outcome.VALID
    assert truth["signature"] == f"{signature.key.algorithm.upper()}-{signature.key.bits} PSS {signature.hash.upper()}"
    assert truth["security_counter"] == "absent"
    assert image.version.sequence is None
    assert image.version.version == truth["version"]
    assert signature.key.published
    assert {"published-development-key", "no-rollback-counter"} <= kit.codes(image)
    assert image.coverage.uncovered == ()


def test_the_corpus_image_without_a_header_is_no_mcuboot_image(kit: Any, corpus: Path) -> None:
    with pytest.raises(UnknownFormatError):
        kit.open(corpus / "mcuboot" / f"{CORPUS_IMAGE}.bin")


def test_the_key_hash_tells_a_published_key_even_when_no_key_is_given(kit: Any, corpus: Path) -> None:
    image = kit.open(corpus / "mcuboot" / f"{CORPUS_IMAGE}.signed.bin")
    assert image.signatures[0].outcome is Outcome.KEY_UNKNOWN
    assert "published-development-key" in kit.codes(image)


def test_the_published_key_hashes_are_those_of_the_upstream_keys(corpus: Path, kit: Any) -> None:
    for path in sorted((corpus / "mcuboot" / "keys").glob("*.pem")):
        (key,) = kit.ring(keys=[path]).keys
        form = key.pkcs1 or key.spki
        name = "sha384" if key.facts.algorithm == "ec-p384" else "sha256"
        assert mcuboot.PUBLISHED[hashlib.new(name, form).hexdigest()] == path.name.replace(".pub", "")


@pytest.mark.parametrize("kind", SIGNERS)
def test_every_signature_kind_of_imgtool_verifies_and_a_flipped_bit_does_not(
    kit: Any, keys: Path, imgtool: Any, imgtool_verify: Any, kind: str, tmp_path: Path
) -> None:
    path, public = imgtool("-k", keys / f"{kind}.pem", "-s", "12"), keys / f"{kind}.pub.pem"
    image = kit.open(path, keys=[public])
    (signature,) = image.signatures
    assert (signature.outcome, signature.algorithm, signature.hash) == (Outcome.VALID, *SIGNERS[kind])
    assert signature.key.name == public.name
    assert image.version.version == "2.4.1+7"
    assert image.version.sequence == 12
    assert image.version.authentic is True
    assert imgtool_verify(path, keys / f"{kind}.pem")
    data = bytearray(path.read_bytes())
    data[0x80] ^= 1
    broken = tmp_path / "broken.img"
    broken.write_bytes(data)
    image = kit.open(broken, keys=[public])
    assert image.signatures[0].outcome is Outcome.INVALID
    assert image.digests[0].matches is False
    assert "digest-mismatch" in kit.codes(image)
    assert image.coverage.uncovered == image.coverage.payload
    assert not imgtool_verify(broken, keys / f"{kind}.pem")


@pytest.mark.parametrize("kind", ["ecdsa-p256", "ed25519"])
def test_a_key_of_the_same_kind_that_did_not_sign_leaves_the_signature_unknown(
    kit: Any, keys: Path, imgtool: Any, kind: str
) -> None:
    image = kit.open(imgtool("-k", keys / f"{kind}.pem"), keys=[keys / "stranger.pub.pem"])
    assert image.signatures[0].outcome is Outcome.KEY_UNKNOWN
    assert image.signatures[0].key.id
    assert image.version.authentic is None


def test_a_pure_ed25519_signature_is_over_the_image(kit: Any, keys: Path, imgtool: Any) -> None:
    image = kit.open(imgtool("-k", keys / "ed25519.pem", "--pure"), keys=[keys / "ed25519.pub.pem"])
    (signature,) = image.signatures
    assert (signature.outcome, signature.encoding, signature.hash) == (Outcome.VALID, "over the image", "sha-512")


def test_ed25519_over_sha_512_names_sha_512(kit: Any, keys: Path, imgtool: Any) -> None:
    image = kit.open(imgtool("-k", keys / "ed25519.pem", "--sha", "512"), keys=[keys / "ed25519.pub.pem"])
    assert (image.signatures[0].outcome, image.signatures[0].hash) == (Outcome.VALID, "sha-512")


@pytest.mark.parametrize("kind", ["rsa-2048", "ecdsa-p256", "ed25519"])
def test_a_full_key_in_the_image_is_not_trust(kit: Any, keys: Path, imgtool: Any, kind: str) -> None:
    path = imgtool("-k", keys / f"{kind}.pem", "--public-key-format", "full")
    image = kit.open(path)
    assert image.signatures[0].outcome is Outcome.KEY_UNKNOWN
    assert image.signatures[0].key.declared is False
    assert "embedded-key" in kit.codes(image)
    assert kit.open(path, keys=[keys / f"{kind}.pub.pem"]).signatures[0].outcome is Outcome.VALID
    data = bytearray(path.read_bytes())
    data[0x80] ^= 1
    assert kit.open(bytes(data)).signatures[0].outcome is Outcome.INVALID


def test_an_image_without_signature_has_only_a_digest(kit: Any, imgtool: Any) -> None:
    image = kit.open(imgtool())
    assert [signature.outcome for signature in image.signatures] == [Outcome.ABSENT]
    assert image.digests[0].matches is True
    assert image.digests[0].authentic is False
    assert image.coverage.uncovered == image.coverage.payload
    assert "unsigned" in kit.codes(image)


@pytest.mark.parametrize("bits", [128, 256])
@pytest.mark.parametrize("kind", RECIPIENTS)
def test_encrypted_images_are_undecidable_until_their_key_is_given(
    kit: Any, keys: Path, imgtool: Any, firmware: bytes, kind: str, bits: int
) -> None:
    signing, algorithm = RECIPIENTS[kind]
    options = ("-E", keys / f"{kind}.pub.pem", "--encrypt-keylen", str(bits), "-s", "3")
    path, signer = imgtool("-k", keys / f"{signing}.pem", *options), [keys / f"{signing}.pub.pem"]
    image = kit.open(path, keys=signer)
    assert image.signatures[0].outcome is Outcome.UNDECIDABLE
    assert image.digests[0].matches is None
    assert (image.encryption[0].encrypted, image.encryption[0].decrypted) == (True, None)
    assert (image.recipients[0].algorithm, image.recipients[0].unwrapped) == (algorithm, None)
    image = kit.open(path, keys=signer, decryption=[keys / f"{kind}.pem"])
    assert image.signatures[0].outcome is Outcome.VALID
    assert (image.encryption[0].decrypted, image.encryption[0].key_bits) == (True, bits)
    assert image.encryption[0].content_key_digest
    assert image.recipients[0].unwrapped is True
    source = image.images[0].source
    assert source is not None
    assert source.read(0, source.size).rstrip(b"\x00") == firmware


def test_hmac_sha_512_wrapping_opens_too(kit: Any, keys: Path, imgtool: Any) -> None:
    path = imgtool("-k", keys / "ed25519.pem", "-E", keys / "x25519.pub.pem", "--hmac-sha", "512")
    image = kit.open(path, keys=[keys / "ed25519.pub.pem"], decryption=[keys / "x25519.pem"])
    assert image.signatures[0].outcome is Outcome.VALID


def test_a_decryption_key_of_another_device_opens_nothing(kit: Any, keys: Path, imgtool: Any) -> None:
    path = imgtool("-k", keys / "ed25519.pem", "-E", keys / "x25519.pub.pem")
    image = kit.open(path, keys=[keys / "ed25519.pub.pem"], decryption=[keys / "stranger-x.pem"])
    assert image.signatures[0].outcome is Outcome.UNDECIDABLE
    assert image.recipients[0].unwrapped is False
    assert image.encryption[0].content_key_digest == ""


def test_an_encrypted_flag_over_a_payload_in_clear_is_not_encryption(kit: Any, keys: Path, imgtool: Any) -> None:
    path = imgtool("-k", keys / "ed25519.pem", "-E", keys / "x25519.pub.pem", "--clear")
    image = kit.open(path, keys=[keys / "ed25519.pub.pem"])
    assert image.encryption[0].encrypted is False
    assert image.images[0].encryption.encrypted is False
    assert image.signatures[0].outcome is Outcome.VALID
    assert "encryption-void" in kit.codes(image)


def test_readable_bytes_under_an_encrypted_flag_are_not_called_encrypted(kit: Any, keys: Path, imgtool: Any) -> None:
    data = bytearray(imgtool("-k", keys / "ed25519.pem", "-E", keys / "x25519.pub.pem", "--clear").read_bytes())
    data[0x90] ^= 1  # now the hash does not match either
    image = kit.open(bytes(data), keys=[keys / "ed25519.pub.pem"])
    assert image.encryption[0].encrypted is False
    assert kit.codes(image) & {"repeated-blocks", "biased-ciphertext"}


def test_two_images_share_no_wrapped_key_or_content_key(kit: Any, keys: Path, imgtool: Any, firmware: bytes) -> None:
    ring = {"keys": [keys / "ed25519.pub.pem"], "decryption": [keys / "x25519.pem"]}
    options = ("-k", keys / "ed25519.pem", "-E", keys / "x25519.pub.pem")
    first, second = (kit.open(imgtool(*options, content=firmware + tail), **ring) for tail in (b"1", b"2"))
    assert first.encryption[0].content_key_digest != second.encryption[0].content_key_digest
    assert first.recipients[0].ephemeral != second.recipients[0].ephemeral


def test_dependencies_vendor_and_class_are_protected_metadata(kit: Any, keys: Path, imgtool: Any) -> None:
    path = imgtool(
        "-k", keys / "ed25519.pem", "-d", "(1, 1.2.3+4)", "--vid", "acme.example", "--cid", "gw200",
        "--custom-tlv", "0x00a0", "note",
    )  # fmt: skip
    image = kit.open(path, keys=[keys / "ed25519.pub.pem"])
    assert image.version.constraints == ("image 1 >= 1.2.3+4",)
    assert len(image.hardware) == 2
    assert {"DEPENDENCY", "UUID_VID", "UUID_CID", "0x00a0", "version"} <= set(image.coverage.metadata)
    assert image.coverage.unprotected_metadata == ()


def test_steering_tlvs_outside_the_signed_part_are_called_unprotected(kit: Any, keys: Path, imgtool: Any) -> None:
    data = imgtool("-k", keys / "ed25519.pem").read_bytes()
    layout = read_layout(BytesSource("x", data))
    area = layout.unprotected
    extra = struct.pack("<HHI", 0x50, 4, 99)
    total = struct.pack("<HH", 0x6907, area.size + len(extra))
    forged = data[: area.start] + total + data[area.start + 4 : area.end] + extra
    image = kit.open(forged, keys=[keys / "ed25519.pub.pem"])
    assert image.version.sequence is None
    assert image.coverage.unprotected_metadata == ("SEC_CNT",)
    assert {"unprotected-metadata", "no-rollback-counter"} <= kit.codes(image)


def test_the_old_signature_tlv_is_for_p224_only(kit: Any, keys: Path, imgtool: Any, tool: Any, tmp_path: Path) -> None:
    private, public = tmp_path / "p224.pem", tmp_path / "p224.pub.pem"
    tool("openssl", "ecparam", "-name", "secp224r1", "-genkey", "-noout", "-out", private)
    tool("openssl", "ec", "-in", private, "-pubout", "-out", public)
    tool("openssl", "ec", "-in", private, "-pubout", "-outform", "DER", "-out", tmp_path / "der")
    data = imgtool().read_bytes()
    area = read_layout(BytesSource("x", data)).unprotected
    signature = tool("openssl", "dgst", "-sha256", "-sign", private, data=data[: area.start]).stdout
    named = hashlib.sha256((tmp_path / "der").read_bytes()).digest()
    extra = struct.pack("<HH", 1, 32) + named + struct.pack("<HH", 0x21, len(signature)) + signature
    total = struct.pack("<HH", 0x6907, area.size + len(extra))
    image = kit.open(data[: area.start] + total + data[area.start + 4 : area.end] + extra, keys=[public])
    assert [(item.outcome, item.key.algorithm) for item in image.signatures] == [(Outcome.VALID, "ec-p224")]
    modern = bytearray(imgtool("-k", keys / "ecdsa-p256.pem").read_bytes())
    layout = read_layout(BytesSource("x", bytes(modern)))
    place = next(tlv.span.start for tlv in layout.tlvs if tlv.type == 0x22)
    modern[place - 4] = 0x21
    image = kit.open(bytes(modern), keys=[keys / "ecdsa-p256.pub.pem"])
    assert [item.outcome for item in image.signatures] == [Outcome.KEY_UNKNOWN]


def test_slot_padding_and_trailer_are_tolerated_and_other_bytes_are_not(kit: Any, keys: Path, imgtool: Any) -> None:
    ring = {"keys": [keys / "ed25519.pub.pem"]}
    padded = imgtool("-k", keys / "ed25519.pem", "--pad", "--confirm")
    image = kit.open(padded, **ring)
    assert image.signatures[0].outcome is Outcome.VALID
    assert "trailing-data" not in kit.codes(image)
    assert "trailing-data" in kit.codes(kit.open(imgtool("-k", keys / "ed25519.pem").read_bytes() + b"more", **ring))


def test_big_endian_images_are_read(kit: Any, keys: Path, imgtool: Any) -> None:
    image = kit.open(imgtool("-k", keys / "ed25519.pem", "-e", "big", "-s", "5"), keys=[keys / "ed25519.pub.pem"])
    assert image.signatures[0].outcome is Outcome.VALID
    assert image.version.sequence == 5


def test_no_single_bit_flip_in_covered_bytes_keeps_a_valid_signature(kit: Any, keys: Path, imgtool: Any) -> None:
    path = imgtool("-k", keys / "ed25519.pem", "-s", "12", content=bytes(range(64)))
    data, ring = path.read_bytes(), kit.ring(keys=[keys / "ed25519.pub.pem"])
    end = read_layout(BytesSource("x", data)).signed.end
    for offset in range(len(data)):
        for bit in (0, 7):
            mutant = bytearray(data)
            mutant[offset] ^= 1 << bit
            try:
                image = kit.open(bytes(mutant), format_id="mcuboot", ring=ring)
            except FormatError:
                continue
            valid = any(signature.outcome is Outcome.VALID for signature in image.signatures)
            assert not (valid and offset < end), f"offset {offset} bit {bit}"


def test_every_truncation_is_a_format_error(kit: Any, keys: Path, imgtool: Any) -> None:
    data = imgtool("-k", keys / "ed25519.pem", "-s", "12", content=bytes(range(64))).read_bytes()
    for size in range(len(data)):
        with pytest.raises(FormatError):
            kit.open(data[:size], format_id="mcuboot")


def _image(tlvs: bytes, *, protected: int = 0, image_size: int = 16, header_size: int = 32) -> bytes:
    header = struct.pack("<IIHHIIBBHII", 0x96F3B83D, 0, header_size, protected, image_size, 0, 1, 0, 0, 0, 0)
    return header + bytes(16) + tlvs


@pytest.mark.parametrize(
    ("data", "field"),
    [
        (_image(b"", image_size=0xFFFFFFFF), "ih_img_size"),
        (_image(b"", image_size=0), "ih_img_size"),
        (_image(b"", header_size=8), "ih_hdr_size"),
        (_image(struct.pack("<HH", 0x6907, 3)), "it_tlv_tot"),
        (_image(struct.pack("<HH", 0x6907, 0xFFFF)), "it_tlv_tot"),
        (_image(struct.pack("<HH", 0x1234, 4)), "it_magic"),
        (_image(struct.pack("<HHHH", 0x6907, 8, 0x10, 32)), "TLV"),
        (_image(struct.pack("<HHHH", 0x6908, 4, 0x6907, 4), protected=8), "ih_protect_tlv_size"),
    ],
)
def test_absurd_lengths_are_refused_with_the_field_that_lies(kit: Any, data: bytes, field: str) -> None:
    with pytest.raises(FormatError) as caught:
        kit.open(data)
    assert caught.value.field == field


def test_more_tlvs_than_the_limit_are_refused(kit: Any) -> None:
    tlvs = struct.pack("<HH", 0xA0, 0) * 10_000
    with pytest.raises(LimitError, match="MAX_TLVS"):
        kit.open(_image(struct.pack("<HH", 0x6907, 4 + len(tlvs)) + tlvs))


def _handmade(payload: bytes, stored: bytes, flags: int, *more: tuple[int, bytes]) -> bytes:
    """Return an image with its SHA-256 over `payload` while `stored` lies in the file."""
    header = struct.pack("<IIHHIIBBHII", 0x96F3B83D, 0, 32, 0, len(payload), flags, 1, 0, 0, 0, 0)
    tlvs = ((0x10, hashlib.sha256(header + payload).digest()), *more)
    body = b"".join(struct.pack("<HH", kind, len(data)) + data for kind, data in tlvs)
    return header + stored + struct.pack("<HH", 0x6907, 4 + len(body)) + body


@pytest.mark.parametrize(("size", "flags"), [(16, 0x4), (32, 0x8)])
def test_a_content_key_under_aes_key_wrap_opens_with_the_wrapping_key(
    kit: Any, tmp_path: Path, firmware: bytes, size: int, flags: int
) -> None:
    wrapping, content = bytes(range(32)), bytes(range(64, 64 + size))
    running = Cipher(algorithms.AES(content), modes.CTR(bytes(16))).encryptor()
    data = _handmade(firmware, running.update(firmware), flags, (0x31, aes_key_wrap(wrapping, content)))
    for name, secret, opens in (("right", wrapping, True), ("wrong", wrapping[::-1], False)):
        (tmp_path / name).write_text(secret.hex())
        image = kit.open(data, decryption=[tmp_path / name])
        assert image.recipients[0].unwrapped is opens
        assert image.encryption[0].decrypted is (True if opens else None)
        assert image.digests[0].matches is (True if opens else None)
        assert secret.hex() not in repr(image)
    swapped = _handmade(firmware, running.update(firmware), 0xC ^ flags, (0x31, aes_key_wrap(wrapping, content)))
    assert kit.open(swapped, decryption=[tmp_path / "right"]).recipients[0].unwrapped is False


def _without_key_hash(data: bytes) -> bytes:
    layout = read_layout(BytesSource("x", data))
    kept = [tlv for tlv in layout.tlvs if tlv.type != 0x01]
    body = b"".join(struct.pack("<HH", tlv.type, len(tlv.data)) + tlv.data for tlv in kept)
    return data[: layout.unprotected.start] + struct.pack("<HH", 0x6907, 4 + len(body)) + body


def test_an_image_that_names_no_key_is_tried_with_every_key_of_the_kind(kit: Any, keys: Path, imgtool: Any) -> None:
    data = _without_key_hash(imgtool("-k", keys / "ecdsa-p256.pem").read_bytes())
    both = [keys / "stranger.pub.pem", keys / "ecdsa-p256.pub.pem"]
    (signature,) = kit.open(data, keys=both).signatures
    assert (signature.outcome, signature.key.name) == (Outcome.VALID, "ecdsa-p256.pub.pem")
    assert kit.open(data, keys=both[:1]).signatures[0].outcome is Outcome.INVALID
    assert kit.open(data, keys=[keys / "rsa-2048.pub.pem"]).signatures[0].outcome is Outcome.KEY_UNKNOWN


def test_each_of_two_signatures_is_judged_with_its_own_key(kit: Any, keys: Path, imgtool: Any) -> None:
    first = imgtool("-k", keys / "ecdsa-p256.pem").read_bytes()
    second = imgtool("-k", keys / "ed25519.pem").read_bytes()
    one, two = read_layout(BytesSource("x", first)), read_layout(BytesSource("x", second))
    tlvs = [*one.tlvs, *(tlv for tlv in two.tlvs if tlv.type != 0x10)]
    body = b"".join(struct.pack("<HH", tlv.type, len(tlv.data)) + tlv.data for tlv in tlvs)
    data = first[: one.unprotected.start] + struct.pack("<HH", 0x6907, 4 + len(body)) + body
    image = kit.open(data, keys=[keys / "ed25519.pub.pem"])
    assert [signature.outcome for signature in image.signatures] == [Outcome.KEY_UNKNOWN, Outcome.VALID]


def test_a_hash_that_lies_uncovers_an_image_with_a_valid_signature(kit: Any, keys: Path, imgtool: Any) -> None:
    data = bytearray(imgtool("-k", keys / "ed25519.pem").read_bytes())
    span = next(read_layout(BytesSource("x", bytes(data))).of(0x10)).span
    data[span.start] ^= 1
    image = kit.open(bytes(data), keys=[keys / "ed25519.pub.pem"])
    assert image.digests[0].matches is False
    assert image.coverage.uncovered == image.coverage.payload


def test_every_weakness_code_is_listed(kit: Any, keys: Path, imgtool: Any) -> None:
    image = kit.open(imgtool("-k", keys / "ed25519.pem"))
    assert kit.codes(image) <= set(mcuboot.WEAKNESSES)
