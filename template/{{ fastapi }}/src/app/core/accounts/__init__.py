"""Users, log-in and sessions."""
