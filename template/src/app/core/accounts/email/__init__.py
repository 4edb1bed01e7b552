"""Reset of passwords and verification of addresses, by tokens in messages."""
