"""Repositories and client caches of The Update Framework (TUF), as folders; also one metadata file alone.

Source: TUF specification 1.0.33; TAP 15 (succinct hash bins); theupdateframework/python-tuf for layouts.

The chain is: declared root keys → every root from the first on → timestamp → snapshot → targets and delegated targets →
length and digests of target files. A signature is VALID only where that chain begins with enough declared keys of the
root (`--key` with public keys, or with the trusted `root.json` itself); without them everything that fits together is
KEY_UNKNOWN. Payload counts as covered only where a client would take it: timestamp and snapshot have to hold as well.

One file alone is judged by the keys of a root beside it (companion `root`), which has to lead to declared keys too.

TUF knows no encryption and no version of a release; the sequence number is the version of the targets metadata.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from checker.errors import FormatError, LimitError
from checker.formats import _tuf_artifact as build
from checker.formats._tuf_folder import choose, is_metadata, is_uptane, repositories
from checker.formats._tuf_keys import tally
from checker.formats._tuf_metadata import MAX_METADATA, ROOT, TARGETS, Index, Metadata, Root, Targets, read_metadata
from checker.formats._tuf_trust import REACHING, File, State, alone, judge_roots, judged_file
from checker.formats.contract import Context, Format, Parse
from checker.io.folders import FolderSource
from checker.model.artifact import INEXPRESSIBLE, Artifact, Coverage, Image, Source, Version
from checker.model.terms import Outcome

WEAKNESSES: Final = build.WEAKNESSES
TITLE: Final = "TUF repository"


def _detect(source: Source, context: Context) -> bool:  # noqa: ARG001 - the contract's signature
    if isinstance(source, FolderSource):
        return bool(repositories(source)) and not is_uptane(source)
    return is_metadata(source)


def _parse(source: Source, context: Context) -> Parse:
    if not isinstance(source, FolderSource):
        yield ()
        return _one_file(source, context)
    files = choose(source, context.options.get("repository", ""))
    judged = build.judge(files, context)
    offers = [
        build.Offer(
            target=spoken.target,
            state=judged.reach(spoken),
            copies=files.copies(spoken.target.path, spoken.target.hashes.values()),
            hardware=build.hardware_of(spoken.target.custom),
            role=spoken.node.name,
            note="" if spoken.node.parent is None else f"named by {spoken.node.name}",
        )
        for spoken in judged.spoken
    ]
    measured = yield from build.measure(source, offers)
    return build.artifact(("tuf", TITLE), source, (judged,), measured, context)


# One metadata file alone


def _one_file(source: Source, context: Context) -> Artifact:
    if source.size > MAX_METADATA:
        raise LimitError(f"has more than MAX_METADATA ({MAX_METADATA}) bytes", field="content")
    metadata = read_metadata(source.read(0, source.size), source.name)
    file = _judge_alone(metadata, context)
    reached = file.state in REACHING or file.state is State.UNDECIDED
    weaknesses = (
        *build.signature_weaknesses(file.signatures),
        *build.file_weaknesses(metadata, context.as_of),
        *build.root_weaknesses(metadata),
    )
    return Artifact(
        format="tuf",
        title=f"TUF {metadata.type} metadata",
        name=source.name,
        size=source.size,
        sha256="",
        signatures=file.signatures,
        coverage=Coverage(
            payload=(metadata.signed,),
            uncovered=() if reached else (metadata.signed,),
            metadata=build.STEERING if reached else (),
            unprotected_metadata=() if reached else build.STEERING,
        ),
        images=tuple(_named(metadata, file)),
        version=Version(
            version=INEXPRESSIBLE,
            sequence=metadata.version,
            authentic={State.TRUSTED: True, State.BROKEN: False}.get(file.state),
        ),
        hardware=INEXPRESSIBLE,
        weaknesses=weaknesses,
        facts=(("expires", metadata.expires or "never"), *_contents(metadata)),
    )


def _judge_alone(metadata: Metadata, context: Context) -> File:
    """Return a file judged by itself, or by the keys of the root beside it (companion `root`)."""
    if metadata.type == ROOT:
        return judge_roots((metadata,), context.keys)[0][0]
    beside = context.companions.get(ROOT)
    if beside is None:
        return alone(metadata, metadata.type, context.keys)
    if beside.size > MAX_METADATA:
        raise LimitError(f"has more than MAX_METADATA ({MAX_METADATA}) bytes", field=f"companion {ROOT}")
    root = read_metadata(beside.read(0, beside.size), beside.name)
    if not isinstance(root.body, Root):
        raise FormatError(f"is {root.type} metadata, not a root", field=f"companion {ROOT}")
    trusted = judge_roots((root,), context.keys)[0][0]
    counted = tally(metadata.entries, metadata.messages, root.body.keys, root.body.roles.get(metadata.type))
    if metadata.type == TARGETS and all(item.outcome is Outcome.KEY_UNKNOWN for item in counted.judged):
        return alone(metadata, metadata.type, context.keys)  # a delegated role, whose keys no root names
    return judged_file(metadata, metadata.type, counted, trusted.state, None, State.TRUSTED)


def _named(metadata: Metadata, file: File) -> Iterator[Image]:
    targets = metadata.body.targets if isinstance(metadata.body, Targets) else ()
    for target in targets:
        offer = build.Offer(target=target, state=file.state, hardware=build.hardware_of(target.custom))
        yield build.image_alone(offer)


def _contents(metadata: Metadata) -> Iterator[tuple[str, str]]:
    body = metadata.body
    if isinstance(body, Root):
        for name, role in body.roles.items():
            yield f"role {name[:40]}", f"{role.threshold} of {len(role.keyids)} keys"
    elif isinstance(body, Index):
        for name, info in list(body.meta.items())[: build.SHOWN]:
            yield name[:80], f"version {info.version}"
    else:
        yield "targets", str(len(body.targets))
        if body.delegations:
            yield "delegations", ", ".join(item.name[:40] for item in body.delegations[: build.SHOWN])


FORMAT: Final = Format(
    id="tuf",
    title="TUF repository (folder) or metadata file",
    detect=_detect,
    parse=_parse,
    companions={"root": "a root.json that another metadata file is judged by"},
    options={"repository": "the path of the repository inside the folder"},
    references=("TUF specification 1.0.33", "TAP 15"),
    folders=True,
)
