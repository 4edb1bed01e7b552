"""The table of users."""

from typing import ClassVar

from django.contrib.auth.base_user import AbstractBaseUser, BaseUserManager
from django.db.models import BooleanField, CheckConstraint, DateTimeField, Q, TextField, UniqueConstraint, Value
from django.db.models.functions import Lower, Now

from app import db  # noqa: F401 -- registers what the constraints say
from app.security import hash_password, verify_password


class UserManager(BaseUserManager["User"]):
    """Where users are asked for."""

    def by_email(self, email: str | None) -> "User | None":
        """The user with this address, whatever its case."""
        return self.filter(email__lower=Lower(Value(email))).first()

    def get_by_natural_key(self, username: str | None) -> "User":
        """The user of a log-in."""
        if user := self.by_email(username):
            return user
        raise self.model.DoesNotExist


class User(AbstractBaseUser):
    """A person who can log in: with a password of the service, or as `subject` of the identity provider."""

    name = TextField()
    email = TextField("e-mail")
    password_hash = TextField(null=True, blank=True, editable=False)
    subject = TextField(null=True, blank=True, unique=True)
    is_admin = BooleanField("administrator", default=False, db_default=False)
    created_at = DateTimeField(auto_now_add=True, db_default=Now())

    last_login = None
    objects: ClassVar[UserManager] = UserManager()

    USERNAME_FIELD = EMAIL_FIELD = "email"
    REQUIRED_FIELDS: ClassVar[list[str]] = ["name"]

    class Meta:
        db_table = "users"
        constraints = (
            CheckConstraint(condition=Q(name__length__range=(1, 200)), name="ck_users_name_length"),
            CheckConstraint(
                condition=Q(email__regex="^.+@.+$", email__length__lte=254),
                name="ck_users_email_form",
            ),
            CheckConstraint(
                condition=Q(password_hash__isnull=False) | Q(subject__isnull=False), name="ck_users_can_log_in"
            ),
            UniqueConstraint(Lower("email"), name="uq_users_email_lower"),
        )

    def __str__(self) -> str:
        return self.email

    @property
    def password(self) -> str:  # type: ignore[override]
        """What Django ties sessions to: they end when the password changes."""
        return self.password_hash or ""

    def set_password(self, raw_password: str | None) -> None:
        """Django's hook: the hash is the one that the rest of the service makes and knows."""
        self.password_hash = hash_password(raw_password) if raw_password else None

    def has_usable_password(self) -> bool:
        """Django's hook, by which the administration would offer to change it: the service changes no password."""
        return False

    def check_password(self, raw_password: str | None) -> bool:
        """Django's hook."""
        return verify_password(raw_password or "", self.password_hash)

    @property
    def is_staff(self) -> bool:
        """Whether the administration lets the user in."""
        return self.is_admin

    def has_perm(self, perm: str, obj: object = None) -> bool:
        """Administrators may do everything, others nothing."""
        return self.is_admin

    def has_module_perms(self, app_label: str) -> bool:
        """The same for a whole slice."""
        return self.is_admin
