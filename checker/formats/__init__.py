"""One module per artifact format: bytes in, `Artifact` out."""
