"""The table of requests with an idempotency key."""

from django.db.models import (
    BinaryField,
    CheckConstraint,
    CompositePrimaryKey,
    DateTimeField,
    JSONField,
    Model,
    Q,
    SmallIntegerField,
    TextField,
)
from django.db.models.functions import Now


class IdempotentRequest(Model):
    """A request with an idempotency key, and its response."""

    pk = CompositePrimaryKey("caller", "key")
    caller = TextField()
    key = TextField()
    fingerprint = TextField()
    status = SmallIntegerField(null=True)
    headers = JSONField(null=True)
    body = BinaryField(null=True)
    created_at = DateTimeField(auto_now_add=True, db_default=Now(), db_index=True)

    class Meta:
        db_table = "idempotent_requests"
        constraints = (
            CheckConstraint(condition=Q(key__length__range=(1, 255)), name="ck_idempotent_requests_key_length"),
        )

    def __str__(self) -> str:
        return f"idempotent request {self.pk}"
