"""The table of users."""

from collections.abc import Collection
from functools import partial
from typing import Any, ClassVar

import pydantic
from django.contrib.auth.base_user import AbstractBaseUser
from django.contrib.auth.models import PermissionsMixin
from django.core.exceptions import ValidationError
from django.db import connection, transaction
from django.db.models import BooleanField, CheckConstraint, DateTimeField, Index, Q, TextField, UniqueConstraint
from django.db.models.functions import Lower, Now

from app.core.accounts.auth.audit import note
from app.core.accounts.auth.managers import UserManager, rules
from app.core.accounts.auth.models import EmailToken, UserSession
from app.core.accounts.events import deactivated, registered
from app.core.database import lookups  # noqa: F401 -- registers lookups that constraints of all models use
from app.core.mail import send
from app.core.mail.texts import write_message
from app.core.problems import Conflict
from app.core.security.tokens import later_than

EMAIL_TAKEN = "This e-mail address is already registered."


class LastAdmin(Conflict):
    type = "urn:problem-type:last-admin"
    detail = "This user is the last active admin. Make another user an admin first."


class User(AbstractBaseUser, PermissionsMixin):
    """An account. The user logs in with `password`, or is `subject` of the identity provider `issuer`.

    Roles of the API are Django's groups. Admins of the API are superusers.
    """

    name = TextField(blank=True, default="", db_default="")
    email = TextField("e-mail address", null=True, blank=True)
    issuer = TextField(null=True, blank=True, editable=False)
    subject = TextField(null=True, blank=True, editable=False)
    is_active = BooleanField("active", default=True, db_default=True, help_text="Whether the user may log in.")
    is_staff = BooleanField("staff", default=False, db_default=False, help_text="Whether the user may use these pages.")
    is_superuser = BooleanField(
        "superuser", default=False, db_default=False, help_text="Whether the user is an admin: holds all permissions."
    )
    date_joined = DateTimeField(auto_now_add=True, db_default=Now(), db_column="created_at")
    revoked_at = DateTimeField(null=True, editable=False)
    updated_at = DateTimeField(auto_now=True, db_default=Now(), editable=False)

    kept_session: int | None = None
    """Id of the session that a new password does not end."""

    objects: ClassVar[UserManager] = UserManager()

    USERNAME_FIELD = EMAIL_FIELD = "email"
    REQUIRED_FIELDS: ClassVar[list[str]] = []

    class Meta:
        db_table = "users"
        indexes = (Index(fields=("revoked_at",), condition=Q(revoked_at__isnull=False), name="ix_users_revoked_at"),)
        constraints = (
            CheckConstraint(condition=Q(name__length__lte=200), name="ck_users_name_length"),
            CheckConstraint(condition=Q(email__regex="^.+@.+$", email__length__lte=254), name="ck_users_email_form"),
            CheckConstraint(
                condition=Q(issuer__isnull=True, subject__isnull=True) | Q(issuer__isnull=False, subject__isnull=False),
                name="ck_users_issuer_and_subject",
            ),
            UniqueConstraint(Lower("email"), name="uq_users_email_lower", violation_error_message=EMAIL_TAKEN),
            UniqueConstraint(fields=("issuer", "subject"), name="uq_users_issuer_subject"),
        )

    def __str__(self) -> str:
        return self.name or f"user {self.pk}"

    @property
    def role_names(self) -> list[str]:
        return sorted(group.name for group in self.groups.all())

    def get_full_name(self) -> str:
        return self.name

    get_short_name = get_full_name

    def clean_fields(self, exclude: Collection[str] | None = None) -> None:
        """Apply the validation rules of the API to forms and commands."""
        super().clean_fields(exclude)
        errors = {}
        for field, rule in rules().items():
            value = getattr(self, field)
            if not value or field in (exclude or ()):
                continue
            try:
                setattr(self, field, rule.validate_python(value))
            except pydantic.ValidationError as error:
                errors[field] = [found["msg"].removeprefix("Value error, ") for found in error.errors()]
        self.email = self.email or None
        if errors:
            raise ValidationError(errors)

    def save(self, **options: Any) -> None:
        """Store the user. Send `registered` for a new user, and `deactivated` if `is_active` became False.

        A new password and a deactivation end all sessions. `QuerySet.update` does neither, as in Django.
        """
        self.email = self.email or None
        is_new = self._state.adding
        is_password_set = self._password is not None  # type: ignore[attr-defined]
        is_password_new = is_password_set or not self.has_usable_password()
        fields = options.get("update_fields")
        if fields is not None and set(fields) != {"last_login"}:  # a log-in does not change the account
            options["update_fields"] = {*fields, "updated_at"}
        flags = [flag for flag in ("is_active", "is_superuser") if fields is None or flag in fields]
        with transaction.atomic(options.get("using"), savepoint=False):
            changed = set() if is_new else self._changed(flags)
            lost = {flag for flag in changed if not getattr(self, flag)}
            if lost:
                self.require_other_admin()
            super().save(**options)
            if is_new:
                registered.send(User, user=self)
            elif is_password_new or "is_active" in lost:
                self.end_sessions()
                if is_password_set and self.has_usable_password():
                    self.note("password changed")
                    self.report_new_password()
            elif lost:
                self.revoke()
            if "is_superuser" in changed:
                self.note("roles changed", added=[], removed=[], admin=self.is_superuser)
            if "is_active" in lost:
                deactivated.send(User, user=self)

    def _changed(self, flags: Collection[str]) -> set[str]:
        """Return the fields of `flags` with a different stored value. Locks the row."""
        if not flags:
            return set()
        stored = User.objects.select_for_update().filter(pk=self.pk).values(*flags).first() or {}
        return {flag for flag, value in stored.items() if value != getattr(self, flag)}

    def note(self, event: str, **details: Any) -> None:
        """Log a security event after the commit."""
        transaction.on_commit(partial(note, event, self.pk, **details))

    def require_other_admin(self) -> None:
        """Raise LastAdmin if the user is stored as the only active admin.

        One transaction at a time may remove an admin: two admins who remove each other would leave none.
        """
        if User.objects.filter(pk=self.pk, is_superuser=True, is_active=True).exists():
            with connection.cursor() as cursor:
                cursor.execute("SELECT pg_advisory_xact_lock(hashtext('core_accounts.admins'))")
            self._require_other_admin()

    def _require_other_admin(self) -> None:
        admins = User.objects.filter(is_superuser=True, is_active=True)
        if admins.filter(pk=self.pk).exists() and not admins.exclude(pk=self.pk).exists():
            raise LastAdmin

    def clean(self) -> None:
        """Raise ValidationError for a form that would remove the last active admin."""
        super().clean()
        if self.pk and not (self.is_active and self.is_superuser):
            try:
                self._require_other_admin()
            except LastAdmin as error:
                raise ValidationError(error.detail) from None

    def end_sessions(self) -> None:
        """End all sessions except `kept_session`, access tokens, and e-mailed tokens.

        Django ends its own sessions after a change of password or `is_active`.
        """
        EmailToken.objects.filter(user=self).delete()
        UserSession.objects.filter(user=self, ended_at=None).exclude(pk=self.kept_session or 0).update(ended_at=Now())
        self.revoke()  # last: a concurrent refresh may issue an access token until its session has ended
        self.note("sessions ended", kept=self.kept_session)

    def report_new_password(self) -> None:
        """Send a message about a new password to the user."""
        if self.email:
            message = write_message("password_changed", name=self.name or self.email)
            send(self.email, **message._asdict(), name=self.name)

    def revoke(self) -> None:
        """Revoke the access tokens that were issued until now."""
        own = User.objects.filter(pk=self.pk)
        with transaction.atomic(savepoint=False):
            # Lock first: a concurrent refresh, which also locks the row, may still issue a token with the lost rights.
            last = own.select_for_update(no_key=True).values_list("revoked_at", flat=True).first()
            self.revoked_at = self.updated_at = later_than(last)
            own.update(revoked_at=self.revoked_at, updated_at=self.updated_at)
