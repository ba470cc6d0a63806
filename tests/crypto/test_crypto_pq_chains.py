"""Certificate paths and CMS messages with ML-DSA, SLH-DSA and HSS keys: what holds, and near misses beside it."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from checker.crypto import _asn1
from checker.crypto._own_paths import signed_by
from checker.crypto.certificates import Certificate, parse_certificate, parse_crl
from checker.crypto.chains import Verdict, assess
from checker.crypto.cms import SignedMessage
from checker.crypto.keyring import KeyRing
from checker.crypto.keys import from_spki
from checker.model.artifact import Signature
from checker.model.terms import Outcome
from tests.crypto.pq_material import (
    CA,
    LEAF,
    Signer,
    certificate,
    der,
    ecdsa,
    extension,
    hss,
    ml_dsa,
    oid,
    revocation_list,
    signed_data,
    slh_dsa,
)

DATA = Path(__file__).parent / "data"
NOW = "2026-11-01T00:00:00Z"
EXPIRED = ("200101000000Z", "210101000000Z")
SCHEMES: dict[str, Callable[[bytes], Signer]] = {
    "ml-dsa": ml_dsa,
    "slh-dsa-sha2": lambda _: slh_dsa(),
    "slh-dsa-shake": lambda _: slh_dsa("slh-dsa-shake-128f"),
    "hss": hss,
    "ecdsa": lambda seed: ecdsa(int.from_bytes(hashlib.sha256(seed).digest()[:16], "big")),
}


def parsed(*ders: bytes) -> tuple[Certificate, ...]:
    return tuple(parse_certificate(item) for item in ders)


def judged(leaf: bytes, *anchors: bytes, crls: tuple[bytes, ...] = (), between: tuple[bytes, ...] = ()) -> Verdict:
    ring = KeyRing.of(anchors=parsed(*anchors), crls=[parse_crl(item) for item in crls])
    return assess(parse_certificate(leaf), ring, presented=parsed(*between), as_of=NOW)


@pytest.mark.parametrize("name", SCHEMES)
def test_a_path_of_one_scheme_is_valid_and_one_of_a_stranger_is_not(name: str) -> None:
    make = SCHEMES[name]
    root, key = make(b"root"), make(b"leaf")
    anchor = certificate("root", root, "root", root, CA)
    leaf = certificate("leaf", key, "root", root)
    found = judged(leaf, anchor)
    assert (found.outcome, found.chain.valid, found.chain.error) == (Outcome.VALID, True, "")
    assert [item.subject for item in found.chain.certificates] == ["CN=leaf", "CN=root"]
    other = make(b"stranger")
    assert judged(leaf, certificate("stranger", other, "stranger", other, CA)).outcome is Outcome.KEY_UNKNOWN
    forged = certificate("leaf", key, "root", other)
    assert judged(forged, anchor).outcome is not Outcome.VALID


@pytest.mark.parametrize(("top", "middle", "bottom"), [("ecdsa", "hss", "ml-dsa"), ("hss", "ecdsa", "hss")])
def test_mixed_paths_are_followed_to_the_anchor(top: str, middle: str, bottom: str) -> None:
    root, sub, key = SCHEMES[top](b"root"), SCHEMES[middle](b"sub"), SCHEMES[bottom](b"leaf")
    anchor = certificate("root", root, "root", root, CA)
    between = certificate("sub", sub, "root", root, CA)
    leaf = certificate("leaf", key, "sub", sub)
    found = judged(leaf, anchor, between=(between,))
    assert found.outcome is Outcome.VALID
    assert len(found.chain.certificates) == 3
    assert judged(leaf, anchor).outcome is Outcome.KEY_UNKNOWN  # the one between is missing
    assert judged(leaf, between).outcome is Outcome.VALID  # it may be an anchor too


def altered(which: str) -> tuple[bytes, bytes, bytes]:
    """Return leaf, intermediate and anchor with one fault, under HSS keys."""
    root, sub, key = hss(b"root"), hss(b"sub"), hss(b"leaf")
    short = (extension("2.5.29.19", der(0x30, der(0x01, b"\xff"), der(0x02, b"\0"))), CA[1])
    constrained = (*CA, extension("2.5.29.30", der(0x30, der(0xA0, der(0x30, der(0x82, b"example"))))))
    kinds: dict[str, tuple[bytes, ...]] = {
        "not marked": (CA[1],),
        "not a ca": (extension("2.5.29.19", der(0x30)), CA[1]),
        "may not sign": (CA[0], extension("2.5.29.15", der(0x03, b"\x07\x80"))),
        "constrained": constrained,
    }
    times = {"expired": EXPIRED, "early": ("300101000000Z", "400101000000Z")}
    anchor = certificate("root", root, "root", root, short if which == "too long" else CA)
    between = certificate("sub", sub, "root", root, kinds.get(which, CA))
    if which == "too long":
        third = hss(b"third")
        below = certificate("third", third, "sub", sub, CA)
        return certificate("leaf", key, "third", third), between + below, anchor
    leaf_extensions = (
        LEAF[:1] if which != "wrong purpose" else (extension("2.5.29.37", der(0x30, oid("1.3.6.1.5.5.7.3.1"))),)
    )
    leaf = certificate(
        "leaf", key, "sub", sub, leaf_extensions, validity=times.get(which, ("240101000000Z", "400101000000Z"))
    )
    return leaf, between, anchor


@pytest.mark.parametrize(
    ("which", "outcome", "text"),
    [
        ("nothing", Outcome.VALID, ""),
        ("expired", Outcome.INVALID, "expired"),
        ("early", Outcome.INVALID, "not yet valid"),
        ("not marked", Outcome.INVALID, "certification authority"),
        ("not a ca", Outcome.INVALID, "certification authority"),
        ("may not sign", Outcome.INVALID, "key usage"),
        ("wrong purpose", Outcome.INVALID, "purpose"),
        ("constrained", Outcome.KEY_UNKNOWN, "not evaluated"),
    ],
)
def test_one_fault_in_an_own_path_is_found(which: str, outcome: Outcome, text: str) -> None:
    leaf, between, anchor = altered(which)
    found = judged(leaf, anchor, between=(between,))
    assert found.outcome is outcome
    assert text in found.note


def test_a_path_longer_than_an_authority_allows_is_refused() -> None:
    leaf, both, anchor = altered("too long")
    size = int.from_bytes(both[2:4], "big") + 4
    found = judged(leaf, anchor, between=(both[:size], both[size:]))
    assert found.outcome is Outcome.INVALID
    assert "longer" in found.note


def test_revocation_lists_of_an_hss_authority_count_where_it_signed_them() -> None:
    root, key = hss(b"root"), hss(b"leaf")
    anchor = certificate("root", root, "root", root, CA)
    leaf = certificate("leaf", key, "root", root)
    assert judged(leaf, anchor, crls=(revocation_list("root", root, [8]),)).chain.revoked is False
    found = judged(leaf, anchor, crls=(revocation_list("root", root, [7]),))
    assert (found.outcome, found.chain.revoked) == (Outcome.INVALID, True)
    foreign = judged(leaf, anchor, crls=(revocation_list("root", hss(b"stranger"), [7]),))
    assert (foreign.outcome, foreign.chain.revoked) == (Outcome.VALID, None)
    assert "could not be checked" in foreign.note


def test_many_certificates_of_one_name_do_not_make_the_search_long() -> None:
    key = hss(b"leaf")
    crowd = tuple(certificate("root", ml_dsa(bytes([n])), "root", key, CA) for n in range(20))
    assert judged(certificate("leaf", key, "root", hss(b"root")), crowd[0], between=crowd).outcome is not Outcome.VALID


def message(signer: Signer, leaf: bytes, anchor: bytes, content: bytes = b"firmware", **how: object) -> Signature:
    data = signed_data(b"firmware", signer, "root", [leaf], **how)  # type: ignore[arg-type]
    ring = KeyRing.of(anchors=parsed(anchor))
    parsed_message = SignedMessage.parse(data)
    found = parsed_message.verify(
        lambda name: {"sha-512": hashlib.sha512}[name](content).digest(), ring, NOW, content=lambda: content
    )
    return found[0]


@pytest.mark.parametrize("attributes", [True, False])
@pytest.mark.parametrize("name", sorted(SCHEMES.keys() - {"ecdsa"}))
def test_cms_signers_of_every_scheme(name: str, *, attributes: bool) -> None:
    make: Callable[[bytes], Signer] = SCHEMES[name]
    root, key = make(b"root"), make(b"leaf")
    anchor, leaf = certificate("root", root, "root", root, CA), certificate("leaf", key, "root", root)
    found = message(key, leaf, anchor, attributes=attributes)
    assert found.outcome is Outcome.VALID
    assert found.hash == ("sha-512" if attributes else "")
    assert message(key, leaf, anchor, b"firmwarE", attributes=attributes).outcome is Outcome.INVALID
    assert message(make(b"other"), leaf, anchor, attributes=attributes).outcome is Outcome.INVALID


def test_an_hss_signer_tells_which_one_time_key_it_used() -> None:
    root, key = hss(b"root"), hss(b"leaf", start=5)
    anchor, leaf = certificate("root", root, "root", root, CA), certificate("leaf", key, "root", root)
    found = message(key, leaf, anchor)
    assert found.one_time_index == 5
    assert [item.scheme for item in found.one_time_keys] == ["lms"]
    again = message(hss(b"leaf", start=5), leaf, anchor)
    other = message(key, leaf, anchor)
    assert found.one_time_keys == again.one_time_keys  # the same signature over the same bytes is no second use
    assert other.one_time_index == 6


def test_certificates_that_an_hss_authority_signed_tell_which_one_time_keys_it_used() -> None:
    root, key = hss(b"root"), SCHEMES["ml-dsa"](b"leaf")
    anchor, leaf = certificate("root", root, "root", root, CA), certificate("leaf", key, "root", root)
    found = judged(leaf, anchor).chain.one_time_keys
    assert [(item.scheme, item.index) for item in found] == [("lms", 1), ("lms", 0)]
    reused = certificate("other", SCHEMES["ml-dsa"](b"other"), "root", hss(b"root", start=1))
    (second, first) = judged(reused, anchor).chain.one_time_keys
    assert (second.owner, second.index, first) == (found[0].owner, 1, found[1])
    assert second.used != found[0].used  # a repeat: the comparison across artifacts says so
    assert judged(leaf, certificate("root", hss(b"x"), "root", hss(b"x"), CA)).chain.one_time_keys == ()


def test_the_algorithm_inside_what_is_signed_is_the_one_outside_though_the_key_names_it_too() -> None:
    root, key = hss(b"root"), hss(b"leaf")
    whole = certificate("leaf", key, "root", root)
    assert signed_by(whole, from_spki(root.spki))
    other = replace(root, identifier=SCHEMES["ml-dsa"](b"x").identifier)
    tbs, _, bits = _asn1.elements(certificate("leaf", key, "root", other))
    assert root.identifier in tbs  # as the algorithm of the subject's key
    assert not signed_by(der(0x30, tbs, root.identifier, bits), from_spki(root.spki))


def test_a_forged_one_time_index_is_not_reported() -> None:
    root, key = hss(b"root"), hss(b"leaf", start=3)
    anchor, leaf = certificate("root", root, "root", root, CA), certificate("leaf", key, "root", root)
    assert message(key, leaf, anchor, b"other").one_time_keys == ()


def test_a_path_under_an_xmss_root_is_valid_and_a_flipped_bit_is_not() -> None:
    # XMSS-SHA2_10_192, signed once by pq-verify's XMSSTree; the private key was thrown away.
    root, leaf = (DATA / "xmss_root.der").read_bytes(), (DATA / "xmss_leaf.der").read_bytes()
    found = judged(leaf, root)
    assert (found.outcome, found.chain.certificates[0].signature_algorithm) == (Outcome.VALID, "xmss")
    assert parse_certificate(root).key.facts.algorithm == "xmss"
    flipped = leaf[:-1] + bytes([leaf[-1] ^ 1])
    assert judged(flipped, root).outcome is Outcome.KEY_UNKNOWN
