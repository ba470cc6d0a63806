"""Where the parts of each format lie, and how it is signed again: one module per format, found by looking here."""
