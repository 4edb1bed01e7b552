from app.core import Conflict, Unauthorized, Unprocessable
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


class OrderService:
    """Places and cancels orders, within the transaction of the request."""

    def place(self, user_id: int, data: OrderCreate, idempotency_key: str | None) -> Order:
        """Place an order, or return the earlier order of the user with the same key and lines.

        NotFound for an unknown product, OutOfStock for too little stock, IdempotencyKeyReused for other lines.
        """
        fingerprint = data.fingerprint()
        orders = OrderRepository()
        if not orders.user_exists(user_id):  # deleted after the token was issued
            raise Unauthorized
        order, is_new = orders.create_once(user_id, idempotency_key, fingerprint)
        if is_new:
            prices = ProductService().reserve({line.product_id: line.quantity for line in data.lines})
            orders.add_lines(
                [
                    {"order_id": order.id, "unit_price": prices[line.product_id], **line.model_dump()}
                    for line in data.lines
                ]
            )
        elif order.fingerprint != fingerprint:
            raise IdempotencyKeyReused
        return orders.load_lines(order)

    def cancel(self, order: Order) -> None:
        """Cancel an order that was loaded with its lines, and restore the stock. OrderClosed if that is too late.

        One UPDATE checks and changes the status, so that only one of two concurrent requests, or of a request and a
        payment, succeeds.
        """
        if not OrderRepository().mark_cancelled(order.id):
            raise OrderClosed
        ProductService().restore({line.product_id: line.quantity for line in order.lines})  # type: ignore[attr-defined]
