"""U-Boot FIT with a kernel of 512 MiB outside the tree: signature and hashes against `openssl dgst` over the file."""

from __future__ import annotations

from pathlib import Path

from benchmarks.formats._case import Case, payload
from samples.build._tools import run

SOURCE = """/dts-v1/;
/ {
  description = "benchmark"; #address-cells = <1>;
  images {
    kernel {
      description = "kernel"; data = /incbin/("kernel.bin"); type = "kernel"; arch = "arm64"; os = "linux";
      compression = "none"; load = <0x80000000>; entry = <0x80000000>; hash-1 { algo = "sha256"; };
    };
  };
  configurations {
    default = "conf-1";
    conf-1 {
      description = "conf-1"; kernel = "kernel";
      signature-1 { algo = "sha256,rsa2048"; key-name-hint = "dev"; sign-images = "kernel"; };
    };
  };
};
"""


def make(folder: Path) -> Case:
    """Make a signed FIT in the folder; no packaged tool verifies one, so the peer hashes the same bytes."""
    payload(folder / "kernel.bin")
    (folder / "fit.its").write_text(SOURCE)
    key = folder / "dev.key"
    run(["openssl", "genpkey", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048", "-out", key])
    run(["openssl", "req", "-batch", "-new", "-x509", "-key", key, "-subj", "/CN=dev", "-out", folder / "dev.crt"])
    run(["openssl", "pkey", "-in", key, "-pubout", "-out", folder / "dev.pub.pem"])
    run(["mkimage", "-E", "-f", "fit.its", "-k", folder, "-r", "fit.itb"], cwd=folder)
    target = folder / "fit.itb"
    ours: list[str | Path] = ["inspect", target, "--key", folder / "dev.pub.pem"]
    return Case(ours=ours, peer="openssl dgst -sha256", command=["openssl", "dgst", "-sha256", str(target)])
