"""Key files that the command line names."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from checker.crypto.keyring import KeyRing, read_certificates, read_crls, read_decryption_key
from checker.crypto.keys import PublicKey
from checker.io.files import Files
from checker.io.limits import MAX_KEY_FILE


def ring(keys: Sequence[Path], anchors: Sequence[Path], crls: Sequence[Path], decryption: Sequence[Path]) -> KeyRing:
    """Return everything that the files hold.

    Raises:
        InputError: a file cannot be read.
        KeyMaterialError: it is not what its option asks for.
    """
    return KeyRing.of(
        keys=[key for path in keys for key in _public_keys(path)],
        anchors=[certificate for path in anchors for certificate in read_certificates(content(path), path.name)],
        crls=[item for path in crls for item in read_crls(content(path), path.name)],
        decryption=[read_decryption_key(content(path), path.name) for path in decryption],
    )


def _public_keys(path: Path) -> tuple[PublicKey, ...]:
    from checker.crypto.key_files import read_public_keys  # with the plug-ins' discovery; `probe` takes no bare keys

    return read_public_keys(content(path), path.name)


def content(path: Path) -> bytes:
    """Return a key file's bytes.

    Raises:
        InputError: it cannot be read, or is larger than any key file.
    """
    return Files(path.parent, allow_outside=True).read(path.name, MAX_KEY_FILE)
