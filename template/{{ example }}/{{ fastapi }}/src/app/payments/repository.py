"""Payment events in the database."""

from collections.abc import Mapping
from typing import Any

from sqlalchemy.dialects.postgresql import insert

from app.core import BaseRepository, WriteSession
from app.payments.models import Event


class EventRepository(BaseRepository[Event, WriteSession]):
    model = Event

    async def create_once(self, data: Mapping[str, Any]) -> bool:
        """Store an event. Return False if the event was stored before."""
        insertion = insert(Event).values(data).on_conflict_do_nothing().returning(Event.id)
        return await self.session.scalar(insertion) is not None
