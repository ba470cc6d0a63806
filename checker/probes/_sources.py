"""Files that stay open for as long as anything reads from them: images are read long after they were parsed."""

from __future__ import annotations

import os
import weakref

from checker.io.files import Files
from checker.io.sources import FileSource
from checker.model.artifact import Source


def lasting(files: Files, path: str) -> Source:
    """Open a file that is closed when nothing refers to it any more, or a folder, which keeps nothing open.

    Raises:
        InputError: it leads outside, is missing or cannot be read.
        LimitError: it is a folder that holds too much.
    """
    return files.folder_of(path) or _lasting_file(files, path)


def _lasting_file(files: Files, path: str) -> FileSource:
    source = files.open(path)
    weakref.finalize(source, os.close, source.fd)
    return source
