"""Every limit has a name and a source. A file that asks for more is refused with `LimitError`, never half-read."""

from __future__ import annotations

from typing import Final

CHUNK: Final = 128 * 1024  # bytes per read: with several threads, larger chunks fall out of the L2 cache (measured)
MAX_HEADER: Final = 16 * 1024 * 1024  # bytes that a parser may hold at once: a header, a manifest, a CMS message
MAX_MEMBERS: Final = 100_000  # entries of one container; the largest real .swu seen has a few dozen
MAX_TLVS: Final = 4_096  # type-length-values of one image trailer
MAX_DEPTH: Final = 8  # containers inside containers
MAX_FOLDER_FILES: Final = 100_000  # files below a folder that is one deliverable, as for members of a container
MAX_FOLDER_DEPTH: Final = 16  # folders inside folders; TUF repositories have two or three levels
MAX_DESCRIPTION: Final = 4 * 1024 * 1024  # bytes of one YAML file
MAX_YAML_DEPTH: Final = 64  # nesting of one YAML file; CSafeLoader dies at about 20,000 (dependencies.md 2)
MAX_LOG: Final = 256 * 1024 * 1024  # bytes of one update log
MAX_LOG_LINE: Final = 1024 * 1024  # bytes of one event
MAX_KEY_FILE: Final = 4 * 1024 * 1024  # bytes of one key, certificate bundle or CRL
MAX_CERTIFICATES: Final = 100  # in one message or bundle
MAX_DOCUMENT: Final = 64 * 1024 * 1024  # bytes of one document that is searched for a quote
