"""What is offered to a verifier: one module per group of tests of criteria.md section 7, found by looking here."""
