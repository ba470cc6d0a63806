"""One module per artifact format: `make(folder)` writes a 512 MiB artifact, and names the tool to be compared with."""
