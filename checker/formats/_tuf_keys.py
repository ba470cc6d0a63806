r"""TUF keys, thresholds and signatures over canonical JSON.

Two canonical forms are in use: that of OLPC (TUF specification 4.2: only `"` and `\` are escaped) and compact sorted
JSON with the usual escapes (uptane/aktualizr writes with jsoncpp). Both are tried; which one fitted is told.
"""

from __future__ import annotations

import base64
import binascii
import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from checker.crypto.key_forms.tuf_root import public_key
from checker.crypto.keys import PublicKey
from checker.crypto.signatures import ecdsa_der
from checker.errors import CryptoError, FormatError
from checker.formats._common import check_message
from checker.io.digests import digest
from checker.model.terms import Outcome

OLPC: Final = "OLPC canonical JSON"
COMPACT: Final = "compact sorted JSON"
ALIKE: Final = "canonical JSON (both forms are alike here)"
_BEGIN, _END = "-----BEGIN PUBLIC KEY-----", "-----END PUBLIC KEY-----"
_ESCAPE: Final = re.compile(r"\\(?:[\\\"]|u00[01][0-9a-f]|[bfnrt])")
_KEPT: Final = frozenset({"\\\\", '\\"'})
_SHORT: Final = {"\\b": "\b", "\\f": "\f", "\\n": "\n", "\\r": "\r", "\\t": "\t"}
_HEX: Final = re.compile(r"(?:[0-9A-Fa-f]{2})+")
_SCHEMES: Final = {
    "ed25519": ("ed25519", "sha-512"),
    "rsassa-pss": ("rsa-pss", "sha-256"),
    "rsassa-pss-sha256": ("rsa-pss", "sha-256"),
    "rsassa-pss-sha384": ("rsa-pss", "sha-384"),
    "rsassa-pss-sha512": ("rsa-pss", "sha-512"),
    "rsa-pkcs1v15-sha256": ("rsa-pkcs1v15", "sha-256"),
    "rsa-pkcs1v15-sha384": ("rsa-pkcs1v15", "sha-384"),
    "rsa-pkcs1v15-sha512": ("rsa-pkcs1v15", "sha-512"),
    "rsapkcs1v15": ("rsa-pkcs1v15", "sha-256"),
    "ecdsa-sha2-nistp256": ("ecdsa", "sha-256"),
    "ecdsa-sha2-nistp384": ("ecdsa", "sha-384"),
    "ecdsa-sha2-nistp521": ("ecdsa", "sha-512"),
}
# Where neither the key nor the signature names a scheme (aktualizr, Notary): by the kind of the key.
_USUAL: Final = {
    "ed25519": "ed25519",
    "rsa": "rsassa-pss-sha256",
    "ec-p256": "ecdsa-sha2-nistp256",
    "ec-p384": "ecdsa-sha2-nistp384",
    "ec-p521": "ecdsa-sha2-nistp521",
}
_RAW_ECDSA: Final = {"ec-p256": 64, "ec-p384": 96, "ec-p521": 132}  # bytes of r || s, as Notary writes it


@dataclass(frozen=True, kw_only=True)
class Key:
    """A key of a root or of delegations. `key` is None where it cannot be read; `note` then says why.

    `derived` says whether the key id follows from the key in any form that is known (TUF specification 4.2).
    """

    keyid: str
    scheme: str
    key: PublicKey | None
    note: str = ""
    derived: bool = False

    @property
    def identity(self) -> str:
        """Return what tells keys apart: the SHA-256 of the SubjectPublicKeyInfo, not the key id."""
        return self.key.spki_sha256 if self.key else ""


@dataclass(frozen=True)
class Role:
    """Who may sign for a role: key ids, and how many distinct keys of them must."""

    keyids: tuple[str, ...]
    threshold: int


@dataclass(frozen=True)
class Entry:
    """One signature of a metadata file, as written."""

    keyid: str
    method: str
    sig: str


@dataclass(frozen=True, kw_only=True)
class Judged:
    """One signature, judged by itself: whether its key made it, whatever the key is worth."""

    entry: Entry
    outcome: Outcome
    key: Key | None = None
    algorithm: str = ""
    hash: str = ""
    encoding: str = ""
    form: str = ""
    note: str = ""


@dataclass(frozen=True, kw_only=True)
class Tally:
    """The signatures of a file counted against a role: distinct keys, each once."""

    judged: tuple[Judged, ...]
    threshold: int
    valid: frozenset[str] = field(default_factory=frozenset)  # identities of the keys that signed
    undecided: frozenset[str] = field(default_factory=frozenset)  # key ids whose signatures cannot be judged

    @property
    def met(self) -> bool:
        """Return whether enough distinct keys signed."""
        return len(self.valid) >= self.threshold

    @property
    def undecidable(self) -> bool:
        """Return whether signatures that cannot be judged would make the threshold."""
        return not self.met and len(self.valid) + len(self.undecided) >= self.threshold


def olpc(value: object) -> bytes:
    """Return OLPC canonical JSON (TUF specification 4.2): sorted, compact, control characters as they are."""
    return _ESCAPE.sub(_raw, _dump(value)).encode()


def _raw(match: re.Match[str]) -> str:
    text = match.group()
    return text if text in _KEPT else _SHORT.get(text) or bytes.fromhex(text[4:]).decode("ascii")


def _dump(value: object, *, escaped: bool = False) -> str:
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=escaped)


def forms(value: object) -> dict[bytes, str]:
    """Return the messages that a signature over a value may be over, and the name of each one's form."""
    compact = (_dump(value).encode(), _dump(value, escaped=True).encode())
    other = olpc(value)
    return dict.fromkeys(compact, COMPACT) | {other: ALIKE if other in compact else OLPC}


def read_key(keyid: str, record: Mapping[str, Any]) -> Key:
    """Return a key of a `keys` table; one that cannot be read keeps its place, and says why."""
    scheme = record.get("scheme")
    named = scheme.lower() if isinstance(scheme, str) else ""
    try:
        key = public_key(record)
    except (CryptoError, FormatError) as error:
        return Key(keyid=keyid, scheme=named, key=None, note=f"key {keyid[:16]} cannot be read: {error}")
    return Key(keyid=keyid, scheme=named, key=key, derived=keyid.lower() in _keyids(record, key))


def _keyids(record: Mapping[str, Any], key: PublicKey) -> frozenset[str]:
    """Return every key id that some implementation derives from this key.

    Of the record as python-tuf, older securesystemslib, go-tuf and Notary write it; of the public value alone
    (tuf-test-vectors, aktualizr's RSA keys), of its raw bytes (aktualizr's Ed25519 keys), of the SubjectPublicKeyInfo.
    """
    public = str(record["keyval"]["public"])
    base = {"keytype": record.get("keytype"), "keyval": {"public": public}}
    scheme = {"scheme": record.get("scheme")}
    hashes = {"keyid_hash_algorithms": ["sha256", "sha512"]}
    private = {"keytype": record.get("keytype"), "keyval": {"private": None, "public": public}}
    empty = {"keytype": record.get("keytype"), "keyval": {"private": "", "public": public}}
    values: tuple[object, ...] = (
        record, base, base | scheme, base | hashes, base | scheme | hashes, private, empty, public, public.strip(),
    )  # fmt: skip
    messages = {message for value in values for message in forms(value)}
    messages |= {public.encode(), public.strip().encode(), key.spki, key.raw}
    return frozenset(digest(name, message).hex() for message in messages for name in ("sha-256", "sha-512"))


def likely_keyids(public: PublicKey) -> frozenset[str]:
    """Return the key ids that a declared key has where its record is written in the usual ways."""
    scheme = _USUAL.get(public.facts.algorithm)
    if scheme is None:
        return frozenset()
    body = base64.b64encode(public.spki).decode()
    lines = "\n".join(body[start : start + 64] for start in range(0, len(body), 64))
    pem = f"{_BEGIN}\n{lines}\n{_END}"
    kinds = ("ecdsa", scheme) if scheme.startswith("ecdsa") else ("rsa", "RSA") if "rsa" in scheme else ("ed25519",)
    texts = (public.raw.hex(),) if scheme == "ed25519" else (pem, pem + "\n")
    records = ({"keytype": kind, "scheme": scheme, "keyval": {"public": text}} for kind in kinds for text in texts)
    return frozenset(keyid for record in records for keyid in _keyids(record, public))


def tally(entries: Iterable[Entry], messages: Mapping[bytes, str], keys: Mapping[str, Key], role: Role | None) -> Tally:
    """Return the signatures of a file, each key id once, counted against a role (None: a role that nobody may sign)."""
    once = {entry.keyid: entry for entry in reversed(tuple(entries))}
    allowed = frozenset(role.keyids) if role else frozenset()
    judged = tuple(
        _judge(entry, messages, keys[keyid])
        if keyid in allowed and keyid in keys
        else Judged(entry=entry, outcome=Outcome.KEY_UNKNOWN, key=keys.get(keyid), note="is by no key of this role")
        for keyid, entry in reversed(once.items())
    )
    return Tally(
        judged=judged,
        threshold=role.threshold if role else 1,
        valid=frozenset(item.key.identity for item in judged if item.outcome is Outcome.VALID and item.key),
        undecided=frozenset(item.entry.keyid for item in judged if item.outcome is Outcome.UNDECIDABLE),
    )


def _judge(entry: Entry, messages: Mapping[bytes, str], key: Key) -> Judged:
    if key.key is None:
        return Judged(entry=entry, outcome=Outcome.UNDECIDABLE, key=key, note=key.note)
    return verify(entry, messages, key, key.key)


def verify(entry: Entry, messages: Mapping[bytes, str], key: Key, public: PublicKey) -> Judged:
    """Return whether a key made a signature over one of the messages."""
    named = key.scheme or (entry.method.lower() if entry.method.lower() in _SCHEMES else "")
    scheme = named if named in _SCHEMES else _USUAL.get(public.facts.algorithm, named)
    if scheme not in _SCHEMES or (key.scheme and key.scheme not in _SCHEMES and not key.scheme.startswith("ecdsa")):
        note = f"signatures of the scheme {(key.scheme or scheme)[:40]!r} are not verified here"
        return Judged(entry=entry, outcome=Outcome.UNDECIDABLE, key=key, note=note)
    algorithm, hash_name = _SCHEMES[scheme]
    raw, encoding = _decode(entry.sig, public)
    note = "is neither hexadecimal nor base64" if raw is None else ""
    outcome, form = Outcome.INVALID, ""
    for message, name in messages.items() if raw is not None else ():
        outcome, note = check_message(public, algorithm, hash_name, message, raw or b"")
        if outcome is not Outcome.INVALID:
            form = name
            break
    return Judged(
        entry=entry,
        outcome=outcome,
        key=key,
        algorithm=algorithm,
        hash=hash_name,
        encoding=encoding,
        form=form if outcome is Outcome.VALID else "",
        note=note,
    )


def _decode(text: str, public: PublicKey) -> tuple[bytes | None, str]:
    if _HEX.fullmatch(text):
        raw, encoding = bytes.fromhex(text), "hexadecimal"
    else:
        try:
            raw, encoding = base64.b64decode(text, validate=True), "base64"
        except (binascii.Error, ValueError):
            return None, ""
    if len(raw) == _RAW_ECDSA.get(public.facts.algorithm) and raw[:1] != b"\x30":
        return ecdsa_der(raw), f"{encoding} of r || s"
    return raw, encoding
