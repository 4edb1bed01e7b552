"""The message that welcomes a new user."""
