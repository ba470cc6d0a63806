"""The rule set's tables that this room needs, read from their parsed copies where those fit.

YAML takes longer to read than a whole examination of an endpoint takes, so `make docs` keeps each table as JSON, in
`parsed/` beside it. A copy counts only for the very text that it was made of: an edited table is read itself.
"""

from __future__ import annotations

import functools
import hashlib
import json
from collections.abc import Mapping
from typing import Any, Final

from checker import resources

RULE_SET: Final = "ntia-2017"
COPIED: Final = ("algorithms", "published-keys")


@functools.cache
def read(name: str) -> Mapping[str, Any]:
    """Return the data of a table, for example `read("algorithms")`.

    Raises:
        MissingDataError: it is not installed.
    """
    text = resources.read("rules", RULE_SET, f"{name}.yaml")
    try:
        copy = json.loads(resources.read("rules", RULE_SET, "parsed", f"{name}.json"))
    except (resources.MissingDataError, ValueError):
        return parsed(text)
    return copy["data"] if copy.get("sha256") == _digest(text) else parsed(text)


def copy_of(name: str) -> str:
    """Return the parsed copy of a table as JSON, one value a line."""
    text = resources.read("rules", RULE_SET, f"{name}.yaml")
    return json.dumps({"sha256": _digest(text), "data": parsed(text)}, default=str, indent=0) + "\n"


def parsed(text: bytes) -> Mapping[str, Any]:
    """Return the data of a table's own text; dates may be dates here, and are text in a copy."""
    import yaml

    return yaml.load(text, Loader=yaml.CSafeLoader)  # type: ignore[no-any-return]


def _digest(text: bytes) -> str:
    return hashlib.sha256(text).hexdigest()
