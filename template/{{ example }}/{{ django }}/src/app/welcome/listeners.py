"""What this slice does when something happens in core."""

from typing import Any

from django.dispatch import receiver

from app.core import User, registered
from app.core.mail import send
from app.welcome.messages import SUBJECT, write_text


@receiver(registered)
def welcome(user: User, **_: Any) -> None:
    """Welcome a new user. The message leaves when the registration is committed."""
    if user.email:
        send(user.email, SUBJECT, write_text(user.name or user.email, user.email), name=user.name)
