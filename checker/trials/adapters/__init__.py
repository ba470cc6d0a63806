"""How verifiers are run: one module per verifier, with `ADAPTER = Adapter(…)`."""
