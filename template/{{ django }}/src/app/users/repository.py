"""Users in the database."""

from collections.abc import Generator, Mapping
from typing import Any

from django.db import transaction

from app.pagination import Paginator
from app.users.models import User

# Written out: for the most frequent query, Django would take longer to put it together than PostgreSQL to answer it.
BY_ID = "SELECT * FROM users WHERE id = %s"


class UserRepository:
    """A `Repository[User]`, and what else the service asks about users."""

    ROWS_AT_A_TIME = 500

    def get(self, user_id: int, /) -> User | None:
        """The user with this key."""
        return next(iter(User.objects.raw(BY_ID, [user_id])), None)

    def get_by_email(self, email: str) -> User | None:
        """The user with this address, whatever its case."""
        return User.objects.by_email(email)

    def get_by_subject(self, subject: str) -> User | None:
        """The user whom the identity provider calls `subject`."""
        return User.objects.filter(subject=subject).first()

    def page(self, paginator: Paginator) -> tuple[list[User], int]:
        """The users of one page, oldest first, and how many there are in all."""
        users = User.objects.order_by("id")[paginator.offset : paginator.offset + paginator.size]
        return list(users), User.objects.count()

    def stream(self) -> Generator[User]:
        """Every user, oldest first, from a server-side cursor: memory stays flat whatever their number."""
        # In a transaction: outside one, PostgreSQL would copy the whole result before it gives the first row.
        with transaction.atomic():
            yield from User.objects.order_by("id").iterator(self.ROWS_AT_A_TIME)

    def create(self, data: Mapping[str, Any], /) -> User:
        """Store a new user. IntegrityError when the address is taken."""
        return User.objects.create(**data)

    def delete(self, user_id: int, /) -> bool:
        """Remove the user with this key."""
        return User.objects.filter(id=user_id).delete()[0] > 0
