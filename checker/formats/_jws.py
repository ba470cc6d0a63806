"""What is known of one JWS signature, given the declared keys."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from checker.crypto.jose import Jws, scheme_of, verify_jws
from checker.crypto.keys import PublicKey
from checker.errors import CryptoError, InvalidSignatureError, UnsupportedAlgorithmError
from checker.model.artifact import AuthKind, KeyFacts, Signature
from checker.model.terms import Outcome

ENCODING: Final = "JWS"


def judge_jws(jws: Jws, keys: Iterable[PublicKey]) -> Signature:
    """Return the verdict: VALID by a declared key of the kind that the header's algorithm needs, else why not."""
    kind = AuthKind.MAC if jws.algorithm.startswith("HS") else AuthKind.SIGNATURE
    try:
        needed, scheme = scheme_of(jws)
    except InvalidSignatureError as error:
        return Signature(outcome=Outcome.INVALID, encoding=ENCODING, note=str(error))
    except UnsupportedAlgorithmError as error:
        return Signature(outcome=Outcome.UNDECIDABLE, kind=kind, encoding=ENCODING, note=str(error))
    refused: Signature | None = None
    for key in (key for key in keys if key.facts.algorithm == needed):
        outcome, note = _try(jws, key)
        found = Signature(
            outcome=outcome,
            algorithm=scheme.algorithm,
            hash=scheme.hash,
            key=key.facts,
            encoding=ENCODING,
            note=note,
        )
        if outcome is Outcome.VALID:
            return found
        refused = refused or found
    return refused or Signature(
        outcome=Outcome.KEY_UNKNOWN,
        algorithm=scheme.algorithm,
        hash=scheme.hash,
        key=KeyFacts(id=jws.key_id, algorithm=needed),
        encoding=ENCODING,
        note=f"no declared key is of the kind that {jws.algorithm} needs",
    )


def _try(jws: Jws, key: PublicKey) -> tuple[Outcome, str]:
    try:
        verify_jws(jws, key)
    except UnsupportedAlgorithmError as error:
        return Outcome.UNDECIDABLE, str(error)
    except CryptoError as error:
        return Outcome.INVALID, str(error)
    return Outcome.VALID, ""
