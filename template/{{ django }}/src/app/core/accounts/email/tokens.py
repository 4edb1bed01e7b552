"""E-mailed tokens in the database."""

from datetime import timedelta
from typing import Any

from django.db import transaction
from django.db.models import QuerySet, Value
from django.db.models.functions import Lower, Now

from app.core.accounts.auth.models import NEW_ADDRESS, REGISTRATION, EmailToken
from app.core.database.repository import BaseRepository
from app.core.security.tokens import digest, new_token

MAX_DELETED = 100
"""Maximum number of expired tokens that one log-in, or one request that sends a token, deletes."""


class EmailTokenRepository(BaseRepository[EmailToken]):
    model = EmailToken

    def issue(self, purpose: str, email: str, lifetime: timedelta, **fields: Any) -> str:
        """Store the hash of a new token for this address, and return the token. Deletes expired tokens."""
        self.delete_expired()
        token = new_token()
        stored = {"purpose": purpose, "email": email, "digest": digest(token), "expires_at": Now() + lifetime}
        self.create(stored | fields)
        return token

    def find(self, purpose: str, token: str) -> EmailToken | None:
        """Return the row of a valid token, or None."""
        return self._valid(purpose, token).first()

    def use(self, purpose: str, token: str) -> EmailToken | None:
        """Delete a valid token, and return its row. Only one of two concurrent requests succeeds."""
        found = self._valid(purpose, token).select_for_update().first()
        if found:
            self.delete(found.pk)
        return found

    def lock_registrations(self, email: str) -> None:
        """Lock the registrations of this address, always in the same order, against deadlocks."""
        list(self._registrations(email).order_by("pk").select_for_update())

    def delete_registrations(self, email: str) -> None:
        """Delete the registrations of this address, with their passwords."""
        self._registrations(email).delete()

    def pending(self, email: str) -> list[EmailToken]:
        """Return the valid tokens that verify this address, ignoring case."""
        purposes = (REGISTRATION, NEW_ADDRESS)
        same = self.rows.alias(lower=Lower("email")).filter(lower=Lower(Value(email)), purpose__in=purposes)
        return list(same.filter(expires_at__gt=Now()))

    def renew(self, stored: EmailToken, lifetime: timedelta) -> str:
        """Replace a token by a new one, and return the new token."""
        token = new_token()
        self.rows.filter(pk=stored.pk).update(digest=digest(token), expires_at=Now() + lifetime)
        return token

    def delete_expired(self) -> int:
        """Delete at most MAX_DELETED expired tokens of all addresses. Return their number."""
        expired = self.rows.filter(expires_at__lt=Now()).order_by("expires_at").select_for_update(skip_locked=True)
        with transaction.atomic(savepoint=False):
            # A list, because a plan may run a subquery again for each row, which ignores its limit.
            chosen = list(expired.values_list("pk", flat=True)[:MAX_DELETED])
            return self.rows.filter(pk__in=chosen).delete()[0]

    def delete_of_user(self, user_id: int, purpose: str | None = None) -> None:
        """Delete the tokens of a user for one purpose, or all."""
        unwanted = self.rows.filter(user_id=user_id)
        if purpose is not None:
            unwanted = unwanted.filter(purpose=purpose)
        unwanted.delete()

    def _registrations(self, email: str) -> QuerySet[EmailToken]:
        same = self.rows.alias(lower=Lower("email")).filter(lower=Lower(Value(email)))
        return same.filter(purpose=REGISTRATION)

    def _valid(self, purpose: str, token: str) -> QuerySet[EmailToken]:
        return self.rows.filter(digest=digest(token), purpose=purpose, expires_at__gt=Now())
