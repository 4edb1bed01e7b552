"""Payment events in the database."""

from collections.abc import Mapping
from typing import Any

from app.core import BaseRepository
from app.payments.models import Event


class EventRepository(BaseRepository[Event]):
    model = Event

    def create_once(self, event_id: str, data: Mapping[str, Any]) -> bool:
        """Store an event under the provider's id. Return False if the event was stored before."""
        _, is_new = self.rows.get_or_create(id=event_id, defaults=data)
        return is_new
