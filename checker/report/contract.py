"""What an output is: one module with `RENDERER = Renderer(…)`. A renderer adds nothing to the assessment."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from checker.model.assessment import Assessment


@dataclass(frozen=True, kw_only=True)
class Renderer:
    """A plug-in: an assessment in, bytes out; the same bytes for the same assessment on every machine."""

    id: str
    title: str
    suffix: str  # ".json", ".html" …: chooses the renderer for `-o FILE`
    render: Callable[[Assessment], bytes]
