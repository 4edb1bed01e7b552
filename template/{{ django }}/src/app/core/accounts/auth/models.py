"""The tables of sessions, of their refresh tokens, of e-mailed tokens, and of API keys."""

from django.conf import settings
from django.db.models import (
    CASCADE,
    BigIntegerField,
    CheckConstraint,
    DateTimeField,
    ForeignKey,
    Index,
    JSONField,
    Model,
    Q,
    TextField,
)
from django.db.models.functions import Now

from app.core.database import lookups  # noqa: F401 -- registers lookups that constraints use

PASSWORD_RESET = "password reset"  # noqa: S105 -- a purpose, not a password
REGISTRATION = "registration"
NEW_ADDRESS = "new address"


class UserSession(Model):
    """A log-in to the API, with the place that it came from.

    It ends at `expires_at`, or at `ended_at` after a log-out or the reuse of a refresh token. An ended session stays
    until its access tokens have expired.
    """

    user = ForeignKey(settings.AUTH_USER_MODEL, on_delete=CASCADE, related_name="+")
    created_at = DateTimeField(db_default=Now())
    last_used_at = DateTimeField(db_default=Now())
    expires_at = DateTimeField()
    ended_at = DateTimeField(null=True)
    address = TextField()
    user_agent = TextField()

    class Meta:
        db_table = "user_sessions"
        indexes = (Index(fields=("ended_at",), condition=Q(ended_at__isnull=False), name="ix_user_sessions_ended_at"),)
        constraints = (
            CheckConstraint(
                condition=Q(address__length__lte=200, user_agent__length__lte=200),
                name="ck_user_sessions_origin_length",
            ),
        )

    def __str__(self) -> str:
        return f"session {self.pk}"


class RefreshToken(Model):
    """The hash of a refresh token. All tokens of one session form a family."""

    session = ForeignKey(UserSession, on_delete=CASCADE, related_name="+")
    digest = TextField(unique=True)
    used_at = DateTimeField(null=True)

    class Meta:
        db_table = "refresh_tokens"
        constraints = (CheckConstraint(condition=Q(digest__length=64), name="ck_refresh_tokens_digest_is_sha256"),)

    def __str__(self) -> str:
        return f"refresh token {self.pk}"


class EmailToken(Model):
    """The hash of a token that was sent to an address. It is deleted when it is used.

    A registration also has the name and the password hash: the user does not exist before the address is verified.
    """

    purpose = TextField()
    digest = TextField(unique=True)
    email = TextField()
    expires_at = DateTimeField(db_index=True)
    user = ForeignKey(settings.AUTH_USER_MODEL, on_delete=CASCADE, related_name="+", null=True)
    invitation = ForeignKey("Invitation", on_delete=CASCADE, related_name="+", null=True)
    name = TextField(null=True)
    password = TextField(null=True)

    class Meta:
        db_table = "email_tokens"
        constraints = (CheckConstraint(condition=Q(digest__length=64), name="ck_email_tokens_digest_is_sha256"),)

    def __str__(self) -> str:
        return f"e-mail token {self.pk}"


class Invitation(Model):
    """The hash of a token that allows one registration. It is deleted when it is used."""

    digest = TextField(unique=True)
    email = TextField(null=True)
    roles = JSONField()
    created_at = DateTimeField(db_default=Now())
    expires_at = DateTimeField(db_index=True)

    class Meta:
        db_table = "invitations"
        constraints = (CheckConstraint(condition=Q(digest__length=64), name="ck_invitations_digest_is_sha256"),)

    def __str__(self) -> str:
        return f"invitation {self.pk}"


class ApiKey(Model):
    """The hash of an API key, with the scopes that its owner gave it."""

    user = ForeignKey(settings.AUTH_USER_MODEL, on_delete=CASCADE, related_name="+")
    name = TextField()
    digest = TextField(unique=True)
    scopes = JSONField()
    created_at = DateTimeField(db_default=Now())
    last_used_at = DateTimeField(null=True)
    expires_at = DateTimeField(null=True)

    class Meta:
        db_table = "api_keys"
        verbose_name = "API key"
        constraints = (
            CheckConstraint(condition=Q(digest__length=64), name="ck_api_keys_digest_is_sha256"),
            CheckConstraint(condition=Q(name__length__lte=200), name="ck_api_keys_name_length"),
        )

    def __str__(self) -> str:
        return self.name


class DeletedUser(Model):
    """The id of a deleted user. Access tokens that name this user are refused until they expire."""

    id = BigIntegerField(primary_key=True)
    deleted_at = DateTimeField(db_default=Now(), db_index=True)

    class Meta:
        db_table = "deleted_users"

    def __str__(self) -> str:
        return f"deleted user {self.pk}"
