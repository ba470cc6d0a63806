"""Take the quantum-resistant signers out of a CMS SignedData that has classical ones beside them (RFC 5652 5.1).

That is what somebody with a quantum computer would do: forge the classical signature and leave the other out.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from asn1crypto import core

from checker.crypto import _asn1
from checker.crypto import _cms_structures as asn
from checker.crypto.algorithms import algorithm
from checker.crypto.algorithms import known as in_table
from checker.crypto.certificates import scheme_of
from checker.errors import UnsupportedAlgorithmError


@dataclass(frozen=True, kw_only=True)
class Stripped:
    """A message without its quantum-resistant signers; both lists hold ids of the algorithm table, in their order."""

    data: bytes = field(repr=False)
    removed: tuple[str, ...]
    kept: tuple[str, ...]


def without_resistant_signers(data: bytes) -> Stripped | None:
    """Return the message with its classical signers only, or None where it has not both kinds.

    A composite signature (draft-ietf-lamps-pq-composite-sigs) is one signer and never split: each half is over a
    message that names the combination, so that neither is a signature of its own. Unknown schemes stay.

    Raises:
        FormatError: it is not CMS SignedData, or it is damaged.
    """
    _, signed = asn.content_info(data, frozenset({asn.SIGNED}), "CMS SignedData")
    with _asn1.guarded("CMS SignedData"):
        signers = [
            (_scheme(item), bytes(item.dump())) for item in asn.limited(signed["signers"], asn.MAX_SIGNERS, "signers")
        ]
        kept = [item for item in signers if not _resistant(item[0])]
        classical = [item for item in kept if in_table(item[0])]
        if not classical or len(kept) == len(signers):
            return None
        names = ("version", "digest_algorithms", "encapsulated", "certificates", "crls")
        parts = b"".join(bytes(signed[name].dump()) for name in names)
        body = _asn1.der(0x30, parts + _asn1.der(0x31, b"".join(der for _, der in kept)))
        whole = _asn1.der(0x30, bytes(core.ObjectIdentifier(asn.SIGNED).dump()) + _asn1.der(0xA0, body))
    removed = tuple(name for name, _ in signers if _resistant(name))
    return Stripped(data=whole, removed=removed, kept=tuple(name for name, _ in kept))


def _scheme(signer: Any) -> str:  # noqa: ANN401 - asn1crypto is untyped
    try:
        return scheme_of(bytes(signer["signature_algorithm"].dump()), asn.hash_id(signer["digest_algorithm"])).algorithm
    except UnsupportedAlgorithmError:
        return ""


def _resistant(name: str) -> bool:
    return in_table(name) and algorithm(name).quantum_resistant is True
