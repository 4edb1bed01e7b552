"""The letters that somebody's deeds call for."""

import asyncio
from typing import Any

from procrastinate import JobContext
from sqlalchemy import Connection, event

from app.jobs import BACKOFF, database, enqueue_within, queue
from app.mail.service import send, welcome_letter
from app.mail.settings import get_settings
from app.users import User


@queue.task(name="mail.welcome", retry=BACKOFF, pass_context=True)
async def welcome(context: JobContext, user_id: int) -> None:
    """Greet whoever has registered."""
    async with database(context).reading_sessions() as session:
        user = await session.get(User, user_id)
    if user:
        await asyncio.to_thread(send, welcome_letter(user.name, user.email), get_settings())


@event.listens_for(User, "after_insert")
def _registered(_mapper: Any, connection: Connection, user: User) -> None:
    # In the transaction of the registration: whoever is not registered is not greeted either.
    enqueue_within(connection, welcome, user_id=user.id)
