"""`otaudit probe` without any connection: records, profiles, exit status, and what it refuses."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType

import pytest

from checker.model.endpoint import EndpointFacts, Offer, Reach
from checker.report._endpoint_data import endpoint_json
from tests.cli.conftest import Call
from tests.probes.test_probe_endpoint import GOOD

SAMPLES = Path(__file__).resolve().parents[2] / "samples"


def written(folder: Path, *found: EndpointFacts) -> Path:
    path = folder / "endpoints.json"
    path.write_bytes(endpoint_json(found))
    return path


def with_suite(suite: str) -> EndpointFacts:
    old = GOOD.suites["TLSv1.2"]
    return replace(GOOD, suites=MappingProxyType({**GOOD.suites, "TLSv1.2": replace(old, accepted=(suite,))}))


def test_a_record_is_shown_as_a_tree_with_every_answer_in_words(otaudit: Call, tmp_path: Path) -> None:
    done = otaudit("probe", "--from", written(tmp_path, GOOD))
    assert done.status == 0
    for text in ("https://127.0.0.1:8443 speaks TLS", "TLSv1.0 no", "TLSv1.3 yes", "X25519MLKEM768", "0-RTT no"):
        assert text in done.out


def test_a_profile_is_held_line_by_line_and_decides_the_exit_status(otaudit: Call, tmp_path: Path) -> None:
    profile = ("--profile", "mozilla-6-intermediate", "--as-of", "2026-11-01")
    met = otaudit("probe", "--from", written(tmp_path, GOOD), *profile)
    assert (met.status, "must suites pass" in met.out) == (0, True)
    bad = written(tmp_path, with_suite("TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA"))
    refused = otaudit("probe", "--from", bad, *profile)
    assert refused.status == 1
    assert "must suites fail" in refused.out
    assert "TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA" in refused.out
    half = replace(GOOD, suites=MappingProxyType({**GOOD.suites, "TLSv1.2": Offer()}))
    assert otaudit("probe", "--from", written(tmp_path, half), *profile).status == 3


def test_the_worst_endpoint_decides(otaudit: Call, tmp_path: Path) -> None:
    profile = ("--profile", "mozilla-6-intermediate", "--as-of", "2026-11-01")
    bad = with_suite("TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA")
    assert otaudit("probe", "--from", written(tmp_path, GOOD, bad), *profile).status == 1


@pytest.mark.parametrize("reach", [Reach.SILENT, Reach.PLAINTEXT, Reach.REFUSED, Reach.ERROR])
def test_an_endpoint_that_does_not_speak_tls_is_undecided(otaudit: Call, tmp_path: Path, reach: Reach) -> None:
    done = otaudit("probe", "--from", written(tmp_path, replace(GOOD, reach=reach, reason="because")))
    assert (done.status, "because" in done.out, "versions" in done.out) == (3, True, False)


def test_json_on_standard_output_is_all_that_is_printed(otaudit: Call, tmp_path: Path) -> None:
    done = otaudit("probe", "--from", written(tmp_path, GOOD), "-o", "-")
    assert json.loads(done.out)["endpoints"][0]["port"] == 8443


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ((), "name endpoints, or a record"),
        (("ftp://x",), "does not speak 'ftp'"),
        (("127.0.0.1:1", "--profile", "rfc-9326"), "there is none of that name; say one of"),
        (("127.0.0.1:1", "--client-cert", "a.pem"), "belong together"),
        (("127.0.0.1:99999",), "out of range"),
    ],
)
def test_a_bad_command_line_exits_2_and_says_why(otaudit: Call, words: tuple[str, ...], said: str) -> None:
    done = otaudit("probe", *words)
    assert done.status == 2
    assert said in done.err


def test_only_json_is_written(otaudit: Call, tmp_path: Path) -> None:
    done = otaudit("probe", "--from", written(tmp_path, GOOD), "-o", tmp_path / "x.html")
    assert (done.status, "probe writes .json" in done.err) == (2, True)


def test_check_takes_a_record_in_place_of_connections(otaudit: Call, gateway: Path, tmp_path: Path) -> None:
    record = written(tmp_path, GOOD)
    report = tmp_path / "r.json"
    done = otaudit("check", gateway / "update.yaml", "--as-of", "2026-11-01", "--endpoint-record", record, "-o", report)
    assert done.status == 0
    assert "does not hold this one" in report.read_text()
    both = otaudit("check", gateway / "update.yaml", "--endpoint-record", record, "--live")
    assert (both.status, "exclude each other" in both.err) == (2, True)


def test_profiles_are_listed(otaudit: Call) -> None:
    done = otaudit("list", "profiles")
    assert (done.status, "rfc-9325" in done.out) == (0, True)


def test_a_record_without_endpoints_is_undecided_and_an_empty_file_is_no_record(
    otaudit: Call, gateway: Path, tmp_path: Path
) -> None:
    assert otaudit("probe", "--from", written(tmp_path)).status == 3
    empty = tmp_path / "empty.json"
    empty.touch()
    assert otaudit("probe", "--from", empty).status == 2
    assert otaudit("check", gateway / "update.yaml", "--endpoint-record", empty).status == 2
