"""otaudit: which security tier each of the 13 update steps of a connected device has proved."""

from __future__ import annotations

from typing import Final

__version__: Final = "0.1.0"
