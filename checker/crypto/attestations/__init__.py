"""One module per kind of hardware attestation: what it says, and whether its maker's root stands behind it."""
