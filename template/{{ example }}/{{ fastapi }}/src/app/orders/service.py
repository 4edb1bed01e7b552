from dataclasses import dataclass

from sqlalchemy.exc import IntegrityError

from app.core import Conflict, Unauthorized, WriteSession
from app.orders.models import Order
from app.orders.repository import OrderRepository
from app.orders.schemas import OrderCreate
from app.products import ProductService


class OrderClosed(Conflict):
    type = "urn:problem-type:order-closed"
    detail = "A paid or cancelled order cannot be cancelled."


@dataclass
class OrderService:
    """Places and cancels orders, within the transaction of `session`."""

    session: WriteSession

    async def place(self, user_id: int, data: OrderCreate) -> Order:
        """Place an order. Raise NotFound for an unknown product, OutOfStock for too little stock."""
        prices = await ProductService(self.session).reserve({line.product_id: line.quantity for line in data.lines})
        lines = [{"unit_price": prices[line.product_id], **line.model_dump()} for line in data.lines]
        try:
            return await OrderRepository(self.session).add(user_id, lines)
        except IntegrityError:
            # The user was deleted after the token was issued.
            raise Unauthorized from None

    async def cancel(self, order: Order) -> None:
        """Cancel an order that was loaded with its lines, and restore the stock. Raise OrderClosed if that is too late.

        One UPDATE checks and changes the status, so that only one of two concurrent requests, or of a request and a
        payment, succeeds.
        """
        if not await OrderRepository(self.session).mark_cancelled(order.id):
            raise OrderClosed
        await ProductService(self.session).restore({line.product_id: line.quantity for line in order.lines})
