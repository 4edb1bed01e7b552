"""What comes of the payment provider's events."""

from app.core import FieldError, Unprocessable
from app.orders import OrderRepository
from app.payments.events import process_response
from app.payments.repository import EventRepository
from app.payments.schemas import PaymentEvent


class PaymentService:
    """Payments, within the request's transaction."""

    def receive(self, event: PaymentEvent) -> str:
        """Store the event, mark its order paid if it says so, and tell what was understood.

        Delivered again, or replayed by somebody who overheard it, it has no further effect. Unprocessable when there is
        no such order.
        """
        orders = OrderRepository()
        if not orders.get(event.order_id):
            raise Unprocessable(FieldError(pointer="/body/order_id", message="There is no such order"))
        is_new = EventRepository().create_once(event.id, event.model_dump(exclude={"id"}))
        if is_new and event.is_success:
            orders.mark_paid(event.order_id)
        return process_response(event.model_dump(exclude_none=True))
