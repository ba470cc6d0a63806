"""Values and strangers' text, made safe for an output: no floats, no lone surrogates, no hidden characters."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Final

Json = None | bool | int | str | list["Json"] | dict[str, "Json"]

_LARGEST: Final = 2**53 - 1  # the largest integer that every JSON reader keeps (RFC 8785 section 3.2.2.3, RFC 7493 2.2)

# Control characters, and the invisible ones that reorder or hide text (Unicode TR 36, "bidirectional text spoofing").
_HIDDEN: Final = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u00ad\u061c\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb"
    "\ufdd0-\ufdef\ufffe\uffff\ud800-\udfff\U000e0000-\U000e007f]"
)

_BREAKS: Final = re.compile("[\t\n\x0b\x0c\r\x1c-\x1e\x85\u2028\u2029]+")


def clean(text: str) -> str:
    """Return the text with lone surrogates replaced by U+FFFD, so that it has a UTF-8 form (RFC 3629 section 3)."""
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def integer(number: int) -> int | str:
    """Return the number, or its decimal text where JSON readers would round it."""
    return number if abs(number) <= _LARGEST else str(number)


def plain(value: object) -> Json:
    """Return a value of an evidence record in JSON's own types; anything foreign becomes text, never a float."""
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, int):
        return integer(value)
    if isinstance(value, Mapping):
        return {clean(str(key)): plain(item) for key, item in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, str | bytes):
        return [plain(item) for item in value]
    return clean(str(value))


def visible(text: str) -> str:
    """Return the text with every control, bidirectional and invisible character written out as its code point.

    Newline and tab stay: they do no harm in HTML; `one_line` removes them for a terminal.
    """
    return _HIDDEN.sub(lambda match: f"\\u{{{ord(match.group()):x}}}", text)


def one_line(text: str) -> str:
    """Return visible text without line breaks or tabs, so that a stranger's words cannot fake a line of ours."""
    return visible(_BREAKS.sub(" ", text))


def shown(value: object) -> str:
    """Return a value of an evidence record as people read it: yes/no, lists with commas, mappings as `name: value`."""
    if value is None:
        return "nothing"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, Mapping):
        return "; ".join(f"{key}: {shown(item)}" for key, item in value.items()) or "nothing"
    if isinstance(value, Sequence) and not isinstance(value, str | bytes):
        return ", ".join(shown(item) for item in value) or "an empty list"
    return str(value) or "an empty text"


def cut(text: str, limit: int) -> str:
    """Return at most `limit` characters, with an ellipsis where some were left out."""
    return text if len(text) <= limit else text[: max(limit - 1, 0)].rstrip() + "…"
