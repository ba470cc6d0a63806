"""Makes the samples of U-Boot FIT images with mkimage, and their faults with fdtput or by hand.

The RSA keys are made anew each time and are not kept; only their public halves stay.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Final

from samples.build._tools import KEYS, firmware, key_bytes, public_half, require, run

MOMENT: Final = "1767225600"  # 2026-01-01T00:00:00Z
IMAGE: Final = """
    {name} {{
      description = "{name}"; data = /incbin/("{name}.bin"); type = "{kind}"; arch = "arm"; os = "linux";
      compression = "none"; load = <0x80008000>; entry = <0x80008000>;
      {cipher}
      {extra}
    }};"""
CONFIGURATION: Final = """
    {name} {{
      description = "{name}"; kernel = "kernel"; fdt = "fdt"; {more} compatible = "acme,gw200"; {signature}
    }};"""


def image(name: str, kind: str, hashes: str = "sha256", *, cipher: str = "", extra: str = "") -> str:
    """Return an image node; `hashes` are algorithms in order."""
    nodes = " ".join(f'hash-{index} {{ algo = "{algo}"; }};' for index, algo in enumerate(hashes.split(), 1))
    return IMAGE.format(name=name, kind=kind, cipher=cipher, extra=nodes + extra)


def signature(
    algo: str = "sha256,rsa2048", hint: str = "dev", *, images: str = '"kernel", "fdt"', pss: bool = False
) -> str:
    """Return a signature node."""
    padding = 'padding = "pss"; ' if pss else ""
    kinds = f"sign-images = {images}; " if images else ""
    return f'signature-1 {{ algo = "{algo}"; key-name-hint = "{hint}"; {padding}{kinds}}};'


def configuration(name: str = "conf-1", signed: str | None = None, more: str = "") -> str:
    """Return a configuration node."""
    return CONFIGURATION.format(name=name, more=more, signature=signature() if signed is None else signed)


def tree(images: list[str] | None = None, configurations: list[str] | None = None) -> str:
    """Return a source tree; without arguments a good one with a kernel, its device tree, and a signed configuration."""
    nodes = images or [image("kernel", "kernel"), image("fdt", "flat_dt")]
    below = "".join(configurations or [configuration()])
    return f"""/dts-v1/;
/ {{
  description = "gw200 release 2.4.1"; #address-cells = <1>;
  images {{{"".join(nodes)}
  }};
  configurations {{
    default = "conf-1";{below}
  }};
}};
"""


class Bench:
    """A folder with images and keys in which mkimage works."""

    def __init__(self, folder: Path) -> None:
        """Write the images, and make the keys."""
        self.folder = folder
        self.keys = folder / "keys"
        self.keys.mkdir()
        (folder / "kernel.bin").write_bytes(firmware("kernel", 2048))
        (folder / "fdt.bin").write_bytes(firmware("device tree", 512))
        (folder / "ramdisk.bin").write_bytes(firmware("ramdisk", 1024))
        (folder / "boot.bin").write_bytes(b"echo booting\nbootm 0x82000000\n")
        shutil.copy(KEYS / "sensor-signing.pem", self.keys / "ec.pem")
        for name, bits in (("dev", 2048), ("large", 4096), ("stranger", 2048)):
            self.rsa(name, bits)
        (self.keys / "aes.bin").write_bytes(key_bytes("fit aes", 32))
        (self.keys / "iv.bin").write_bytes(key_bytes("fit iv", 16))
        self.empty = folder / "empty.dts"
        self.empty.write_text('/dts-v1/;\n/ { model = "gw200"; };\n')

    def rsa(self, name: str, bits: int) -> None:
        """Make an RSA key with a certificate, as mkimage wants it."""
        key = self.keys / f"{name}.key"
        run(["openssl", "genpkey", "-algorithm", "RSA", "-pkeyopt", f"rsa_keygen_bits:{bits}", "-out", key])
        run(["openssl", "req", "-batch", "-new", "-x509", "-key", key, "-subj", f"/CN={name}", "-days", "3650",
             "-out", self.keys / f"{name}.crt"])  # fmt: skip

    def control(self) -> Path:
        """Return an empty control tree; without one mkimage makes up no IV."""
        path = self.folder / "control.dtb"
        run(["dtc", "-q", "-O", "dtb", "-o", path, self.empty])
        return path

    def make(self, source: str, *options: str | Path, signed: bool = True, control: Path | None = None) -> bytes:
        """Return what mkimage makes of a source tree."""
        its, itb = self.folder / "x.its", self.folder / "x.itb"
        its.write_text(source)
        words: list[str | Path] = [
            "env",
            f"SOURCE_DATE_EPOCH={MOMENT}",
            "mkimage",
            "-D",
            "-I dts -O dtb -p 2048",
            "-f",
            its,
            *options,
        ]
        words += ["-k", self.keys, "-r"] if signed else []
        words += ["-K", control] if control else []
        run([*words, itb], cwd=self.folder)
        return itb.read_bytes()

    def put(self, data: bytes, options: str, *words: str) -> bytes:
        """Return a tree after fdtput."""
        path = self.folder / "edited.itb"
        path.write_bytes(data)
        run(["fdtput", *options.split(), path, *words])
        return path.read_bytes()


def build(folder: Path) -> None:
    """Make all samples."""
    require("mkimage", "dtc", "fdtput", "openssl")
    for kind in ("good", "bad", "keys"):
        shutil.rmtree(folder / kind, ignore_errors=True)
        (folder / kind).mkdir(parents=True)
    with tempfile.TemporaryDirectory() as name:
        bench = Bench(Path(name))
        _keys(folder / "keys", bench)
        for kind, makers in (("good", GOOD), ("bad", BAD)):
            for file, maker in makers.items():
                (folder / kind / file).write_bytes(maker(bench))
        control = bench.control()
        bench.make(_encrypted(), control=control)
        shutil.copy(control, folder / "keys" / "control.dtb")


def _keys(folder: Path, bench: Bench) -> None:
    for name in ("dev", "large", "stranger"):
        run(["openssl", "pkey", "-in", bench.keys / f"{name}.key", "-pubout", "-out", folder / f"{name}.pub.pem"])
    public_half(KEYS / "sensor-signing.pem", folder / "ec.pub.pem")
    (folder / "aes.key").write_bytes(key_bytes("fit aes", 32))


def _encrypted(signed: str | None = None, *, iv: str = "") -> str:
    cipher = f'cipher {{ algo = "aes256"; key-name-hint = "aes"; {iv}}};'
    images = [image("kernel", "kernel", cipher=cipher), image("fdt", "flat_dt", cipher=cipher if iv else "")]
    return tree(images, [configuration(signed=signed)])


def _flip(data: bytes, offset: int, bit: int = 0) -> bytes:
    changed = bytearray(data)
    changed[offset] ^= 1 << bit
    return bytes(changed)


def _plain(bench: Bench) -> bytes:
    return bench.make(tree())


def _value(data: bytes, bench: Bench) -> int:
    """Return where the signature's value lies."""
    path = bench.folder / "read.itb"
    path.write_bytes(data)
    text = run(["fdtget", "-t", "bx", path, "/configurations/conf-1/signature-1", "value"]).decode()
    return data.index(bytes(int(word, 16) for word in text.split()))


SIGNATURE: Final = "/configurations/conf-1/signature-1"


def _borrowed(bench: Bench) -> bytes:
    """Return a FIT whose new default configuration carries the signature of the old one."""
    data = bench.make(tree(configurations=[configuration(), configuration("conf-2", "")]))
    path = bench.folder / "borrowed.itb"
    path.write_bytes(data)
    for name, kind in (
        ("algo", "s"),
        ("value", "bx"),
        ("hashed-nodes", "s"),
        ("hashed-strings", "x"),
        ("key-name-hint", "s"),
    ):
        words = run(["fdtget", "-t", kind, path, SIGNATURE, name]).decode().split()
        data = bench.put(data, f"-p -t {kind}", "/configurations/conf-2/signature-1", name, *words)
    data = bench.put(data, "-r", "/configurations/conf-1/signature-1")
    return bench.put(data, "-t s", "/configurations", "default", "conf-2")


def _overlapping(data: bytes) -> bytes:
    """Return a tree whose strings begin inside its structure."""
    start = int.from_bytes(data[8:12], "big")
    return data[:12] + (start + 16).to_bytes(4, "big") + data[16:]


GOOD: Final[dict[str, Callable[[Bench], bytes]]] = {
    "rsa2048.itb": _plain,
    "rsa4096-pss-sha512.itb": lambda bench: bench.make(
        tree(configurations=[configuration(signed=signature("sha512,rsa4096", "large", pss=True))])
    ),
    "ecdsa256.itb": lambda bench: bench.make(
        tree(configurations=[configuration(signed=signature("sha256,ecdsa256", "ec"))])
    ),
    "external-data.itb": lambda bench: bench.make(tree(), "-E"),
    "encrypted.itb": lambda bench: bench.make(_encrypted(), control=bench.control()),
    "two-configurations.itb": lambda bench: bench.make(tree(configurations=[configuration(), configuration("conf-2")])),
}
BAD: Final[dict[str, Callable[[Bench], bytes]]] = {
    "signature-bit-flipped.itb": lambda bench: _flip(data := _plain(bench), _value(data, bench) + 7),
    "image-bit-flipped.itb": lambda bench: _flip(data := _plain(bench), data.index(b"otaudit sample: kernel")),
    "load-address-changed.itb": lambda bench: bench.put(_plain(bench), "-t x", "/images/kernel", "load", "80009000"),
    "signed-by-a-stranger.itb": lambda bench: bench.make(
        tree(configurations=[configuration(signed=signature(hint="stranger"))])
    ),
    "unsigned.itb": lambda bench: bench.make(tree(configurations=[configuration(signed="")]), signed=False),
    "images-signed-alone.itb": lambda bench: bench.make(
        tree(
            [
                image("kernel", "kernel", extra=signature(images="")),
                image("fdt", "flat_dt", extra=signature(images="")),
            ],
            [configuration(signed="")],
        )
    ),
    "second-configuration-unsigned.itb": lambda bench: bench.make(
        tree(configurations=[configuration(), configuration("conf-2", "")])
    ),
    "image-in-no-configuration.itb": lambda bench: bench.make(
        tree([image("kernel", "kernel"), image("fdt", "flat_dt"), image("ramdisk", "ramdisk")])
    ),
    "ramdisk-left-out-of-signature.itb": lambda bench: bench.make(
        tree(
            [image("kernel", "kernel"), image("fdt", "flat_dt"), image("ramdisk", "ramdisk")],
            [configuration(more='ramdisk = "ramdisk";')],
        )
    ),
    "kernel-with-crc32-only.itb": lambda bench: bench.make(
        tree([image("kernel", "kernel", "crc32"), image("fdt", "flat_dt")])
    ),
    "kernel-with-sha1-only.itb": lambda bench: bench.make(
        tree([image("kernel", "kernel", "sha1"), image("fdt", "flat_dt")])
    ),
    "kernel-without-hash.itb": lambda bench: bench.make(
        tree([image("kernel", "kernel", ""), image("fdt", "flat_dt")], [configuration(signed="")]), signed=False
    ),
    "signature-borrowed.itb": _borrowed,
    "hashed-strings-removed.itb": lambda bench: bench.put(_plain(bench), "-d", SIGNATURE, "hashed-strings"),
    "fdt-missing.itb": lambda bench: bench.put(_plain(bench), "-t s", "/configurations/conf-1", "fdt", "fdt-2"),
    "bytes-behind.itb": lambda bench: _plain(bench) + b"left over from another build\n",
    "script.itb": lambda bench: bench.make(
        tree(
            [image("kernel", "kernel"), image("fdt", "flat_dt"), image("boot", "script")],
            [configuration(signed=signature(images='"kernel", "fdt", "script"'), more='script = "boot";')],
        )
    ),
    "sha1-signature.itb": lambda bench: bench.make(
        tree(configurations=[configuration(signed=signature("sha1,rsa2048"))])
    ),
    "one-iv-for-two-images.itb": lambda bench: bench.make(
        _encrypted(iv='iv-name-hint = "iv"; '), control=bench.control()
    ),
    "iv-zeroed.itb": lambda bench: bench.put(
        bench.make(_encrypted(), control=bench.control()), "-t bx", "/images/kernel/cipher", "iv", *["0"] * 16
    ),
    "encrypted-unsigned.itb": lambda bench: bench.make(_encrypted(""), control=bench.control()),
    "key-in-control-tree.itb": lambda bench: bench.make(_encrypted(), control=bench.control()),
    "structure-overlaps-strings.itb": lambda bench: _overlapping(_plain(bench)),
    "cut-short.itb": lambda bench: _plain(bench)[:-64],
}
