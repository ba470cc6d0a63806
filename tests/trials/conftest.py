"""Real tools and what they make, as in the tests of the formats."""

from __future__ import annotations

from tests.formats.conftest import firmware, imgtool, keys, kit, tool

__all__ = ["firmware", "imgtool", "keys", "kit", "tool"]
