"""OpenSSL 3.5 as a second implementation: the Node.js that Playwright brings along is linked with it.

The `openssl` of the operating systems that the tests run on is older and knows no quantum-resistant scheme.
"""

from __future__ import annotations

import base64
import functools
import importlib.util
import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

# One request in, one answer out, both JSON; bytes travel as base64.
_SCRIPT = r"""
const crypto = require('crypto'), request = JSON.parse(require('fs').readFileSync(0));
const bytes = (text) => Buffer.from(text, 'base64'), text = (data) => data.toString('base64');
const spki = (data) => crypto.createPublicKey({key: bytes(data), format: 'der', type: 'spki'});
const tasks = {
  version: () => process.versions.openssl,
  sign: ({algorithm, message, contexts}) => {
    const pair = crypto.generateKeyPairSync(algorithm);
    const made = (context) => crypto.sign(null, bytes(message), {key: pair.privateKey, context: bytes(context)});
    return {
      spki: text(pair.publicKey.export({format: 'der', type: 'spki'})),
      jwk: pair.publicKey.export({format: 'jwk'}),
      signatures: contexts.map((context) => text(made(context))),
    };
  },
  verify: ({key, message, signature}) => crypto.verify(null, bytes(message), spki(key), bytes(signature)),
  encapsulate: ({algorithm}) => {
    const pair = crypto.generateKeyPairSync(algorithm), made = crypto.encapsulate(pair.publicKey);
    return {
      pkcs8: text(pair.privateKey.export({format: 'der', type: 'pkcs8'})),
      spki: text(pair.publicKey.export({format: 'der', type: 'spki'})),
      secret: text(made.sharedKey), ciphertext: text(made.ciphertext),
    };
  },
  decapsulate: ({pem, ciphertext}) => text(crypto.decapsulate(crypto.createPrivateKey(pem), bytes(ciphertext))),
  unwrap: ({secret, info, wrapped}) => {
    const kek = Buffer.from(crypto.hkdfSync('sha256', bytes(secret), '', bytes(info), 32));
    const running = crypto.createDecipheriv('id-aes256-wrap', kek, Buffer.alloc(8, 0xa6));
    return text(Buffer.concat([running.update(bytes(wrapped)), running.final()]));
  },
  open: ({key, nonce, sealed, tag}) => {
    const running = crypto.createDecipheriv('aes-256-gcm', bytes(key), bytes(nonce)).setAuthTag(bytes(tag));
    return text(Buffer.concat([running.update(bytes(sealed)), running.final()]));
  },
  issued: ({subject, issuer}) => {
    const [below, above] = [subject, issuer].map((data) => new crypto.X509Certificate(bytes(data)));
    return below.checkIssued(above) && below.verify(above.publicKey);
  },
};
console.log(JSON.stringify(tasks[request.task](request)));
"""


@functools.cache
def _node() -> Path | None:
    found = importlib.util.find_spec("playwright")
    node = Path(found.origin).parent / "driver" / "node" if found and found.origin else None
    return node if node is not None and node.is_file() else None


def ask(task: str, **request: Any) -> Any:
    """Return the answer of OpenSSL 3.5; skip where it is not there."""
    node = _node()
    if node is None:
        pytest.skip("Playwright's Node.js, which brings OpenSSL 3.5, is not installed")
    whole = json.dumps({"task": task} | {name: _sent(value) for name, value in request.items()})
    done = subprocess.run([str(node), "-e", _SCRIPT], input=whole, capture_output=True, text=True, check=False)
    if done.returncode:
        raise ValueError(f"OpenSSL refuses: {done.stderr[-300:]}")
    return json.loads(done.stdout)


def _sent(value: Any) -> Any:
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    return [_sent(each) for each in value] if isinstance(value, list) else value


def received(text: str) -> bytes:
    """Return the bytes of an answer."""
    return base64.b64decode(text)
