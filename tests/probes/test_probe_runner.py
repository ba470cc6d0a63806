"""The runner: nothing vanishes, nobody stops the others, and every kind of evidence has an owner or says why not."""

from __future__ import annotations

import importlib
import json
import pkgutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from checker import resources
from checker.description.model import ArtifactRef, Command, Endpoint, FileRef, Place, Target, TrustStore
from checker.io.files import Files
from checker.model.evidence import Evidence
from checker.model.subject import Subject, SubjectKind
from checker.model.terms import Method, Reason
from checker.probes import _run
from checker.probes._records import expect, fact, one_line, undeclared
from checker.probes.contract import Context, Probe

PLACE = Place("update.yaml", 1, 1)
UPDATE = Subject(kind=SubjectKind.UPDATE, id="gw-2.4.1")


def _claim(values: dict[str, Any]) -> Evidence:
    return fact("odd", "claim", UPDATE, values, method=Method.DECLARED)


def _probe(run: Any, requires: str = "") -> Probe:
    return Probe(
        id="odd",
        title="odd",
        kinds=("claim",),
        expects=lambda description: [undeclared("claim", description, "claim")],
        run=run,
        requires=requires,
    )


def test_every_kind_has_a_slot_even_for_an_empty_description(lab: Any) -> None:
    assert {item.slot.kind for item in _run.grid(lab.description)} == set(_run.kinds())


def test_every_kind_is_owned_by_the_probe_its_schema_names_or_by_none_yet() -> None:
    owners = {kind: probe.id for probe in _run.probes() for kind in probe.kinds}
    for kind in _run.kinds():
        schema = json.loads(resources.read("schemas", "evidence", f"{kind}.schema.json"))
        assert owners.get(kind, schema["x-probe"]) == schema["x-probe"]
    ours = {"artifact", "corpus", "keys", "log", "documents", "claims", "description", "endpoint"}
    assert ours <= {probe.id for probe in _run.probes()}


def test_no_kind_belongs_to_two_probes() -> None:
    kinds = [kind for probe in _run.probes() for kind in probe.kinds]
    assert len(kinds) == len(set(kinds))


def test_kinds_without_a_probe_wait_at_each_endpoint_and_target(lab: Any) -> None:
    endpoint = Endpoint(id="main", url="https://updates.example", place=PLACE)
    lab.say(endpoints=(endpoint,)).own(
        targets=(Target(id="cpu", place=PLACE, verifier=Command(adapter="imgtool")), Target(id="fpga", place=PLACE))
    )
    grid = _run._grid(lab.description, (), lambda _: True)
    offers = [item for item in grid if item.slot.kind == "tls_offer"]
    trials = {item.slot.subject.id: item.reason for item in grid if item.slot.kind == "verifier_trial"}
    assert [(item.slot.subject.id, item.reason) for item in offers] == [("main", Reason.NOT_RUN)]
    assert trials == {"cpu": Reason.NOT_RUN, "fpga": Reason.NOT_RUN}
    client = next(item for item in grid if item.slot.kind == "client_trial")
    assert client.reason is Reason.NOT_RUN
    assert client.explanation.endswith(
        "no probe for this kind of evidence, and the description names no client command"
    )


def test_a_whole_run_over_an_empty_description_fills_the_grid_with_reasons(lab: Any) -> None:
    done = _run.run(lab.context, strict=True)
    assert {record.kind for record in done.records} >= set(_run.kinds()) - {"weakness"}
    weak = [record for record in done.records if record.unavailable is None]
    assert {record.kind for record in weak} == {"device"}


def test_a_probe_that_raises_leaves_reasons_and_keeps_what_it_had_found(lab: Any) -> None:
    def run(_context: Context) -> Iterator[Evidence]:
        yield _claim({"step": "sign", "tier": "basic"})
        raise ValueError(f"cannot read {Path('/srv/secret/place.bin')}\nand more")

    records = _run._run(lab.context, [_probe(run)], strict=False).of("claim")
    failed = [record for record in records if record.unavailable is Reason.PROBE_FAILED]
    assert len(records) == 2
    assert failed[0].explanation == "the probe odd failed: ValueError: cannot read place.bin"


def test_a_record_that_breaks_its_schema_is_raised_in_tests_and_unavailable_otherwise(lab: Any) -> None:
    probe = _probe(lambda _: [_claim({"step": "sign", "tier": 3})])
    with pytest.raises(_run.EvidenceShapeError, match=r"\$\.tier"):
        _run._run(lab.context, [probe], strict=True)
    (record,) = _run._run(lab.context, [probe], strict=False).of("claim")
    assert record.unavailable is Reason.PROBE_FAILED
    assert record.values == {}


def test_a_probe_without_its_permission_is_not_called(lab: Any) -> None:
    def run(_context: Context) -> list[Evidence]:
        raise AssertionError("must not run")

    (record,) = _run._run(lab.context, [_probe(run, requires="live")], strict=True).of("claim")
    assert record.unavailable is Reason.NOT_DECLARED
    owing = replace(_probe(run, requires="live"), expects=lambda _: [expect("claim", UPDATE)])
    (record,) = _run._run(lab.context, [owing], strict=True).of("claim")
    assert (record.unavailable, record.explanation) == (Reason.NOT_PERMITTED, "odd: only with --live")


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("a\nb", "a"),
        ("no /home/alice/keys/a.pem here", "no a.pem here"),
        ("https://example.org/a/b stays", "https://example.org/a/b stays"),
        ("logs/A.jsonl stays", "logs/A.jsonl stays"),
        ("", ""),
    ],
)
def test_explanations_are_one_line_without_absolute_folders(text: str, line: str) -> None:
    assert one_line(text) == line


def test_a_missing_artifact_an_unknown_format_and_a_path_outside_have_their_own_reasons(lab: Any) -> None:
    text = lab.file("notes.txt", b"just some words, and nothing that any format would claim")
    refs = [
        ArtifactRef(file=FileRef(path="gone.bin", place=PLACE), place=PLACE, id="gone"),
        ArtifactRef(file=text, place=PLACE, id="text"),
        ArtifactRef(file=FileRef(path="../outside.bin", place=PLACE), place=PLACE, id="outside"),
    ]
    lab.say(artifacts=tuple(refs))
    files = Files(lab.folder)
    opened = _run.open_artifacts(lab.description, files, _run.keyring(lab.description, files), "2026-11-01T00:00:00Z")
    assert [item.reason for item in opened] == ["missing_artifact", "unsupported_format", "unreadable"]
    assert all(item.error and str(lab.folder) not in item.error for item in opened)


def test_an_unreadable_key_file_is_evidence_and_not_a_crash(lab: Any) -> None:
    lab.own(trust_images=TrustStore(keys=(lab.file("bad.pem", b"no key"), FileRef(path="gone.pem", place=PLACE))))
    assert _run.keyring(lab.description, Files(lab.folder)).keys == ()
    records = [record for record in _run.run(lab.context).of("key") if record.unavailable is Reason.UNREADABLE]
    assert [record.subject.id for record in records] == ["bad.pem", "gone.pem"]
    assert records[0].values["rows"] == ("sign", "process")


def test_every_weakness_that_a_format_states_has_an_observation() -> None:
    """A code without an entry in observations.yaml would be reported without severity."""
    path = resources.folder("rules") / "ntia-2017" / "observations.yaml"
    if not path.is_file():
        pytest.skip("the rule set has no observations.yaml yet")
    listed = yaml.safe_load(path.read_text(encoding="utf-8"))
    known = set(listed.get("observations", listed)) if isinstance(listed, dict) else set()
    stated: set[str] = set()
    for info in pkgutil.iter_modules(importlib.import_module("checker.formats").__path__):
        stated |= set(getattr(importlib.import_module(f"checker.formats.{info.name}"), "WEAKNESSES", ()))
    assert "rsa-e3" in stated
    assert stated - known == set()
