"""What comes of the payment provider's events."""

from app.orders import OrderService
from app.payments.events import process_response
from app.payments.models import Event
from app.payments.schemas import PaymentEvent
from app.problems import FieldError, Unprocessable


class PaymentService:
    """Payments, within the request's unit of work."""

    def __init__(self) -> None:
        self.orders = OrderService()

    def receive(self, event: PaymentEvent) -> str:
        """Store the event, mark its order paid if it says so, and tell what was understood.

        Delivered again, or replayed by somebody who overheard it, it has no further effect. Unprocessable when there is
        no such order.
        """
        if not self.orders.exists(event.order_id):
            raise Unprocessable(FieldError(pointer="/body/order_id", message="There is no such order"))
        _, is_new = Event.objects.get_or_create(id=event.id, defaults=event.model_dump(exclude={"id"}))
        if is_new and event.is_success:
            self.orders.mark_paid(event.order_id)
        return process_response(event.model_dump(exclude_none=True))
