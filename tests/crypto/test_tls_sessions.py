"""Handshakes in memory against OpenSSL 4 as the server: groups, kinds of client key, staples, hostile servers."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, rsa
from OpenSSL import SSL

from checker.crypto.certificates import parse_certificate
from checker.crypto.tls import names, records
from checker.crypto.tls.client13 import Client13, Wanted
from checker.crypto.tls.identity import ClientIdentity, credentials, read_identity
from checker.crypto.tls.library import LibraryClient, LibraryWanted
from checker.crypto.tls.session import HandshakeError, Session, scheme_parts, server_key
from checker.crypto.tls.shares import SUPPORTED, Share
from checker.crypto.tls.staple import read_staple
from checker.errors import CryptoError, FormatError, KeyMaterialError, OtauditError
from checker.model.endpoint import Answer
from tests.transport.pki import AS_OF, Holder, Leaf, Pki, authority, leaf

YES, NO, NOT_SHOWN = Answer.YES, Answer.NO, Answer.NOT_SHOWN
OPENSSL_NAMES = {"secp256r1": "P-256", "secp384r1": "P-384", "secp521r1": "P-521", "x25519": "X25519", "x448": "X448"}


@pytest.fixture(scope="module")
def pki(tmp_path_factory: pytest.TempPathFactory) -> Pki:
    return Pki(tmp_path_factory.mktemp("pki"))


def server(
    pki: Pki, groups: str = "", *, mutual: bool = False, prepare: Callable[[Any], None] | None = None
) -> SSL.Connection:
    context = SSL.Context(SSL.TLS_SERVER_METHOD)
    context.use_certificate_chain_file(pki.path("ok.chain"))
    context.use_privatekey_file(pki.path("ok.key"))
    if groups:
        assert SSL._lib.SSL_CTX_set1_curves_list(context._context, groups.encode()) == 1  # type: ignore[attr-defined]
    if mutual:
        context.load_verify_locations(pki.path("root.pem"))
        context.set_verify(SSL.VERIFY_PEER | SSL.VERIFY_FAIL_IF_NO_PEER_CERT, lambda *args: bool(args[-1]))
    if prepare is not None:
        prepare(context)
    connection = SSL.Connection(context, None)
    connection.set_accept_state()
    return connection


def shake(client: Client13 | LibraryClient, peer: SSL.Connection) -> SSL.Connection:
    """Carry bytes to and fro until both are done; the client's errors come out."""
    data = client.start()
    for _ in range(10):
        if data:
            peer.bio_write(data)
        with contextlib.suppress(SSL.Error):  # WantRead, or a refusal whose alert the client is to see
            peer.do_handshake()
        try:
            data = client.feed(peer.bio_read(65536))
        except SSL.WantReadError:
            data = b""
        if not data and client.completed:
            return peer
    return peer


@pytest.mark.parametrize("group", sorted(SUPPORTED), ids=names.group_name)
def test_our_client_completes_in_every_group_and_talks(pki: Pki, group: int) -> None:
    text = names.group_name(group)
    client = Client13(Wanted(group=group, server_name="localhost"), lambda size: b"\x05" * size)
    peer = shake(client, server(pki, OPENSSL_NAMES.get(text, text)))
    assert client.completed
    assert str(peer.get_group_name()).lower() in {text.lower(), OPENSSL_NAMES.get(text, text).lower()}
    peer.bio_write(client.send(b"ping" * 10_000))
    assert len(peer.recv(65536)) == 16384
    peer.send(b"pong")
    client.feed(peer.bio_read(65536))
    assert bytes(client.received) == b"pong"
    assert len(client.session.tickets) == 2


@pytest.mark.parametrize("suite", ["TLS_AES_128_GCM_SHA256", "TLS_AES_256_GCM_SHA384", "TLS_CHACHA20_POLY1305_SHA256"])
def test_our_client_completes_in_every_suite(pki: Pki, suite: str) -> None:
    client = Client13(Wanted(group=0x1D), bytes)
    shake(client, server(pki, prepare=lambda context: context.set_tls13_ciphersuites(suite.encode())))
    assert client.completed
    assert client.session.hello is not None
    assert names.suite_name(client.session.hello.suite) == suite


@pytest.mark.parametrize(
    "key",
    [
        ec.generate_private_key(ec.SECP256R1()),
        ec.generate_private_key(ec.SECP384R1()),
        ec.generate_private_key(ec.SECP521R1()),
        ed25519.Ed25519PrivateKey.generate(),
        ed448.Ed448PrivateKey.generate(),
        rsa.generate_private_key(65537, 2048),
    ],
    ids=lambda key: f"{type(key).__name__}{getattr(key, 'key_size', '')}",
)
def test_our_client_proves_its_key_to_openssl(pki: Pki, key: Any) -> None:
    holder = leaf("device", pki.intermediate, Leaf(key=key, usage=pki.client_auth), [pki.intermediate.certificate])
    identity = read_identity(holder.chain, holder.key_pem)
    client = Client13(Wanted(group=0x0201, identity=identity), bytes)
    peer = shake(client, server(pki, "MLKEM768", mutual=True))
    assert client.completed
    assert client.session.request is not None
    peer.send(b"welcome")
    client.feed(peer.bio_read(65536))
    assert bytes(client.received) == b"welcome"


@pytest.mark.parametrize(("given", "alert"), [(None, 116), ("self_signed", 48), ("foreign_ca", 48)])
def test_openssl_refuses_what_is_not_the_valid_identity(pki: Pki, given: str | None, alert: int) -> None:
    device = pki.leaves["device"]
    made = dict(credentials(read_identity(device.chain, device.key_pem), AS_OF))
    identity = made[given] if given else None
    client = Client13(Wanted(group=0x1D, identity=identity), bytes)
    peer = server(pki, mutual=True)
    with pytest.raises(HandshakeError) as caught:
        shake(client, peer)
    assert caught.value.alert in {alert, 51, 42}
    assert client.completed  # TLS 1.3 refuses only after our Finished


def test_a_client_key_that_cannot_sign_is_our_own_failure(pki: Pki) -> None:
    device = pki.leaves["device"]
    odd = ClientIdentity((device.der,), ec.generate_private_key(ec.SECP256K1()))
    client = Client13(Wanted(group=0x1D, identity=odd), bytes)
    with pytest.raises(HandshakeError) as caught:
        shake(client, server(pki, mutual=True))
    assert caught.value.ours


def test_a_cookie_in_a_retry_is_sent_back() -> None:
    """No library here asks for one, so the retry is made by hand; the second hello must carry its cookie."""
    client = Client13(Wanted(group=0x1D), bytes)
    client.start()
    body = (
        b"\3\3"
        + bytes.fromhex("cf21ad74e59a6111be1d8c021e65b891c2a211167abb8c5e079e09e2c8a8339c")
        + b"\x20"
        + bytes(32)
    )
    body += b"\x13\x01\0" + (15).to_bytes(2) + b"\0\x2b\0\2\3\4" + b"\0\x2c\0\5\0\3abc"
    out = client.feed(records.records(22, records.message(2, body), 0x0303))
    assert b"\0\x2c\0\5\0\3abc" in out
    with pytest.raises(HandshakeError, match="again"):
        client.feed(records.records(22, records.message(2, body), 0x0303))
    without = body[:70] + (6).to_bytes(2) + b"\0\x2b\0\2\3\4"
    fresh = Client13(Wanted(group=0x1D), bytes)
    fresh.start()
    with pytest.raises(HandshakeError, match="without a reason"):
        fresh.feed(records.records(22, records.message(2, without), 0x0303))


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda body: body[:2] + bytes(32) + body[34:], "verify"),
        (lambda body: body[:67] + b"\x13\x09" + body[69:], "chooses"),
        (lambda body: body[:35] + bytes(31) + b"\1" + body[67:], "echo"),
    ],
)
def test_a_server_hello_that_does_not_fit_is_refused(pki: Pki, change: Callable[[bytes], bytes], said: str) -> None:
    client = Client13(Wanted(group=0x1D), bytes)
    peer = server(pki)
    peer.bio_write(client.start())
    with pytest.raises(SSL.WantReadError):
        peer.do_handshake()
    whole = records.RecordReader().feed(peer.bio_read(65536))
    hello = records.records(22, records.message(2, change(whole[0].payload[4:])), 0x0303)
    rest = b"".join(records.records(item.kind, item.payload, item.version) for item in whole[1:])
    with pytest.raises(OtauditError, match=said):
        client.feed(hello + rest)
    assert not client.completed


def test_sending_before_the_end_is_our_own_failure() -> None:
    with pytest.raises(HandshakeError) as caught:
        Client13(Wanted(group=0x1D), bytes).send(b"x")
    assert caught.value.ours


@pytest.mark.parametrize("group", [0x1D, 0x17, 0x0201, 0x11EC])
def test_a_share_of_the_wrong_size_or_value_is_typed(group: int) -> None:
    share = Share(group, bytes)
    with pytest.raises(FormatError, match="does not fit"):
        share.secret(b"\0" * 5)
    if group in {0x1D, 0x17}:
        with pytest.raises(FormatError, match="no value"):
            share.secret(b"\0" * {0x1D: 32, 0x17: 65}[group])


def test_unknown_schemes_are_our_own_limit() -> None:
    with pytest.raises(HandshakeError) as caught:
        scheme_parts(0x7777)
    assert caught.value.ours
    assert scheme_parts(0x0905) == ("ml-dsa-65", "")
    assert scheme_parts(0x0807) == ("ed25519", "")
    with pytest.raises(FormatError):
        server_key(Session())


@pytest.mark.parametrize(("lowest", "highest", "version"), [(0, 0, 0x0304), (0, 0x0303, 0x0303)])
def test_what_the_library_hides_is_read_from_the_bytes(pki: Pki, lowest: int, highest: int, version: int) -> None:
    client = LibraryClient(LibraryWanted(server_name="localhost", lowest=lowest, highest=highest))
    shake(client, server(pki))
    assert client.completed
    session = client.session
    assert (session.version, session.scheme, len(session.certificates)) == (version, 0x0403, 2)
    assert session.flight_done
    assert client.resumable is not None
    with pytest.raises(CryptoError):
        LibraryClient(LibraryWanted(identity=ClientIdentity((b"\x30\0",), None)))


def test_a_refused_version_is_the_servers_alert(pki: Pki) -> None:
    client = LibraryClient(LibraryWanted(highest=0x0303))
    strict = server(pki, prepare=lambda context: context.set_min_proto_version(SSL.TLS1_3_VERSION))
    with pytest.raises(HandshakeError) as caught:
        shake(client, strict)
    assert (caught.value.alert, caught.value.ours) == (70, False)


def staple(pki: Pki, der: bytes, issuer: Holder | None = None) -> Any:
    above = parse_certificate((issuer or pki.intermediate).der)
    return read_staple(der, parse_certificate(pki.leaves["ok"].der), above, AS_OF)


def test_staples_are_judged_by_signature_certificate_and_time(pki: Pki) -> None:
    good = staple(pki, pki.staple("ok"))
    assert (good.status, good.verified.answer, good.current.answer, good.about_leaf.answer) == ("good", YES, YES, YES)
    assert staple(pki, pki.staple("ok", revoked=True)).status == "revoked"
    assert staple(pki, pki.staple("ok2")).about_leaf.answer is NO
    assert staple(pki, pki.staple("ok", signer=pki.rogue)).verified.answer is NO
    assert staple(pki, pki.staple("ok", age=30)).current.answer is NO
    assert staple(pki, pki.staple("ok"), pki.rogue).about_leaf.answer is NO
    unknown = read_staple(pki.staple("ok"), parse_certificate(pki.leaves["ok"].der), None, AS_OF)
    assert (unknown.verified.answer, unknown.about_leaf.answer) == (NOT_SHOWN, NOT_SHOWN)
    assert (
        read_staple(b"\x30\x03\x0a\x01\x03", parse_certificate(pki.leaves["ok"].der), None, AS_OF).status == "try_later"
    )
    assert staple(pki, b"nonsense").status == "damaged"
    flipped = bytearray(pki.staple("ok"))
    flipped[-3] ^= 1
    assert staple(pki, bytes(flipped)).verified.answer is not YES


def test_a_responder_counts_only_where_the_issuer_certified_it(pki: Pki) -> None:
    delegate = leaf("responder", pki.intermediate, Leaf(usage=pki.ocsp_signing))
    assert staple(pki, pki.staple("ok", signer=delegate)).verified.answer is YES
    plain = leaf("responder", pki.intermediate, Leaf())
    assert staple(pki, pki.staple("ok", signer=plain)).verified.answer is NO
    foreign = leaf("responder", pki.rogue, Leaf(usage=pki.ocsp_signing))
    assert staple(pki, pki.staple("ok", signer=foreign)).verified.answer is NO
    twin = authority("int")  # another authority of the issuer's name
    assert (
        staple(pki, pki.staple("ok", signer=leaf("responder", twin, Leaf(usage=pki.ocsp_signing)))).verified.answer
        is NO
    )


def test_identities_and_what_is_made_of_them(pki: Pki) -> None:
    device = pki.leaves["device"]
    identity = read_identity(device.chain, device.key_pem, "device")
    assert len(identity.certificates) == 2
    made = dict(credentials(identity, AS_OF))
    assert list(made) == ["none", "valid", "foreign_ca", "expired", "self_signed"]
    assert made["none"] is None
    for text in ("foreign_ca", "expired", "self_signed"):
        found = made[text]
        assert found is not None
        facts = parse_certificate(found.certificates[0]).facts
        assert facts.subject == "CN=device"
        assert facts.extended_key_usage == ("clientAuth",)
        assert (facts.not_after < AS_OF) == (text == "expired")
        assert (facts.issuer == "CN=device") == (text == "self_signed")
        assert "PrivateKey" not in repr(found)
    with pytest.raises(KeyMaterialError, match="does not belong"):
        read_identity(device.chain, pki.leaves["ok"].key_pem)
    with pytest.raises(KeyMaterialError, match="no unencrypted"):
        read_identity(device.chain, b"nothing")
    assert read_identity(device.der, device.key_pem).certificates == (device.der,)


@pytest.mark.parametrize("highest", [0, 0x0303])
def test_a_flight_with_a_changed_bit_is_a_typed_error_or_nothing(pki: Pki, highest: int) -> None:
    """From the server's random on, every byte of a flight is bound by a signature, a tag or Finished."""
    for part in range(25):
        client = LibraryClient(LibraryWanted(highest=highest))
        peer = server(pki)
        peer.bio_write(client.start())
        with contextlib.suppress(SSL.WantReadError):
            peer.do_handshake()
        flight = bytearray(peer.bio_read(65536))
        flight[12 + part * (len(flight) - 13) // 25] ^= 1 << (part % 8)
        with contextlib.suppress(OtauditError):
            client.feed(bytes(flight))
        assert not client.completed
