"""One module per probe: description and artifacts in, evidence out."""
