"""Findings in, tiers out: rows, caps, dependencies, overall tier, fixes and gate (criteria.md 2 and 5)."""
