"""Public key files: the usual forms go to `keys`, others to the form that claims them."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from checker.crypto import key_files
from checker.crypto.key_files import read_public_keys
from checker.crypto.key_forms.contract import KeyForm
from checker.crypto.keys import PublicKey, from_ed25519
from checker.errors import KeyMaterialError
from checker.io.limits import MAX_KEY_FILE


def _two(data: bytes, name: str) -> Iterator[PublicKey]:
    for start in range(4, len(data), 32):
        yield from_ed25519(data[start : start + 32], name)


PAIR = KeyForm(id="pair", title="list of keys", detect=lambda data: data.startswith(b"KEYS"), read=_two, references=())


@pytest.fixture(autouse=True)
def one_form(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(key_files, "discover", lambda *_: (PAIR,))


def test_a_file_that_no_form_claims_is_read_as_one_key() -> None:
    assert [key.facts.algorithm for key in read_public_keys(bytes(31) + b"\1", "raw")] == ["ed25519"]


def test_a_file_that_a_form_claims_may_hold_several_keys() -> None:
    first, second = read_public_keys(b"KEYS" + bytes(31) + b"\1" + bytes(31) + b"\2", "two")
    assert first.spki_sha256 != second.spki_sha256


def test_a_claimed_file_without_a_key_is_refused() -> None:
    with pytest.raises(KeyMaterialError, match="empty: is a list of keys without"):
        read_public_keys(b"KEYS", "empty")


def test_a_file_that_is_too_large_is_refused_before_any_form_sees_it() -> None:
    with pytest.raises(KeyMaterialError, match="no key file"):
        read_public_keys(b"KEYS".ljust(MAX_KEY_FILE + 1), "huge")
