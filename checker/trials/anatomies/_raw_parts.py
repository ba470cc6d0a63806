"""Raw signature files: the bytes of one signature, as they are or in base64, which name neither scheme nor key.

Scheme and encoding are those by which the genuine signature was verified; while no declared key fits, they are not
known, and nothing is signed again.
"""

from __future__ import annotations

import base64
from typing import Final

from checker.crypto.schemes import Scheme
from checker.crypto.signing import Message, fits, sign, usual_scheme
from checker.crypto.staging import Signer
from checker.formats._raw_signature import from_base64
from checker.io.limits import MAX_HEADER
from checker.model.artifact import Signature, Span
from checker.model.terms import Outcome
from checker.trials._edits import changed_source, whole
from checker.trials.contract import ARTIFACT, Body, Change, Content, Genuine, Part

VALUE: Final = "signature value"
_FIXED: Final = "r||s"
_UNKNOWN: Final = "no declared key verifies the genuine signature, so its scheme is not known"


def read(genuine: Genuine, file: str, *, payload: tuple[Part, ...], name: str = ARTIFACT) -> Body:
    """Return the parts of `file`, a raw signature over the whole file of that name."""
    source = genuine.files[file]
    data = source.read(0, MAX_HEADER)
    inner = from_base64(data)

    def write(value: bytes) -> Change:
        return Change(changed={file: Content.whole(value if inner is None else base64.b64encode(value) + b"\n")})

    def signed(signer: Signer, change: Change) -> Change:
        message = whole(changed_source(genuine, name, change))
        value = value_of(found, signer, message)
        return Change(changed={**change.changed, **write(value).changed}, without=change.without)

    found = genuine.artifact.signatures[0] if genuine.artifact.signatures else Signature(outcome=Outcome.ABSENT)
    known = bool(found.algorithm)
    return Body(
        payload=payload,
        signatures=(Part(name=VALUE, span=Span(0, source.size), file=file, value=inner or b""),),
        direct=True,
        stripped=Change(without=frozenset({file})),
        with_value=lambda _, value: write(value),
        signed_by=(lambda signer: signed(signer, Change())) if known else None,
        resigned=signed if known else None,
        notes={
            "metadata": "a raw signature has no fields",
            "weakly": "a raw signature names no digest",
            "algorithms": "a raw signature names no algorithm",
            **({} if known else {"signed_by": _UNKNOWN, "resigned": _UNKNOWN}),
        },
    )


def value_of(found: Signature, signer: Signer, message: Message) -> bytes:
    """Return a signature in the scheme and encoding of the genuine one, or in the usual scheme of another kind of key.

    Raises:
        UnsupportedAlgorithmError: the key cannot sign so.
    """
    known = Scheme(algorithm=found.algorithm, hash=found.hash)
    scheme = known if fits(signer, found.algorithm) else usual_scheme(signer)
    return sign(signer, message, scheme, fixed=_FIXED in found.encoding)
