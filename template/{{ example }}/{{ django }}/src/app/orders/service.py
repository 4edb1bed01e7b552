"""What can be done with orders."""

from app.orders.models import Order
from app.orders.repository import OrderRepository
from app.orders.schemas import OrderCreate
from app.pagination import Paginator
from app.problems import NotFound, Unauthorized, Unprocessable
from app.products import ProductService
from app.schemas import DateRange
from app.security import Principal
from app.users import UserService


class IdempotencyKeyReused(Unprocessable):
    type = "urn:problem-type:idempotency-key-reused"
    detail = "The idempotency key belongs to an order of something else."


class OrderService:
    """Orders, within the request's unit of work."""

    def __init__(self) -> None:
        self.orders = OrderRepository()
        self.products = ProductService()
        self.users = UserService()

    def place(self, user_id: int, data: OrderCreate, idempotency_key: str | None) -> Order:
        """Order; or return the order that this user placed before with this key and the same lines.

        NotFound, OutOfStock or IdempotencyKeyReused when that cannot be.
        """
        request = {"user_id": user_id, "idempotency_key": idempotency_key, "fingerprint": data.fingerprint()}
        order_id = self.orders.create(**request)
        if order_id is None:
            if order := self.orders.find(**request):
                return order
            if not self.users.account(user_id):  # gone since the token was issued
                raise Unauthorized
            raise IdempotencyKeyReused
        prices = self.products.reserve({line.product_id: line.quantity for line in data.lines})
        self.orders.add_lines(
            {"order_id": order_id, "unit_price": prices[line.product_id], **line.model_dump()} for line in data.lines
        )
        return self._get(order_id)

    def get(self, order_id: int, *, reader: Principal, reader_id: int) -> Order:
        """An order. NotFound also for one that the reader may not see."""
        order = self._get(order_id)
        if order.user_id != reader_id and not reader.is_admin:
            raise NotFound(_NO_SUCH_ORDER)
        return order

    def page(self, user_id: int, period: DateRange, paginator: Paginator) -> tuple[list[Order], int]:
        """One page of the user's orders within the period, newest first, and how many there are."""
        return self.orders.page(user_id, period, paginator)

    def exists(self, order_id: int) -> bool:
        """Whether there is such an order."""
        return self.orders.exists(order_id)

    def mark_paid(self, order_id: int) -> None:
        """The order is paid, from now on or since before."""
        self.orders.mark_paid(order_id)

    def _get(self, order_id: int) -> Order:
        if order := self.orders.find(id=order_id):
            return order
        raise NotFound(_NO_SUCH_ORDER)


_NO_SUCH_ORDER = "There is no such order."
