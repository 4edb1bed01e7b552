"""Payment events in the database."""

from collections.abc import Mapping
from typing import Any

from app.core import BaseRepository
from app.payments.models import Event


class EventRepository(BaseRepository[Event]):
    """Payment events."""

    model = Event

    def create_once(self, event_id: str, data: Mapping[str, Any]) -> bool:
        """Store the event under the provider's key. False when it was stored before."""
        _, is_new = self.rows.get_or_create(id=event_id, defaults=data)
        return is_new
