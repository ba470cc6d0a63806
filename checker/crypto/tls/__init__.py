"""TLS and DTLS without any I/O: messages, records, handshakes and identities; bytes in, bytes out."""
