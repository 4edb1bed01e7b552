"""What can be done with orders."""

from app.core import Unauthorized, Unprocessable
from app.orders.models import Order
from app.orders.repository import OrderRepository
from app.orders.schemas import OrderCreate
from app.products import ProductService


class IdempotencyKeyReused(Unprocessable):
    type = "urn:problem-type:idempotency-key-reused"
    detail = "The idempotency key belongs to an order of something else."


class OrderService:
    """Orders, within the request's transaction."""

    def place(self, user_id: int, data: OrderCreate, idempotency_key: str | None) -> Order:
        """Order; or return the order that this user placed before with this key and the same lines.

        NotFound, OutOfStock or IdempotencyKeyReused when that cannot be.
        """
        fingerprint = data.fingerprint()
        orders = OrderRepository()
        if not orders.user_exists(user_id):  # gone since the token was issued
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
