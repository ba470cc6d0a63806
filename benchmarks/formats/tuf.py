"""TUF: a repository with a target of 512 MiB; peer is python-tuf's client, which verifies metadata and target."""

from __future__ import annotations

import hashlib
import json
import sys
from pathlib import Path

from benchmarks.formats._case import Case, payload
from samples.build.formats import tuf as samples
from samples.build.formats._tuf import write

NAME = "firmware.bin"
# The client finds the target in its cache and verifies it there, so that nothing is copied.
CLIENT = """
import sys
from pathlib import Path
from urllib.parse import unquote
from tuf.api.exceptions import DownloadHTTPError
from tuf.ngclient import Updater
from tuf.ngclient.fetcher import FetcherInterface

folder = Path(sys.argv[1])

class Local(FetcherInterface):
    def _fetch(self, url):
        path = folder / unquote(url.removeprefix("https://repository.example/"))
        if not path.is_file():
            raise DownloadHTTPError("not found", 404)
        return iter([path.read_bytes()])

cache = folder.parent / "cache"
cache.mkdir(exist_ok=True)
root = (folder / "metadata" / "1.root.json").read_bytes()
updater = Updater(str(cache), "https://repository.example/metadata/", fetcher=Local(), bootstrap=root)
updater.refresh()
info = updater.get_targetinfo("firmware.bin")
assert updater.find_cached_target(info, sys.argv[2]) is not None
"""


def make(folder: Path) -> Case:
    """Make the repository and the client."""
    target = payload(folder / NAME)
    with target.open("rb") as stream:
        digest = hashlib.file_digest(stream, "sha256").hexdigest()
    files = dict(samples.GOOD.make())
    del files[samples.FIRMWARE]
    signed = json.loads(files["metadata/3.targets.json"])["signed"]
    signed["targets"][NAME] = {"hashes": {"sha256": digest}, "length": target.stat().st_size}
    repository = folder / "repository"
    write(repository, samples.resnapshot(files, "3.targets.json", samples.sign_json(signed, "targets")))
    placed = target.rename(repository / "targets" / f"{digest}.{NAME}")
    (folder / "root.json").write_bytes(files["metadata/1.root.json"])
    (folder / "client.py").write_text(CLIENT)
    return Case(
        ours=["inspect", repository, "--key", folder / "root.json"],
        peer="python-tuf's client",
        command=[sys.executable, folder / "client.py", repository, placed],
    )
