"""Users and refresh tokens in the database."""

import uuid
from collections.abc import Generator, Iterable

from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import Group
from django.contrib.contenttypes.models import ContentType
from django.db import transaction
from django.db.models import Q
from django.db.models.functions import Now

from app.core.accounts.models import RefreshToken, User
from app.core.database.repository import BaseRepository


class UserRepository(BaseRepository[User]):
    """Users."""

    model = User
    ROWS_AT_A_TIME = 500

    def get_by_email(self, email: str) -> User | None:
        """The user with this address, whatever its case."""
        return User.objects.by_email(email)

    def get_by_subject(self, issuer: str, subject: str) -> User | None:
        """The user whom the identity provider `issuer` calls `subject`."""
        return self.rows.filter(issuer=issuer, subject=subject).first()

    def record_log_in(self, user: User) -> bool:
        """Set the time of the last log-in. False when the user was deactivated or got another password meanwhile."""
        unchanged = self.rows.filter(id=user.id, is_active=True, password=user.password)
        return unchanged.update(last_login=Now()) > 0

    def deactivate(self, user: User) -> bool:
        """Make a user inactive; return whether the user was active."""
        user.is_active = False
        return self.rows.filter(id=user.id, is_active=True).update(is_active=False) > 0

    def add_groups(self, user: User, names: Iterable[str]) -> None:
        """Add a user to groups, which are created where there are none of these names."""
        user.groups.add(*(Group.objects.get_or_create(name=name)[0] for name in names))

    def remove_groups(self, user: User, names: Iterable[str]) -> None:
        """Remove a user from groups."""
        user.groups.remove(*Group.objects.filter(name__in=names))

    def clear_permissions(self, user: User) -> None:
        """Remove a user from all groups, and take all permissions away."""
        user.groups.clear()
        user.user_permissions.clear()

    def rename_log_entries(self, user: User) -> None:
        """Replace the name of the user in the history of the admin."""
        entries = LogEntry.objects.filter(content_type=ContentType.objects.get_for_model(User), object_id=user.pk)
        entries.update(object_repr=str(user))

    def stream(self, *related: str) -> Generator[User]:
        """Every user, oldest first, from a server-side cursor: memory stays flat whatever their number."""
        # In a transaction: outside one, PostgreSQL would copy the whole result before it gives the first row.
        with transaction.atomic():
            yield from self.rows.order_by("id").prefetch_related(*related).iterator(self.ROWS_AT_A_TIME)


class RefreshTokenRepository(BaseRepository[RefreshToken]):
    """Refresh tokens."""

    model = RefreshToken

    def use(self, digest: str) -> RefreshToken | None:
        """Mark the token as used and return it; None unless it is unused and has not expired.

        One statement marks it, so that of two concurrent requests only one succeeds.
        """
        known = self.rows.filter(digest=digest)
        return known.get() if known.filter(used_at=None, expires_at__gt=Now()).update(used_at=Now()) else None

    def family_of_used(self, digest: str) -> uuid.UUID | None:
        """Return the family of a token that was used before."""
        return self.rows.filter(digest=digest, used_at__isnull=False).values_list("family", flat=True).first()

    def delete_family(self, family: uuid.UUID) -> None:
        """Delete every token that came of one log-in."""
        # A concurrent refresh holds the lock of the token that it uses. Its new token is visible only after that.
        while self.rows.filter(family=family).delete()[0]:
            pass

    def delete_expired(self, user_id: int | None = None) -> int:
        """Delete the tokens that have expired, of one user or of all; return how many."""
        of_user = Q() if user_id is None else Q(user_id=user_id)
        return self.rows.filter(of_user, expires_at__lt=Now()).delete()[0]
