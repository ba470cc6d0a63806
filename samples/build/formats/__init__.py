"""One module per artifact format: it makes `samples/formats/<format>` with the real tools."""
