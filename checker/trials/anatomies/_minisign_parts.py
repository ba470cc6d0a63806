"""minisign and signify signature files (jedisct1/minisign, "Signature format"; OpenBSD signify.c, `struct sig`).

A foreign signature keeps the genuine key id: a verifier that compares ids only would take it.
"""

from __future__ import annotations

import base64
from dataclasses import dataclass, field
from typing import Final

from checker.crypto.schemes import Scheme
from checker.crypto.signing import Message, sign
from checker.crypto.staging import Signer
from checker.errors import FormatError
from checker.formats._signatures import minisign
from checker.formats._signatures.minisign import MiniSignature
from checker.io.digests import DigestRequest, Literal, compute
from checker.io.limits import MAX_HEADER
from checker.model.artifact import Span
from checker.trials._edits import changed_source, whole
from checker.trials.contract import ARTIFACT, Body, Change, Content, Genuine, Part

VALUE: Final = "signature value"
GLOBAL: Final = "signature over the trusted comment"
COMMENT: Final = "trusted comment"
_PREHASHED: Final = b"ED"
_SCHEME: Final = Scheme(algorithm="ed25519", hash="sha-512")


@dataclass(frozen=True)
class _File:
    """The lines of a signature file."""

    name: str
    data: bytes = field(repr=False)
    found: MiniSignature = field(repr=False)

    def written(self, found: MiniSignature, *, algorithm: bytes = b"") -> Change:
        lines = [self.data.split(b"\n", 1)[0]]
        head = (algorithm or found.algorithm) + bytes.fromhex(found.key_id)
        lines.append(base64.b64encode(head + found.signature))
        if found.trusted is not None:
            lines += [minisign.TRUSTED + found.trusted, base64.b64encode(found.global_signature)]
        return Change(changed={self.name: Content.whole(b"\n".join(lines) + b"\n")})

    def with_value(self, part: Part, value: bytes) -> Change:
        new = {VALUE: {"signature": value}, GLOBAL: {"global_signature": value}}[part.name]
        return self.written(_replaced(self.found, **new))

    def signed(self, signer: Signer, message: Message) -> Change:
        if self.found.algorithm == _PREHASHED:
            request = DigestRequest("blake2b-512", tuple(message))
            message = (Literal(compute((request,))[request]),)
        value = sign(signer, message, _SCHEME)
        if self.found.trusted is None:
            return self.written(_replaced(self.found, signature=value))
        over = sign(signer, (Literal(value + self.found.trusted),), _SCHEME)
        return self.written(_replaced(self.found, signature=value, global_signature=over))

    @property
    def parts(self) -> tuple[Part, ...]:
        every = Span(0, len(self.data))
        first = Part(name=VALUE, span=every, file=self.name, value=self.found.signature)
        if self.found.trusted is None:
            return (first,)
        return first, Part(name=GLOBAL, span=every, file=self.name, value=self.found.global_signature)

    @property
    def comment(self) -> tuple[Part, ...]:
        if not self.found.trusted:
            return ()
        start = self.data.index(b"\n" + minisign.TRUSTED) + 1 + len(minisign.TRUSTED)
        return (Part(name=COMMENT, span=Span(start, start + len(self.found.trusted)), file=self.name),)


def _replaced(found: MiniSignature, **new: bytes) -> MiniSignature:
    values = {"signature": found.signature, "global_signature": found.global_signature, **new}
    return MiniSignature(
        found.algorithm, found.key_id, values["signature"], found.trusted, values["global_signature"], found.end
    )


def read(genuine: Genuine, file: str, *, payload: tuple[Part, ...]) -> Body:
    """Return the parts of a minisign or signify signature over the artifact.

    Raises:
        FormatError: it is damaged.
    """
    data = genuine.files[file].read(0, MAX_HEADER)
    text = _File(file, data, minisign.parse(data))
    if len(data.split(b"\n", 1)) < 2:  # noqa: PLR2004 - the comment and what follows
        raise FormatError("has one line only", field=file)

    def signed(signer: Signer, change: Change) -> Change:
        new = text.signed(signer, whole(changed_source(genuine, ARTIFACT, change)))
        return Change(changed={**change.changed, **new.changed}, without=change.without)

    return Body(
        payload=payload,
        metadata=text.comment,
        signatures=text.parts,
        direct=True,
        stripped=Change(without=frozenset({file})),
        with_value=text.with_value,
        algorithms={"algorithm Xx": text.written(text.found, algorithm=b"Xx")},
        signed_by=lambda signer: signed(signer, Change()),
        resigned=signed,
        notes={"weakly": "minisign and signify have one digest", "certificates": "keys have no certificates here"},
    )
