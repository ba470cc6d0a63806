"""OpenPGP: RFC 9580's own vectors, and certificates as GnuPG makes them."""

from __future__ import annotations

import base64
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from checker.crypto import openpgp
from checker.crypto.key_files import read_public_keys
from checker.crypto.key_forms import openpgp as openpgp_form
from checker.crypto.keys import PublicKey
from checker.errors import CryptoError, FormatError, InvalidSignatureError, KeyMaterialError, UnsupportedAlgorithmError
from checker.io import digests
from tests.formats.conftest import run

# RFC 9580 appendix A.3, sample version 6 certificate, and A.6, sample cleartext signed message.
V6_CERTIFICATE = b"""-----BEGIN PGP PUBLIC KEY BLOCK-----

xioGY4d/4xsAAAAg+U2nu0jWCmHlZ3BqZYfQMxmZu52JGggkLq2EVD34laPCsQYf
GwoAAABCBYJjh3/jAwsJBwUVCg4IDAIWAAKbAwIeCSIhBssYbE8GCaaX5NUt+mxy
KwwfHifBilZwj2Ul7Ce62azJBScJAgcCAAAAAK0oIBA+LX0ifsDm185Ecds2v8lw
gyU2kCcUmKfvBXbAf6rhRYWzuQOwEn7E/aLwIwRaLsdry0+VcallHhSu4RN6HWaE
QsiPlR4zxP/TP7mhfVEe7XWPxtnMUMtf15OyA51YBM4qBmOHf+MZAAAAIIaTJINn
+eUBXbki+PSAld2nhJh/LVmFsS+60WyvXkQ1wpsGGBsKAAAALAWCY4d/4wKbDCIh
BssYbE8GCaaX5NUt+mxyKwwfHifBilZwj2Ul7Ce62azJAAAAAAQBIKbpGG2dWTX8
j+VjFM21J0hqWlEg+bdiojWnKfA5AQpWUWtnNwDEM0g12vYxoWM8Y81W+bHBw805
I8kWVkXU6vFOi+HWvv/ira7ofJu16NnoUkhclkUrk0mXubZvyl4GBg==
-----END PGP PUBLIC KEY BLOCK-----
"""
V6_SIGNATURE = b"""-----BEGIN PGP SIGNATURE-----

wpgGARsKAAAAKQWCY5ijYyIhBssYbE8GCaaX5NUt+mxyKwwfHifBilZwj2Ul7Ce6
2azJAAAAAGk2IHZJX1AhiJD39eLuPBgiUU9wUA9VHYblySHkBONKU/usJ9BvuAqo
/FvLFuGWMbKAdA+epq7V4HOtAPlBWmU8QOd6aud+aSunHQaaEJ+iTFjP2OMW0KBr
NK2ay45cX1IVAQ==
-----END PGP SIGNATURE-----
"""
V6_TEXT = b"What we need from the grocery store:\r\n\r\n- tofu\r\n- vegetables\r\n- noodles\r\n"
CONTENT = b"firmware " * 50
ALGORITHMS = {"rsa2048": "rsa", "ed25519": "ed25519", "nistp384": "ec-p384", "nistp521": "ec-p521", "dsa2048": "dsa"}


def _signatures(data: bytes) -> list[openpgp.PgpSignature]:
    return [openpgp.parse_signature(packet) for packet in openpgp.packets(openpgp.unarmour(data))]


def _check(signature: openpgp.PgpSignature, key: PublicKey, content: bytes) -> None:
    openpgp.verify(signature, key, digests.digest(signature.hash, signature.salt + content + signature.trailer))


def test_the_version_6_vectors_of_the_standard() -> None:
    (key,) = read_public_keys(V6_CERTIFICATE, "v6")
    (signature,) = _signatures(V6_SIGNATURE)
    assert key.terms is not None
    assert key.terms.ids[0] == "cb186c4f0609a697e4d52dfa6c722b0c1f1e27c18a56708f6525ec27bad9acc9"
    assert (key.terms.refused, key.terms.expires, key.facts.algorithm) == ("", "", "ed25519")
    assert signature.issuers == key.terms.ids[:1]
    # The trailing line end before the armour is no part of the text (RFC 9580 7.2).
    _check(signature, key, V6_TEXT.removesuffix(b"\r\n") + b"\r\n")
    with pytest.raises(InvalidSignatureError):
        _check(signature, key, V6_TEXT.replace(b"tofu", b"meat"))


@pytest.fixture(scope="module")
def gpg() -> Iterator[Path]:
    if shutil.which("gpg") is None:
        pytest.skip("gpg is not installed")
    home = Path(tempfile.mkdtemp(prefix="ot"))
    (home / "fw").write_bytes(CONTENT)
    for name in ALGORITHMS:
        _gpg(home, "--quick-gen-key", f"{name} <{name}@x>", name, "sign", "2y")
    _gpg(home, "--quick-gen-key", "sub <sub@x>", "ed25519", "cert", "never")
    fingerprint = _fingerprint(home, "sub@x")
    _gpg(home, "--quick-add-key", fingerprint, "ed25519", "sign", "1y")
    _gpg(home, "--quick-add-key", fingerprint, "cv25519", "encr", "1y")
    yield home
    run("gpgconf", "--homedir", home, "--kill", "all")
    shutil.rmtree(home, ignore_errors=True)


def _gpg(home: Path, *words: str | Path, data: bytes | None = None) -> bytes:
    head = ("gpg", "--homedir", home, "--batch", "--yes", "--quiet", "--pinentry-mode", "loopback", "--passphrase", "")
    return bytes(run(*head, *words, data=data).stdout)


def _fingerprint(home: Path, name: str) -> str:
    lines = _gpg(home, "--with-colons", "--list-keys", name).decode().splitlines()
    return next(line.split(":")[9] for line in lines if line.startswith("fpr:"))


@pytest.mark.parametrize("name", ALGORITHMS)
def test_every_algorithm_of_gnupg_verifies_and_its_near_miss_does_not(gpg: Path, name: str) -> None:
    (key,) = read_public_keys(_gpg(gpg, "--export", f"{name}@x"), name)
    assert key.facts.algorithm == ALGORITHMS[name]
    assert key.terms is not None
    assert key.terms.ids[0].upper() == _fingerprint(gpg, f"{name}@x")
    (signature,) = _signatures(_gpg(gpg, "-u", f"{name}@x", "--detach-sign", "--output", "-", gpg / "fw"))
    _check(signature, key, CONTENT)
    with pytest.raises(InvalidSignatureError):
        _check(signature, key, CONTENT + b"!")


def test_subkeys_have_terms_of_their_own(gpg: Path) -> None:
    primary, subkey = read_public_keys(_gpg(gpg, "--armor", "--export", "sub@x"), "sub")
    assert primary.terms is not None
    assert subkey.terms is not None
    assert "key flags" in primary.terms.refused
    assert (primary.may_sign, subkey.may_sign) == (False, True)
    assert subkey.terms.expires > subkey.terms.created
    assert subkey.facts.algorithm == "ed25519"


def _packets_of(data: bytes) -> list[tuple[int, bytes]]:
    return [(packet.kind, packet.body) for packet in openpgp.packets(data)]


def _joined(parts: list[tuple[int, bytes]]) -> bytes:
    return b"".join(bytes([0xC0 | kind, 0xFF]) + len(body).to_bytes(4, "big") + body for kind, body in parts)


def test_a_subkey_that_nothing_binds_or_that_does_not_certify_back_may_not_sign(gpg: Path) -> None:
    parts = _packets_of(_gpg(gpg, "--export", "sub@x"))
    at = next(number for number, (kind, _) in enumerate(parts) if kind == openpgp.PUBLIC_SUBKEY)
    unbound = read_public_keys(_joined(parts[: at + 1]), "x")[1]
    assert unbound.terms is not None
    assert "binds the subkey" in unbound.terms.refused
    stolen = _packets_of(_gpg(gpg, "--export", "nistp384@x"))
    foreign = [*parts[:2], *parts[2:3], (openpgp.PUBLIC_SUBKEY, stolen[0][1]), parts[at + 1]]
    adopted = read_public_keys(_joined(foreign), "x")[1]
    assert adopted.terms is not None
    assert not adopted.may_sign


def test_a_certificate_without_its_self_signature_may_not_sign(gpg: Path) -> None:
    parts = _packets_of(_gpg(gpg, "--export", "ed25519@x"))
    (key,) = read_public_keys(_joined(parts[:2]), "x")
    assert key.terms is not None
    assert "no self-signature" in key.terms.refused
    (key,) = read_public_keys(_joined(parts[:1]), "x")
    assert not key.may_sign


def test_a_self_signature_that_was_changed_binds_nothing(gpg: Path) -> None:
    data = bytearray(_gpg(gpg, "--export", "rsa2048@x"))
    data[-5] ^= 1
    (key,) = read_public_keys(bytes(data), "x")
    assert not key.may_sign


def test_secret_keys_are_refused(gpg: Path) -> None:
    with pytest.raises(KeyMaterialError, match="secret key"):
        read_public_keys(_gpg(gpg, "--export-secret-keys", "ed25519@x"), "x")


def test_old_versions_and_unknown_algorithms_are_told() -> None:
    (signature,) = _signatures(V6_SIGNATURE)
    with pytest.raises(UnsupportedAlgorithmError, match="version 3"):
        openpgp.parse_signature(openpgp.Packet(2, b"\3\5\0" + bytes(20), 0))
    strange = openpgp.PgpSignature(**{**signature.__dict__, "algorithm": 99})
    with pytest.raises(UnsupportedAlgorithmError, match="99"):
        openpgp.scheme(strange)


def test_a_critical_subpacket_that_is_not_understood_invalidates_the_signature() -> None:
    (key,) = read_public_keys(V6_CERTIFICATE, "v6")
    (signature,) = _signatures(V6_SIGNATURE)
    strange = openpgp.PgpSignature(**{**signature.__dict__, "unknown_critical": (99,)})
    with pytest.raises(InvalidSignatureError, match="critical"):
        _check(strange, key, V6_TEXT)


@pytest.mark.parametrize(
    ("data", "text"),
    [
        (b"\x00\x00", "begins no packet"),
        (b"\xc2\xff\xff\xff\xff\xff", "needed"),
        (b"\xc2\xe0\x00", "partial length"),
        (b"-----BEGIN PGP SIGNATURE-----\n\n!!!!\n-----END PGP SIGNATURE-----\n", "base64"),
    ],
)
def test_damaged_packets_are_format_errors(data: bytes, text: str) -> None:
    with pytest.raises(FormatError, match=text):
        list(openpgp.packets(openpgp.unarmour(data)))


def test_too_many_packets_are_refused() -> None:
    with pytest.raises(FormatError, match="MAX_PACKETS"):
        list(openpgp.packets(b"\xcd\x00" * (openpgp.MAX_PACKETS + 1)))


def test_every_truncation_and_flip_of_a_certificate_is_answered() -> None:
    data = openpgp.unarmour(V6_CERTIFICATE)
    for size in range(0, len(data), 3):
        _read(data[:size])
    for place in range(0, len(data), 2):
        mutant = bytearray(data)
        mutant[place] ^= 0x11
        keys = _read(bytes(mutant))
        # The subkey only encrypts; what stands in front of it decides whether the primary key may sign.
        assert place >= 224 or not any(key.may_sign for key in keys), place


def _read(data: bytes) -> tuple[PublicKey, ...]:
    try:
        return openpgp.read_keys(data)
    except (FormatError, CryptoError):
        return ()


def test_every_truncation_of_a_signature_is_answered() -> None:
    (key,) = read_public_keys(V6_CERTIFICATE, "v6")
    data = openpgp.unarmour(V6_SIGNATURE)
    for size in range(len(data)):
        assert not _valid(data[:size], key), size


def _valid(data: bytes, key: PublicKey) -> bool:
    try:
        found = _signatures(data)
        for signature in found:
            _check(signature, key, V6_TEXT)
    except (FormatError, CryptoError):
        return False
    return bool(found)


def test_armour_without_an_empty_line_and_with_headers_is_read() -> None:
    raw = openpgp.unarmour(V6_SIGNATURE)
    text = base64.encodebytes(raw)
    head, tail = b"-----BEGIN PGP SIGNATURE-----\n", b"-----END PGP SIGNATURE-----\n"
    assert openpgp.unarmour(head + b"Comment: x\n\n" + text + b"=abcd\n" + tail) == raw
    assert openpgp.unarmour(head + text + tail) == raw


def test_times_far_away_are_texts() -> None:
    assert openpgp.moment(None) == ""
    assert openpgp.moment(2**40).startswith("9999-12-31")


def test_what_is_no_certificate_is_left_to_other_forms() -> None:
    data = openpgp.unarmour(V6_CERTIFICATE)
    assert openpgp_form.FORM.detect(data)
    for other in (
        b"",
        b"\x98" + bytes(31),
        data[:40],
        b"\x98\x40" + bytes(64),
        b"\xc6\xff\xff" + bytes(80),
        b"0\x82" * 30,
    ):
        assert not openpgp_form.FORM.detect(other)
    with pytest.raises(KeyMaterialError, match="no OpenPGP certificate"):
        read_public_keys(data[:-1])
    with pytest.raises(KeyMaterialError, match="without a public key"):
        read_public_keys(V6_SIGNATURE)
