"""Revocation that is fetched: OCSP and lists from where certificates say, by real responders, and what bounds it."""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509

from checker.__main__ import run
from checker.crypto.keyring import KeyRing
from checker.model.endpoint import Answer, EndpointFacts
from checker.transport import revocation
from checker.transport.fetch import MAX_HEAD, Distance, distance
from tests.transport import battery
from tests.transport.battery import Serve, free_port, http, latest, port, pyopenssl, says, silent
from tests.transport.conftest import Probe, Start, needs
from tests.transport.pki import AS_OF, DAY, NOW, Leaf, Pki, authority, told_at

YES, NO, NOT_SHOWN, NOT_ASKED = Answer.YES, Answer.NO, Answer.NOT_SHOWN, Answer.NOT_ASKED
Served = Callable[..., EndpointFacts]


@pytest.fixture
def served(pki: Pki, start: Start, probe: Probe) -> Served:
    """Examine a server whose certificate names these responders and lists."""

    def one(*, ocsp: tuple[str, ...] = (), lists: tuple[str, ...] = (), **options: Any) -> EndpointFacts:
        pki.issue("told", Leaf(more=told_at(ocsp=ocsp, lists=lists)))
        return probe(start(port(pyopenssl(pki, "told"))), **{"enumerate_all": False, **options})

    return one


def url(number: int, path: str = "/") -> str:
    return f"http://127.0.0.1:{number}{path}"


class Responder:
    """OpenSSL's responder for a certificate that names its port."""

    def __init__(self, pki: Pki, start: Start, probe: Probe, folder: Path) -> None:
        self.pki, self.start, self.probe, self.folder = pki, start, probe, folder

    def examine(
        self, signer: str = "int", *, revoked: bool = False, known: bool = True, **options: Any
    ) -> EndpointFacts:
        number = free_port()
        self.pki.issue("told", Leaf(more=told_at(ocsp=(url(number),))))
        names = ("told",) if known else ("ok",)
        gone = "told" if revoked else ""
        self.start(battery.responder(self.pki, self.folder, signer, number=number, known=names, revoked=gone))
        server = self.start(port(pyopenssl(self.pki, "told")))
        return self.probe(server, **{"enumerate_all": False, **options})


@pytest.fixture
def responder(pki: Pki, start: Start, probe: Probe, tmp_path: Path) -> Responder:
    return Responder(pki, start, probe, tmp_path)


@needs("openssl")
@pytest.mark.parametrize(
    ("asked", "revoked", "path"),
    [
        ({}, NO, YES),
        ({"revoked": True}, YES, NO),
        ({"known": False}, NOT_SHOWN, YES),
        ({"signer": "ok2"}, NOT_SHOWN, YES),
    ],
)
def test_openssls_responder_decides_where_its_answer_is_the_issuers(
    responder: Responder, asked: dict[str, Any], revoked: Answer, path: Answer
) -> None:
    chain = responder.examine(**asked).chain
    assert (chain.revoked.answer, chain.path_valid.answer) == (revoked, path)
    assert chain.revoked_by == ("" if revoked is NOT_SHOWN else "ocsp")
    (answer,) = chain.fetched
    assert (answer.kind, answer.about.answer) == ("ocsp", YES)
    assert chain.path is not None
    assert chain.path.revoked is {NO: False, YES: True}.get(revoked)


@needs("openssl")
@pytest.mark.parametrize(("delegated", "revoked"), [(True, NO), (False, NOT_SHOWN)])
def test_a_delegated_responder_needs_its_issuers_word(
    responder: Responder,
    pki: Pki,
    delegated: bool,  # noqa: FBT001 - a parameter
    revoked: Answer,
) -> None:
    pki.issue("delegate", Leaf(usage=pki.ocsp_signing) if delegated else Leaf())
    assert responder.examine("delegate").chain.revoked.answer is revoked


@needs("openssl")
def test_what_was_fetched_stands_in_the_transcript(responder: Responder) -> None:
    facts = responder.examine()
    (at,) = facts.chain.fetched[0].revoked.exchanges
    exchange = facts.exchanges[at]
    assert "OCSP answer of http://127.0.0.1:" in exchange.purpose
    assert bytes.fromhex(exchange.sent[0][1]).startswith(b"POST / HTTP/1.1\r\nHost: 127.0.0.1:")
    received = b"".join(bytes.fromhex(data) for _, data in exchange.received)
    assert received.startswith(b"HTTP/1.0 200")
    assert exchange.truncated == 0


@needs("openssl")
def test_without_permission_nothing_is_fetched(responder: Responder) -> None:
    facts = responder.examine(fetch=False)
    assert (facts.chain.revoked.answer, facts.chain.fetched) == (NOT_ASKED, ())
    assert not any("OCSP" in item.purpose for item in facts.exchanges)


@needs("openssl")
def test_a_good_answer_clears_nothing_without_an_anchor(responder: Responder) -> None:
    facts = responder.examine(ring=KeyRing.empty())
    assert facts.chain.fetched[0].revoked.answer is NO
    assert facts.chain.revoked.answer is NOT_SHOWN
    assert "no path to a declared anchor" in facts.chain.revoked.reason
    assert responder.examine(ring=KeyRing.empty(), revoked=True).chain.revoked.answer is YES


@pytest.mark.parametrize(
    ("how", "revoked"),
    [
        ({}, NO),
        ({"age": 30}, NOT_SHOWN),
        ({"age": -30}, NOT_SHOWN),
        ({"revoked": True}, YES),
        ({"revoked": True, "age": 30}, YES),  # a revocation does not end
    ],
)
def test_an_answer_of_another_time_is_not_good(
    pki: Pki, start: Start, probe: Probe, how: dict[str, Any], revoked: Answer
) -> None:
    made: list[bytes] = []
    number = start(port(latest(made)))
    pki.issue("told", Leaf(more=told_at(ocsp=(url(number),))))
    made.append(pki.staple("told", **how))
    chain = probe(start(port(pyopenssl(pki, "told"))), enumerate_all=False).chain
    assert chain.revoked.answer is revoked


def test_an_answer_about_another_certificate_is_not_good(pki: Pki, start: Start, served: Served) -> None:
    number = start(port(http(pki.staple("ok"))))
    chain = served(ocsp=(url(number),)).chain
    assert (chain.revoked.answer, chain.fetched[0].about.answer) == (NOT_SHOWN, NO)


def place(name: str, **what: Any) -> x509.IssuingDistributionPoint:
    fields: dict[str, Any] = {
        "full_name": [x509.UniformResourceIdentifier(name)] if name else None,
        "relative_name": None, "only_contains_user_certs": False, "only_contains_ca_certs": False,
        "only_some_reasons": None, "indirect_crl": False, "only_contains_attribute_certs": False,
    }  # fmt: skip
    return x509.IssuingDistributionPoint(**{**fields, **what})


HERE = "http://127.0.0.1/here"
COMPROMISE = frozenset({x509.ReasonFlags.key_compromise})


@pytest.mark.parametrize(
    ("texts", "how", "revoked"),
    [
        ((), {}, NO),
        (("ok",), {}, NO),
        (("told",), {}, YES),
        ((), {"age": 30}, NOT_SHOWN),
        (("told",), {"age": 30}, YES),
        (("told",), {"age": 30, "reason": x509.ReasonFlags.certificate_hold}, NOT_SHOWN),
        (("told",), {"reason": x509.ReasonFlags.certificate_hold}, YES),
        ((), {"signer": "rogue"}, NOT_SHOWN),
        (("told",), {"signer": "rogue"}, NOT_SHOWN),
        ((), {"issuer": "rogue"}, NOT_SHOWN),
        ((), {"more": (x509.DeltaCRLIndicator(1),)}, NOT_SHOWN),
        (("told",), {"more": (x509.DeltaCRLIndicator(1),)}, NOT_SHOWN),
        ((), {"more": (place("", indirect_crl=True, only_contains_user_certs=True),)}, NOT_SHOWN),
        ((), {"more": (place("", only_contains_user_certs=True),)}, NO),
        ((), {"more": (place("", only_contains_ca_certs=True),)}, NOT_SHOWN),
        ((), {"more": (place("", only_some_reasons=COMPROMISE),)}, NOT_SHOWN),
        (("told",), {"more": (place("", only_some_reasons=COMPROMISE),)}, YES),
        ((), {"more": (place("http://other.example/shard"),)}, NOT_SHOWN),
        ((), {"more": (place("same"),)}, NO),
        ((), {"more": (x509.UnrecognizedExtension(x509.ObjectIdentifier("1.2.3.4"), b"\5\0"),)}, NOT_SHOWN),
    ],
)
def test_a_fetched_list_decides_where_it_is_whole_and_about_the_certificate(
    pki: Pki, start: Start, probe: Probe, texts: tuple[str, ...], how: dict[str, Any], revoked: Answer
) -> None:
    made: list[bytes] = []
    number = start(port(latest(made)))
    here = url(number, "/list.crl")
    how = {key: getattr(pki, value) if key in {"signer", "issuer"} else value for key, value in how.items()}
    if how.get("more") == (place("same"),):
        how["more"] = (place(here),)
    pki.issue("told", Leaf(more=told_at(lists=(here,))))
    made.append(pki.list(*texts, **how))
    chain = probe(start(port(pyopenssl(pki, "told"))), enumerate_all=False).chain
    assert (chain.revoked.answer, chain.path_valid.answer) == (revoked, NO if revoked is YES else YES)
    assert [item.kind for item in chain.fetched] == ["crl"]


def test_a_list_decides_where_the_responder_does_not(pki: Pki, start: Start, served: Served) -> None:
    number = start(port(http(pki.list("ok"))))
    chain = served(ocsp=(url(free_port()),), lists=(url(number),)).chain
    assert [item.revoked.answer for item in chain.fetched] == [NOT_SHOWN, NO]
    assert (chain.revoked.answer, chain.revoked_by) == (NO, "crl")
    assert "the port is closed" in chain.fetched[0].revoked.reason


@pytest.mark.parametrize(
    ("point", "said"),
    [
        ({"crl_issuer": True}, "by another issuer (indirect)"),
        ({"reasons": COMPROMISE}, "some reasons only"),
    ],
)
def test_a_point_that_is_indirect_or_partial_is_named_and_not_followed(
    pki: Pki, start: Start, probe: Probe, point: dict[str, Any], said: str
) -> None:
    number = start(port(http(pki.list())))
    issuer = [x509.DirectoryName(pki.rogue.certificate.subject)] if "crl_issuer" in point else None
    names = [x509.UniformResourceIdentifier(url(number))]
    pki.issue(
        "told",
        Leaf(more=(x509.CRLDistributionPoints([x509.DistributionPoint(names, None, point.get("reasons"), issuer)]),)),
    )
    facts = probe(start(port(pyopenssl(pki, "told"))), enumerate_all=False)
    assert facts.chain.revoked.answer is NOT_SHOWN
    assert said in facts.chain.revoked.reason
    assert not any("revocation list" in item.purpose for item in facts.exchanges)


def test_a_revoked_intermediate_breaks_the_path(pki: Pki, start: Start, probe: Probe) -> None:
    listed: list[bytes] = []
    number = start(port(latest(listed)))
    middle = authority("middle", pki.root, 0, told_at(lists=(url(number),)))
    pki.leaves["middle"] = middle
    pki.issue("below", Leaf(), middle)
    server = start(port(pyopenssl(pki, "below")))
    for texts, answer in ((("middle",), YES), (("ok",), NOT_ASKED)):
        listed[:] = [pki.list(*texts, issuer=pki.root)]
        chain = probe(server, enumerate_all=False).chain
        assert (chain.revoked.answer, chain.path_valid.answer) == (answer, NO if answer is YES else YES)
        assert [item.subject for item in chain.fetched] == ["CN=middle"]


CHUNKED = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"


def chunked(body: bytes) -> bytes:
    parts = [body[at : at + 300] for at in range(0, len(body), 300)]
    return CHUNKED.encode() + b"".join(b"%x\r\n%s\r\n" % (len(part), part) for part in parts) + b"0\r\n\r\n"


def test_an_answer_in_chunks_is_joined_and_one_that_is_cut_counts_for_nothing(
    pki: Pki, start: Start, served: Served
) -> None:
    whole = chunked(pki.list("ok"))
    assert served(lists=(url(start(port(says(whole)))),)).chain.revoked.answer is NO
    assert served(lists=(url(start(port(says(whole[:-30])))),)).chain.revoked.answer is NOT_SHOWN
    until_closed = b"HTTP/1.0 200 OK\r\n\r\n" + pki.list("ok")
    assert served(lists=(url(start(port(says(until_closed)))),)).chain.revoked.answer is NO


def endless(sock: Any) -> None:
    sock.recv(4096)
    sock.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
    for _ in range(300):
        sock.sendall(bytes(65536))


@pytest.mark.parametrize(
    ("serve", "said"),
    [
        (http(b"", "302 Found", "Location: http://127.0.0.1:1/\r\n"), "redirects are not followed"),
        (http(b"no", "404 Not Found"), "HTTP 404"),
        (says(b"HTTP/1.1 200 OK\r\nContent-Length: 99999999999\r\n\r\n"), "the limit is 8388608"),
        (says(b"SSH-2.0-x\r\n"), "no whole HTTP answer"),
        (says(b"x" * 3 * MAX_HEAD), "no HTTP answer"),
        (http(b"no list at all"), "cannot be read"),
        (http(b""), "empty"),
        (silent, "nothing came before the deadline"),
        (endless, "bytes came"),
    ],
)
def test_whatever_else_a_place_answers_is_not_shown(start: Start, served: Served, serve: Serve, said: str) -> None:
    began = time.monotonic()
    chain = served(lists=(url(start(port(serve))),), timeout=1.0).chain
    assert time.monotonic() - began < 8
    assert chain.revoked.answer is NOT_SHOWN
    assert said in chain.fetched[0].verified.reason + chain.fetched[0].revoked.reason


@pytest.mark.parametrize(
    ("place", "said"),
    [
        ("http://user:word@127.0.0.1/x", "or a user"),
        ("https://127.0.0.1/x", "only http"),
        ("ldap://127.0.0.1/x", "only http"),
        ("http:///x", "no host"),
        ("http://127.0.0.1:99999/x", "ort"),
        ("http://name.invalid/x", "no address"),
        ("http://169.254.169.254/latest", "no place for a server"),
        ("http://[fe80::1]/x", "no place for a server"),
        ("http://0.0.0.0/x", "no place for a server"),
        ("http://127.0.0.1/" + "x" * 3000, "too long"),
    ],
)
def test_addresses_that_are_not_asked_are_named(served: Served, place: str, said: str) -> None:
    facts = served(ocsp=(place, "http://127.0.0.1:1/"))
    if place.startswith("http://"):
        assert said in facts.chain.fetched[0].revoked.reason
        made = [item for item in facts.exchanges if item.purpose.startswith("the OCSP") and item.ended == "not made"]
        assert len(made) == 1
        assert made[0].sent == ()
    else:
        assert any(said in item.revoked.reason for item in facts.chain.fetched)


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        ("127.0.0.1", Distance.HERE), ("::1", Distance.HERE), ("::ffff:127.0.0.1", Distance.HERE),
        ("10.1.2.3", Distance.NEAR), ("192.168.0.1", Distance.NEAR), ("fd00::1", Distance.NEAR),
        ("100.64.0.1", Distance.NEAR),
        ("9.9.9.9", Distance.FAR), ("2620:fe::fe", Distance.FAR),
        ("169.254.1.1", None), ("::ffff:169.254.1.1", None), ("fe80::1%eth0", None), ("224.0.0.1", None),
        ("0.0.0.0", None), ("64:ff9b::a00:1", None), ("2002:a00:1::", None), ("240.0.0.1", None),  # noqa: S104 - not bound to
    ],
)  # fmt: skip
def test_how_far_an_address_is(address: str, expected: Distance | None) -> None:
    assert distance(address) is expected


def test_a_certificate_cannot_send_us_to_a_place_nearer_than_the_endpoint(
    start: Start, served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The endpoint is taken for one on the internet; the place that its certificate names is on this machine."""
    asked: list[int] = []

    def note(sock: socket.socket) -> None:
        asked.append(sock.fileno())

    number = start(port(note))
    monkeypatch.setattr(revocation, "_distance", lambda _: Distance.FAR)
    chain = served(ocsp=(url(number),)).chain
    assert chain.revoked.answer is NOT_SHOWN
    assert "nearer to this machine than the endpoint" in chain.revoked.reason
    assert asked == []
    monkeypatch.undo()
    served(ocsp=(url(number),))
    assert len(asked) == 1


@needs("openssl")
def test_the_command_writes_what_it_fetched_and_judges_it_again(
    responder: Responder, pki: Pki, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    facts = responder.examine()
    words = ["--trust", pki.path("root.pem"), "--sni", "localhost", "--as-of", AS_OF]
    record = tmp_path / "seen.json"
    address = f"https://127.0.0.1:{facts.port}/"
    run(["probe", address, *words, "-o", str(record)])
    shown = capsys.readouterr().out
    assert "revoked: no (good as of" in shown
    run(["probe", "--from", str(record), "--as-of", AS_OF])
    assert capsys.readouterr().out == shown
    found = json.loads(record.read_text())["endpoints"][0]["chain"]["fetched"][0]
    assert (found["kind"], found["status"], found["revoked"]["answer"]) == ("ocsp", "good", "no")
    run(["probe", address, *words, "--no-fetch"])
    assert "OCSP http" not in capsys.readouterr().out


@pytest.mark.parametrize(("age", "asked"), [(0, False), (30, True)])
def test_a_given_list_that_has_ended_does_not_keep_us_from_asking(
    pki: Pki,
    start: Start,
    served: Served,
    age: int,
    asked: bool,  # noqa: FBT001 - a parameter
) -> None:
    number = start(port(http(pki.list("ok"))))
    chain = served(lists=(url(number),), crls=[pki.list("ok2", age=age)]).chain
    assert (chain.revoked.answer, bool(chain.fetched)) == (NO, asked)


@needs("openssl")
def test_a_second_certificate_is_asked_about_too(pki: Pki, start: Start, probe: Probe) -> None:
    listed: list[bytes] = []
    number = start(port(latest(listed)))
    pki.issue("told-rsa", Leaf(key=pki.leaves["rsa2048"].key, more=told_at(lists=(url(number),))))
    listed.append(pki.list("told-rsa"))
    second = (
        "-dcert",
        pki.path("told-rsa.pem"),
        "-dkey",
        pki.path("told-rsa.key"),
        "-dcert_chain",
        pki.path("int.pem"),
    )
    facts = probe(start(battery.s_server(pki, "ok", *second)), "tls")
    by_name = {item.sent[0].subject: item for item in (facts.chain, *facts.other_chains)}
    assert (by_name["CN=told-rsa"].revoked.answer, by_name["CN=told-rsa"].path_valid.answer) == (YES, NO)
    assert (by_name["CN=ok"].revoked.answer, by_name["CN=ok"].path_valid.answer) == (NOT_ASKED, YES)


@needs("openssl")
def test_a_dtls_servers_certificate_is_asked_about_over_tcp(pki: Pki, start: Start, probe: Probe) -> None:
    listed: list[bytes] = []
    number = start(port(latest(listed)))
    pki.issue("told", Leaf(more=told_at(lists=(url(number),))))
    listed.append(pki.list("ok"))
    server = start(battery.s_server(pki, "told", "-dtls1_2"))
    assert probe(server, "dtls").chain.revoked.answer is NO


def test_an_odd_address_does_not_make_a_certificate_damaged(served: Served) -> None:
    assert served(ocsp=("http://[::1/x", "http://h:99999/")).chain.path_valid.answer is YES


def test_a_look_alike_of_the_issuer_cannot_clear_a_certificate(pki: Pki, start: Start, probe: Probe) -> None:
    """A server sends another authority of the issuer's name first, and a staple that this one signed."""
    twin = authority("int", pki.rogue, 0)
    forged: list[bytes] = []
    number = start(port(latest(forged)))
    name, serial = pki.root.certificate.subject, pki.intermediate.certificate.serial_number
    issued_by = x509.AuthorityKeyIdentifier(None, [x509.DirectoryName(name)], serial)  # or OpenSSL takes the twin
    holder = pki.issue("told", Leaf(more=(*told_at(ocsp=(url(number),)), issued_by)))
    holder.above.insert(0, twin.certificate)
    (pki.folder / "told.chain").write_bytes(holder.chain)
    forged.append(pki.staple("told", signer=twin))
    chain = probe(start(port(pyopenssl(pki, "told"))), enumerate_all=False).chain
    assert chain.path_valid.answer is YES
    assert chain.revoked.answer is NOT_SHOWN


def test_a_time_before_the_answer_is_not_covered(pki: Pki, start: Start, served: Served) -> None:
    number = start(port(http(pki.list("ok"))))
    early = (NOW - 20 * DAY).strftime("%Y-%m-%dT%H:%M:%SZ")
    chain = served(lists=(url(number),), as_of=early).chain
    assert chain.fetched[0].current.answer is NO
    assert chain.revoked.answer is NOT_SHOWN
