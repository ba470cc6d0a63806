from __future__ import annotations

import base64
import json
import shutil
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from checker.crypto.jose import (
    MAX_JSON_DEPTH,
    looks_like_jws,
    parse_jws,
    read_json,
    read_jwk,
    verify_jws,
)
from checker.crypto.keys import PublicKey, read_public_key
from checker.errors import (
    CryptoError,
    FormatError,
    InvalidSignatureError,
    KeyMaterialError,
    UnsupportedAlgorithmError,
)

CLAIMS = "eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ"
RSA = {
    "kty": "RSA",
    "n": "ofgWCuLjybRlzo0tZWJjNiuSfb4p4fAkd_wWJcyQoTbji9k0l8W26mPddxHmfHQp-Vaw-4qPCJrcS2mJPMEzP1Pt0Bm4d4QlL-yRT-SFd2lZ"
    "S-pCgNMsD1W_YpRPEwOWvG6b32690r2jZ47soMZo9wGzjb_7OMg0LOL-bSf63kpaSHSXndS5z5rexMdbBYUsLA9e-KXBdQOS-UTo7WTBEMa2R2Ca"
    "pHg665xsmtdVMTBQY4uDZlxvb3qCo5ZwKh9kG4LT6_I5IhlJH7aGhyxXFvUK-DWNmoudF8NAco9_h9iaGNj8q2ethFkMLs91kzk2PAcDTW9gb54h"
    "4FRWyuXpoQ",
    "e": "AQAB",
}
RSA_SIGNATURE = (
    "cC4hiUPoj9Eetdgtv3hF80EGrhuB__dzERat0XF9g2VtQgr9PJbu3XOiZj5RZmh7AAuHIm4Bh-0Qc_lF5YKt_O8W2Fp5jujGbds9uJdbF9CUAr7t1dnZ"
    "cAcQjbKBYNX4BAynRFdiuB--f_nZLgrnbyTyWzO75vRK5h6xBArLIARNPvkSjtQBMHlb1L07Qe7K0GarZRmB_eSN9383LcOLn6_dO--xi12jzDwusC-e"
    "OkHWEsqtFZESc6BfI7noOPqvhJ1phCnvWh6IeYI2w9QOYEUipUTI8np6LbgGY9Fs98rqVt5AXLIhWkWywlVmtVrBp0igcN_IoypGlUPQGe77Rw"
)
P256 = {
    "kty": "EC",
    "crv": "P-256",
    "x": "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU",
    "y": "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0",
}
P256_SIGNATURE = "DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q"
P521 = {
    "kty": "EC",
    "crv": "P-521",
    "x": "AekpBQ8ST8a8VcfVOTNl353vSrDCLLJXmPk06wTjxrrjcBpXp5EOnYG_NjFZ6OvLFV1jSfS9tsz4qUxcWceqwQGk",
    "y": "ADSmRA43Z1DSNx_RvcLI87cdL07l6jQyyBXMoxVg_l2Th-x3S1WDhjDly79ajL4Kkd0AZMaZmh9ubmf63e3kyMj2",
}
P521_SIGNATURE = (
    "AdwMgeerwtHoh-l192l60hp9wAHZFVJbLfD_UxMi70cwnZOYaRI1bKPWROc-mZZqwqT2SI-KGDKB34XO0aw_7XdtAG8GaSwFKdCAPZgoXD2YBJZCPEX3"
    "xKpRwcdOO8KpEHwJjyqOgzDO7iKvU8vcnwNrmxYbSW9ERBXukOXolLzeO_Jn"
)
ED25519 = {"kty": "OKP", "crv": "Ed25519", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}
ED25519_SIGNATURE = "hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbhijcNR4ki4iylGjg5BhVsPt9g7sVvpAr_MuM0KAg"
MAC_SIGNATURE = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"

VECTORS = [  # RFC 7515 A.2, A.3, A.4; RFC 8037 A.4
    (RSA, "eyJhbGciOiJSUzI1NiJ9", CLAIMS, RSA_SIGNATURE, ("rsa-pkcs1v15", "sha-256")),
    (P256, "eyJhbGciOiJFUzI1NiJ9", CLAIMS, P256_SIGNATURE, ("ecdsa", "sha-256")),
    (P521, "eyJhbGciOiJFUzUxMiJ9", "UGF5bG9hZA", P521_SIGNATURE, ("ecdsa", "sha-512")),
    (
        ED25519,
        "eyJhbGciOiJFZERTQSJ9",
        "RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc",
        ED25519_SIGNATURE,
        ("ed25519", "sha-512"),
    ),
]


@pytest.fixture
def tool() -> Any:
    if shutil.which("openssl") is None:
        pytest.skip("openssl is not installed")

    def call(*words: str, cwd: Path) -> None:
        subprocess.run(words, cwd=cwd, check=True, capture_output=True)

    return call


def b64(data: bytes | str | dict[str, Any]) -> str:
    if isinstance(data, dict):
        data = json.dumps(data)
    raw = data.encode() if isinstance(data, str) else data
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def compact(header: dict[str, Any], payload: str = CLAIMS, signature: str = P256_SIGNATURE) -> bytes:
    return f"{b64(header)}.{payload}.{signature}".encode()


@pytest.mark.parametrize(("key", "header", "payload", "signature", "scheme"), VECTORS)
def test_the_vectors_of_the_rfcs_verify_and_one_changed_letter_does_not(
    key: dict[str, str], header: str, payload: str, signature: str, scheme: tuple[str, str]
) -> None:
    public = read_jwk(key)
    (jws,) = parse_jws(f"{header}.{payload}.{signature}\n".encode())
    found = verify_jws(jws, public)
    assert (found.algorithm, found.hash) == scheme
    assert jws.payload == base64.urlsafe_b64decode(payload + "==")
    other = payload[:5] + ("A" if payload[5] != "A" else "B") + payload[6:]
    (jws,) = parse_jws(f"{header}.{other}.{signature}".encode())
    with pytest.raises(InvalidSignatureError):
        verify_jws(jws, public)


def test_the_general_serialization_of_rfc_7515_a6() -> None:
    text = {
        "payload": CLAIMS,
        "signatures": [
            {"protected": "eyJhbGciOiJSUzI1NiJ9", "header": {"kid": "2010-12-29"}, "signature": RSA_SIGNATURE},
            {
                "protected": "eyJhbGciOiJFUzI1NiJ9",
                "header": {"kid": "e9bc097a-ce51-4036-9562-d2ade882db0d"},
                "signature": P256_SIGNATURE,
            },
        ],
    }
    first, second = parse_jws(json.dumps(text).encode())
    assert first.key_id == "2010-12-29"
    verify_jws(first, read_jwk(RSA))
    verify_jws(second, read_jwk(P256))
    with pytest.raises(InvalidSignatureError, match="needs a key of kind"):
        verify_jws(first, read_jwk(P256))


def test_the_flattened_serialization_of_rfc_7515_a7_and_a_detached_payload_of_appendix_f() -> None:
    flat = {"payload": CLAIMS, "protected": "eyJhbGciOiJFUzI1NiJ9", "signature": P256_SIGNATURE}
    verify_jws(parse_jws(json.dumps(flat).encode())[0], read_jwk(P256))
    content = base64.urlsafe_b64decode(CLAIMS + "==")
    detached = f"eyJhbGciOiJFUzI1NiJ9..{P256_SIGNATURE}".encode()
    verify_jws(parse_jws(detached, content)[0], read_jwk(P256))
    del flat["payload"]
    verify_jws(parse_jws(json.dumps(flat).encode(), content)[0], read_jwk(P256))
    with pytest.raises(InvalidSignatureError):
        verify_jws(parse_jws(detached, content + b"!")[0], read_jwk(P256))
    with pytest.raises(FormatError, match="left out"):
        parse_jws(detached)


def test_none_is_never_a_signature() -> None:
    """RFC 7515 A.5, and its spellings (RFC 8725 2.1)."""
    for name in ("none", "None", "NONE"):
        (jws,) = parse_jws(compact({"alg": name}, signature=""))
        with pytest.raises(InvalidSignatureError, match="nothing is signed"):
            verify_jws(jws, read_jwk(P256))


def test_a_mac_is_never_verified_by_a_public_key() -> None:
    (jws,) = parse_jws(f"eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9.{CLAIMS}.{MAC_SIGNATURE}".encode())  # RFC 7515 A.1
    for key in (RSA, P256, ED25519):
        with pytest.raises(UnsupportedAlgorithmError, match="MAC"):
            verify_jws(jws, read_jwk(key))


def test_an_algorithm_of_another_kind_or_curve_is_refused() -> None:
    for name in ("RS256", "PS512", "ES384", "ES512", "EdDSA"):
        (jws,) = parse_jws(compact({"alg": name}))
        with pytest.raises(InvalidSignatureError, match="needs a key of kind"):
            verify_jws(jws, read_jwk(P256))
    (jws,) = parse_jws(compact({"alg": "ES256K"}))
    with pytest.raises(UnsupportedAlgorithmError, match="ES256K"):
        verify_jws(jws, read_jwk(P256))


def test_a_der_signature_is_none_of_es256() -> None:
    (jws,) = parse_jws(compact({"alg": "ES256"}, signature=b64(b"\x30" + bytes(69))))
    with pytest.raises(InvalidSignatureError, match="64 bytes"):
        verify_jws(jws, read_jwk(P256))


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("PS256", ("-sigopt", "rsa_padding_mode:pss", "-sigopt", "rsa_pss_saltlen:32")),
        ("PS256", ("-sigopt", "rsa_padding_mode:pss", "-sigopt", "rsa_pss_saltlen:20")),
        ("RS256", ()),
    ],
)
def test_what_openssl_signed(tool: Any, tmp_path: Path, name: str, options: tuple[str, ...]) -> None:
    """RFC 7518 3.5 fixes the salt at the size of the hash."""
    tool("openssl", "genrsa", "-out", "k.pem", "2048", cwd=tmp_path)
    tool("openssl", "pkey", "-in", "k.pem", "-pubout", "-out", "k.pub", cwd=tmp_path)
    signed = f"{b64({'alg': name})}.{CLAIMS}"
    (tmp_path / "in").write_text(signed)
    tool("openssl", "dgst", "-sha256", "-sign", "k.pem", *options, "-out", "sig", "in", cwd=tmp_path)
    (jws,) = parse_jws(f"{signed}.{b64((tmp_path / 'sig').read_bytes())}".encode())
    key = read_public_key((tmp_path / "k.pub").read_bytes())
    if "rsa_pss_saltlen:20" in options:
        with pytest.raises(InvalidSignatureError):
            verify_jws(jws, key)
    else:
        verify_jws(jws, key)


def test_an_unencoded_payload_is_taken_as_it_stands() -> None:
    """RFC 7797 4.2: the signing input holds the payload itself."""
    header = {"alg": "ES256", "b64": False, "crit": ["b64"]}
    (jws,) = parse_jws(compact(header, payload="", signature=P256_SIGNATURE), b"$.02")
    assert jws.signing_input == b64(header).encode() + b".$.02"
    with pytest.raises(FormatError, match="crit"):
        parse_jws(compact({"alg": "ES256", "b64": False}), b"$.02")


@pytest.mark.parametrize("critical", [[], "b64", ["exp"], ["alg", "alg"], [1]])
def test_a_crit_that_says_nothing_is_refused(critical: Any) -> None:
    with pytest.raises(FormatError, match="crit"):
        parse_jws(compact({"alg": "ES256", "crit": critical}))


def test_a_critical_parameter_that_is_not_understood_is_undecidable() -> None:
    """RFC 7515 E."""
    (jws,) = parse_jws(compact({"alg": "ES256", "crit": ["exp"], "exp": 1}))
    with pytest.raises(UnsupportedAlgorithmError, match="exp"):
        verify_jws(jws, read_jwk(P256))


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"a.b",
        b"a.b.c.d",
        b"!.e30.AA",
        b"e30.e30.A",
        b"e30.e30.AA==",
        b"e30.e30.AB",
        b"W10.e30.AA",
        b"{}",
        b'{"payload":"","signatures":[]}',
        b'{"payload":"","signatures":[],"signature":""}',
        b'{"payload":"","signatures":[1]}',
        b'{"payload":"","signatures":[{"signature":"","header":1}]}',
        b'{"payload":1,"signature":""}',
        b'{"payload":"\\ud800","signature":""}',
        b'{"payload":"","signature":"","protected":"eyJhIjoxfQ","header":{"a":1}}',
        b'{"payload":"","signature":"","header":{"crit":["a"],"a":1}}',
        b'{"payload":"","signature":"","header":{"b64":false}}',
        b'{"payload":"","payload":"","signature":""}',
        b'{"payload":"","signatures":[' + b",".join([b'{"signature":""}'] * 17) + b"]}",
    ],
)
def test_what_is_no_jws_is_refused(text: bytes) -> None:
    with pytest.raises(FormatError):
        parse_jws(text)


def test_a_header_without_names_has_no_algorithm() -> None:
    (jws,) = parse_jws(b'{"payload":"","signature":"","header":{"alg":1,"kid":2}}')
    assert (jws.algorithm, jws.key_id) == ("", "")
    with pytest.raises(UnsupportedAlgorithmError):
        verify_jws(jws, read_jwk(P256))


def test_what_looks_like_a_jws() -> None:
    assert looks_like_jws(compact({"alg": "ES256"}))
    assert looks_like_jws(b'{"payload":"","protected":"","signature":""}')
    assert not looks_like_jws(b"a.b.c")
    assert not looks_like_jws(b"eyJ.a.b c")
    assert not looks_like_jws(b"{}")


@pytest.mark.parametrize(
    "jwk",
    [
        {},
        [],
        {**RSA, "d": "AQ"},
        {"kty": "oct", "k": "AA"},
        {**RSA, "n": ""},
        {**RSA, "n": "AQAB" * 2000},
        {**RSA, "e": 3},
        {**P256, "crv": "P-384"},
        {**P256, "crv": "secp256k1"},
        {**P256, "x": "AA"},
        {**ED25519, "x": "AA"},
        {**ED25519, "crv": "X25519"},
        {"kty": "EC", "crv": ["P-256"]},
    ],
)
def test_a_key_that_is_no_public_jwk_is_refused(jwk: Any) -> None:
    with pytest.raises(KeyMaterialError):
        read_jwk(jwk)


def test_the_jwk_of_openssl_is_the_same_key(keys_of_openssl: dict[str, Path]) -> None:
    for path in keys_of_openssl.values():
        public = read_public_key(path.read_bytes())
        assert read_jwk(jwk_of(public)).spki_sha256 == public.spki_sha256


@pytest.fixture
def keys_of_openssl(tool: Any, tmp_path: Path) -> dict[str, Path]:
    found = {}
    for name, words in {
        "rsa": ("RSA", "-pkeyopt", "rsa_keygen_bits:1024"),
        "p384": ("EC", "-pkeyopt", "ec_paramgen_curve:P-384"),
        "ed": ("ED25519",),
    }.items():
        tool("openssl", "genpkey", "-algorithm", *words, "-out", f"{name}.pem", cwd=tmp_path)
        tool("openssl", "pkey", "-in", f"{name}.pem", "-pubout", "-out", f"{name}.pub", cwd=tmp_path)
        found[name] = tmp_path / f"{name}.pub"
    return found


def jwk_of(key: PublicKey) -> dict[str, str]:
    if key.facts.algorithm == "rsa":
        numbers = key.key.public_numbers()
        size = (key.facts.bits or 0) // 8
        return {"kty": "RSA", "n": b64(numbers.n.to_bytes(size, "big")), "e": b64(numbers.e.to_bytes(3, "big"))}
    if key.facts.algorithm == "ed25519":
        return {"kty": "OKP", "crv": "Ed25519", "x": b64(key.raw)}
    half = (len(key.raw) - 1) // 2
    return {"kty": "EC", "crv": "P-384", "x": b64(key.raw[1 : 1 + half]), "y": b64(key.raw[1 + half :])}


@pytest.mark.parametrize(
    "text", [b"{", b"\xff", b'{"a":1,"a":2}', b"NaN", b"[" * 100_000, b'{"a":' * 200 + b"1" + b"}" * 200, b"1" * 5000]
)
def test_json_that_readers_disagree_about_is_refused(text: bytes) -> None:
    with pytest.raises(FormatError):
        read_json(text, "manifest")


def test_json_at_its_limits() -> None:
    deep = b"[" * MAX_JSON_DEPTH + b"]" * MAX_JSON_DEPTH
    assert read_json(deep, "x")
    assert read_json(b'"' + b"[" * 1000 + b'\\""', "x") == "[" * 1000 + '"'
    with pytest.raises(FormatError, match="at most 10"):
        read_json(b"[" + b" " * 10 + b"]", "x", limit=10)
    started = time.process_time()
    with pytest.raises(FormatError):
        read_json(b'"' + b'\\"' * 1_000_000, "x")
    assert time.process_time() - started < 5


@settings(max_examples=200, deadline=None)
@given(st.integers(0, 10**6), st.integers(0, 7))
def test_a_flipped_bit_never_verifies(place: int, bit: int) -> None:
    data = bytearray(compact({"alg": "ES256"}))
    data[place % len(data)] ^= 1 << bit
    try:
        (jws,) = parse_jws(bytes(data))
        verify_jws(jws, read_jwk(P256))
    except (FormatError, CryptoError):
        return
    assert bytes(data).strip() == compact({"alg": "ES256"}), data


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=200))
def test_any_bytes_give_a_jws_or_a_format_error(data: bytes) -> None:
    looks_like_jws(data)
    for text in (data, b"{" + data, b"eyJ9." + data):
        try:
            parse_jws(text, b"")
        except FormatError:
            continue
