from dataclasses import dataclass

import structlog

from app.core import FieldError, Unprocessable, WriteSession
from app.orders import OrderRepository
from app.payments.events import process_response
from app.payments.repository import EventRepository
from app.payments.schemas import PaymentEvent, PaymentSucceeded

log = structlog.get_logger()


@dataclass
class PaymentService:
    """Handles payment events, within the transaction of `session`."""

    session: WriteSession

    async def receive(self, event_id: str, event: PaymentEvent) -> str:
        """Store an event and return its meaning. Mark the order as paid after a success.

        A repeated event has no further effect. Raise Unprocessable for an unknown order.
        """
        orders = OrderRepository(self.session)
        if not await orders.get(event.order_id):
            raise Unprocessable(FieldError(pointer="/body/order_id", message="There is no such order"))
        if await EventRepository(self.session).create_once({"id": event_id, **event.model_dump()}):
            match event:
                case PaymentSucceeded(order_id=order_id) if not await orders.mark_paid(order_id):
                    log.warning("payment not used", order=order_id, reason="the order is paid or cancelled already")
        return process_response(event.model_dump())
