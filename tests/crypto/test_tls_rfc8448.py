"""The TLS 1.3 client against the trace of RFC 8448 section 3: every secret, the server's flight, our own Finished."""

from __future__ import annotations

from dataclasses import replace

import pytest
from cryptography.hazmat.primitives.asymmetric import x25519

from checker.crypto.tls import records, schedule
from checker.crypto.tls.client13 import Client13, Wanted
from checker.crypto.tls.schedule import Protection
from checker.crypto.tls.shares import Part
from checker.errors import OtauditError

SUITE = schedule.SUITES[0x1301]
CLIENT_KEY = "49af42ba7f7994852d713ef2784bcbcaa7911de26adc5642cb634540e7ea5005"
CLIENT_HELLO = bytes.fromhex(
    "010000c00303cb34ecb1e78163ba1c38c6dacb196a6dffa21a8d9912ec18a2ef6283024dece7000006130113031302010000910000000b00"
    "09000006736572766572ff01000100000a00140012001d0017001800190100010101020103010400230000003300260024001d002099381d"
    "e560e4bd43d23d8e435a7dbafeb3c06e51c13cae4d5413691e529aaf2c002b0003020304000d0020001e0403050306030203080408050806"
    "04010501060102010402050206020202002d00020101001c00024001"
)
SERVER_HELLO = bytes.fromhex(
    "020000560303a6af06a4121860dc5e6e60249cd34c95930c8ac5cb1434dac155772ed3e2692800130100002e00330024001d0020c9828876"
    "112095fe66762bdbf7c672e156d6cc253b833df1dd69b1b04e751f0f002b00020304"
)
FLIGHT_RECORD = bytes.fromhex(
    "17030302a2d1ff334a56f5bff6594a07cc87b580233f500f45e489e7f33af35edf7869fcf40aa40aa2b8ea73f848a7ca07612ef9f945cb96"
    "0b4068905123ea78b111b429ba9191cd05d2a389280f526134aadc7fc78c4b729df828b5ecf7b13bd9aefb0e57f271585b8ea9bb355c7c79"
    "020716cfb9b1183ef3ab20e37d57a6b9d7477609aee6e122a4cf51427325250c7d0e509289444c9b3a648f1d71035d2ed65b0e3cdd0cbae8"
    "bf2d0b227812cbb360987255cc744110c453baa4fcd610928d809810e4b7ed1a8fd991f06aa6248204797e36a6a73b70a2559c09ead68694"
    "5ba246ab66e5edd8044b4c6de3fcf2a89441ac66272fd8fb330ef8190579b3684596c960bd596eea520a56a8d650f563aad27409960dca63"
    "d3e688611ea5e22f4415cf9538d51a200c27034272968a264ed6540c84838d89f72c24461aad6d26f59ecaba9acbbb317b66d902f4f292a3"
    "6ac1b639c637ce343117b659622245317b49eeda0c6258f100d7d961ffb138647e92ea330faeea6dfa31c7a84dc3bd7e1b7a6c7178af3687"
    "9018e3f252107f243d243dc7339d5684c8b0378bf30244da8c87c843f5e56eb4c5e8280a2b48052cf93b16499a66db7cca71e4599426f7d4"
    "61e66f99882bd89fc50800becca62d6c74116dbd2972fda1fa80f85df881edbe5a37668936b335583b599186dc5c6918a396fa48a181d6b6"
    "fa4f9d62d513afbb992f2b992f67f8afe67f76913fa388cb5630c8ca01e0c65d11c66a1e2ac4c85977b7c7a6999bbf10dc35ae69f5515614"
    "636c0b9b68c19ed2e31c0b3b66763038ebba42f3b38edc0399f3a9f23faa63978c317fc9fa66a73f60f0504de93b5b845e275592c12335ee"
    "340bbc4fddd502784016e4b3be7ef04dda49f4b440a30cb5d2af939828fd4ae3794e44f94df5a631ede42c1719bfdabf0253fe5175be898e"
    "750edc53370d2b"
)
OUR_FINISHED = "a8ec436d677634ae525ac1fcebe11a039ec17694fac6e98527b642f2edd5ce61"
OUR_RECORD = (
    "170303003575ec4dc238cce60b298044a71e219c56cc77b0517fe9b93c7a4bfc44d87f38f80338ac98fc46deb384bd1caeacab6867d726c4"
    "0546"
)


def shared() -> bytes:
    private = x25519.X25519PrivateKey.from_private_bytes(bytes.fromhex(CLIENT_KEY))
    return private.exchange(x25519.X25519PublicKey.from_public_bytes(SERVER_HELLO[52:84]))


def test_the_shared_secret_and_the_handshake_traffic_secrets() -> None:
    assert shared().hex() == "8bd4054fb55b9d63fdfbacf9f04b9f0d35e6d63f537563efd46272900f89492d"
    secrets = schedule.handshake_secrets(SUITE, shared(), CLIENT_HELLO + SERVER_HELLO)
    assert secrets.client.hex() == "b3eddb126e067f35a780b3abf45e2d8f3b1a950738f52e9600746a0e27a55a21"
    assert secrets.server.hex() == "b67b7d690cc16c4e75e54213cb2d37b4e9c912bcded9105d42befd59d391ad38"
    assert secrets.next.hex() == "43de77e0c77713859a944db9db2590b53190a65b3ee2e4f12dd7a0bb7ce254b4"


def test_the_servers_flight_opens_and_seals_to_the_same_record() -> None:
    secret = schedule.handshake_secrets(SUITE, shared(), CLIENT_HELLO + SERVER_HELLO).server
    record = records.RecordReader().feed(FLIGHT_RECORD)[0]
    kind, flight = Protection(SUITE, secret).open(record)
    assert (kind, len(flight)) == (records.HANDSHAKE, 657)
    assert Protection(SUITE, secret).seal(kind, flight) == FLIGHT_RECORD


def replay() -> Client13:
    """Return our client in the place of the trace's, its ClientHello sent."""
    client = Client13(Wanted(group=0x001D, server_name="server"), bytes)
    private = x25519.X25519PrivateKey.from_private_bytes(bytes.fromhex(CLIENT_KEY))

    def exchange(share: bytes) -> bytes:
        return private.exchange(x25519.X25519PublicKey.from_public_bytes(share))

    client._share._parts = (Part(b"", 32, exchange),)
    client._hello = replace(client._hello, session_id=b"")
    client._transcript = CLIENT_HELLO
    return client


def test_our_client_finishes_the_trace_with_the_traces_own_record() -> None:
    client = replay()
    assert client.feed(records.records(records.HANDSHAKE, SERVER_HELLO, 0x0303)) == b""
    out = client.feed(FLIGHT_RECORD)
    assert client.completed
    assert out.hex().endswith(OUR_RECORD)
    assert client.session.scheme == 0x0804
    assert len(client.session.certificates) == 1
    secrets = schedule.application_secrets(SUITE, client._keys[1].next, client._transcript)
    assert secrets.client.hex() == "9e40646ce79a7f9dc05af8889bce6552875afa0b06df0087f792ebb7c17504a5"
    assert secrets.server.hex() == "a11af9f05531f856ad47116b45a950328204b4f44bfb6b3a4b4f1f3fcb631643"
    assert secrets.next.hex() == "18df06843d13a08bf2a449844c5f8a478001bc4d4c627984d5a41da8d0402919"


def test_the_verify_data_of_our_finished() -> None:
    client = replay()
    client.feed(records.records(records.HANDSHAKE, SERVER_HELLO, 0x0303))
    client.feed(FLIGHT_RECORD)
    assert schedule.finished(SUITE, client._keys[1].client, client._transcript).hex() == OUR_FINISHED


@pytest.mark.parametrize("at", [5, 40, 100, 300, 500, 640, 660, 678])
def test_one_changed_bit_of_the_servers_flight_completes_nothing(at: int) -> None:
    client = replay()
    client.feed(records.records(records.HANDSHAKE, SERVER_HELLO, 0x0303))
    bad = bytearray(FLIGHT_RECORD)
    bad[at] ^= 1
    with pytest.raises(OtauditError):
        client.feed(bytes(bad))
    assert not client.completed


def resealed(change: dict[int, int]) -> tuple[Client13, bytes]:
    """Return the flight with some bytes of its plaintext changed, protected again as a dishonest server could."""
    client = replay()
    client.feed(records.records(records.HANDSHAKE, SERVER_HELLO, 0x0303))
    secret = schedule.handshake_secrets(SUITE, shared(), CLIENT_HELLO + SERVER_HELLO).server
    _, flight = Protection(SUITE, secret).open(records.RecordReader().feed(FLIGHT_RECORD)[0])
    changed = bytearray(flight)
    for at, bit in change.items():
        changed[at] ^= bit
    return client, Protection(SUITE, secret).seal(records.HANDSHAKE, bytes(changed))


@pytest.mark.parametrize(
    ("at", "said"),
    [
        (500, "does not verify"),
        (489, "cannot make ml-dsa-44"),
        (656, "Finished does not"),
    ],
)
def test_a_wrong_signature_scheme_or_finished_is_refused(at: int, said: str) -> None:
    client, record = resealed({at: 1})
    with pytest.raises(OtauditError, match=said):
        client.feed(record)
    assert not client.completed


@pytest.mark.parametrize("after", [40, 485, 621])
def test_a_message_that_is_left_out_is_refused(after: int) -> None:
    client, _ = resealed({})
    secret = schedule.handshake_secrets(SUITE, shared(), CLIENT_HELLO + SERVER_HELLO).server
    _, flight = Protection(SUITE, secret).open(records.RecordReader().feed(FLIGHT_RECORD)[0])
    ends = [0, 40, 485, 621, 657]
    shorter = flight[: ends[ends.index(after) - 1]] + flight[after:]
    with pytest.raises(OtauditError):
        client.feed(Protection(SUITE, secret).seal(records.HANDSHAKE, shorter))
    assert not client.completed


def test_a_key_update_changes_the_keys() -> None:
    """RFC 9846 7.2; the value is another implementation's for a secret of counting bytes."""
    updated = schedule.expand_label(SUITE, bytes(range(32)), "traffic upd", b"", 32)
    assert updated.hex() == "2cecd0a17506ef5fa73edc062d6e7b5397cf074ec1b4d8f99a120772932f0b45"
    first = Protection(SUITE, bytes(range(32))).updated().seal(23, b"x")
    assert first == Protection(SUITE, updated).seal(23, b"x")
