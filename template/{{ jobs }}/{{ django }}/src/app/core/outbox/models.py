"""The table of messages that wait to be sent."""

from django.db.models import BinaryField, DateTimeField, Model
from django.db.models.functions import Now


class OutgoingMessage(Model):
    """A message that waits to be sent.

    Its job holds the key only: the arguments of jobs are logged, and stay for days.
    """

    content = BinaryField()
    created_at = DateTimeField(auto_now_add=True, db_default=Now())

    class Meta:
        db_table = "outgoing_messages"

    def __str__(self) -> str:
        return f"outgoing message {self.pk}"
