"""Welcome messages to new users."""
