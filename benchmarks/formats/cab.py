"""Cabinet of 512 MiB, not compressed, against `cabextract -t`, which reads every block and checks its checksum."""

from __future__ import annotations

from pathlib import Path

from benchmarks.formats._case import Case, payload
from samples.build._tools import run
from samples.build.formats._faults import certified, cms

_METAINFO = (
    '<component type="firmware"><id>com.acme</id><provides><firmware type="flashed">'
    'b585990a-003e-5270-89d5-3705a17f9a43</firmware></provides><releases><release version="1">'
    '<checksum filename="fw.bin" target="content" type="sha256">{}</checksum></release></releases></component>'
)


def make(folder: Path) -> Case:
    """Pack by gcab, with a jcat over firmware and metainfo."""
    image, target = payload(folder / "fw.bin"), folder / "x.cab"
    (folder / "keys").mkdir()
    signer = certified(folder, folder)["signer"]
    digest = run(["openssl", "dgst", "-sha256", "-r", image]).split()[0].decode()
    (folder / "fw.metainfo.xml").write_text(_METAINFO.format(digest))
    for name in ("fw.bin", "fw.metainfo.xml"):
        cms(signer, folder / name, folder / "sig")
        run(["openssl", "pkcs7", "-inform", "DER", "-in", folder / "sig", "-out", folder / f"{name}.p7b"])
        run(["jcat-tool", "self-sign", "--kind", "sha256", "fw.jcat", name], cwd=folder)
        run(["jcat-tool", "import", "fw.jcat", name, f"{name}.p7b"], cwd=folder)
    run(["gcab", "--create", "--nopath", target, "fw.bin", "fw.metainfo.xml", "fw.jcat"], cwd=folder)
    ours: list[str | Path] = ["inspect", target, "--trust", folder / "keys" / "root.pem"]
    return Case(ours=ours, peer="cabextract -t", command=["cabextract", "-t", "-q", target])
