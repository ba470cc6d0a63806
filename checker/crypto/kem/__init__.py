"""Key encapsulation that a quantum computer does not open: ML-KEM (FIPS 203) and FrodoKEM; decapsulation only.

Both reject implicitly: a ciphertext that was not made for the key gives a secret that nobody has, not an error. What
was wrapped with the true secret then fails to unwrap. The keys opened here are test keys of the maker's own updates;
nothing here hides how long a computation takes.
"""
