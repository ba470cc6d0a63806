"""The page on attestations: its recipe makes a token that proves what the page says, and its tables name all kinds."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric import mldsa

from checker.crypto.attestation_files import check_attestation, forms, names_key
from tests.crypto import attestation_maker as maker

PAGE = (Path(__file__).resolve().parents[2] / "docs/attestations.md").read_text("utf-8")


def test_the_recipe_makes_a_token_that_proves_a_key_and_an_anchor() -> None:
    (source,) = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    names: dict[str, Any] = {}
    exec(source, names)  # noqa: S102 - the page is ours, and what it shows must work
    top, key, anchor = (mldsa.MLDSA65PrivateKey.generate() for _ in range(3))
    data = names["psa_token"](top, maker.NONCE, maker.spki(key), maker.spki(anchor))
    kind, found = check_attestation(data, "auto", maker.pinned(maker.spki(top)))
    assert (kind, found.valid, found.key) == ("psa", True, maker.public(key).spki_sha256)
    assert (found.non_exportable, found.anchor_protected, found.boot_verified) == (True, True, True)
    assert names_key(found.anchors, maker.public(anchor))
    assert not names_key(found.anchors, maker.public(key))


def test_every_kind_has_a_line() -> None:
    rows = set(re.findall(r"^\| `([a-z0-9-]+)` \|", PAGE, re.MULTILINE))
    assert {form.id for form in forms()} <= rows
