"""Events of accounts. Slices listen in their `listeners.py`, which is imported at the start."""

from collections.abc import Awaitable, Callable
from typing import Any

from app.core.accounts.models import User
from app.core.database.sessions import WriteSession

type Listener[Answer] = Callable[[WriteSession, User], Awaitable[Answer]]


class UserEvent[Answer]:
    """An event of a user. Listeners run in the transaction of the event.

        @registered.connect
        async def welcome(session: WriteSession, user: User) -> None: ...

    An error of a listener rolls the transaction back.
    """

    def __init__(self) -> None:
        self._listeners: list[Listener[Answer]] = []

    def connect(self, listener: Listener[Answer]) -> Listener[Answer]:
        """Add a listener. Listeners are called in the order in which they were added."""
        self._listeners.append(listener)
        return listener

    def disconnect(self, listener: Listener[Answer]) -> None:
        """Remove a listener. Raise ValueError when it was not added."""
        self._listeners.remove(listener)

    async def send(self, session: WriteSession, user: User) -> list[tuple[Listener[Answer], Answer]]:
        """Call all listeners, one after the other. Return each listener with its answer."""
        return [(listener, await listener(session, user)) for listener in self._listeners]


registered = UserEvent[None]()
"""A user was created: by registration, on the command line, or by the first request of a provider's user."""

deactivated = UserEvent[None]()
"""A user was deactivated, and can no longer log in."""

erased = UserEvent[None]()
"""A user is being erased. Listeners delete the data of their slices; afterwards core clears its own columns."""

exporting = UserEvent[Any]()
"""The data of a user is being exported. Listeners return the data of their slices, as JSON-compatible values."""
