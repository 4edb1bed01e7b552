"""Listeners to events of users."""

from app.core import User, WriteSession, registered
from app.core.mail import send
from app.welcome.messages import SUBJECT, write_text


@registered.connect
async def welcome(session: WriteSession, user: User) -> None:
    """Send a welcome message to a new user with an address, after the commit of the registration."""
    if user.email:
        await send(session, user.email, SUBJECT, write_text(user.name or user.email, user.email), name=user.name)
