"""`otaudit inspect`: what is in a file, without any description."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from checker.errors import UsageError

if TYPE_CHECKING:
    from checker.crypto.keyring import KeyRing
    from checker.io.digests import Started
    from checker.model.artifact import Artifact, Source


def inspect(  # noqa: PLR0913 - one parameter per option of the command line
    artifact: Annotated[Path, typer.Argument(help="The file to open, or the folder where a deliverable is one.")],
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
    companion: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME=FILE", help="A further file that belongs to it, by its format's name for it."),
    ] = None,
    option: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME=VALUE", help="What the file itself cannot tell, such as flash_address=0x10000."),
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

    with ExitStack() as stack:
        source = _source(artifact, stack)
        identity = identify(source)  # a large file is hashed while everything else is still being imported
        keys = _ring(key or (), trust or (), crl or (), decrypt or ())
        beside = _companions(signature, companion or (), stack)
        options = dict(_pair(text, "--option") for text in option or ())
        opened = _open(source, identity, keys, beside, options, format_id, as_of)
    pages = {path: _page(opened, path) for path in output or ()}
    write_all(pages)
    if "-" not in pages:
        from checker.report._artifact_tree import tree

        typer.echo(tree(opened, colour=colour_wanted(sys.stdout), width=terminal_width()), nl=False)


def _ring(*files: Sequence[Path]) -> KeyRing:
    from checker.cli._keys import ring

    return ring(*files)


def _open(
    source: Source,
    identity: Started,
    keys: KeyRing,
    companions: Mapping[str, Source],
    options: Mapping[str, str],
    format_id: str,
    as_of: str | None,
) -> Artifact:
    from checker.cli._time import evaluation_time
    from checker.formats._open import open_artifact
    from checker.formats.contract import Context

    context = Context(keys=keys, as_of=evaluation_time(as_of), companions=companions, options=options)
    return open_artifact(source, context, format_id, identity=identity)


def _source(path: Path, stack: ExitStack) -> Source:
    from checker.io.folders import FolderSource
    from checker.io.sources import FileSource

    if path.is_dir():
        return FolderSource.of(path, path.resolve().name)
    return stack.enter_context(FileSource(path, path.name))


def _companions(signature: Path | None, others: Sequence[str], stack: ExitStack) -> dict[str, Source]:
    named = [_pair(text, "--companion") for text in others]
    if signature is not None:
        named.append(("signature", str(signature)))
    if len(dict(named)) < len(named):
        raise UsageError("--companion: one name is given twice")
    return {name: _source(Path(path), stack) for name, path in named}


def _pair(text: str, flag: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not (name and equals and value):
        raise UsageError(f"{flag} {text}: write NAME=VALUE")
    return name, value


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
