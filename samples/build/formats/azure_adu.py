"""Makes the samples of Azure Device Update: the service has no offline signer, so openssl signs what its agent checks.

The keys are RSA, as the service demands; they are made anew each time, and only public halves are kept.
"""

from __future__ import annotations

import base64
import hashlib
import json
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from samples.build._tools import firmware, require, run

Json = Mapping[str, Any]
HEADER: Final = {"alg": "RS256"}


def b64url(data: bytes | str | Json) -> str:
    """Return base64url without padding, of bytes, of a text, or of an object written as JSON."""
    text = data if isinstance(data, bytes | str) else json.dumps(data, separators=(",", ":"))
    raw = text if isinstance(text, bytes) else text.encode()
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def jws(header: Json, payload: Json, key: Path) -> str:
    """Return a compact JWS that openssl signed with RS256."""
    text = f"{b64url(header)}.{b64url(payload)}"
    return f"{text}.{b64url(run(['openssl', 'dgst', '-sha256', '-sign', key], stdin=text.encode()))}"


def jwk(key: Path) -> Json:
    """Return the public half of an RSA key as the service writes it: numbers in plain base64."""
    modulus = run(["openssl", "rsa", "-in", key, "-noout", "-modulus"]).decode().strip().partition("=")[2]
    number = base64.b64encode(bytes.fromhex(modulus)).decode()
    return {"kty": "RSA", "n": number, "e": "AQAB", "alg": "RS256", "kid": "sample.signer"}


def sha256(data: bytes) -> str:
    """Return a SHA-256 in base64."""
    return base64.b64encode(hashlib.sha256(data).digest()).decode()


def manifest(files: Mapping[str, bytes]) -> Json:
    """Return an update manifest of version 5."""
    entries = {
        f"f{number}": {"fileName": name, "sizeInBytes": len(data), "hashes": {"sha256": sha256(data)}}
        for number, (name, data) in enumerate(files.items())
    }
    step = {
        "handler": "microsoft/swupdate:2",
        "files": list(entries),
        "handlerProperties": {"installedCriteria": "2.4.1"},
    }
    return {
        "manifestVersion": "5",
        "updateId": {"provider": "Contoso", "name": "Gateway", "version": "2.4.1"},
        "compatibility": [{"manufacturer": "contoso", "model": "gateway"}],
        "instructions": {"steps": [step]},
        "files": entries,
        "createdDateTime": "2026-01-01T00:00:00Z",
    }


def signed(text: str, root: Path, signer: Path, *, key: Path | None = None, header: Json = HEADER) -> str:
    """Return the nested JWS over a manifest's text; `key` is what the root signs where that is not the signer's."""
    sjwk = jws({"alg": "RS256", "kid": "sample.root"}, jwk(key or signer), root)
    return jws({**header, "sjwk": sjwk}, {"sha256": sha256(text.encode())}, signer)


def deployment(text: str, signature: str | None, *, scheme: str = "https") -> bytes:
    """Return a deployment as the device twin carries it."""
    value: dict[str, Any] = {
        "workflow": {"action": 3, "id": "0"},
        "updateManifest": text,
        "updateManifestSignature": signature,
        "fileUrls": {"f0": f"{scheme}://updates.example/firmware.bin"},
    }
    if signature is None:
        del value["updateManifestSignature"]
    return json.dumps(value, separators=(",", ":")).encode()


def package(root: Path, *more: Path) -> bytes:
    """Return a root key package that the given keys signed."""
    number = jwk(root)["n"].replace("+", "-").replace("/", "_").rstrip("=")
    protected = {
        "version": 3,
        "published": 1767225600,
        "disabledRootKeys": ["sample.old"],
        "disabledSigningKeys": [],
        "rootKeys": {"sample.root": {"keyType": "RSA", "n": number, "e": 65537}},
    }
    text = json.dumps(protected, separators=(",", ":"))
    signatures = [
        {"alg": "RS256", "sig": b64url(run(["openssl", "dgst", "-sha256", "-sign", key], stdin=text.encode()))}
        for key in (root, *more)
    ]
    return f'{{"protected":{text},"signatures":{json.dumps(signatures)}}}'.encode()


def new_key(folder: Path, name: str, bits: int = 2048) -> Path:
    """Make an RSA key in a folder that does not last."""
    run(["openssl", "genrsa", "-out", folder / name, str(bits)])
    return folder / name


def build(folder: Path) -> None:
    """Make good and bad documents, the file that they name, and the public keys."""
    require("openssl")
    for name in ("good", "bad", "keys"):
        shutil.rmtree(folder / name, ignore_errors=True)
        (folder / name).mkdir(parents=True)
    image = firmware("azure", 1024)
    (folder / "good" / "firmware.bin").write_bytes(image)
    (folder / "bad" / "changed.bin").write_bytes(image[:-1] + b"\0")
    with tempfile.TemporaryDirectory() as name:
        scratch = Path(name)
        root, signer, other = (new_key(scratch, kind) for kind in ("root", "signer", "other"))
        weak = new_key(scratch, "weak", 1024)
        for kind in (root, other):
            public = folder / "keys" / f"{kind.name}.pub.pem"
            run(["openssl", "pkey", "-in", kind, "-pubout", "-out", public])
        files = _files(manifest({"firmware.bin": image}), root, signer, other) | _weak(image, root, signer, weak)
    for path, data in files.items():
        (folder / path).write_bytes(data)


def _text(value: Json) -> str:
    return json.dumps(value, separators=(",", ":"))


def _files(value: Json, root: Path, signer: Path, other: Path) -> dict[str, bytes]:
    text = _text(value)
    good = signed(text, root, signer)
    changed = text.replace("2.4.1", "2.4.0")
    head, body, tail = good.split(".")
    none = f"{b64url({'alg': 'none', 'sjwk': json.loads(base64.urlsafe_b64decode(head + '=='))['sjwk']})}.{body}."
    keys = package(root)
    importing = {**value, "isDeployable": True, "files": list(value["files"].values())}
    return {
        "good/deployment.json": deployment(text, good),
        "good/update-manifest.json": text.encode(),
        "good/import-manifest.json": _text(importing).encode(),
        "good/root-keys.json": keys,
        "bad/unsigned.json": deployment(text, None),
        "bad/root-not-declared.json": deployment(text, good),
        "bad/another-root-declared.json": deployment(text, good),
        "bad/signature-bit-flipped.json": deployment(
            text, f"{head}.{body}.{tail[:9]}{chr(ord(tail[9]) ^ 1)}{tail[10:]}"
        ),
        "bad/manifest-changed.json": deployment(changed, good),
        "bad/signed-by-another-key.json": deployment(text, signed(text, root, other, key=signer)),
        "bad/signing-key-by-another-root.json": deployment(text, signed(text, other, signer)),
        "bad/algorithm-none.json": deployment(text, none),
        "bad/signature-no-jws.json": deployment(text, "signature"),
        "bad/file-changed.json": deployment(text, good),
        "bad/plain-http.json": deployment(text, good, scheme="http"),
        "bad/manifest-no-json.json": deployment("{", signed("{", root, signer)),
        "bad/manifest-twice.json": deployment(text, good)[:-1] + b',"other":{"updateManifest":"{}"}}',
        "bad/truncated.json": deployment(text, good)[:-9],
        "bad/root-keys-changed.json": keys.replace(b'"version":3', b'"version":2'),
    }


def _weak(image: bytes, root: Path, signer: Path, weak: Path) -> dict[str, bytes]:
    value = manifest({"firmware.bin": image})
    entry = {"fileName": "firmware.bin", "sizeInBytes": len(image), "hashes": {}}
    broken = manifest({"inner.zip": b"PK\x03\x04 broken"})
    variants = {
        "bad/no-digest.json": {**value, "files": {"f0": entry}},
        "bad/no-compatibility.json": {**value, "compatibility": []},
        "bad/another-size.json": json.loads(_text(value).replace(f'"sizeInBytes":{len(image)}', '"sizeInBytes":9')),
        "bad/broken-file.json": broken,
    }
    found = {name: deployment(_text(item), signed(_text(item), root, signer)) for name, item in variants.items()}
    found["bad/weak-signing-key.json"] = deployment(_text(value), signed(_text(value), root, weak))
    found["bad/broken.zip"] = b"PK\x03\x04 broken"
    return found
