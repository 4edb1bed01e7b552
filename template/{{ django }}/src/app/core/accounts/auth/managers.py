"""Django's manager of users."""

from functools import cache
from typing import TYPE_CHECKING, Any, ClassVar

import pydantic
from asgiref.sync import sync_to_async
from django.contrib.auth.base_user import BaseUserManager
from django.contrib.auth.models import UserManager as DjangoUserManager
from django.db.models import Value
from django.db.models.functions import Lower
from pydantic import TypeAdapter

from app.core.accounts.schemas import EmailAddress
from app.core.types import ShortText

if TYPE_CHECKING:
    from app.core.accounts.models import User


@cache
def rules() -> dict[str, TypeAdapter[Any]]:
    """Return the rules of the API for fields of a user."""
    return {"name": TypeAdapter(ShortText), "email": TypeAdapter(EmailAddress)}


class UserManager(BaseUserManager["User"]):
    """Creates users and finds them by e-mail address."""

    with_perm: ClassVar[Any] = DjangoUserManager.with_perm

    @classmethod
    def normalize_email(cls, email: str | None) -> str:
        """Return the address as `POST /users` stores it. Return an invalid address unchanged, for `full_clean`."""
        try:
            return str(rules()["email"].validate_python(email))
        except pydantic.ValidationError:
            return email or ""

    def by_email(self, email: str | None) -> "User | None":
        """Return the user with this address, or None. Ignores case."""
        return self.filter(email__lower=Lower(Value(self.normalize_email(email)))).first() if email else None

    def get_by_natural_key(self, username: str | None) -> "User":
        if user := self.by_email(username):
            return user
        raise self.model.DoesNotExist

    def create_user(self, email: str | None = None, password: str | None = None, **fields: Any) -> "User":
        """Create a user. Without `password`, the user cannot log in with a password."""
        user = self.model(email=self.normalize_email(email) or None, **fields)
        user.set_password(password)
        user.save(using=self._db)
        return user

    def create_superuser(self, email: str | None = None, password: str | None = None, **fields: Any) -> "User":
        """Create an admin. Raise ValidationError for an invalid value, which `createsuperuser` prints."""
        fields = {"is_staff": True, "is_superuser": True} | fields
        if not (fields["is_staff"] and fields["is_superuser"]):
            raise ValueError("A superuser must have is_staff=True and is_superuser=True.")
        user = self.model(email=self.normalize_email(email) or None, **fields)
        user.set_password(password)
        user.full_clean()
        user.save(using=self._db)
        return user

    async def aget_by_natural_key(self, username: str | None) -> "User":
        return await sync_to_async(self.get_by_natural_key)(username)

    async def acreate_user(self, *args: Any, **fields: Any) -> "User":
        return await sync_to_async(self.create_user)(*args, **fields)

    async def acreate_superuser(self, *args: Any, **fields: Any) -> "User":
        return await sync_to_async(self.create_superuser)(*args, **fields)
