"""Listeners to events of users."""

from typing import Any

from django.dispatch import receiver

from app.core import User, registered
from app.core.mail import send
from app.welcome.messages import SUBJECT, write_text


@receiver(registered)
def welcome(user: User, **_: Any) -> None:
    """Send a welcome message to a new user with an address, after the commit of the registration."""
    if user.email:
        send(user.email, SUBJECT, write_text(user.name or user.email, user.email), name=user.name)
