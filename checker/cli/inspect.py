"""`otaudit inspect`: what is in a file, without any description."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from checker.errors import UsageError

if TYPE_CHECKING:
    from checker.crypto.keyring import KeyRing
    from checker.io.digests import Started
    from checker.model.artifact import Artifact, Source


def inspect(  # noqa: PLR0913 - one parameter per option of the command line
    artifact: Annotated[Path, typer.Argument(help="The file to open.")],
    *,
    key: Annotated[
        list[Path] | None, typer.Option("--key", "-k", help="A public key or certificate to verify with.")
    ] = None,
    trust: Annotated[
        list[Path] | None, typer.Option("--trust", "-t", help="A CA certificate that signers must chain to.")
    ] = None,
    crl: Annotated[list[Path] | None, typer.Option("--crl", help="A certificate revocation list.")] = None,
    decrypt: Annotated[
        list[Path] | None, typer.Option("--decrypt", "-d", help="A private or symmetric key to decrypt with.")
    ] = None,
    signature: Annotated[
        Path | None, typer.Option("--signature", "-s", help="A detached signature of the file.")
    ] = None,
    format_id: Annotated[
        str, typer.Option("--format", "-f", help="Open it as this format; found by content unless said.")
    ] = "auto",
    output: Annotated[
        list[str] | None,
        typer.Option("--output", "-o", metavar="FILE", help="Write a .json or .html page too; - is standard output."),
    ] = None,
    as_of: Annotated[
        str | None, typer.Option(metavar="DATE", help="Judge certificates as of this date; now unless said.")
    ] = None,
) -> None:
    """Show what a file holds: format, signatures, coverage, encryption, versions, images and weak points."""
    from checker.cli._output import colour_wanted, terminal_width, write_all
    from checker.io.digests import identify
    from checker.io.sources import FileSource

    with FileSource(artifact, artifact.name) as source:
        identity = identify(source)  # a large file is hashed while everything else is still being imported
        keys = _keyring(key or (), trust or (), crl or (), decrypt or ())
        opened = _open(source, identity, keys, signature, format_id, as_of)
    pages = {path: _page(opened, path) for path in output or ()}
    write_all(pages)
    if "-" not in pages:
        from checker.report._artifact_tree import tree

        typer.echo(tree(opened, colour=colour_wanted(sys.stdout), width=terminal_width()), nl=False)


def _keyring(
    keys: Sequence[Path], anchors: Sequence[Path], crls: Sequence[Path], decryption: Sequence[Path]
) -> KeyRing:
    from checker.crypto.keyring import KeyRing, read_certificates, read_crls, read_decryption_key
    from checker.crypto.keys import read_public_key

    return KeyRing.of(
        keys=[read_public_key(_bytes(path), path.name) for path in keys],
        anchors=[certificate for path in anchors for certificate in read_certificates(_bytes(path), path.name)],
        crls=[item for path in crls for item in read_crls(_bytes(path), path.name)],
        decryption=[read_decryption_key(_bytes(path), path.name) for path in decryption],
    )


def _bytes(path: Path) -> bytes:
    from checker.io.files import Files
    from checker.io.limits import MAX_KEY_FILE

    return Files(path.parent, allow_outside=True).read(path.name, MAX_KEY_FILE)


def _open(
    source: Source, identity: Started, keys: KeyRing, signature: Path | None, format_id: str, as_of: str | None
) -> Artifact:
    from checker.cli._time import evaluation_time
    from checker.formats._open import open_artifact
    from checker.formats.contract import Context
    from checker.io.sources import FileSource

    context = Context(keys=keys, as_of=evaluation_time(as_of))
    if signature is None:
        return open_artifact(source, context, format_id, identity=identity)
    with FileSource(signature, signature.name) as companion:
        context = replace(context, companions={"signature": companion})
        return open_artifact(source, context, format_id, identity=identity)


def _page(artifact: Artifact, path: str) -> bytes:
    from checker import __version__
    from checker.report._artifact_tree import artifact_json
    from checker.report.html import artifact_page

    if path == "-" or path.endswith(".json"):
        return artifact_json(artifact)
    if path.endswith(".html"):
        return artifact_page(artifact, tool_version=__version__)
    msg = f"-o {path}: inspect writes .json and .html; - is JSON on standard output"
    raise UsageError(msg)
