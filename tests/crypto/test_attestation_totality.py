"""Every kind of attestation is total: whatever the file and its companions hold, an answer or an error of its own."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from checker.crypto.attestation_files import check_attestation, form_of, forms, read_root
from checker.errors import CryptoError, FormatError
from tests.crypto import attestation_maker as maker

DATA: Final = Path(__file__).parent / "data/attestations"
KINDS: Final = tuple(form.id for form in forms())
NAMES: Final = ("signature", "public", "ak", "response", "revocations", "certificates")
FILES: Final = {
    "android": DATA / "android-tee.pem",
    "yubikey-piv": DATA / "yubikey-piv.pem",
    "tpm": DATA / "tpm/certify.attest",
}
COMPANIONS: Final = {
    "signature": (DATA / "tpm/certify.sig").read_bytes(),
    "public": (DATA / "tpm/signing.pub").read_bytes(),
    "revocations": b'{"entries": {"1": {"status": "REVOKED"}}}',
}
OWN: Final = {"android": ("revocations",), "yubikey-piv": (), "tpm": ("signature", "public")}
ROOT: Final = read_root((DATA / "tpm/ak.pem").read_bytes(), "root")
MANY: Final = settings(max_examples=120, deadline=None, suppress_health_check=list(HealthCheck))


def attempt(kind: str, data: bytes, companions: dict[str, bytes]) -> None:
    """Check one file; anything but the two errors is a fault."""
    given_ = maker.pinned(maker.spki(maker.p256()), ring=ROOT, companions=companions)
    try:
        _, found = check_attestation(data, kind, given_)
    except (FormatError, CryptoError):
        return
    assert isinstance(found.valid, bool)
    assert not found.valid or found.reported


@pytest.mark.parametrize("kind", KINDS)
@MANY
@given(data=st.binary(max_size=400), companions=st.dictionaries(st.sampled_from(NAMES), st.binary(max_size=200)))
def test_any_bytes_are_answered_or_refused(kind: str, data: bytes, companions: dict[str, bytes]) -> None:
    attempt(kind, data, companions)
    attempt("auto", data, companions)


@pytest.mark.parametrize("kind", sorted(FILES))
@MANY
@given(
    where=st.floats(0, 1), put=st.binary(max_size=6), cut=st.integers(0, 30), name=st.sampled_from(["", *COMPANIONS])
)
def test_a_genuine_file_with_any_damage_is_answered_or_refused(
    kind: str, where: float, put: bytes, cut: int, name: str
) -> None:
    genuine = {"": FILES[kind].read_bytes()} | {each: COMPANIONS[each] for each in OWN[kind]}
    target = name if name in genuine else ""
    at = int(where * len(genuine[target]))
    changed = genuine | {target: genuine[target][:at] + put + genuine[target][at + cut :]}
    if changed != genuine:
        attempt(kind, changed.pop(""), changed)


@MANY
@given(
    data=st.binary(max_size=300),
    start=st.sampled_from([b"", b"\xd2\x84", b"\x30\x82", b"\xffTCG", b"{", b"CKA_", b"-----BEGIN "]),
)
def test_looking_for_a_kind_never_raises_but_for_none(data: bytes, start: bytes) -> None:
    for form in forms():
        assert isinstance(form.detect(start + data), bool)
    try:
        form_of(start + data)
    except FormatError:
        return
