from dataclasses import dataclass
from typing import Any

from sqlalchemy.exc import IntegrityError

from app.core import Conflict, Unauthorized, Unprocessable, WriteSession
from app.orders.models import Order
from app.orders.repository import OrderRepository
from app.orders.schemas import OrderCreate
from app.products import ProductService


class OrderClosed(Conflict):
    type = "urn:problem-type:order-closed"
    detail = "A paid or cancelled order cannot be cancelled."


class IdempotencyKeyReused(Unprocessable):
    type = "urn:problem-type:idempotency-key-reused"
    detail = "This Idempotency-Key was already used for a different order."


@dataclass
class OrderService:
    """Places and cancels orders, within the transaction of `session`."""

    session: WriteSession

    async def place(self, user_id: int, data: OrderCreate, idempotency_key: str | None) -> Order:
        """Place an order, or return the earlier order of the user with the same key and lines.

        NotFound for an unknown product, OutOfStock for too little stock, IdempotencyKeyReused for other lines.
        """
        orders = OrderRepository(self.session)
        request: dict[str, Any] = {
            "user_id": user_id,
            "idempotency_key": idempotency_key,
            "fingerprint": data.fingerprint(),
        }
        try:
            order_id = await orders.create_once(request)
        except IntegrityError:
            # The user was deleted after the token was issued.
            raise Unauthorized from None
        if order_id is not None:
            wanted = {line.product_id: line.quantity for line in data.lines}
            prices = await ProductService(self.session).reserve(wanted)
            await orders.add_lines(
                [
                    {"order_id": order_id, "unit_price": prices[line.product_id], **line.model_dump()}
                    for line in data.lines
                ]
            )
            request = {"id": order_id}
        if order := await orders.find(**request):
            return order
        raise IdempotencyKeyReused

    async def cancel(self, order: Order) -> None:
        """Cancel an order that was loaded with its lines, and restore the stock. OrderClosed if that is too late.

        One UPDATE checks and changes the status, so that only one of two concurrent requests, or of a request and a
        payment, succeeds.
        """
        if not await OrderRepository(self.session).mark_cancelled(order.id):
            raise OrderClosed
        await ProductService(self.session).restore({line.product_id: line.quantity for line in order.lines})
