"""Reset of passwords and verification of addresses, by e-mailed tokens."""
