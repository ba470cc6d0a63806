"""COSE messages as files: what is in the message, what lies beside it, and what nobody can tell."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path
from typing import Any

import cbor2
import pytest
from cryptography.hazmat.primitives.asymmetric import mldsa
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from hypothesis import given, settings
from hypothesis import strategies as st

from checker.crypto.keyring import KeyRing, read_decryption_key
from checker.crypto.keys import read_public_key
from checker.errors import FormatError, LimitError
from checker.formats import cose
from checker.formats._open import open_artifact
from checker.formats.contract import Context
from checker.io.limits import MAX_HEADER
from checker.io.sources import BytesSource
from checker.model.artifact import INEXPRESSIBLE, Artifact, AuthKind
from checker.model.terms import Outcome

AS_OF = "2026-11-01T00:00:00Z"
SAMPLES = Path(__file__).resolve().parents[2] / "samples" / "formats" / "cose"
SIGNED = (SAMPLES / "good" / "signed.cose").read_bytes()
ENCRYPTED = (SAMPLES / "good" / "encrypted.cose").read_bytes()


def ring() -> KeyRing:
    keys = SAMPLES / "keys"
    return KeyRing.of(
        keys=[read_public_key((keys / name).read_bytes(), name) for name in ("signer.pub.pem", "ed25519.pub.pem")],
        decryption=[read_decryption_key((keys / "secret.hex").read_bytes(), "secret")],
    )


def inspect(data: bytes, keys: KeyRing | None = None, format_id: str = "auto", **more: Any) -> Artifact:
    companions = {name: BytesSource(name, value) for name, value in more.pop("beside", {}).items()}
    context = Context(keys=ring() if keys is None else keys, as_of=AS_OF, companions=companions, options=more)
    return open_artifact(BytesSource("message.cose", data), context, format_id)


def changed(data: bytes, place: int, value: Any) -> bytes:
    """Return the message with one element replaced."""
    tag = cbor2.loads(data)
    parts = list(tag.value)
    parts[place] = value
    return cbor2.dumps(cbor2.CBORTag(tag.tag, parts))


def test_a_signed_message_covers_its_content() -> None:
    artifact = inspect(SIGNED)
    (span,) = artifact.coverage.payload
    assert SIGNED[span.start : span.end] == (SAMPLES / "good" / "content.bin").read_bytes()
    assert artifact.signatures[0].covers == (span,)
    assert artifact.coverage.uncovered == ()
    assert artifact.signatures[0].encoding == "COSE_Sign1"
    assert artifact.version.version is artifact.version.sequence is artifact.hardware is INEXPRESSIBLE


def test_openssl_agrees_over_the_structure_of_rfc_9052(tmp_path: Path) -> None:
    if shutil.which("openssl") is None:
        pytest.skip("openssl is not installed")
    header, _, content, signature = cbor2.loads(SIGNED).value
    numbers = [int.from_bytes(signature[:32], "big"), int.from_bytes(signature[32:], "big")]
    encoded = b"".join(_integer(number) for number in numbers)
    (tmp_path / "signature").write_bytes(b"\x30" + bytes([len(encoded)]) + encoded)
    for shown, accepted in ((content, True), (content + b"!", False)):
        (tmp_path / "signed").write_bytes(cbor2.dumps(["Signature1", header, b"", shown]))
        words = ["openssl", "dgst", "-sha256", "-verify", str(SAMPLES / "keys" / "signer.pub.pem"), "-signature"]
        done = subprocess.run(
            [*words, str(tmp_path / "signature"), str(tmp_path / "signed")], check=False, capture_output=True
        )
        assert (done.returncode == 0) is accepted
        ours = inspect(changed(SIGNED, 2, shown)).signatures[0].outcome
        assert (ours is Outcome.VALID) is accepted


def _integer(number: int) -> bytes:
    data = number.to_bytes(number.bit_length() // 8 + 1, "big")
    return b"\x02" + bytes([len(data)]) + data


def test_detached_content_is_a_companion_and_its_near_miss_is_refused() -> None:
    data = (SAMPLES / "good" / "detached.cose").read_bytes()
    content = (SAMPLES / "good" / "content.bin").read_bytes()
    assert inspect(data, beside={"payload": content}).signatures[0].outcome is Outcome.VALID
    assert inspect(data, beside={"payload": content[:-1]}).signatures[0].outcome is Outcome.INVALID
    alone = inspect(data)
    assert alone.signatures[0].outcome is Outcome.UNDECIDABLE
    assert "companion" in alone.signatures[0].note
    assert alone.images == ()


def test_a_detached_mac_without_its_content_stays_a_mac() -> None:
    data = changed((SAMPLES / "good" / "mac.cose").read_bytes(), 2, None)
    (found,) = inspect(data).signatures
    assert (found.outcome, found.kind) == (Outcome.UNDECIDABLE, AuthKind.MAC)


def test_content_beyond_the_limit_is_undecidable() -> None:
    data = changed(SIGNED, 2, bytes(MAX_HEADER + 1))
    assert inspect(data).signatures[0].outcome is Outcome.UNDECIDABLE


def test_an_untagged_message_is_read_where_its_kind_is_named() -> None:
    data = cbor2.dumps(cbor2.loads(SIGNED).value)
    assert inspect(data, format_id="cose", kind="Sign1").signatures[0].outcome is Outcome.VALID
    with pytest.raises(FormatError, match="no tag says"):
        inspect(data, format_id="cose")


@pytest.mark.parametrize(
    "data", [b"", b"\xd2", b"\xd2\x83\x40\xa0\x40", b"\xd2\x84\x60\xa0\x40\x40", b"\xd8\x65\x84\x40"]
)
def test_what_only_begins_like_a_message_is_not_claimed(data: bytes) -> None:
    assert not cose.FORMAT.detect(BytesSource("x", data), Context(keys=KeyRing.empty(), as_of=AS_OF))


def test_the_plaintext_is_opened_as_what_it_is() -> None:
    artifact = inspect(ENCRYPTED)
    (image,) = artifact.images
    assert image.source is not None
    assert image.source.read(0, 64).startswith(b"otaudit sample: cose")
    assert artifact.encryption[0].content_key_digest
    assert artifact.recipients[0].unwrapped is True
    stranger = inspect(ENCRYPTED, KeyRing.empty())
    assert stranger.images[0].source is None
    assert stranger.encryption[0].decrypted is None
    assert stranger.encryption[0].content_key_digest == ""


def test_encrypt0_takes_a_given_secret_and_its_near_miss() -> None:
    _, outside, _, _ = cbor2.loads(ENCRYPTED).value
    key, plain = bytes(range(16)), b"a line of firmware text, in clear"
    data = _encrypt0(key, outside[5], plain)
    for secret, opened in ((key, True), (key[::-1], False)):
        keys = KeyRing.of(decryption=[read_decryption_key(secret.hex().encode(), "secret")])
        artifact = inspect(data, keys)
        assert artifact.encryption[0].decrypted is opened
        assert (artifact.images[0].source is not None) is opened
        assert artifact.recipients[0].algorithm == "pre-shared"


def _encrypt0(key: bytes, nonce: bytes, plain: bytes) -> bytes:
    header = cbor2.dumps({1: 1})
    sealed = AESGCM(key).encrypt(nonce, plain, cbor2.dumps(["Encrypt0", header, b""]))
    return cbor2.dumps(cbor2.CBORTag(16, [header, {5: nonce}, sealed]))


@pytest.mark.parametrize(
    ("place", "value", "words"),
    [
        (0, cbor2.dumps({1: 99}), "99 is not known"),
        (0, b"", "must name the algorithm"),
        (1, {}, "no IV"),
        (0, cbor2.dumps({1: "A128GCM"}), "not registered"),
    ],
)
def test_a_damaged_encryption_says_what_is_wrong(place: int, value: Any, words: str) -> None:
    artifact = inspect(changed(ENCRYPTED, place, value))
    assert words in artifact.encryption[0].note
    assert artifact.encryption[0].decrypted is not True


@pytest.mark.parametrize("name", ["ml-dsa-44", "ml-dsa-65", "ml-dsa-87"])
def test_quantum_resistant_signatures(name: str) -> None:
    number = {"ml-dsa-44": -48, "ml-dsa-65": -49, "ml-dsa-87": -50}[name]
    kinds: dict[str, Any] = {
        "ml-dsa-44": mldsa.MLDSA44PrivateKey,
        "ml-dsa-65": mldsa.MLDSA65PrivateKey,
        "ml-dsa-87": mldsa.MLDSA87PrivateKey,
    }
    private = kinds[name].from_seed_bytes(bytes(32))
    pem = private.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    keys = KeyRing.of(keys=[read_public_key(pem, "quantum")])
    header = cbor2.dumps({1: number})
    signature = private.sign(cbor2.dumps(["Signature1", header, b"", b"content"]))
    data = cbor2.dumps(cbor2.CBORTag(18, [header, {}, b"content", signature]))
    (found,) = inspect(data, keys).signatures
    assert (found.outcome, found.algorithm) == (Outcome.VALID, name)
    assert inspect(changed(data, 2, b"contenT"), keys).signatures[0].outcome is Outcome.INVALID


def test_the_content_type_is_shown() -> None:
    for value, shown in ((42, "42"), ("application/octet-stream", "application/octet-stream")):
        assert ("content type", shown) in inspect(changed(SIGNED, 1, {3: value})).facts
    assert dict(inspect(SIGNED).facts) == {"content": "attached"}


def test_too_many_recipients_are_refused_by_name() -> None:
    with pytest.raises(LimitError, match="MAX_RECIPIENTS"):
        inspect(changed(ENCRYPTED, 3, [[b"", {}, b""]] * 10_001))


def test_every_weakness_that_it_reports_is_declared() -> None:
    for path in sorted(SAMPLES.glob("*/*.cose")):
        try:
            artifact = inspect(path.read_bytes())
        except FormatError:
            continue
        assert {weakness.code for weakness in artifact.weaknesses} <= set(cose.WEAKNESSES)


@settings(max_examples=150, deadline=None)
@given(data=st.data())
def test_any_change_is_an_artifact_or_a_format_error_and_never_valid_content(data: st.DataObject) -> None:
    whole = data.draw(st.sampled_from([SIGNED, ENCRYPTED]))
    place = data.draw(st.integers(0, len(whole) - 1))
    value = data.draw(st.integers(0, 255))
    other = whole[:place] + bytes([value]) + whole[place + 1 :]
    try:
        artifact = inspect(other, format_id="cose")
    except FormatError:
        return
    if other != whole and artifact.signatures[0].outcome is Outcome.VALID:
        assert artifact.signatures[0].covers != (), "an unprotected header may change, the content may not"
        span = artifact.signatures[0].covers[0]
        assert other[span.start : span.end] == cbor2.loads(SIGNED).value[2]
