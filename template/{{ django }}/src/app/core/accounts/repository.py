"""Users in the database."""

from collections.abc import Generator, Iterable
from datetime import datetime, timedelta

from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import Group
from django.contrib.contenttypes.models import ContentType
from django.db import transaction
from django.db.models import Q
from django.db.models.functions import Now
from django.utils import timezone

from app.core.accounts.auth.models import DeletedUser
from app.core.accounts.models import User
from app.core.accounts.schemas import UserQuery
from app.core.database.repository import BaseRepository


class UserRepository(BaseRepository[User]):
    model = User
    ROWS_AT_A_TIME = 500

    def get_by_email(self, email: str) -> User | None:
        """Return the user with this address, or None. Ignores case."""
        return User.objects.by_email(email)

    def get_by_subject(self, issuer: str, subject: str) -> User | None:
        """Return the user with this `subject` of the identity provider `issuer`."""
        return self.rows.filter(issuer=issuer, subject=subject).first()

    def find(self, query: UserQuery) -> tuple[list[User], int]:
        """Return one page of the users that match the filters, with their roles, and the total number."""
        found = self.rows.prefetch_related("groups")
        if query.q:
            found = found.filter(Q(name__icontains=query.q) | Q(email__icontains=query.q))
        if query.is_active is not None:
            found = found.filter(is_active=query.is_active)
        if query.role:
            found = found.filter(groups__name=query.role)
        return self.page(query, found)

    def revoked_since(self, age: timedelta) -> Iterable[tuple[int, datetime]]:
        """Return the user id and the time of each revocation and each deletion within `age`."""
        revoked = self.rows.filter(revoked_at__gt=Now() - age).values_list("id", "revoked_at")
        deleted = DeletedUser.objects.filter(deleted_at__gt=Now() - age).values_list("id", "deleted_at")
        found = revoked.union(deleted, all=True)
        return [(user_id, at) for user_id, at in found if at]

    def record_log_in(self, user: User) -> bool:
        """Set the time of the last log-in. Return False if the account is inactive, or has changed meanwhile."""
        is_same = {"password": user.password, "revoked_at": user.revoked_at}
        unchanged = self.rows.filter(id=user.id, is_active=True, **is_same)
        return unchanged.update(last_login=Now()) > 0

    def deactivate(self, user: User) -> bool:
        """Deactivate a user without an event. Return whether the user was active."""
        user.is_active, user.updated_at = False, timezone.now()
        active = self.rows.filter(id=user.id, is_active=True)
        return active.update(is_active=False, updated_at=user.updated_at) > 0

    def add_groups(self, user: User, names: Iterable[str]) -> None:
        """Add a user to groups. Creates groups that do not exist."""
        user.groups.add(*(Group.objects.get_or_create(name=name)[0] for name in names))

    def remove_groups(self, user: User, names: Iterable[str]) -> None:
        user.groups.remove(*Group.objects.filter(name__in=names))

    def clear_permissions(self, user: User) -> None:
        """Remove all groups and permissions of a user."""
        user.groups.clear()
        user.user_permissions.clear()

    def rename_log_entries(self, user: User) -> None:
        """Replace the name of the user in the admin's log."""
        entries = LogEntry.objects.filter(content_type=ContentType.objects.get_for_model(User), object_id=user.pk)
        entries.update(object_repr=str(user))

    def stream(self, *related: str) -> Generator[User]:
        """Yield every user, oldest first, from a server-side cursor: memory use is constant."""
        # In a transaction: otherwise PostgreSQL stores the whole result (WITH HOLD) before the first row.
        with transaction.atomic():
            yield from self.rows.order_by("id").prefetch_related(*related).iterator(self.ROWS_AT_A_TIME)
