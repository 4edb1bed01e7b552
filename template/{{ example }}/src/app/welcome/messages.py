"""Texts of the messages."""

from app.core import ABOUT

SUBJECT = f"Welcome to {ABOUT.title}"


def write_text(name: str, email: str) -> str:
    """Return the welcome text for a new user."""
    return f"Hello {name},\n\nyou are registered with {ABOUT.title} under {email}.\n"
