"""One module per form of public key file that is not PEM, DER or a bare point: minisign, OpenPGP, TUF roots."""
