"""Passwords, tokens, keys of the identity provider, webhooks."""
