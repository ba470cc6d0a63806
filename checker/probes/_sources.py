"""Files that stay open for as long as anything reads from them: images are read long after they were parsed."""

from __future__ import annotations

import os
import weakref

from checker.io.files import Files
from checker.io.sources import FileSource


def lasting(files: Files, path: str) -> FileSource:
    """Open a file that is closed when nothing refers to it any more.

    Raises:
        InputError: it leads outside, is missing or cannot be read.
    """
    source = files.open(path)
    weakref.finalize(source, os.close, source.fd)
    return source
