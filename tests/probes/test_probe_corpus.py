"""Comparisons across devices and releases; the ciphertext is made by the cryptography package."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

from checker.crypto.keys import from_raw
from checker.crypto.signatures import verify_message, with_one_time
from checker.io.sources import BytesSource
from checker.model.artifact import (
    Artifact,
    ChainFacts,
    Encryption,
    Image,
    KeyFacts,
    OneTimeKey,
    Recipient,
    Signature,
    Span,
)
from checker.model.terms import Outcome, Reason
from checker.probes.corpus import PROBE
from tests.crypto import pq_material

OLD, NEW = b"firmware 2.4.0 " * 40, b"firmware 2.4.1 " * 40
ZERO = bytes(16)


def ctr(content: bytes, secret: bytes, nonce: bytes = ZERO) -> bytes:
    return Cipher(algorithms.AES(secret), modes.CTR(nonce)).encryptor().update(content)


def wrap(device: str, secret: bytes, **changes: Any) -> Recipient:
    """Return a wrapping whose fields depend on the device's key and the content key, as AES key wrap's do."""
    values: dict[str, Any] = {
        "algorithm": "aes-kw",
        "key": KeyFacts(id=hashlib.sha256(device.encode()).hexdigest(), algorithm="aes", bits=256),
        "wrapped": hashlib.sha256(device.encode() + secret).hexdigest(),
    }
    return Recipient(**(values | changes))


def seal(  # one deliverable of one device and release
    lab: Any,
    image: Callable[..., Artifact],
    device: str,
    secret: bytes,
    *,
    content: bytes = NEW,
    release: str = "current",
    opened: bool = False,
    nonce: bytes = ZERO,
    recipients: tuple[Recipient, ...] | None = None,
    inner: Artifact | None = None,
) -> None:
    data = ctr(content, secret, nonce)
    digest = hashlib.sha256(secret).hexdigest() if opened else ""
    encryption = Encryption(
        encrypted=True,
        cipher="aes",
        mode="ctr",
        key_bits=128,
        nonce=nonce.hex(),
        content_key_digest=digest,
        decrypted=True if opened else None,
    )
    member = Image(
        id="payload",
        size=len(data),
        span=Span(0, len(data)),
        encryption=encryption,
        source=BytesSource("clear", content) if opened else None,
        inner=inner,
    )
    wraps = (wrap(device, secret),) if recipients is None else recipients
    artifact = image(data, encryption=(encryption,), images=(member,), recipients=wraps)
    lab.artifact(artifact, data, name=f"{device}-{release}", device=device, release=release)


def devices(lab: Any) -> dict[str, Any]:
    return dict(lab.one(PROBE, "uniqueness", across="devices", release="current").values)


def releases(lab: Any, device: str = "A") -> dict[str, Any]:
    return dict(lab.one(PROBE, "uniqueness", across="releases", device=device).values)


K1, K2 = bytes(range(16)), bytes(range(1, 17))


def test_one_device_and_one_release_are_too_few(lab: Any, image: Any) -> None:
    seal(lab, image, "A", K1)
    records = lab.run(PROBE)
    assert {item.unavailable for item in records if item.kind != "one_time_index"} == {Reason.TOO_FEW}
    assert all(item.values["sample"] == 1 for item in records if item.kind == "uniqueness")


def test_devices_that_are_not_named_are_no_sample(lab: Any, image: Any) -> None:
    seal(lab, image, "", K1)
    assert lab.one(PROBE, "uniqueness", across="devices").unavailable is Reason.TOO_FEW


def test_a_content_key_per_device_is_p1(lab: Any, image: Any) -> None:
    seal(lab, image, "A", K1, opened=True)
    seal(lab, image, "B", K2, opened=True)
    values = devices(lab)
    assert (values["pattern"], values["distinct"], values["content_key_distinct"]) == ("P1", True, True)
    assert (values["keystream_reused"], values["sample"]) == (False, 2)


def test_one_content_key_wrapped_to_each_device_is_p2_without_any_key(lab: Any, image: Any) -> None:
    seal(lab, image, "A", K1)
    seal(lab, image, "B", K1)
    values = devices(lab)
    assert (values["pattern"], values["distinct"], values["ciphertext_distinct"]) == ("P2", True, False)
    assert values["keystream_reused"] is False  # the same content under the same key is no reuse


def test_a_second_device_with_the_same_wrapped_key_shows_a_fleet_key(lab: Any, image: Any) -> None:
    seal(lab, image, "A", K1)
    seal(lab, image, "B", K1, recipients=(wrap("A", K1),))
    values = devices(lab)
    assert (values["pattern"], values["distinct"], values["wrapped_key_distinct"]) == ("fleet", False, False)


def test_a_fleet_key_stays_one_under_fresh_ephemeral_and_content_keys(lab: Any, image: Any) -> None:
    seal(lab, image, "A", K1, opened=True, recipients=(wrap("fleet", K1, ephemeral="aa"),))
    seal(lab, image, "B", K2, opened=True, recipients=(wrap("fleet", K2, ephemeral="bb"),))
    values = devices(lab)
    assert (values["pattern"], values["distinct"], values["ephemeral_distinct"]) == ("fleet", False, True)


def test_a_fresh_ephemeral_key_alone_shows_nothing(lab: Any, image: Any) -> None:
    for device in "AB":
        bare = Recipient(algorithm="ecies-p256", ephemeral=device * 64, wrapped=device * 64)
        seal(lab, image, device, K1, recipients=(bare,))
    values = devices(lab)
    assert not {"pattern", "distinct", "recipient_key_distinct"} & set(values)


def radio(image: Callable[..., Artifact], secret: bytes, owner: str) -> Artifact:
    """Return an image inside a member, encrypted under a key of its own and wrapped to a key that `owner` has."""
    key_digest = hashlib.sha256(secret).hexdigest()
    encryption = Encryption(encrypted=True, cipher="aes", mode="ctr", key_bits=256, content_key_digest=key_digest)
    member = Image(id="radio", size=600, span=Span(0, 600), encryption=encryption)
    return image(ctr(OLD, secret), images=(member,), recipients=(wrap(owner, secret),))


def test_a_key_that_all_share_inside_a_member_says_nothing_of_the_deliverable(lab: Any, image: Any) -> None:
    for device in "AB":
        seal(lab, image, device, device.encode() * 16, opened=True, inner=radio(image, b"radio of all!!!!", "radio"))
    assert (devices(lab)["pattern"], devices(lab)["content_key_distinct"]) == ("P1", True)


def test_keys_of_their_own_inside_do_not_mend_a_fleet_key_outside(lab: Any, image: Any) -> None:
    for device in "AB":
        own = radio(image, (device * 16).encode(), device)
        seal(lab, image, device, b"fleet key !!!!!!", opened=True, recipients=(), inner=own)
    assert (devices(lab)["pattern"], devices(lab)["content_key_distinct"]) == ("fleet", False)


def test_the_same_ciphertext_without_any_wrapping_is_one_key_for_all(lab: Any, image: Any) -> None:
    seal(lab, image, "A", K1, recipients=())
    seal(lab, image, "B", K1, recipients=())
    assert devices(lab)["pattern"] == "fleet"


def test_plain_artifacts_are_plain(lab: Any, image: Any) -> None:
    seal(lab, image, "A", K1)
    lab.artifact(image(NEW), NEW, name="b", device="B")
    assert (devices(lab)["pattern"], devices(lab)["distinct"]) == ("plain", False)


def test_another_release_is_not_another_device(lab: Any, image: Any) -> None:
    seal(lab, image, "A", K1)
    seal(lab, image, "B", K2, release="previous")
    assert devices(lab)["sample"] == 1


# Across releases


def test_a_key_of_its_own_for_each_release_is_seen_from_the_wrapped_key(lab: Any, image: Any) -> None:
    seal(lab, image, "A", K1, content=OLD, release="previous")
    seal(lab, image, "A", K2)
    values = releases(lab)
    assert (values["distinct"], values["wrapped_key_distinct"], values["keystream_reused"]) == (True, True, False)


def test_the_same_content_key_in_two_releases_is_seen_from_equal_blocks(lab: Any, image: Any) -> None:
    fresh = wrap("A", K1, wrapped="ff" * 32)
    seal(lab, image, "A", K1, content=bytes(32) + OLD, release="previous")
    seal(lab, image, "A", K1, content=bytes(32) + NEW, recipients=(fresh,))
    values = releases(lab)
    assert (values["keystream_reused"], values["distinct"]) == (True, False)


def test_reuse_is_seen_from_the_plaintexts_where_no_block_is_equal(lab: Any, image: Any) -> None:
    other = bytes(byte ^ 1 for byte in OLD)
    seal(lab, image, "A", K1, content=OLD, release="previous", opened=True)
    seal(lab, image, "A", K1, content=other, opened=True, recipients=(wrap("A", K1, wrapped="ff" * 32),))
    assert releases(lab)["keystream_reused"] is True


def test_equal_blocks_at_other_offsets_are_no_reuse(lab: Any, image: Any) -> None:
    shifted = b"\x01" * 5 + ctr(OLD, K1)
    seal(lab, image, "A", K1, content=OLD, release="previous")
    seal(lab, image, "A", K2, content=ctr(shifted, K2))  # stored as `shifted`
    assert releases(lab)["keystream_reused"] is False


def test_the_same_unwrapped_content_key_is_not_distinct(lab: Any, image: Any) -> None:
    seal(lab, image, "A", K1, content=OLD, release="previous", opened=True, nonce=b"\x01" * 16)
    seal(lab, image, "A", K1, opened=True, nonce=b"\x02" * 16, recipients=(wrap("A", K1, wrapped="ff" * 32),))
    values = releases(lab)
    assert (values["content_key_distinct"], values["distinct"]) == (False, False)


def test_a_device_with_one_release_does_not_hide_one_with_two(lab: Any, image: Any) -> None:
    seal(lab, image, "A", K1, content=OLD, release="previous")
    seal(lab, image, "A", K2)
    seal(lab, image, "B", K2)
    assert releases(lab, "A")["sample"] == 2
    assert releases(lab, "B")["sample"] == 1


# Nonces


def nonces(lab: Any) -> dict[str, Any]:
    return dict(lab.one(PROBE, "nonce_use").values)


def test_one_key_and_nonce_under_two_contents_is_a_repeat(lab: Any, image: Any) -> None:
    seal(lab, image, "A", K1, content=OLD, release="previous", opened=True)
    seal(lab, image, "A", K1, opened=True)
    values = nonces(lab)
    assert (values["repeated"], values["where"]) == (True, ("A-current", "A-previous"))


def test_one_key_under_two_nonces_is_none(lab: Any, image: Any) -> None:
    seal(lab, image, "A", K1, content=OLD, release="previous", opened=True, nonce=b"\x01" * 16)
    seal(lab, image, "A", K1, opened=True, nonce=b"\x02" * 16)
    values = nonces(lab)
    assert (values["repeated"], values["pairs"], values["minimum_bits"]) == (False, 2, 128)


def test_one_nonce_under_two_known_keys_is_none(lab: Any, image: Any) -> None:
    seal(lab, image, "A", K1, content=OLD, release="previous", opened=True)
    seal(lab, image, "A", K2, opened=True)
    assert nonces(lab)["repeated"] is False


def test_one_nonce_under_keys_that_nobody_knows_is_unknown(lab: Any, image: Any) -> None:
    seal(lab, image, "A", K1, content=OLD, release="previous")
    seal(lab, image, "A", K2)
    assert "repeated" not in nonces(lab)


def test_an_artifact_that_could_not_be_opened_may_hold_a_repeat(lab: Any, image: Any) -> None:
    seal(lab, image, "A", K1, content=OLD, release="previous", opened=True)
    seal(lab, image, "A", K2, opened=True)
    lab.artifact(None, name="lost")
    assert "repeated" not in nonces(lab)


# One-time indexes


def lms(lab: Any, image: Any, name: str, index: int | None) -> None:
    signature = Signature(outcome=Outcome.VALID, algorithm="lms", key=KeyFacts(id="ab" * 32), one_time_index=index)
    lab.artifact(image(name.encode() * 32, signatures=(signature,)), name.encode() * 32, name=name)


def test_a_one_time_index_that_returns_is_a_repeat(lab: Any, image: Any) -> None:
    lms(lab, image, "a", 7)
    lms(lab, image, "b", 7)
    found = [item for item in lab.run(PROBE) if item.kind == "one_time_index"]
    assert [(item.values["repeated"], item.origin.file) for item in found] == [(True, "a.bin"), (True, "b.bin")]


def test_the_next_index_is_no_repeat_and_neither_is_the_same_file_again(lab: Any, image: Any) -> None:
    lms(lab, image, "a", 7)
    lms(lab, image, "b", 8)
    found = {item.values["index"]: item.values["repeated"] for item in lab.run(PROBE) if item.kind == "one_time_index"}
    assert found == {7: False, 8: False}
    again = replace(lab.opened[0], ref=replace(lab.opened[0].ref, id="again"))
    lab.opened.append(again)
    found = {item.values["index"]: item.values["repeated"] for item in lab.run(PROBE) if item.kind == "one_time_index"}
    assert found == {7: False, 8: False}


def test_an_index_that_cannot_be_read_is_unknown(lab: Any, image: Any) -> None:
    lms(lab, image, "a", None)
    assert lab.one(PROBE, "one_time_index").unavailable is Reason.UNSUPPORTED_ALGORITHM


def test_without_stateful_signatures_there_is_no_index(lab: Any, image: Any) -> None:
    lab.artifact(image(b"x"), b"x")
    assert lab.one(PROBE, "one_time_index").unavailable is Reason.MISSING_FIELD


def signed_lms(lab: Any, image: Any, name: str, leaf: int, content: bytes) -> None:
    """Sign with the LMS of another implementation, and judge it as the detached format does."""
    signer = pq_material.hss(b"corpus", start=leaf)
    key, signature = from_raw("hss", signer.raw), signer.sign(content)
    verify_message(key, "hss", "", content, signature)
    valid = Signature(outcome=Outcome.VALID, algorithm="hss", key=key.facts)
    lab.artifact(image(content, signatures=(with_one_time(valid, key, signature),)), content, name=name)


def test_two_real_signatures_by_one_leaf_are_a_repeat_that_names_both_artifacts(lab: Any, image: Any) -> None:
    signed_lms(lab, image, "a", 3, b"release 1")
    signed_lms(lab, image, "b", 3, b"release 2")
    found = [item for item in lab.run(PROBE) if item.kind == "one_time_index"]
    for values in (item.values for item in found):
        assert (values["scheme"], values["index"], values["repeated"]) == ("lms", 3, True)
        assert values["where"] == ["a", "b"]
    assert [item.origin.file for item in found] == ["a.bin", "b.bin"]


def test_the_next_leaf_and_the_same_bytes_again_are_no_repeat(lab: Any, image: Any) -> None:
    signed_lms(lab, image, "a", 3, b"release 1")
    signed_lms(lab, image, "b", 4, b"release 2")
    signed_lms(lab, image, "copy", 3, b"release 1")
    found = [item.values for item in lab.run(PROBE) if item.kind == "one_time_index"]
    assert [(item["index"], item["repeated"]) for item in found] == [(3, False), (4, False)]
    assert all("where" not in item for item in found)


def test_an_index_that_an_authority_used_for_two_signers_is_a_repeat(lab: Any, image: Any) -> None:
    for name in "ab":
        use = OneTimeKey(scheme="lms", owner="11" * 16, index=4, used=name * 64)
        chain = ChainFacts(certificates=(), one_time_keys=(use,))
        signature = Signature(outcome=Outcome.VALID, algorithm="ml-dsa-65", chain=chain)
        lab.artifact(image(name.encode() * 9, signatures=(signature,)), name.encode() * 9, name=name)
    found = [item.values for item in lab.run(PROBE) if item.kind == "one_time_index"]
    assert [(values["index"], values["repeated"], values["where"]) for values in found] == [(4, True, ["a", "b"])] * 2
