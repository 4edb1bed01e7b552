"""Sessions and refresh tokens in the database."""

from collections.abc import Iterable
from datetime import timedelta

from django.db.models import Q, QuerySet
from django.db.models.functions import Now

from app.core.accounts.auth.models import DeletedUser, RefreshToken, UserSession
from app.core.accounts.auth.schemas import SessionQuery
from app.core.database.repository import BaseRepository
from app.core.security.tokens import REVOCATION_MARGIN

MAX_USED_TOKENS = 100
"""Used refresh tokens that a session keeps, to notice their reuse. An older one is refused like an unknown token."""

REUSE_GRACE = timedelta(seconds=5)
"""Time after the use of a refresh token in which a second use does not end the session: two tabs may refresh."""

KEPT_AFTER_END = timedelta(days=1) + REVOCATION_MARGIN
"""Time that an ended session stays in the database: no access token lives longer."""


class SessionRepository(BaseRepository[UserSession]):
    model = UserSession

    @property
    def active(self) -> QuerySet[UserSession]:
        """The sessions that have not ended."""
        return self.rows.filter(ended_at=None, expires_at__gt=Now())

    def find(self, user_id: int, query: SessionQuery) -> tuple[list[UserSession], int]:
        """Return one page of the active sessions of a user, and their number."""
        return self.page(query, self.active.filter(user_id=user_id))

    def all_of(self, user_id: int) -> list[UserSession]:
        """Return all stored sessions of a user, also ended ones."""
        return list(self.rows.filter(user_id=user_id).order_by("id"))

    def find_by_token(self, digest: str) -> UserSession | None:
        """Return the session of a refresh token, also of a used one. None for an unknown token, or an ended session."""
        tokens = RefreshToken.objects.filter(digest=digest).values("session_id")
        return self.active.filter(id__in=tokens).first()

    def ended_since(self, age: timedelta) -> Iterable[int]:
        """Return the ids of the sessions that ended within `age`."""
        return self.rows.filter(ended_at__gt=Now() - age).values_list("id", flat=True)

    def note_use(self, session_id: int) -> bool:
        """Lock the session, and set the time of the last use. Return False for a session that has ended."""
        return self.active.filter(id=session_id).update(last_used_at=Now()) > 0

    def end(self, *, user_id: int, session_id: int | None = None) -> int:
        """End one session of a user, or all. Return the number of ended sessions."""
        chosen = Q() if session_id is None else Q(id=session_id)
        return self.active.filter(chosen, user_id=user_id).update(ended_at=Now())

    def delete_of_user(self, user_id: int) -> None:
        """Delete all sessions of a user with their refresh tokens."""
        self.rows.filter(user_id=user_id).delete()

    def delete_expired(self, user_id: int | None = None) -> int:
        """Delete expired and ended sessions of one user, or of all users and deleted ones. Return their number."""
        if user_id is None:
            DeletedUser.objects.filter(deleted_at__lt=Now() - KEPT_AFTER_END).delete()
        of_user = Q() if user_id is None else Q(user_id=user_id)
        is_over = Q(expires_at__lt=Now()) | Q(ended_at__lt=Now() - KEPT_AFTER_END)
        _, deleted = self.rows.filter(of_user & is_over).delete()
        return deleted.get(UserSession._meta.label, 0)  # noqa: SLF001 -- documented by Django, despite its name


class RefreshTokenRepository(BaseRepository[RefreshToken]):
    model = RefreshToken

    def use(self, digest: str) -> bool:
        """Mark a token as used. Return False for a used or unknown token.

        One statement finds and marks the token, so that only one of two concurrent requests succeeds.
        """
        return self.rows.filter(digest=digest, used_at=None).update(used_at=Now()) > 0

    def was_used(self, digest: str) -> bool:
        """Return whether a token was used before REUSE_GRACE."""
        return self.rows.filter(digest=digest, used_at__lt=Now() - REUSE_GRACE).exists()

    def delete_oldest_used(self, session_id: int) -> None:
        """Delete used tokens of a session, except the last MAX_USED_TOKENS."""
        used = self.rows.filter(session_id=session_id, used_at__isnull=False).order_by("-id")
        self.rows.filter(id__in=list(used.values_list("id", flat=True)[MAX_USED_TOKENS:])).delete()
