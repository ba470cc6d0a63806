"""One module per output: assessment in, bytes out."""
