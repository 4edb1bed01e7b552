"""E-mail that the service sends."""
