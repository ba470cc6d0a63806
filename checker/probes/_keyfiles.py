"""Key files that a description names, read once and with every fault kept.

Which keys are declared for what:

* images: `trust.images`, and the inventory's keys with the purpose image signing. A key that the inventory calls
  compromised or destroyed is none of them, wherever else it stands. Keys for TLS, logs and devices never verify an
  image: a device that accepted those would have one trust store less than its description says. Nor does the key that
  a target decrypts with: whoever owns the device could sign with it.
* logs: `trust.logs` and the inventory's keys with the purpose log signing.
* decryption: only the keys of the very artifact that names them.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Any, Final

from checker.crypto.certificates import Certificate
from checker.crypto.key_files import read_public_keys
from checker.crypto.keyring import KeyRing, read_certificates, read_crls, read_decryption_key
from checker.crypto.keys import PublicKey
from checker.description.model import ArtifactRef, Description, Endpoint, FileRef, InventoryKey, TrustStore
from checker.errors import CryptoError, FormatError, InputError
from checker.io.files import Files
from checker.io.limits import MAX_KEY_FILE
from checker.model.artifact import KeyFacts
from checker.probes._records import one_line, path_of

IMAGE_PURPOSES: Final = frozenset({"image-signing", "firmware-signing", "code-signing"})
LOG_PURPOSES: Final = frozenset({"log-signing"})
_ROWS: Final = {
    "image-signing": "sign",
    "firmware-signing": "sign",
    "code-signing": "sign",
    "key-wrapping": "protect",
    "content-encryption": "protect",
    "tls": "receive",
    "device-identity": "send",
    "log-signing": "cleanup",
}
_UNTRUSTED_STATES: Final = frozenset({"compromised", "destroyed"})


@dataclass(frozen=True, order=True)
class Fault:
    """A key file that cannot be read, why, and the steps whose keys it holds."""

    path: str
    message: str
    rows: tuple[str, ...] = ()


@dataclass(frozen=True)
class Ring:
    """The keys that could be read, and the files that could not."""

    ring: KeyRing
    faults: tuple[Fault, ...]


class _Loader:
    """Reads key files; what fails becomes a fault and an empty answer."""

    def __init__(self, files: Files, rows: tuple[str, ...] = ()) -> None:
        self._files = files
        self._rows = rows
        self.faults: list[Fault] = []

    def public_keys(self, refs: Iterable[FileRef]) -> list[PublicKey]:
        """Return the public keys of files, marked as declared under the file's name."""
        return [key.as_declared() for ref in refs for key in self._try(ref, read_public_keys)]

    def certificates(self, refs: Iterable[FileRef]) -> list[Any]:
        """Return the certificates of files."""
        return [item for ref in refs for item in self._try(ref, read_certificates)]

    def crls(self, refs: Iterable[FileRef]) -> list[Any]:
        """Return the certificate revocation lists of files."""
        return [item for ref in refs for item in self._try(ref, read_crls)]

    def decryption(self, refs: Iterable[FileRef]) -> list[Any]:
        """Return the decryption keys of files."""
        return [item for ref in refs for item in self._try(ref, _one_decryption_key)]

    def _try(self, ref: FileRef, reader: Any) -> Iterable[Any]:  # noqa: ANN401 - five readers, five answers
        path = path_of(ref)
        try:
            return tuple(reader(self._files.read(path, MAX_KEY_FILE), ref.path))
        except (InputError, FormatError, CryptoError) as error:
            self.faults.append(Fault(ref.path, one_line(str(error)), self._rows))
            return ()


def _one_decryption_key(data: bytes, name: str) -> Iterator[Any]:
    yield read_decryption_key(data, name)


def image_ring(description: Description, files: Files) -> Ring:
    """Return everything that update images may be verified with."""
    return _ring(description, files, description.device.trust_images, IMAGE_PURPOSES)


def log_keys(description: Description, files: Files) -> tuple[PublicKey, ...]:
    """Return the bare public keys that update logs may be verified with: those of certificates too."""
    device, loader = description.device, _Loader(files)
    own = loader.public_keys([*device.trust_logs.keys, *device.trust_logs.anchors])
    listed = inventory_keys(description, files)
    return (*own, *(key for item, key in listed if set(item.purposes) & LOG_PURPOSES and _trusted(item)))


def _ring(description: Description, files: Files, store: TrustStore, purposes: frozenset[str]) -> Ring:
    loader = _Loader(files)
    lost = _untrusted(description, files)
    listed = [
        key.as_declared(item.id)
        for item in description.device.keys or ()
        if item.file is not None and _trusted(item) and set(item.purposes) & purposes
        for key in loader.public_keys([item.file])
    ]
    ring = KeyRing.of(
        keys=[key for key in (*loader.public_keys(store.keys), *listed) if key.spki_sha256 not in lost],
        anchors=[item for item in loader.certificates(store.anchors) if item.key.spki_sha256 not in lost],
        intermediates=loader.certificates(store.intermediates),
        crls=loader.crls(store.crls),
        purposes=store.purposes,
    )
    return Ring(ring, tuple(loader.faults))


def _untrusted(description: Description, files: Files) -> frozenset[str]:
    """Return the SHA-256 of every public key that the inventory calls compromised or destroyed."""
    records = [item for item in description.device.keys or () if not _trusted(item)]
    found = _Loader(files).public_keys(item.file for item in records if item.file is not None)
    return frozenset({key.spki_sha256 for key in found} | {item.spki_sha256 for item in records if item.spki_sha256})


def _trusted(item: InventoryKey) -> bool:
    return item.state.lower() not in _UNTRUSTED_STATES


def inventory_keys(description: Description, files: Files) -> tuple[tuple[InventoryKey, PublicKey], ...]:
    """Return the inventory's records whose public half is in a readable file, with it."""
    loader = _Loader(files)
    records = [item for item in description.device.keys or () if item.file is not None]
    return tuple((item, key) for item in records if item.file for key in loader.public_keys([item.file]))


def device_certificates(description: Description, files: Files) -> dict[str, Certificate]:
    """Return the certificates among the inventory's files, by the SHA-256 of their public keys."""
    refs = [item.file for item in description.device.keys or () if item.file is not None]
    found = (item for ref in refs for item in _Loader(files).certificates([ref]))
    return {item.key.spki_sha256: item for item in found}


def endpoint_certificates(endpoint: Endpoint, files: Files) -> tuple[Certificate, ...]:
    """Return the certificates of the identity with which the device presents itself to an endpoint, leaf first."""
    named = endpoint.client_certificate
    return tuple(_Loader(files).certificates([named])) if named else ()


def device_ring(description: Description, files: Files) -> KeyRing:
    """Return what certificates of devices are verified with: `trust.devices`, and nothing else."""
    return store_ring(description.device.trust_devices, files)


def store_ring(store: TrustStore, files: Files) -> KeyRing:
    """Return the anchors, intermediates and CRLs of one trust store."""
    loader = _Loader(files)
    return KeyRing.of(
        anchors=loader.certificates(store.anchors),
        intermediates=loader.certificates(store.intermediates),
        crls=loader.crls(store.crls),
        purposes=store.purposes,
    )


def with_decryption(keys: KeyRing, ref: ArtifactRef, files: Files) -> KeyRing:
    """Return the ring with the decryption keys of one artifact and of no other."""
    return replace(keys, decryption=tuple(_Loader(files).decryption(ref.decryption_keys)))


def faults(description: Description, files: Files) -> tuple[Fault, ...]:
    """Return every named key file that cannot be read, each once per use."""
    device, found = description.device, list[Fault]()
    for store, rows in (
        (device.trust_images, ("sign", "process")),
        (device.trust_transport, ("receive",)),
        (device.trust_logs, ("cleanup",)),
        (device.trust_devices, ("send",)),
    ):
        loader = _Loader(files, rows)
        loader.public_keys(store.keys)
        loader.certificates([*store.anchors, *store.intermediates])
        loader.crls(store.crls)
        found += loader.faults
    for item in device.keys or ():
        loader = _Loader(files, tuple(sorted(_ROWS[p] for p in item.purposes if p in _ROWS)))
        loader.public_keys([item.file] if item.file else [])
        found += loader.faults
    lost = _untrusted(description, files)
    for ref in device.trust_images.keys:
        if any(key.spki_sha256 in lost for key in _Loader(files).public_keys([ref])):
            found.append(Fault(ref.path, "the key inventory gives this key up, so it verifies nothing", ("sign",)))
    loader = _Loader(files, ("process", "protect"))
    loader.decryption(key for ref in description.artifacts for key in ref.decryption_keys)
    return tuple(sorted({fault.path: fault for fault in [*found, *loader.faults]}.values()))


def client_keys(description: Description, files: Files) -> tuple[KeyFacts, ...]:
    """Return the public keys of the client certificates with which the device presents itself to endpoints."""
    clients = [endpoint.client_certificate for endpoint in description.endpoints if endpoint.client_certificate]
    return tuple(key.facts for key in _Loader(files).public_keys(clients))


def transport_ids(description: Description, files: Files) -> frozenset[str]:
    """Return the SHA-256 of every public key that the description declares for TLS: anchors, keys, pins, clients."""
    store, loader = description.device.trust_transport, _Loader(files)
    clients = [endpoint.client_certificate for endpoint in description.endpoints if endpoint.client_certificate]
    refs = [*store.anchors, *store.intermediates, *store.keys, *clients]
    ids = {key.facts.id for key in loader.public_keys(refs)}
    return frozenset(ids | {pin for text in store.pins if (pin := _pin(text))})


def _pin(text: str) -> str:
    """Return a pin (`sha256/…` in base64, or hex) as the hex SHA-256 of a public key, or nothing."""
    value = text.removeprefix("sha256/").removeprefix("sha256:")
    if len(value) == 64:  # noqa: PLR2004 - hex digits of a SHA-256
        return value.lower()
    try:
        raw = base64.b64decode(value, validate=True)
    except (binascii.Error, ValueError):
        return ""
    return raw.hex() if len(raw) == 32 else ""  # noqa: PLR2004 - bytes of a SHA-256
