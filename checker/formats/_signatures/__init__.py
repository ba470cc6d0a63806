"""One module per kind of detached signature: CMS, minisign and signify, OpenPGP, sigstore, raw."""
