"""What the user declared: public keys, anchors, intermediates, CRLs and decryption keys.

Private keys live here only as objects; their bytes and numbers never reach a report, a log or an exception text.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class KeyRing:
    """All keys and certificates of one run."""
