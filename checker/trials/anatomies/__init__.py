"""Where the parts of each format lie: one module per format, with `ANATOMY = Anatomy(…)`."""
