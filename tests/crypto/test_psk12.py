"""Handshakes with pre-shared keys: the pseudorandom function, hostile servers, and what never shows the key."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from checker.crypto.tls import messages, records
from checker.crypto.tls.client13 import Client13
from checker.crypto.tls.client13 import Wanted as Wanted13
from checker.crypto.tls.identity import PreSharedKey, read_psk
from checker.crypto.tls.psk12 import SUITES, PskClient, Wanted, premaster, prf
from checker.crypto.tls.session import HandshakeError
from checker.errors import CryptoError, FormatError, KeyMaterialError

KEY = bytes(range(0xA0, 0xB0))
PSK = PreSharedKey("device-1", KEY)


def test_the_pseudorandom_function_gives_the_published_vector() -> None:
    """The SHA-256 vector of the IETF TLS list (2009), which every TLS 1.2 library carries in its tests."""
    secret, seed = bytes.fromhex("9bbe436ba940f017b17652849a71db35"), bytes.fromhex("a0ba9f936cda311827a6f796ffd5198c")
    expected = bytes.fromhex("e3f229ba727be17b8d122620557cd453c2aab21d07c3d495329b52d4e61edb5a6b301791e90d35c9c9a46b4e")
    assert prf("sha256", secret, b"test label", seed, len(expected)) == expected


def test_the_premaster_secret_has_zeros_or_the_other_secret() -> None:
    assert premaster(b"abc", bytes(3)) == b"\0\3\0\0\0\0\3abc"  # RFC 4279 2
    assert premaster(b"abc", b"XY") == b"\0\2XY\0\3abc"  # RFC 5489 2


def test_a_key_is_never_shown() -> None:
    client = PskClient(Wanted(psk=PSK), bytes)
    other = Client13(Wanted13(group=0x1D, psk=PSK), bytes)
    for text in (repr(PSK), repr(client), repr(Wanted(psk=PSK)), client.start().hex(), other.start().hex()):
        assert KEY.hex() not in text
        assert repr(KEY)[2:-1] not in text


@pytest.mark.parametrize("data", [b"", b"zz", b"0", b"\xff\xfe", b"00" * 600, b"secretkey"])
def test_a_file_that_is_no_hexadecimal_key_is_refused_without_its_content(data: bytes) -> None:
    with pytest.raises(KeyMaterialError) as caught:
        read_psk(data, "device-1", "a.psk")
    assert "secretkey" not in str(caught.value)
    assert read_psk(b"A0a1\n", "x").key == b"\xa0\xa1"
    with pytest.raises(KeyMaterialError):
        read_psk(b"00", "x" * 300)


def record(payload: bytes, kind: int = records.HANDSHAKE, *, datagram: bool = False) -> bytes:
    if datagram:
        return records.datagram(kind, payload, 0, 0xFEFD)
    return records.records(kind, payload, 0x0303)


def server_hello(suite: int = 0x00A8, version: int = 0x0303) -> bytes:
    return version.to_bytes(2) + bytes(range(32)) + b"\0" + suite.to_bytes(2) + b"\0"


def framed(*parts: tuple[int, bytes], datagram: bool = False) -> bytes:
    made = [
        records.datagram_message(kind, body, number) if datagram else records.message(kind, body)
        for number, (kind, body) in enumerate(parts)
    ]
    return b"".join(record(item, datagram=datagram) for item in made)


@pytest.mark.parametrize(
    ("parts", "said"),
    [
        (((messages.SERVER_HELLO, server_hello(0xC02B)),), "another version or suite"),
        (((messages.SERVER_HELLO, server_hello(version=0x0302)),), "another version or suite"),
        (((messages.CERTIFICATE, b""),), "does not follow"),
        (((messages.SERVER_HELLO, server_hello()), (messages.CERTIFICATE, b"")), "does not follow"),
        (((messages.SERVER_HELLO, server_hello(0xD001)), (messages.HELLO_DONE, b"")), "does not fit its suite"),
        (((messages.SERVER_HELLO, server_hello()), (messages.FINISHED, bytes(12))), "does not follow"),
        (((messages.HELLO_VERIFY, b"\3\3\1a"),) * 2, "does not follow"),
    ],
)
def test_a_server_that_breaks_the_order_is_refused(parts: tuple[tuple[int, bytes], ...], said: str) -> None:
    client = PskClient(Wanted(psk=PSK), bytes)
    client.start()
    *before, last = parts
    for part in before:
        client.feed(framed(part))
    with pytest.raises((FormatError, HandshakeError), match=said):
        client.feed(framed(last))
    assert not client.completed


def test_a_finished_of_another_key_does_not_complete() -> None:
    client = PskClient(Wanted(psk=PSK), bytes)
    client.start()
    assert client.feed(framed((messages.SERVER_HELLO, server_hello()), (messages.HELLO_DONE, b"")))
    client.feed(record(b"\1", records.CHANGE_CIPHER))
    with pytest.raises(CryptoError, match="does not verify"):
        client.feed(record(bytes(40)))
    assert not client.completed
    with pytest.raises(HandshakeError):
        client.send(b"x")


def test_a_dtls_flight_is_sent_again_under_new_numbers() -> None:
    client = PskClient(Wanted(psk=PSK, datagram=True), bytes)
    first, second = client.start(), client.retransmit()
    assert (first[:11], second[:11]) == (first[:10] + b"\0", first[:10] + b"\1")
    assert first[11:] == second[11:]


KINDS = st.sampled_from([1, 2, 3, 4, 11, 12, 14, 16, 20])
BODIES = st.one_of(
    st.just(server_hello()),
    st.just(server_hello(0xD001)),
    st.just(server_hello(0x00AE)),
    st.just(b""),
    st.binary(max_size=80),
)


@settings(max_examples=300, deadline=None)
@given(
    st.booleans(),
    st.lists(
        st.one_of(
            st.tuples(KINDS, BODIES).map(lambda part: ("message", part)),
            st.sampled_from([("change", b"\1"), ("alert", b"\2\x28"), ("alert", b"\1\0")]),
            st.binary(max_size=60).map(lambda data: ("raw", data)),
        ),
        max_size=6,
    ),
)
def test_whatever_a_server_sends_gives_a_typed_error_or_a_value(
    datagram: bool,  # noqa: FBT001 - a parameter
    parts: list[tuple[str, bytes | tuple[int, bytes]]],
) -> None:
    client = PskClient(Wanted(psk=PSK, datagram=datagram, suites=tuple(SUITES)), bytes)
    client.start()
    number = 0
    try:
        for kind, part in parts:
            if isinstance(part, tuple):
                raw = records.datagram_message(*part, number) if datagram else records.message(*part)
                number += 1
                data = record(raw, datagram=datagram)
            elif kind == "raw":
                data = part
            else:
                data = record(part, {"change": 20, "alert": 21}[kind], datagram=datagram)
            client.feed(data)
    except (CryptoError, FormatError):
        return
    assert not client.completed
