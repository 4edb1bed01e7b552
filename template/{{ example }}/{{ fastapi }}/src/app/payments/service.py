"""What comes of the payment provider's events."""

from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from app.orders import OrderService
from app.payments.events import process_response
from app.payments.models import Event
from app.payments.schemas import PaymentEvent
from app.problems import FieldError, Unprocessable


class PaymentService:
    """Payments, within the unit of work that `session` is."""

    def __init__(self, session: AsyncSession) -> None:
        self.session = session
        self.orders = OrderService(session)

    async def receive(self, event: PaymentEvent) -> str:
        """Store the event, mark its order paid if it says so, and tell what was understood.

        Delivered again, or replayed by somebody who overheard it, it has no further effect. Unprocessable when there is
        no such order.
        """
        if not await self.orders.exists(event.order_id):
            raise Unprocessable(FieldError(pointer="/body/order_id", message="There is no such order"))
        is_new = await self.session.scalar(
            insert(Event).values(event.model_dump()).on_conflict_do_nothing().returning(Event.id)
        )
        if is_new and event.is_success:
            await self.orders.mark_paid(event.order_id)
        return process_response(event.model_dump(exclude_none=True))
