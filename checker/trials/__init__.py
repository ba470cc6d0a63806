"""Active tests: a device's own verifier is offered what it must take and what it must refuse (criteria.md section 7)."""
