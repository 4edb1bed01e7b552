"""Logging in with a password, and staying so with a refresh token."""
