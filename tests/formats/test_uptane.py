"""Uptane: what the director assigns counts only where the image repository says the same."""

from __future__ import annotations

import itertools
import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from tuf.api._payload import DelegatedRole, Delegations

from checker.crypto.key_files import read_public_keys
from checker.crypto.keyring import KeyRing
from checker.errors import FormatError
from checker.formats._open import detect, open_artifact
from checker.formats.contract import Context
from checker.io.folders import FolderSource
from checker.io.sources import BytesSource
from checker.model.artifact import INEXPRESSIBLE, Artifact
from checker.model.terms import Outcome
from samples.build.formats import uptane as samples
from samples.build.formats._tuf import signer, write

AS_OF = "2026-11-01T00:00:00Z"
GOOD = samples.both()
ROOTS = (GOOD["director/1.root.json"], GOOD["image/1.root.json"])
_NUMBERS = itertools.count()


def ring(*roots: bytes) -> KeyRing:
    return KeyRing.of(keys=[key for data in roots for key in read_public_keys(data, "root.json")])


def opened(
    folder: Path, files: Mapping[str, bytes], trust: KeyRing | None = None, format_id: str = "auto", **options: str
) -> Artifact:
    place = folder / f"r{next(_NUMBERS)}"
    write(place, files)
    context = Context(keys=ring(*ROOTS) if trust is None else trust, as_of=AS_OF, options=options)
    return open_artifact(FolderSource.of(place, "repository"), context, format_id)


def codes(artifact: Artifact) -> set[str]:
    return {weakness.code for weakness in artifact.weaknesses}


def outcomes(artifact: Artifact) -> set[Outcome]:
    return {signature.outcome for signature in artifact.signatures}


def test_the_corpus_s_sample_is_valid_with_its_root(corpus: Path, expected: Any) -> None:
    facts = expected["uptane"]["tuf/sample1"]
    folder = corpus / "uptane" / "tuf" / "sample1"
    trust = ring((folder / "root.json").read_bytes())
    artifact = open_artifact(FolderSource.of(folder, "sample1"), Context(keys=trust, as_of=AS_OF))
    assert artifact.format == "uptane"
    assert facts["all_valid"] is (outcomes(artifact) == {Outcome.VALID})
    assert {signature.algorithm for signature in artifact.signatures} == {facts["signatures"].lower()}
    assert artifact.hardware == ("abc-def",)
    assert artifact.images[0].version.sequence == 1
    assert artifact.images[0].target == "01:02:03:04:05:06"
    assert {check.matches for check in artifact.digests} == {True}
    assert artifact.images[0].digests[0].actual is None
    late = Context(keys=trust, as_of=f"{facts['expires']}-01-19T03:14:06Z")
    assert "expired-metadata" in codes(open_artifact(FolderSource.of(folder, "sample1"), late))


def test_both_roots_have_to_be_declared(tmp_path: Path) -> None:
    assert outcomes(opened(tmp_path, GOOD)) == {Outcome.VALID}
    half = opened(tmp_path, GOOD, ring(ROOTS[0]))
    assert [signature.outcome for signature in half.signatures] == [Outcome.VALID] * 5 + [Outcome.KEY_UNKNOWN] * 5
    assert outcomes(opened(tmp_path, GOOD, KeyRing.empty())) == {Outcome.KEY_UNKNOWN}


def test_an_image_says_whom_it_is_for_and_which_release_it_is(tmp_path: Path) -> None:
    artifact = opened(tmp_path, GOOD)
    gateway, radio = artifact.images
    assert (gateway.target, gateway.hardware, gateway.version.sequence) == ("GW-0001", ("gw-200",), 7)
    assert gateway.version.version is INEXPRESSIBLE
    assert gateway.version.authentic is True
    assert (radio.target, radio.encryption.encrypted, radio.encryption.authenticated) == ("RA-0001", True, True)
    assert len(artifact.recipients) == 1
    assert ("encryption of radio.enc", "encryptedKey") in artifact.facts


def test_aktualizr_s_form_is_told(tmp_path: Path) -> None:
    files = samples.aktualizr()
    artifact = opened(tmp_path, files, ring(files["root.json"]))
    notes = [signature.note for signature in artifact.signatures]
    assert sum("compact sorted JSON" in note for note in notes) == 1  # the one whose text has a line end in it
    assert artifact.images[0].version.version == "2.4.1"
    assert outcomes(artifact) == {Outcome.VALID}


def test_a_root_that_the_snapshot_names_otherwise_covers_nothing(tmp_path: Path) -> None:
    files = samples.aktualizr()
    value = json.loads(files["root.json"])
    value["signatures"].reverse()
    artifact = opened(tmp_path, {**files, "root.json": json.dumps(value).encode()}, ring(files["root.json"]))
    assert "digest-mismatch" in codes(artifact)
    assert artifact.coverage.uncovered == artifact.coverage.payload


def test_digests_over_the_canonical_form_are_told(tmp_path: Path) -> None:
    files = samples.aktualizr()
    pretty = json.dumps(json.loads(files["1.snapshot.json"]), indent=2).encode()
    artifact = opened(tmp_path, {**files, "1.snapshot.json": pretty}, ring(files["root.json"]))
    assert "over the canonical form of the file" in {check.note for check in artifact.digests}
    assert not artifact.coverage.uncovered
    # A repository of TUF itself has no such form: there the digest is over the bytes.
    plain = {path: json.dumps(json.loads(data), indent=3).encode() if "4.snapshot" in path else data
             for path, data in GOOD.items()}  # fmt: skip
    assert "digest-mismatch" in codes(opened(tmp_path, plain))


def test_an_update_from_a_medium_has_its_own_roles(tmp_path: Path) -> None:
    files = samples.offline()
    trust = ring(files["metadata/1.root.json"])
    artifact = opened(tmp_path, files, trust)
    assert outcomes(artifact) == {Outcome.VALID}
    assert "offline-updates 1" in artifact.signatures[-1].note
    assert not artifact.coverage.uncovered
    update = json.loads(files["metadata/spring.json"])
    update["signatures"][0]["sig"] = json.loads(files["metadata/offline-snapshot.json"])["signatures"][0]["sig"]
    forged = {**files, "metadata/spring.json": json.dumps(update).encode()}
    assert opened(tmp_path, forged, trust).coverage.uncovered
    absent = {path: data for path, data in files.items() if "spring" not in path}
    assert "missing-member" in codes(opened(tmp_path, absent, trust, "tuf"))
    exchanged = {**files, "metadata/spring.json": files["metadata/offline-snapshot.json"]}
    with pytest.raises(FormatError, match="is offline-snapshot metadata"):
        opened(tmp_path, exchanged, trust, "tuf")


@pytest.mark.parametrize(
    ("director", "image"),
    [
        ("repo/director", "repo/repo"),
        ("repo/director", "repo/image"),
        ("director/repo", "repo/repo"),
        ("metadata/director", "metadata/image-repo"),
        ("director/metadata", "imagerepo/metadata"),
    ],
)
def test_the_same_repositories_in_other_folders(tmp_path: Path, director: str, image: str) -> None:
    files = {
        path.replace("director/", f"{director}/", 1).replace("image/", f"{image}/", 1): data
        for path, data in GOOD.items()
    }
    artifact = opened(tmp_path, files)
    assert artifact.format == "uptane"
    assert outcomes(artifact) == {Outcome.VALID}
    assert not artifact.coverage.uncovered
    assert len(artifact.coverage.payload) == 2


def test_each_copy_of_an_image_is_measured(tmp_path: Path) -> None:
    copies = {path.replace("image/", "director/"): data for path, data in GOOD.items() if "/targets/" in path}
    assert len(opened(tmp_path, {**GOOD, **copies}).images[0].digests) == 2
    broken = {path: data[:-1] + b"?" for path, data in copies.items()}
    artifact = opened(tmp_path, {**GOOD, **broken})
    assert "digest-mismatch" in codes(artifact)
    assert artifact.coverage.uncovered == artifact.coverage.payload


def test_an_image_that_the_director_does_not_assign_is_vouched_for_still(tmp_path: Path) -> None:
    director = replace(samples.DIRECTOR, edits={"targets": samples._drop("gateway.bin")})
    artifact = opened(tmp_path, samples.both(director=director))
    assert "the director assigns it to no ECU" in artifact.images[-1].note
    assert not artifact.coverage.uncovered
    assert "repositories-disagree" not in codes(artifact)


def test_lengths_and_kinds_of_digests_are_compared(tmp_path: Path) -> None:
    def longer(targets: Any) -> None:
        targets.targets["gateway.bin"].length += 1

    def otherwise(targets: Any) -> None:
        targets.targets["gateway.bin"].hashes = {"sha512": "00" * 64}

    for edit, text in ((longer, "257 bytes"), (otherwise, "no digest of the same kind")):
        artifact = opened(tmp_path, samples.both(director=replace(samples.DIRECTOR, edits={"targets": edit})))
        assert text in next(weakness.message for weakness in artifact.weaknesses if "disagree" in weakness.code)
        assert artifact.coverage.uncovered


def test_a_director_that_delegates_is_told(tmp_path: Path) -> None:
    def delegate(targets: Any) -> None:
        key = signer("other").public_key
        role = DelegatedRole("other", [key.keyid], 1, False, ["*"])
        targets.delegations = Delegations({key.keyid: key}, {"other": role})

    artifact = opened(tmp_path, samples.both(director=replace(samples.DIRECTOR, edits={"targets": delegate})))
    assert any("the director delegates" in weakness.message for weakness in artifact.weaknesses)


def test_one_of_the_two_can_be_named(tmp_path: Path) -> None:
    artifact = opened(tmp_path, GOOD, repository="image")
    assert [signature.outcome for signature in artifact.signatures] == [Outcome.VALID] * 5
    assert "missing-member" not in codes(artifact)
    assert "missing-member" in codes(opened(tmp_path, GOOD, repository="director"))


def test_more_than_one_director_is_too_many(tmp_path: Path) -> None:
    twice = {**GOOD, **{f"old/{path}": data for path, data in GOOD.items()}}
    with pytest.raises(FormatError, match="one director and one image repository"):
        opened(tmp_path, twice)


def test_a_file_and_a_folder_without_uptane_s_fields_are_not_uptane(tmp_path: Path) -> None:
    from samples.build.formats.tuf import GOOD as PLAIN

    context = Context(keys=KeyRing.empty(), as_of=AS_OF)
    write(tmp_path / "plain", PLAIN.make())
    assert detect(FolderSource.of(tmp_path / "plain", "plain"), context).id == "tuf"
    with pytest.raises(FormatError, match="is a folder, this is a file"):
        open_artifact(BytesSource("x", b""), context, "uptane")


def test_release_counters_may_stand_over_all_targets(tmp_path: Path) -> None:
    def counted(targets: Any) -> None:
        targets.unrecognized_fields["custom"] = {"releaseCounter": 9}

    def beside(targets: Any) -> None:
        targets.unrecognized_fields["releaseCounter"] = 9

    files = samples._without_custom("releaseCounter")
    assert "no-rollback-counter" in codes(opened(tmp_path, files))
    custom = {path: {"hardwareIds": ["x"]} for path in samples.IMAGES}
    for edit in (counted, beside):
        director = replace(samples.DIRECTOR, custom=custom, edits={"targets": edit})
        artifact = opened(tmp_path, samples.both(director, replace(samples.IMAGE, custom=custom)))
        assert "no-rollback-counter" not in codes(artifact)
        assert ("director/targets releaseCounter", "9") in artifact.facts


@pytest.mark.parametrize("value", [7, ["a", {"b": 1}], {"a": {"b": {"c": {"d": {"e": {"f": 1}}}}}}, None, "x" * 9999])
def test_custom_fields_of_any_shape_are_survived(tmp_path: Path, value: object) -> None:
    fields = {"ecuIdentifiers": value, "hardwareIds": value, "releaseCounter": value, "encryptedKey": value, "x": value}
    files = samples.both(director=replace(samples.DIRECTOR, custom={"gateway.bin": fields}))
    artifact = opened(tmp_path, files)
    assert artifact.format == "uptane"
    assert len(artifact.images) == 2


@pytest.mark.parametrize("path", [path for path in GOOD if path.endswith(".json")])
def test_a_metadata_file_with_a_bit_flipped_covers_nothing(tmp_path: Path, path: str) -> None:
    data = GOOD[path]
    begin = data.index(b'"signed"')
    for place in range(begin, len(data), max(1, (len(data) - begin) // 6)):
        flipped = data[:place] + bytes([data[place] ^ (1 << place % 8)]) + data[place + 1 :]
        try:
            artifact = opened(tmp_path, {**GOOD, path: flipped})
        except FormatError:
            continue
        assert artifact.coverage.uncovered == artifact.coverage.payload, place
