"""Signatures that rest on a hash alone: Lamport, WOTS+, LMS/HSS, XMSS/XMSS^MT, SLH-DSA. Verification only.

Every module has the same three functions over raw public keys and signatures in the standards' own byte formats:

* `public_key(raw)` reads a public key, or raises `FormatError`;
* `prehash(key, signature)` says what is hashed first: a hash, and the bytes that precede the message in it. The message
  itself is needed nowhere else, so that a file of any size is verified from one digest over it;
* `verify(key, signature, digest)` returns nothing, or raises `InvalidSignatureError`.
"""
