"""Idempotency keys: a client repeats a request with its key, and gets the response of the first request."""
