"""Update agents for the samples, as a laboratory would build them: real tools, and in front what these cannot do.

imgtool decrypts nothing, and SWUpdate as Debian builds it reads no encrypted description. An agent takes that layer off
with the device's own key, and leaves the verdict to the tool.
"""

from __future__ import annotations

MCUBOOT = '''
import hashlib, json, os, re, struct, subprocess, sys
from pathlib import Path

from cryptography.hazmat.primitives import hashes, hmac, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

HERE = Path(__file__).parent
DECRYPTION, TRUST, STRICT = HERE / {decryption!r}, HERE / {trust!r}, {strict!r}
TASK, STATE, ARTIFACT = sys.argv[1], Path(sys.argv[2]), Path(sys.argv[-1])
META, SLOT = STATE / "meta.json", STATE / "slot1.bin"


def refuse(reason, text):
    with (STATE / "update.log").open("a") as log:
        log.write(text + "\\n")
    print(json.dumps({{"otaudit": "answer", "outcome": "refused", "reason": reason, "detail": text}}))
    sys.exit(1)


def fields(data):
    """Return the image's end, its unprotected trailer entries, and its version; sizes first."""
    if len(data) < 32 or data[:4] != struct.pack("<I", 0x96F3B83D):
        refuse("format", "no image header")
    _, _, header, protected, size, flags = struct.unpack("<IIHHII", data[:20])
    end = header + size + protected
    if end + 4 > len(data):
        refuse("size", "the image is longer than the file")
    magic, total = struct.unpack("<HH", data[end : end + 4])
    if magic != 0x6907:
        refuse("format", "no trailer where it must be")
    if end + total != len(data):
        refuse("size", "the trailer does not end with the file")
    entries, at = [], end + 4
    while at < end + total:
        if at + 4 > len(data):
            refuse("format", "a trailer entry is cut")
        kind, length = struct.unpack("<HH", data[at : at + 4])
        if at + 4 + length > end + total:
            refuse("format", "a trailer entry is too long")
        entries.append((kind, data[at + 4 : at + 4 + length]))
        at += 4 + length
    return header, size, flags, entries, struct.unpack("<BBHI", data[20:28])


def decrypted(data):
    header, size, flags, entries, version = fields(data)
    if not flags & 0xC:
        refuse("policy", "the image is not encrypted")
    wrapped = [value for kind, value in entries if kind == 0x32]
    if len(wrapped) != 1 or len(wrapped[0]) not in (113, 129):
        refuse("decrypt", "no wrapped key")
    point, tag, box = wrapped[0][:65], wrapped[0][65:97], wrapped[0][97:]
    own = serialization.load_pem_private_key(DECRYPTION.read_bytes(), None)
    try:
        secret = own.exchange(ec.ECDH(), ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), point))
    except ValueError:
        refuse("decrypt", "no point on the curve")
    width = len(box)
    derived = HKDF(hashes.SHA256(), width + 32, None, b"MCUBoot_ECIES_v1").derive(secret)
    check = hmac.HMAC(derived[width:], hashes.SHA256())
    check.update(box)
    if check.finalize() != tag:
        refuse("decrypt", "the key is not wrapped for this device")
    key = counter(derived[:width], box)
    return data[:header] + counter(key, data[header : header + size]) + data[header + size :], version


def counter(key, data):
    return Cipher(algorithms.AES(key), modes.CTR(bytes(16))).decryptor().update(data)


def verify(data):
    plain, version = decrypted(data)
    path = STATE / "candidate.bin"
    path.write_bytes(plain)
    words = ["imgtool", "verify", *(["-k", str(TRUST)] if STRICT else []), str(path)]
    done = subprocess.run(words, capture_output=True, text=True)
    path.unlink()
    said = done.stdout + done.stderr
    if done.returncode:
        refuse("digest" if "invalid hash" in said else "signature", said.splitlines()[0])
    return version


meta = json.loads(META.read_text())
if TASK == "report":
    print(json.dumps(meta, sort_keys=True))
elif TASK == "update":
    data = ARTIFACT.read_bytes()
    version = list(verify(data))
    if version <= meta["active"]:
        refuse("version", "not newer than what is installed")
    SLOT.write_bytes(data)
    META.write_text(json.dumps(meta | {{"pending": version}}))
elif meta["pending"]:
    META.write_text(json.dumps({{"active": list(verify(SLOT.read_bytes())), "pending": None}}))
'''

SWUPDATE = '''
import os, re, subprocess, sys
from pathlib import Path

HERE, SWU = Path(__file__).parent, Path(sys.argv[1])
KEY, CERTIFICATE, TRUST = HERE / "lab/device-A.pem", HERE / "lab/device-A.crt.pem", HERE / "trust/chain.pem"

HANDLER = """
require("swupdate")
local function radio(image)
  return image:read(function(_) end) or 0
end
swupdate.register_handler("radio", radio, swupdate.HANDLER_MASK.IMAGE_HANDLER)
"""


def members(data):
    """Yield header, name and content of each member of a cpio archive (newc with checksums)."""
    at = 0
    while True:
        head = data[at : at + 110]
        if len(head) < 110 or head[:6] != b"070702":
            sys.exit("no archive header")
        size, length = int(head[54:62], 16), int(head[94:102], 16)
        name = data[at + 110 : at + 109 + length].decode("ascii", "replace")
        start = (at + 110 + length + 3) & ~3
        if start + size > len(data):
            sys.exit("the archive is cut short")
        if name == "TRAILER!!!":
            if data[start:].strip(b"\\0"):
                sys.exit("bytes behind the archive")
            return
        yield head, name, data[start : start + size]
        at = (start + size + 3) & ~3


def member(name, data):
    numbers = [0] * 13
    numbers[1], numbers[4], numbers[6] = 0o100644, 1, len(data)
    numbers[11], numbers[12] = len(name) + 1, sum(data) & 0xFFFFFFFF
    head = b"070702" + b"".join(b"%08X" % number for number in numbers)
    head += name.encode() + b"\\0"
    return head + bytes(-len(head) % 4) + data + bytes(-len(data) % 4)


made = b""
for head, name, data in members(SWU.read_bytes()):
    if int(head[102:110], 16) != sum(data) & 0xFFFFFFFF:
        sys.exit(f"checksum of {name} is wrong")
    if name == "sw-description":
        Path("description").write_bytes(data)
        words = ["openssl", "cms", "-decrypt", "-binary", "-inform", "DER", "-in", "description", "-out", "plain"]
        done = subprocess.run([*words, "-recip", str(CERTIFICATE), "-inkey", str(KEY)], capture_output=True)
        if done.returncode:
            sys.exit("the description cannot be decrypted")
        data = Path("plain").read_bytes()
    made += member(name, data)
made += member("TRAILER!!!", b"")
Path("swupdate_handlers.lua").write_text(HANDLER)  # the maker's own: the radio is written by the gateway's software
Path("plain.swu").write_bytes(made + bytes(-len(made) % 512))
words = ["swupdate", "-c", "-v", "-k", str(TRUST), "--cert-purpose", "codeSigning", "-H", "gw200:1.0"]
done = subprocess.run([*words, "-i", "plain.swu"], capture_output=True, text=True)
told = done.stdout + done.stderr
print(told)
sys.exit("Image invalid" in told or "SWUPDATE successful ! SWUPDATE successful !" not in told)
'''
