"""Events of accounts. Slices listen in their `listeners.py`, which is imported at the start."""

from collections.abc import Awaitable, Callable
from typing import Any

from app.core.accounts.models import User
from app.core.database.sessions import WriteSession

type Listener[Answer] = Callable[[WriteSession, User], Awaitable[Answer]]


class UserEvent[Answer]:
    """Something that happens to a user, in the transaction that makes it happen.

        @registered.connect
        async def welcome(session: WriteSession, user: User) -> None: ...

    An error of a listener rolls the transaction back.
    """

    def __init__(self) -> None:
        self._listeners: list[Listener[Answer]] = []

    def connect(self, listener: Listener[Answer]) -> Listener[Answer]:
        """Call `listener` from now on, after those that were connected before."""
        self._listeners.append(listener)
        return listener

    def disconnect(self, listener: Listener[Answer]) -> None:
        """Call `listener` no longer. ValueError when it was not connected."""
        self._listeners.remove(listener)

    async def send(self, session: WriteSession, user: User) -> list[tuple[Listener[Answer], Answer]]:
        """Call every listener, one after the other; return each with its answer."""
        return [(listener, await listener(session, user)) for listener in self._listeners]


registered = UserEvent[None]()
"""A user was created: by registration, on the command line, or when an identity provider's user was first seen."""

deactivated = UserEvent[None]()
"""A user may no longer log in."""

erased = UserEvent[None]()
"""A user is about to be erased: core's columns are cleared after the listeners, which delete what their slices keep."""

exporting = UserEvent[Any]()
"""All data of a user is collected: a listener returns what its slice keeps, as values that JSON can hold."""
