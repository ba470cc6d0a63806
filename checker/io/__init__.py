"""Bytes at the edge: bounded reading, digests in one pass, limits with names, and path confinement."""
