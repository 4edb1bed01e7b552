"""Log-in, sessions and their tokens."""
