"""Raw signatures, as they are or in base64 (cosign, openssl): every declared key that could have made one is tried.

Digests are computed in two rounds, the usual hashes first. Quantum-resistant schemes hash the file once too, most of
them behind a prefix that depends on key and signature, so that no file is too large for them. What no public key
explains may be a tag under a given secret.
"""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from dataclasses import replace
from typing import Final

from checker.crypto.keys import PublicKey
from checker.crypto.signatures import candidates, fits, needs_message
from checker.errors import FormatError
from checker.formats._raw_signature import from_base64, judge, plausible_keys, prehashes
from checker.formats._signatures._tag import judge_tag
from checker.formats._signatures.contract import (
    Judged,
    Judgement,
    SignatureKind,
    digests_of,
    message_of,
    prehashed_of,
)
from checker.formats.contract import Context
from checker.io.digests import DigestRequest, supported
from checker.model.artifact import Signature, Source, Weakness
from checker.model.terms import Outcome

CONTEXT: Final = "context"
_MAX_CONTEXT: Final = 255  # bytes, FIPS 204 5.2 and FIPS 205 10.2
USUAL: Final = ("sha-256", "sha-384", "sha-512")
_ORDER: Final = (Outcome.VALID, Outcome.UNDECIDABLE, Outcome.INVALID, Outcome.KEY_UNKNOWN, Outcome.ABSENT)

One = Generator[Sequence[DigestRequest], Mapping[DigestRequest, bytes], Signature]


def _judge(source: Source, data: bytes, context: Context) -> Judged:
    try:
        keys = _in_context(context)
    except FormatError as error:
        note = str(error)
        return Judgement(signatures=(Signature(outcome=Outcome.UNDECIDABLE, encoding="raw", note=note),))
    results = []
    for form, prefix in ((data, ""), (from_base64(data), "base64 of ")):
        if form is not None:
            found = yield from judge_raw(source, form, keys)
            results.append(replace(found, encoding=prefix + found.encoding))
    best = min(results, key=lambda signature: _ORDER.index(signature.outcome))
    return _with_tag(best, source, data, context)


def _in_context(context: Context) -> tuple[PublicKey, ...]:
    """Return the declared keys, each in the context that the user named for this signature."""
    stated = context.options.get(CONTEXT, "")
    try:
        said = bytes.fromhex(stated)
    except ValueError as error:
        raise FormatError("is not hexadecimal", field=CONTEXT) from error
    if len(said) > _MAX_CONTEXT:
        raise FormatError(f"has at most {_MAX_CONTEXT} bytes, here are {len(said)}", field=CONTEXT)
    return tuple(replace(key, context=said) for key in context.keys.verifiers)


def _with_tag(found: Signature, source: Source, data: bytes, context: Context) -> Judgement:
    """Return a tag by a given secret where no public key explains the bytes."""
    tag = None if found.outcome is Outcome.VALID else judge_tag(source, data, context.keys)
    if tag is None or (tag.outcome is not Outcome.VALID and found.outcome is not Outcome.KEY_UNKNOWN):
        return Judgement(signatures=(found,))
    if tag.outcome is not Outcome.VALID:
        return Judgement(signatures=(tag,))
    text = "a MAC stands where a signature could: who can verify an update can also make one"
    return Judgement(signatures=(tag,), weaknesses=(Weakness(code="mac-not-signature", message=text),))


def judge_raw(source: Source, data: bytes, keys: Sequence[PublicKey]) -> One:
    """Say what is known of a raw signature over a file, with these keys.

    The usual hashes are tried in one pass over the file, and the others in a second one only where none of them fits.
    """
    pairs = [(key, each) for key in plausible_keys(data, keys) for each in candidates(key)]
    hashes = dict.fromkeys(each.hash for _, each in pairs if not needs_message(each.algorithm))
    whole = any(needs_message(each.algorithm) and not fits(key, len(data)) for key, each in pairs)
    message = message_of(source) if whole else None
    prehashed = yield from prehashed_of(source, prehashes(data, keys))
    if prehashed:
        found = judge(data, keys, {}, message=message, prehashed=prehashed)
        if found.outcome is Outcome.VALID:  # no other hash of a large file is needed
            return found
    digests = yield from digests_of(source, [name for name in hashes if name in USUAL])
    found = judge(data, keys, digests, message=message, prehashed=prehashed)
    rest = [name for name in hashes if name not in USUAL and supported(name)]
    if found.outcome is not Outcome.INVALID or not rest:
        return found
    more = yield from digests_of(source, rest)
    return judge(data, keys, digests | more, message=message, prehashed=prehashed)


KIND: Final = SignatureKind(
    id="raw",
    title="raw signature",
    detect=lambda *_: True,
    judge=_judge,
    weaknesses=("mac-not-signature",),
    references=(
        "RFC 8017",
        "RFC 3279 section 2.2.3",
        "RFC 8032",
        "FIPS 204",
        "FIPS 205",
        "RFC 8554",
        "RFC 8391",
        "FIPS 198-1",
        "SP 800-185",
        "SP 800-38B",
    ),
    fallback=True,
)
