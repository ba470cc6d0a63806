"""Records, messages and names: totality over hostile bytes, agreement with OpenSSL, the builder against the parser."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from checker.crypto.tls import messages, names, records
from checker.crypto.tls.certificate_names import Names
from checker.crypto.tls.identity import read_identity
from checker.crypto.tls.messages import Hello
from checker.crypto.tls.session import Session, Watcher
from checker.errors import FormatError, KeyMaterialError, LimitError

# ServerHello of TLS 1.2 (ECDHE), ServerKeyExchange on x25519, CertificateRequest of one scheme and one name, Done
FLIGHT = b"".join(
    records.message(kind, bytes.fromhex(body))
    for kind, body in (
        (2, "0303" + "11" * 32 + "00c02b000005ff01000100"),
        (12, "03001d20" + "22" * 32 + "04030004deadbeef"),
        (13, "0140000204030004000230 00"),
        (14, ""),
    )
)


def watch(data: bytes, *, datagrams: bool = False) -> Session:
    session = Session()
    Watcher(session, datagrams=datagrams).feed(data)
    return session


def typed(call: Callable[[], object]) -> bool:
    """Return whether a call gives a value, or a typed error that names a field; anything else escapes."""
    try:
        call()
    except FormatError as error:
        return bool(error.field)
    return True


def hello(**changes: object) -> Hello:
    plain: dict[str, object] = {"versions": (0x0304,), "suites": (0x1301,), "random": bytes(32), "groups": (0x1D,)}
    return Hello(**(plain | changes))  # type: ignore[arg-type]


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=400))
def test_any_bytes_are_records_or_a_typed_error(data: bytes) -> None:
    for datagrams in (False, True):
        assert typed(lambda datagrams=datagrams: watch(data, datagrams=datagrams))  # type: ignore[misc]


@settings(max_examples=300, deadline=None)
@given(st.sampled_from(sorted([2, 4, 8, 11, 12, 13, 14, 15, 20, 22])), st.binary(max_size=200), st.booleans())
def test_any_message_body_is_a_value_or_a_typed_error(kind: int, body: bytes, tls13: bool) -> None:  # noqa: FBT001
    session = Session()
    version = b"\3\3" + bytes(32) + b"\0\xc0\x2b\0" + (b"\0\6\0\x2b\0\2\3\4" if tls13 else b"")
    session.take(records.Message(2, version))
    assert typed(lambda: session.take(records.Message(kind, body)))


@settings(max_examples=200, deadline=None)
@given(st.data())
def test_a_real_flight_with_changed_bytes_is_a_value_or_a_typed_error(data: st.DataObject) -> None:
    stream = bytearray(records.records(records.HANDSHAKE, FLIGHT, 0x0303))
    for at in data.draw(st.lists(st.integers(0, len(stream) - 1), min_size=1, max_size=4)):
        stream[at] ^= data.draw(st.integers(1, 255))
    assert typed(lambda: watch(bytes(stream)))


@pytest.mark.parametrize("size", [1, 2, 7, 100])
def test_a_flight_reads_the_same_however_it_is_cut(size: int) -> None:
    whole = watch(records.records(records.HANDSHAKE, FLIGHT, 0x0303))
    parts = [FLIGHT[at : at + size] for at in range(0, len(FLIGHT), size)]
    cut = watch(b"".join(records.records(records.HANDSHAKE, part, 0x0303) for part in parts))
    assert (cut.group, cut.scheme, cut.flight_done) == (whole.group, whole.scheme, True) == (0x1D, 0x0403, True)
    assert cut.request is not None


@settings(max_examples=60, deadline=None)
@given(st.permutations(range(6)), st.integers(0, 5))
def test_dtls_fragments_join_in_any_order_and_twice(order: list[int], again: int) -> None:
    body = bytes(range(60))
    reader = records.DatagramMessageReader()
    found = []
    for index in [*order, again]:
        start = index * 10
        header = b"\x0b" + (60).to_bytes(3) + b"\0\0" + start.to_bytes(3) + (10).to_bytes(3)
        found += reader.feed(header + body[start : start + 10])
    assert [item.body for item in found] == [body]


@pytest.mark.parametrize(
    ("data", "field"),
    [
        (b"HTTP/1.1 400", "record"),
        (b"\x16\x02\x00\x00\x01\x00", "record version"),
        (b"\x16\x03\x03\xff\xff", "record length"),
        (b"\x16\x03\x03\x00\x04\x0b\xff\xff\xff", "handshake message"),
    ],
)
def test_what_is_wrong_is_named(data: bytes, field: str) -> None:
    with pytest.raises(FormatError) as caught:
        watch(data)
    assert caught.value.field == field


def test_limits_hold() -> None:
    reader = records.MessageReader()
    message = b"\x0b" + (200_000).to_bytes(3) + bytes(200_000)
    for _ in range(5):
        reader.feed(message)
    with pytest.raises(LimitError):
        reader.feed(message)
    certificate = b"\0\0\1x"
    many = certificate * 101
    with pytest.raises(LimitError):
        messages.certificates(len(many).to_bytes(3) + many, tls13=False)
    assert len(messages.certificates((400).to_bytes(3) + certificate * 100, tls13=False).ders) == 100


def test_extensions_that_come_twice_are_refused() -> None:
    body = b"\3\3" + bytes(32) + b"\0\xc0\x2b\0" + b"\0\x08" + b"\0\x17\0\0" * 2
    with pytest.raises(FormatError, match="twice"):
        messages.server_hello(body)
    assert messages.server_hello(body[:38] + b"\0\4\0\x17\0\0").extensions == {0x17: b""}


def test_sni_is_for_names_and_not_for_addresses() -> None:
    assert b"localhost" in messages.client_hello(hello(server_name="localhost"))
    assert b"127.0.0.1" not in messages.client_hello(hello(server_name="127.0.0.1"))
    assert b"xn--mnchen-3ya.example" in messages.client_hello(hello(server_name="münchen.example"))


def test_ssl_3_has_no_extensions_and_tls_1_3_keeps_its_legacy_version() -> None:
    old = messages.client_hello(hello(versions=(0x0300,), suites=(0x0A,)))
    assert len(old) == 2 + 32 + 1 + 4 + 2
    assert messages.client_hello(hello())[:2] == b"\3\3"


@pytest.mark.skipif(shutil.which("openssl") is None, reason="not installed: openssl")
def test_openssl_gives_the_suites_the_same_names() -> None:
    command = ["openssl", "ciphers", "-V", "-stdname", "ALL:COMPLEMENTOFALL:@SECLEVEL=0"]
    done = subprocess.run(
        command, env=os.environ | {"OPENSSL_CONF": "/dev/null"}, capture_output=True, text=True, check=True
    )
    theirs = {int(high + low, 16): name for high, low, name in re.findall(r"0x(..),0x(..) - (\S+)", done.stdout)}
    assert len(theirs) > 100
    assert {number: names.suite_name(number) for number in theirs} == theirs


def test_every_suite_up_to_tls_1_2_is_asked_in_exactly_one_set() -> None:
    asked = [number for part in names.SUITE_PARTS.values() for number in part]
    assert len(asked) == len(set(asked)) == len(names.SUITES) - len(names._NOT_12)
    assert set(names.suite_classes("TLS_RSA_EXPORT_WITH_DES40_CBC_SHA")) >= {"export", "des", "static-rsa", "cbc"}
    assert "null" in names.suite_classes("TLS_RSA_WITH_NULL_SHA")
    assert names.suite_classes("TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256") == ("aead", "recommended")


@pytest.mark.parametrize(
    ("pattern", "wanted", "same"),
    [
        ("a.example", "A.example.", True),
        ("*.example.org", "a.example.org", True),
        ("*.example.org", "example.org", False),
        ("*.example.org", "a.b.example.org", False),
        ("*.org", "example.org", False),
        ("a*.example.org", "ab.example.org", False),
        ("xn--mnchen-3ya.example", "münchen.example", True),
    ],
)
def test_names_are_matched_as_rfc_9525_says(pattern: str, wanted: str, same: bool) -> None:  # noqa: FBT001
    assert Names(dns=(pattern,)).match(wanted) is same


def test_an_address_matches_addresses_only() -> None:
    assert Names(addresses=("127.0.0.1",)).match("127.0.0.1")
    assert Names(addresses=("::1",)).match("[0:0:0:0:0:0:0:1]")
    assert not Names(dns=("127.0.0.1",)).match("127.0.0.1")


def test_an_identity_without_its_key_is_refused_without_showing_anything() -> None:
    secret = b"-----BEGIN PRIVATE KEY-----\nc2VjcmV0\n-----END PRIVATE KEY-----\n"
    with pytest.raises(KeyMaterialError) as caught:
        read_identity(b"no certificate", secret)
    assert "c2VjcmV0" not in str(caught.value)


def test_names_in_other_forms_are_read_or_left_out() -> None:
    assert Names(dns=("x",)).match("\ud800") is False
    assert Names(dns=("*.a.example",)).texts == ("DNS:*.a.example",)
