"""What a key file form is: one module with `FORM = KeyForm(…)`."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from checker.crypto.keys import PublicKey


@dataclass(frozen=True, kw_only=True)
class KeyForm:
    """A plug-in: which files are of this form, and the public keys in one.

    `detect` looks at the content only and never raises. `read` raises `KeyMaterialError` for a file that it claims and
    cannot read; it returns keys in the file's order, with the names that the file gives them.
    """

    id: str
    title: str
    detect: Callable[[bytes], bool]
    read: Callable[[bytes, str], Iterable[PublicKey]]
    references: tuple[str, ...]
