"""Users, their log-in, and their sessions."""
