"""The table of the payment provider's events."""

from django.db.models import PROTECT, CheckConstraint, DateTimeField, ForeignKey, Model, Q, TextField
from django.db.models.functions import Now


class Event(Model):
    """An event, as first delivered. The primary key is the provider's id of the event."""

    id = TextField(primary_key=True)
    order = ForeignKey("orders.Order", on_delete=PROTECT, related_name="+")
    status = TextField()
    data = TextField(null=True)
    message = TextField(null=True)
    received_at = DateTimeField(auto_now_add=True, db_default=Now())

    class Meta:
        db_table = "payment_events"
        constraints = (
            CheckConstraint(condition=Q(id__length__range=(1, 255)), name="ck_payment_events_id_length"),
            CheckConstraint(condition=Q(status__length__range=(1, 200)), name="ck_payment_events_status_length"),
            CheckConstraint(condition=Q(data__length__range=(1, 200)), name="ck_payment_events_data_length"),
            CheckConstraint(condition=Q(message__length__range=(1, 200)), name="ck_payment_events_message_length"),
        )

    def __str__(self) -> str:
        return self.id
