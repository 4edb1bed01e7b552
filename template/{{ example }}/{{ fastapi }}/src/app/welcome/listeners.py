"""What this slice does when something happens in core."""

from app.core import User, WriteSession, registered
from app.core.mail import send
from app.welcome.messages import SUBJECT, write_text


@registered.connect
async def welcome(session: WriteSession, user: User) -> None:
    """Welcome a new user who has an address. The message leaves when the registration is committed."""
    if user.email:
        await send(session, user.email, SUBJECT, write_text(user.name or user.email, user.email), name=user.name)
