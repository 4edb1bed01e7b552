"""Passwords, tokens, the identity provider, signatures."""
