"""PSA attestation tokens: COSE_Sign1 over the claims of a PSA root of trust.

Source: RFC 9783 section 4; the labels from -75000 on are those of PSA Attestation API 1.0 (tokens before the RFC).

A token speaks for its platform. It speaks for a key only where `cnf` names one, or where the nonce is the key's digest.
The signer ids of its software components are digests of the public keys under which the components were verified; the
PSA security model keeps those in memory that software cannot rewrite once the lifecycle is "secured".
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from checker.crypto.attestations._signers import every
from checker.crypto.attestations._token import DEBUG, claims_of, cose_statement, debug_off, open_token
from checker.crypto.attestations.contract import AttestationForm, Pinned, Statement
from checker.errors import FormatError, LimitError
from checker.io.cbor import Item, Key

PROFILE, NONCE, INSTANCE, CLIENT, LIFECYCLE, IMPLEMENTATION, COMPONENTS = range(7)
_CURRENT: Final[Mapping[int, int]] = {
    PROFILE: 265,
    NONCE: 10,
    INSTANCE: 256,
    CLIENT: 2394,
    LIFECYCLE: 2395,
    IMPLEMENTATION: 2396,
    COMPONENTS: 2399,
}
_OLD: Final[Mapping[int, int]] = {
    PROFILE: -75000,
    NONCE: -75008,
    INSTANCE: -75009,
    CLIENT: -75001,
    LIFECYCLE: -75002,
    IMPLEMENTATION: -75003,
    COMPONENTS: -75006,
}
_NAMES: Final = {
    INSTANCE: "instance id",
    CLIENT: "client id",
    LIFECYCLE: "lifecycle",
    IMPLEMENTATION: "implementation id",
}
_SIGNER_ID: Final = 5  # in a software component
_HASH_SIZES: Final = frozenset({32, 48, 64})  # bytes: SHA-256, SHA-384, SHA-512
_IMPLEMENTATION_SIZE, _INSTANCE_SIZE, _RANDOM_UEID = 32, 33, 1
MAX_COMPONENTS: Final = 64  # of one token; a boot chain has some five
_UNKNOWN, _SECURED = 0x00, 0x30  # the upper byte of the lifecycle


def _detect(data: bytes) -> bool:
    claims = claims_of(data)
    own = {label for table in (_CURRENT, _OLD) for name, label in table.items() if name > INSTANCE}
    return claims is not None and bool(own & claims.keys())


def _check(data: bytes, pinned: Pinned) -> Statement:
    token = open_token(data, pinned)
    labels = _OLD if _OLD[LIFECYCLE] in token.claims else _CURRENT
    _complete(token.claims, labels)
    said = [_secured(token.claims[labels[LIFECYCLE]])]
    if DEBUG in token.claims:  # the lifecycle speaks of debugging too, so that a PSA token need not have it
        said.append(debug_off(token.claims))
    secure = every(said)
    signers = _signers(token.claims.get(labels[COMPONENTS]))
    booted = secure if signers or secure is False else None
    nonce = token.claims.get(labels[NONCE])
    return cose_statement(token, pinned, nonce, secure=secure, booted=booted, signers=signers)


def _complete(claims: Mapping[Key, Item], labels: Mapping[int, int]) -> None:
    """Check that the claims are there that RFC 9783 demands, in their form.

    Raises:
        FormatError: one is missing or of another form.
    """
    for name, title in _NAMES.items():
        if labels[name] not in claims:
            raise FormatError(f"the token lacks its {title}", field="PSA token")
    implementation = claims[labels[IMPLEMENTATION]].data("implementation id", limit=_IMPLEMENTATION_SIZE)
    instance = claims[labels[INSTANCE]].data("instance id", limit=_INSTANCE_SIZE)
    if len(implementation) != _IMPLEMENTATION_SIZE or len(instance) != _INSTANCE_SIZE or instance[0] != _RANDOM_UEID:
        raise FormatError("implementation id or instance id is not of the form of RFC 9783", field="PSA token")
    claims[labels[CLIENT]].integer("client id")


def _secured(item: Item) -> bool | None:
    """Return whether the lifecycle is "secured" (RFC 9783 4.3.1); None where it says that it is unknown."""
    state = item.integer("lifecycle") >> 8
    return None if state == _UNKNOWN else state == _SECURED


def _signers(item: Item | None) -> tuple[bytes, ...]:
    components = () if item is None else item.array("software components")
    if len(components) > MAX_COMPONENTS:
        raise LimitError(f"more than MAX_COMPONENTS ({MAX_COMPONENTS})", field="software components")
    held = [component.map("software component").get(_SIGNER_ID) for component in components]
    found = [each.data("signer id", limit=max(_HASH_SIZES)) for each in held if each is not None]
    if any(len(each) not in _HASH_SIZES for each in found):
        raise FormatError("a signer id has 32, 48 or 64 bytes", field="signer id")
    return tuple(dict.fromkeys(found))


ATTESTATION: Final = AttestationForm(
    id="psa",
    title="PSA attestation token (COSE_Sign1)",
    detect=_detect,
    check=_check,
    references=("RFC 9783", "RFC 9711", "RFC 8747"),
)
