"""The table of outgoing messages."""

from django.db.models import BinaryField, DateTimeField, Model
from django.db.models.functions import Now


class OutgoingMessage(Model):
    """A message to send.

    Its job has only the id of the message, because arguments of jobs are logged, and are kept for days.
    """

    content = BinaryField()
    created_at = DateTimeField(auto_now_add=True, db_default=Now())

    class Meta:
        db_table = "outgoing_messages"

    def __str__(self) -> str:
        return f"outgoing message {self.pk}"
