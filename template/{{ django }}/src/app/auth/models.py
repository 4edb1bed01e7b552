"""The table of refresh tokens."""

from django.db.models import CASCADE, CheckConstraint, DateTimeField, ForeignKey, Model, Q, TextField, UUIDField

from app import db  # noqa: F401 -- registers what the constraints say


class RefreshToken(Model):
    """A refresh token, as far as it must be known again. The tokens that came of one log-in are a family."""

    user = ForeignKey("users.User", on_delete=CASCADE, related_name="+")
    family = UUIDField(db_index=True)
    digest = TextField(unique=True)
    expires_at = DateTimeField()
    used_at = DateTimeField(null=True)

    class Meta:
        db_table = "refresh_tokens"
        constraints = (CheckConstraint(condition=Q(digest__length=64), name="ck_refresh_tokens_digest_is_sha256"),)

    def __str__(self) -> str:
        return f"refresh token {self.pk}"
