"""The downgrade of test T12: strip the quantum-resistant part of a hybrid signature and keep the classical one.

A device that holds both keys has to refuse what comes out (criteria.md 3.7, SIGN-Q2 and PROC-Q1): whoever can forge the
classical signature would send exactly that. Pure functions: bytes in, bytes out; the active tests offer them to
the device.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from checker.crypto.cms_strip import without_resistant_signers
from checker.errors import FormatError
from checker.formats._raw_signature import from_base64, from_pem


@dataclass(frozen=True, kw_only=True)
class Mutation:
    """A changed signature file, or signed message, and what was taken from it (ids of the algorithm table)."""

    data: bytes = field(repr=False)
    removed: tuple[str, ...]
    kept: tuple[str, ...]


def strip_quantum_resistant(data: bytes) -> Mutation | None:
    """Return a CMS message (a detached signature file, or a `.p7m`) without its quantum-resistant signers, in DER.

    None where there is nothing to strip: it is no CMS message in DER, BER, PEM or base64, it has signers of one kind
    only, or its hybrid is a composite, whose halves do not stand alone.
    """
    for form in (data, from_pem(data), from_base64(data)):
        try:
            found = None if form is None else without_resistant_signers(form)
        except FormatError:
            continue
        if found is not None:
            return Mutation(data=found.data, removed=found.removed, kept=found.kept)
    return None
