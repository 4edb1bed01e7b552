"""Events of accounts. Slices listen in their `listeners.py`, which is imported at the start.

Events are sent in the transaction of the change. An error of a receiver rolls the transaction back.

    @receiver(registered)
    def welcome(user: User, **_: Any) -> None: ...
"""

from django.dispatch import Signal

registered = Signal()
"""A user was created: by registration, on the command line, in the admin, by an identity provider or another app.

`bulk_create` sends no event, as with Django's own signals.
"""

deactivated = Signal()
"""A user was deactivated, and can no longer log in."""

erased = Signal()
"""A user is being erased. Receivers delete the data of their slices; afterwards core clears the fields of the user."""

exporting = Signal()
"""The data of a user is being exported. Receivers return the data of their slices, as JSON-compatible values."""
