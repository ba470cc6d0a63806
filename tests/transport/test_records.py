"""What a probe wrote can be read back by another person, and nothing else is taken for it."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from checker.errors import FormatError, LimitError
from checker.model.endpoint import EndpointFacts, Exchange, Fact, Staple
from checker.report._endpoint_data import endpoint_json
from checker.transport import records
from checker.transport.records import read_records
from tests.probes.test_probe_endpoint import GOOD, OPEN

FULL = replace(
    GOOD,
    compression=OPEN,
    exchanges=(Exchange(purpose="which versions?", started="2026-11-01T00:00:00Z", sent=((0.125, "16"),)),),
    milliseconds=12.5,
)


def test_a_record_comes_back_as_it_was() -> None:
    assert read_records(endpoint_json([FULL, GOOD])) == (FULL, GOOD)


def changed(path: list[str], value: Any) -> bytes:
    data = json.loads(endpoint_json([FULL]))
    place = data["endpoints"][0]
    for name in path[:-1]:
        place = place[name]
    place[path[-1]] = value
    return json.dumps(data).encode()


@pytest.mark.parametrize(
    ("path", "value", "said"),
    [
        (["host"], 5, "endpoints[0].host: is not of type str"),
        (["port"], True, "endpoints[0].port: is not of type int"),
        (["reach"], "open", "endpoints[0].reach: is not one of tls"),
        (["compression"], {"answer": "maybe"}, "endpoints[0].compression.answer: is not one of yes"),
        (["compression", "because"], "x", "endpoints[0].compression.because: is not a known field"),
        (["versions"], [], "endpoints[0].versions: is not an object"),
        (["handshakes"], {}, "endpoints[0].handshakes: is not a list"),
        (["milliseconds"], "fast", "endpoints[0].milliseconds: is not a number"),
        (
            ["exchanges"],
            [{"purpose": "x", "started": "x", "sent": [[1]]}],
            "endpoints[0].exchanges[0].sent[0]: is not a list of 2",
        ),
        (["exchanges"], [{"purpose": "x"}], "endpoints[0].exchanges[0].started: is not there"),
        (["chain"], None, "endpoints[0].chain: is not an object"),
    ],
)
def test_a_fault_is_said_at_its_place(path: list[str], value: Any, said: str) -> None:
    with pytest.raises(FormatError) as caught:
        read_records(changed(path, value))
    place, _, message = said.partition(": ")
    assert (caught.value.field, message in caught.value.message) == (place, True)


@pytest.mark.parametrize("data", [b"", b"[]", b"{}", b'{"otaudit": "endpoints/2", "endpoints": []}', b"\xff"])
def test_other_files_are_refused(data: bytes) -> None:
    with pytest.raises(FormatError):
        read_records(data)


def test_a_huge_record_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(records, "MAX_RECORD", 100)
    with pytest.raises(LimitError):
        read_records(endpoint_json([FULL]))


def test_what_is_absent_keeps_its_default() -> None:
    bare = {"otaudit": "endpoints/1", "endpoints": [{"scheme": "tls", "host": "h", "port": 1}]}
    assert read_records(json.dumps(bare).encode()) == (EndpointFacts(scheme="tls", host="h", port=1),)
    assert Staple().verified == Fact()
