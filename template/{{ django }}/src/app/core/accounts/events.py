"""Events of accounts. Slices listen in their `listeners.py`, which is imported at the start.

Each is sent in the transaction that it belongs to: an error of a receiver rolls the transaction back.

    @receiver(registered)
    def welcome(user: User, **_: Any) -> None: ...
"""

from django.dispatch import Signal

registered = Signal()
"""A user was created: by registration, on the command line, in the admin, by an identity provider or another app.

As with Django's own signals, `bulk_create` does not send it.
"""

deactivated = Signal()
"""A user may no longer log in."""

erased = Signal()
"""The personal data of a user will be deleted: delete those of the slice. The user still holds them."""

exporting = Signal()
"""A user asks for all personal data: return those of the slice, as JSON can hold them."""
