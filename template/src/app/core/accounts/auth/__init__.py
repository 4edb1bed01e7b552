"""Authentication: tokens, sessions, log-in, roles."""
