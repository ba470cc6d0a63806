"""What the protocols above TLS say: HTTP heads, CONNACKs and CoAP codes, hostile ones too."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from checker.model.endpoint import Answer
from checker.transport import application
from checker.transport.application import Touch
from checker.transport.target import Target

NOW = datetime(2026, 11, 1, 12, 0, 0, tzinfo=UTC)
YES, NO, NOT_SHOWN = Answer.YES, Answer.NO, Answer.NOT_SHOWN


def touch(scheme: str, path: str = "/", index: int = 0) -> Touch:
    target = Target(scheme=scheme, host="up.example", port=443, path=path)
    return application.touches(target, lambda size: b"\1" * size, NOW)[index]


@pytest.mark.parametrize(
    ("status", "answer"),
    [
        (200, YES),
        (204, YES),
        (301, YES),
        (400, NO),
        (401, NO),
        (403, NO),
        (496, NO),
        (404, NOT_SHOWN),
        (500, NOT_SHOWN),
    ],
)
def test_http_statuses_that_refuse_the_client_are_no_and_others_decide_nothing(status: int, answer: Answer) -> None:
    found = touch("https").read(f"HTTP/1.1 {status} X\r\n\r\n".encode())
    assert (found.status, found.answered.answer) == (status, answer)


@pytest.mark.parametrize(
    ("location", "other", "plain"),
    [
        ("https://up.example/x", NO, NO),
        ("/x", NO, NO),
        ("https://cdn.example/x", YES, NO),
        ("http://up.example/x", NO, YES),
        ("http://[bad", NO, NO),
    ],
)
def test_redirects_name_their_host_and_scheme(location: str, other: Answer, plain: Answer) -> None:
    found = touch("https").read(f"HTTP/1.1 302 Found\r\nLocation: {location}\r\n\r\n".encode())
    assert found.redirect == location
    assert (found.redirect_other_host.answer, found.redirect_plaintext.answer) == (other, plain)


@pytest.mark.parametrize(
    ("date", "skew"),
    [
        ("Sun, 01 Nov 2026 12:00:00 GMT", 0.0),
        ("Sun, 01 Nov 2026 11:00:00 GMT", -3600.0),
        ("yesterday", None),
        ("", None),
    ],
)
def test_the_servers_date_is_compared(date: str, skew: float | None) -> None:
    found = touch("https").read(
        f"HTTP/1.1 200 OK\r\nDate: {date}\r\nStrict-Transport-Security: max-age=1\r\n\r\n".encode()
    )
    assert found.clock_skew == skew
    assert found.strict_transport == "max-age=1"


def test_requests_are_harmless_and_exact() -> None:
    request = touch("https", "/fw?x=1\r\nX: y").request
    assert request.startswith(b"HEAD /fw?x=1%0D%0AX:%20y HTTP/1.1\r\nHost: up.example\r\n")
    assert touch("mqtts").request[:12] == b"\x10\x1b\0\4MQTT\4\2\0\x1e"
    assert touch("mqtts", index=1).request[8:13] == b"\5\2\0\x1e\0"
    long = b"firmware-with-a-long-name"
    expected = b"\x44\1\1\1\1\1\1\1\xb1a\x0d" + bytes([len(long) - 13]) + long  # RFC 7252 3.1
    assert touch("coaps", f"/a/{long.decode()}").request == expected
    assert application.touches(Target(scheme="tls", host="x", port=1), bytes, NOW) == ()


@pytest.mark.parametrize(
    ("index", "code", "answer"),
    [(0, 0, YES), (0, 5, NO), (0, 4, NO), (0, 1, NOT_SHOWN), (1, 0x87, NO), (1, 0x84, NOT_SHOWN), (1, 0, YES)],
)
def test_connack_codes(index: int, code: int, answer: Answer) -> None:
    found = touch("mqtts", index=index).read(bytes([0x20, 2, 0, code]))
    assert (found.status, found.answered.answer) == (code, answer)
    assert found.mqtt_version == ("5" if index else "3.1.1")


@pytest.mark.parametrize(
    ("code", "answer"), [(0x45, YES), (0x81, NO), (0x83, NO), (0x84, NOT_SHOWN), (0xA0, NOT_SHOWN)]
)
def test_coap_codes(code: int, answer: Answer) -> None:
    found = touch("coaps").read(bytes([0x64, code, 1, 1]) + b"\1\1\1\1")
    assert found.answered.answer is answer
    assert touch("coaps").read(bytes([0x64, code, 1, 1]) + b"\2\2\2\2").answered.answer is NOT_SHOWN


def test_a_path_becomes_options_of_its_parts_and_its_query() -> None:
    request = touch("coaps", "/a%20b/c?x=1&y").request[8:]
    assert request == b"\xb3a b\x01c\x43x=1\x01y"  # RFC 7252 6.4
    assert touch("coaps", "/?q").request[8:] == b"\xd1\x02q"
    assert touch("coaps", "/" + "x" * 300 + "/y").request[8:] == b"\xb1y"  # a part of 300 bytes fits no option


def test_an_answer_after_an_empty_acknowledgement_is_read() -> None:
    """As from a server that needs time; the two datagrams stand one behind the other."""
    answer = b"\x44\x45\2\2\1\1\1\1"
    assert touch("coaps").whole(b"\x60\0\1\1" + answer)
    assert touch("coaps").read(b"\x60\0\1\1" + answer).status == 205
    assert touch("coaps").read(b"\x60\0\1\1").answered.answer is NOT_SHOWN


def test_an_empty_acknowledgement_is_not_yet_the_answer() -> None:
    assert not touch("coaps").whole(b"\x60\0\1\1")
    assert touch("coaps").whole(b"\x64\x45\1\1\1\1\1\1")


@settings(max_examples=200, deadline=None)
@given(st.sampled_from(["https", "mqtts", "coaps"]), st.binary(max_size=300), st.booleans())
def test_any_answer_is_read_without_an_error(scheme: str, data: bytes, prefixed: bool) -> None:  # noqa: FBT001
    start = (
        {"https": b"HTTP/1.1 302 F\r\nLocation: ", "mqtts": b"\x20\2", "coaps": b"\x64"}[scheme] if prefixed else b""
    )
    found = touch(scheme).read(start + data)
    assert found.protocol in {"http", "mqtt", "coap"}
