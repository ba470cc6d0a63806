"""JSON Web Signatures (RFC 7515), unencoded payloads (RFC 7797) and JSON Web Keys (RFC 7517, 7518, 8037).

ML-DSA and its `AKP` keys are those of RFC 9964, SLH-DSA those of draft-ietf-cose-sphincs-plus.

The key decides, not the header: a signature is verified only where the declared algorithm is of the key's own kind and
curve, so that a public key never serves as an HMAC secret and `none` is never a signature (RFC 8725 sections 2.1, 3.1).
"""

from __future__ import annotations

import base64
import binascii
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from checker.crypto.keys import PublicKey, from_ec_point, from_ed25519, from_raw, from_rsa_numbers
from checker.crypto.signatures import Candidate, ecdsa_der, verify_message
from checker.errors import FormatError, InvalidSignatureError, KeyMaterialError, UnsupportedAlgorithmError
from checker.io.limits import MAX_HEADER

_RESISTANT: Final = (  # each the id of the algorithm table in capitals; pure forms without a context
    "ML-DSA-44",
    "ML-DSA-65",
    "ML-DSA-87",
    "SLH-DSA-SHA2-128s",
    "SLH-DSA-SHAKE-128s",
    "SLH-DSA-SHA2-128f",
)
ALGORITHMS: Final[Mapping[str, tuple[str, Candidate]]] = {  # RFC 7518 3.1: the kind of key, and the scheme
    "RS256": ("rsa", Candidate("rsa-pkcs1v15", "sha-256")),
    "RS384": ("rsa", Candidate("rsa-pkcs1v15", "sha-384")),
    "RS512": ("rsa", Candidate("rsa-pkcs1v15", "sha-512")),
    "PS256": ("rsa", Candidate("rsa-pss", "sha-256")),
    "PS384": ("rsa", Candidate("rsa-pss", "sha-384")),
    "PS512": ("rsa", Candidate("rsa-pss", "sha-512")),
    "ES256": ("ec-p256", Candidate("ecdsa", "sha-256")),
    "ES384": ("ec-p384", Candidate("ecdsa", "sha-384")),
    "ES512": ("ec-p521", Candidate("ecdsa", "sha-512")),
    "EdDSA": ("ed25519", Candidate("ed25519", "sha-512")),
    "Ed25519": ("ed25519", Candidate("ed25519", "sha-512")),
    **{name: (name.lower(), Candidate(name.lower(), "")) for name in _RESISTANT},
}
_HASH_BYTES: Final = {"sha-256": 32, "sha-384": 48, "sha-512": 64}
_COORDINATES: Final = {"ec-p256": 32, "ec-p384": 48, "ec-p521": 66}  # bytes, RFC 7518 6.2.1.2
_CURVES: Final = {"P-256": "ec-p256", "P-384": "ec-p384", "P-521": "ec-p521"}
_BASE64URL: Final = re.compile(rb"[A-Za-z0-9_-]*")
_TOKENS: Final = re.compile(rb'"(?:[^"\\]|\\.)*+"?|[\[{]|[\]}]', re.DOTALL)  # a text, closed or not; a bracket
_UNDERSTOOD: Final = frozenset({"b64"})  # critical header parameters, RFC 7797 6
MAX_JWK_INTEGER: Final = 2048  # bytes of a modulus: RSA-16384
MAX_SIGNATURES: Final = 16  # of one JSON serialization
MAX_JSON_DEPTH: Final = 64  # objects inside objects; real manifests have some ten


@dataclass(frozen=True, kw_only=True)
class Jws:
    """One signature of a JWS. `header` joins the protected and the unprotected one; `signed_header` is the former."""

    header: Mapping[str, Any]
    signed_header: Mapping[str, Any]
    payload: bytes = field(repr=False)
    signature: bytes = field(repr=False)
    signing_input: bytes = field(repr=False)

    @property
    def algorithm(self) -> str:
        """Return the `alg` that the header names, or nothing."""
        name = self.header.get("alg")
        return name if isinstance(name, str) else ""

    @property
    def key_id(self) -> str:
        """Return the `kid` that the header names, or nothing."""
        name = self.header.get("kid")
        return name if isinstance(name, str) else ""


def read_json(data: bytes, field: str, *, limit: int = MAX_HEADER) -> Any:  # noqa: ANN401 - JSON may be anything
    """Return what a JSON text stands for (RFC 8259); what readers disagree about is refused.

    Raises:
        FormatError: it is no UTF-8 or no JSON, has a name twice, NaN, or more than `MAX_JSON_DEPTH` levels.
    """
    if len(data) > limit:
        raise FormatError(f"{len(data)} bytes, at most {limit} are read", field=field)
    _check_depth(data, field)
    try:
        return json.loads(data.decode("utf-8"), object_pairs_hook=_once, parse_constant=_no_constant)
    except (ValueError, RecursionError) as error:
        raise FormatError(f"is no JSON: {error}", field=field) from error


def _check_depth(data: bytes, field: str) -> None:
    """Refuse deep nesting before the parser recurses."""
    depth = deepest = 0
    for found in _TOKENS.finditer(data):
        mark = found[0]
        depth += (mark in {b"[", b"{"}) - (mark in {b"]", b"}"})
        deepest = max(deepest, depth)
        if deepest > MAX_JSON_DEPTH:
            message = f"objects are nested deeper than MAX_JSON_DEPTH ({MAX_JSON_DEPTH})"
            raise FormatError(message, offset=found.start(), field=field)


def _once(pairs: Sequence[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"the name {twice[:50]!r} occurs twice")
    return found


def _no_constant(name: str) -> Any:  # noqa: ANN401 - never returns
    raise ValueError(f"{name} is no number of JSON")


def parse_jws(data: bytes, content: bytes | None = None) -> tuple[Jws, ...]:
    """Return the signatures of a JWS in compact, flattened or general JSON serialization (RFC 7515 section 7).

    Args:
        data: the JWS.
        content: the payload where the JWS leaves it out (RFC 7515 appendix F).

    Raises:
        FormatError: it is none, or its header contradicts itself.
    """
    text = data.strip()
    if text.startswith(b"{"):
        return _parse_json(read_json(text, "JWS"), content)
    parts = text.split(b".")
    if len(parts) != 3:  # noqa: PLR2004 - header, payload, signature
        raise FormatError(f"a compact JWS has three parts, here are {len(parts)}", field="JWS")
    return (_build(parts[0], {}, parts[1] or None, parts[2], content),)


def looks_like_jws(data: bytes) -> bool:
    """Return whether bytes have the shape of a JWS; bounded by the data and never raises."""
    text = data.strip()
    if text.startswith(b"{"):
        return b'"signature"' in text and b'"protected"' in text
    parts = text.split(b".")
    return (
        len(parts) == 3  # noqa: PLR2004 - header, payload, signature
        and parts[0].startswith(b"eyJ")  # base64url of `{"`
        and all(_BASE64URL.fullmatch(part) for part in parts)
    )


def _parse_json(value: Any, content: bytes | None) -> tuple[Jws, ...]:  # noqa: ANN401 - parsed JSON
    entries = value.get("signatures", [value])
    if ("signatures" in value) == ("signature" in value) or not isinstance(entries, list) or not entries:
        raise FormatError("a JWS has either `signature` or `signatures`", field="JWS")
    if len(entries) > MAX_SIGNATURES:
        raise FormatError(f"{len(entries)} signatures, at most MAX_SIGNATURES ({MAX_SIGNATURES})", field="JWS")
    payload = _text(value, "payload") if "payload" in value else None
    found = []
    for entry in entries:
        if not isinstance(entry, dict) or not isinstance(entry.get("header", {}), dict):
            raise FormatError("a signature is no object, or its header is none", field="JWS")
        protected = _text(entry, "protected") if "protected" in entry else b""
        found.append(_build(protected, entry.get("header", {}), payload, _text(entry, "signature"), content))
    return tuple(found)


def _text(value: Mapping[str, Any], name: str) -> bytes:
    text = value.get(name)
    if not isinstance(text, str):
        raise FormatError("is no text", field=f"JWS {name}")
    try:
        return text.encode("utf-8")
    except UnicodeEncodeError as error:
        raise FormatError("holds half a character", field=f"JWS {name}") from error


def _build(
    protected: bytes, unprotected: Mapping[str, Any], payload: bytes | None, signature: bytes, content: bytes | None
) -> Jws:
    signed = read_json(from_base64url(protected, "JWS header"), "JWS header") if protected else {}
    if not isinstance(signed, dict) or signed.keys() & unprotected.keys():
        raise FormatError("is no object, or names something twice", field="JWS header")
    encoded = _encoded(signed, unprotected)
    if payload is None and content is None:
        raise FormatError("the payload is left out, and no content is given", field="JWS payload")
    if payload is None:
        plain = content or b""
        written = base64.urlsafe_b64encode(plain).rstrip(b"=") if encoded else plain
    else:
        plain, written = (from_base64url(payload, "JWS payload") if encoded else payload), payload
    return Jws(
        header={**unprotected, **signed},
        signed_header=signed,
        payload=plain,
        signature=from_base64url(signature, "JWS signature"),
        signing_input=protected + b"." + written,
    )


def _encoded(signed: Mapping[str, Any], unprotected: Mapping[str, Any]) -> bool:
    """Return whether the payload is base64url; `b64` counts only where it is signed and critical (RFC 7797 3, 6)."""
    critical = signed.get("crit", [])
    if not isinstance(critical, list) or "crit" in unprotected or ("crit" in signed and not critical):
        raise FormatError("is no list of names in the protected header", field="JWS crit")
    names = [name for name in critical if isinstance(name, str)]
    if len(names) != len(critical) or len(set(names)) != len(names) or not set(names) <= signed.keys():
        raise FormatError("names something twice, or something that is not in the header", field="JWS crit")
    encoded = signed.get("b64", True)
    if not isinstance(encoded, bool) or "b64" in unprotected or (not encoded and "b64" not in names):
        raise FormatError("is no truth value in the protected header that `crit` names", field="JWS b64")
    return encoded


def from_base64url(text: bytes, field: str) -> bytes:
    """Return the bytes of base64url without padding (RFC 7515 section 2).

    Raises:
        FormatError: another character, padding, or a length that cannot be.
    """
    if not _BASE64URL.fullmatch(text):
        raise FormatError("holds a character that is not of base64url", field=field)
    try:
        data = base64.urlsafe_b64decode(text + b"=" * (-len(text) % 4))
    except (binascii.Error, ValueError) as error:
        raise FormatError("is no base64url", field=field) from error
    if base64.urlsafe_b64encode(data).rstrip(b"=") != text:
        raise FormatError("ends with bits that stand for nothing", field=field)
    return data


def scheme_of(jws: Jws) -> tuple[str, Candidate]:
    """Return the kind of key that the header's algorithm needs, and the scheme.

    Raises:
        InvalidSignatureError: the algorithm is `none`.
        UnsupportedAlgorithmError: a MAC, another algorithm, or a critical header parameter that is not understood.
    """
    unknown = set(jws.signed_header.get("crit", [])) - _UNDERSTOOD
    if unknown:
        raise UnsupportedAlgorithmError(f"the header's critical {sorted(unknown)} are not understood here")
    if jws.algorithm.lower() == "none":
        raise InvalidSignatureError("the algorithm is `none`: nothing is signed")
    if jws.algorithm not in ALGORITHMS:
        mac = jws.algorithm.startswith("HS")
        why = "is a MAC, which no public key verifies" if mac else "is not verified here"
        raise UnsupportedAlgorithmError(f"the algorithm {jws.algorithm[:50]!r} {why}")
    return ALGORITHMS[jws.algorithm]


def verify_jws(jws: Jws, key: PublicKey) -> Candidate:
    """Verify one signature and return its scheme.

    Raises:
        InvalidSignatureError: it does not verify, is `none`, or the key is of another kind than the algorithm needs.
        UnsupportedAlgorithmError: a MAC, another algorithm, or a critical header parameter that is not understood.
    """
    kind, scheme = scheme_of(jws)
    if key.facts.algorithm != kind:
        raise InvalidSignatureError(f"{jws.algorithm} needs a key of kind {kind}, this is {key.facts.algorithm}")
    signature, salt = jws.signature, None
    if scheme.algorithm == "ecdsa":
        if len(signature) != 2 * _COORDINATES[kind]:
            raise InvalidSignatureError(
                f"{jws.algorithm} has {2 * _COORDINATES[kind]} bytes, here are {len(signature)}"
            )
        signature = ecdsa_der(signature)
    elif scheme.algorithm == "rsa-pss":
        salt = _HASH_BYTES[scheme.hash]  # RFC 7518 3.5
    verify_message(key, scheme.algorithm, scheme.hash, jws.signing_input, signature, salt_length=salt)
    return scheme


def read_jwk(value: Any, name: str = "") -> PublicKey:  # noqa: ANN401 - parsed JSON
    """Return the public key of a JWK: RSA, EC on P-256, P-384 or P-521, Ed25519, ML-DSA or SLH-DSA.

    Raises:
        KeyMaterialError: another kind, a private or symmetric key, or numbers that are damaged.
    """
    if not isinstance(value, dict) or {"d", "k", "p", "priv", "q"} & value.keys():
        raise KeyMaterialError(f"{name or 'JWK'}: is no public JSON Web Key")
    try:
        return _key(value, name)
    except FormatError as error:
        raise KeyMaterialError(f"{name or 'JWK'}: {error}") from error


def _key(value: Mapping[str, Any], name: str) -> PublicKey:
    kind, curve = value.get("kty"), value.get("crv")
    if kind == "RSA":
        return from_rsa_numbers(_integer(value, "n"), _integer(value, "e"), name)
    if kind == "EC" and isinstance(curve, str) and curve in _CURVES:
        size = _COORDINATES[_CURVES[curve]]
        parts = [from_base64url(_text(value, part), f"JWK {part}") for part in ("x", "y")]
        if any(len(part) != size for part in parts):
            raise FormatError(f"coordinates of {curve} have {size} bytes", field="JWK")
        return from_ec_point(_CURVES[curve], b"\x04" + parts[0] + parts[1], name)
    if (kind, curve) == ("OKP", "Ed25519"):
        raw = from_base64url(_text(value, "x"), "JWK x")
        if len(raw) != 32:  # noqa: PLR2004 - RFC 8037 section 2
            raise FormatError("an Ed25519 key has 32 bytes", field="JWK x")
        return from_ed25519(raw, name)
    if kind == "AKP":
        return _resistant(value, name)
    raise FormatError(f"keys of type {str(kind)[:20]!r} {str(curve)[:20]!r} are not read", field="JWK kty")


def _resistant(value: Mapping[str, Any], name: str) -> PublicKey:
    """Return an Algorithm Key Pair's public half (RFC 9964 section 3): `alg` is part of the key."""
    algorithm = _text(value, "alg").decode(errors="replace")
    if algorithm not in _RESISTANT:
        raise FormatError(f"keys of {algorithm[:50]!r} are not read", field="JWK alg")
    found = from_raw(algorithm.lower(), from_base64url(_text(value, "pub"), "JWK pub"), name)
    if not found.usable:
        raise FormatError(f"is no public key of {algorithm}", field="JWK pub")
    return found


def _integer(value: Mapping[str, Any], name: str) -> int:
    raw = from_base64url(_text(value, name), f"JWK {name}")
    if not raw or len(raw) > MAX_JWK_INTEGER:
        raise FormatError(f"a number of {len(raw)} bytes", field=f"JWK {name}")
    return int.from_bytes(raw, "big")
