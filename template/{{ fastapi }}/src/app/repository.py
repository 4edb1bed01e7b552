"""What the services ask of storage, whatever it is made of."""

from collections.abc import Mapping
from typing import Any, Protocol, runtime_checkable


@runtime_checkable
class Repository[T](Protocol):
    """Storage for one kind of entity, keyed by an integer."""

    async def get(self, entity_id: int, /) -> T | None:
        """The entity, or None when there is none with this key."""
        ...

    async def create(self, data: Mapping[str, Any], /) -> T:
        """Store a new entity and return it with its key."""
        ...

    async def delete(self, entity_id: int, /) -> bool:
        """Remove the entity; False when there was none with this key."""
        ...
