"""CMS messages as files: openssl makes and judges them, and says what they hold; near misses and hostile ones."""

from __future__ import annotations

import tracemalloc
from pathlib import Path
from typing import Any

import pytest

from checker.errors import FormatError, LimitError, UnknownFormatError
from checker.io.limits import MAX_HEADER
from checker.model.artifact import Artifact
from checker.model.terms import Outcome
from tests.formats import samples

FOLDER = samples.FOLDER / "cms"
GOOD = FOLDER / "good" / "signed.p7m"
SEALED = FOLDER / "good" / "signed-and-encrypted.p7m"
KEY = FOLDER / "keys" / "device.pem"
ROOT = FOLDER / "keys" / "root.pem"
DAY = "1793750400"  # 2026-11-03, in seconds since 1970
# openssl's purposes know no code signing for CMS, and the revocation list is given to the samples' own test only.
ELSEWHERE = {"signer-of-servers.p7m", "signer-revoked.p7m"}
BAD = sorted(path.name for path in (FOLDER / "bad").glob("*.p7m") if path.name.startswith(("sign", "content")))


def opened(kit: Any, path: Path, *, keys: bool = True) -> Artifact:
    artifact: Artifact = kit.open(path, anchors=[ROOT], decryption=[KEY] if keys else [])
    return artifact


def verify(tool: Any, path: Path, *options: str) -> bool:
    command = ("openssl", "cms", "-verify", "-inform", "DER", "-in", path, "-CAfile", ROOT, "-attime", DAY)
    done = tool(*command, "-purpose", "any", "-out", "/dev/null", *options, check=False)
    return bool(done.returncode == 0)


@pytest.mark.parametrize(
    "name", ["good/signed.p7m", "good/streamed.p7m", *(f"bad/{n}" for n in BAD if n not in ELSEWHERE)]
)
def test_otaudit_and_openssl_agree_on_signed_messages(kit: Any, tool: Any, name: str) -> None:
    valid = [signature.outcome for signature in opened(kit, FOLDER / name).signatures] == [Outcome.VALID]
    assert valid is verify(tool, FOLDER / name)


def test_openssl_opens_the_envelope_to_the_signed_message_that_otaudit_verifies(
    kit: Any, tool: Any, tmp_path: Path
) -> None:
    inner = tmp_path / "inner.p7m"
    tool("openssl", "cms", "-decrypt", "-binary", "-inform", "DER", "-in", SEALED, "-inkey", KEY, "-out", inner)
    assert verify(tool, inner)
    artifact = opened(kit, SEALED)
    assert artifact.title == "CMS signed and encrypted message"
    assert [signature.outcome for signature in artifact.signatures] == [Outcome.VALID]
    assert [recipient.unwrapped for recipient in artifact.recipients] == [True, None]
    content = artifact.images[0].source
    assert content is not None
    clear = tool("openssl", "cms", "-verify", "-noverify", "-inform", "DER", "-in", inner, "-binary").stdout
    assert content.read(0, content.size) == clear


def test_while_the_envelope_is_closed_it_is_not_known_whether_it_holds_a_signature(kit: Any) -> None:
    artifact = opened(kit, SEALED, keys=False)
    assert [signature.outcome for signature in artifact.signatures] == [Outcome.UNDECIDABLE]
    assert artifact.coverage.undecided == artifact.coverage.payload
    assert not artifact.coverage.uncovered
    assert artifact.weaknesses == ()
    assert artifact.encryption[0].decrypted is None


def test_a_plaintext_digest_that_fits_shows_the_decryption_and_another_one_refutes_it(kit: Any) -> None:
    path = FOLDER / "bad" / "encrypted-without-tag.p7m"
    entry = next(item for item in samples.of_format("cms") if item.name == "bad/other-content.p7m")
    wanted = entry.lines["options"]["plaintext_sha256"]
    right = kit.open(path, decryption=[KEY], options={"plaintext_sha256": wanted.upper()})
    assert right.encryption[0].decrypted is True
    wrong = kit.open(path, decryption=[KEY], options={"plaintext_sha256": "00" * 32})
    assert (wrong.encryption[0].decrypted, "digest-mismatch" in kit.codes(wrong)) == (False, True)


def test_a_cipher_without_tag_is_told_only_where_no_signature_reaches_the_content(
    kit: Any, tool: Any, tmp_path: Path
) -> None:
    path = tmp_path / "cbc.p7m"
    tool("openssl", "req", "-x509", "-key", KEY, "-subj", "/CN=device", "-out", tmp_path / "device.pem")
    tool("openssl", "cms", "-encrypt", "-binary", "-outform", "DER", "-aes-256-cbc", "-in", GOOD, "-out", path,
         "-recip", tmp_path / "device.pem")  # fmt: skip
    assert kit.codes(opened(kit, path)) == set()
    assert "unauthenticated-encryption" in kit.codes(opened(kit, FOLDER / "bad" / "encrypted-without-tag.p7m"))


def test_with_a_signature_beside_it_the_file_is_one_with_a_detached_signature(kit: Any) -> None:
    artifact = kit.open(GOOD, signature=bytes(64))
    assert artifact.format == "detached"
    assert artifact.images[0].inner is not None
    assert artifact.images[0].inner.format == "cms"


def test_a_message_in_a_message_is_opened_inside(kit: Any, tool: Any, tmp_path: Path) -> None:
    outer = tmp_path / "outer.p7m"
    tool("openssl", "cms", "-data_create", "-binary", "-in", GOOD, "-outform", "DER", "-out", outer)
    with pytest.raises(UnknownFormatError):  # CMS data is no protection and no container that anybody ships
        opened(kit, outer)


def test_a_message_beyond_the_limit_is_refused_before_it_is_read(kit: Any) -> None:
    data = GOOD.read_bytes() + bytes(MAX_HEADER)
    with pytest.raises(LimitError, match="MAX_HEADER"):
        kit.open(data)


@pytest.mark.parametrize("length", [b"\x84\xff\xff\xff\xff", b"\x88" + b"\xff" * 8, b"\x80"])
def test_absurd_lengths_are_format_errors_in_bounded_memory(kit: Any, length: bytes) -> None:
    head = b"\x30" + length + bytes.fromhex("06092a864886f70d010702") + b"\xa0" + length
    tracemalloc.start()
    with pytest.raises(FormatError):
        kit.open(head + bytes(1000))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 32 * 1024 * 1024


def test_a_million_signers_are_refused(kit: Any) -> None:
    signers = b"\x31\x83" + (200_000 * 2).to_bytes(3, "big") + b"\x30\x00" * 200_000
    content = bytes.fromhex("020101 3100 300b06092a864886f70d010701") + signers
    inner = b"\x30\x83" + len(content).to_bytes(3, "big") + content
    tagged = b"\xa0\x83" + len(inner).to_bytes(3, "big") + inner
    body = bytes.fromhex("06092a864886f70d010702") + tagged
    with pytest.raises(FormatError, match="signers, at most"):
        kit.open(b"\x30\x83" + len(body).to_bytes(3, "big") + body)
