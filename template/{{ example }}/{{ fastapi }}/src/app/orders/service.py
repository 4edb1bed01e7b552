"""What can be done with orders."""

from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession

from app.orders.models import Order
from app.orders.repository import OrderRepository
from app.orders.schemas import OrderCreate
from app.pagination import Paginator
from app.problems import NotFound, Unauthorized, Unprocessable
from app.products import ProductService
from app.schemas import DateRange
from app.security import Principal


class IdempotencyKeyReused(Unprocessable):
    type = "urn:problem-type:idempotency-key-reused"
    detail = "The idempotency key belongs to an order of something else."


class OrderService:
    """Orders, within the unit of work that `session` is."""

    def __init__(self, session: AsyncSession) -> None:
        self.orders = OrderRepository(session)
        self.products = ProductService(session)

    async def place(self, user_id: int, data: OrderCreate, idempotency_key: str | None) -> Order:
        """Order; or return the order that this user placed before with this key and the same lines.

        NotFound, OutOfStock or IdempotencyKeyReused when that cannot be.
        """
        request = {"user_id": user_id, "idempotency_key": idempotency_key, "fingerprint": data.fingerprint()}
        try:
            order_id = await self.orders.create(**request)
        except IntegrityError:
            # The user is gone since the token was issued.
            raise Unauthorized from None
        if order_id is None:
            if order := await self.orders.find(**request):
                return order
            raise IdempotencyKeyReused
        prices = await self.products.reserve({line.product_id: line.quantity for line in data.lines})
        await self.orders.add_lines(
            {"order_id": order_id, "unit_price": prices[line.product_id], **line.model_dump()} for line in data.lines
        )
        return await self._get(order_id)

    async def get(self, order_id: int, *, reader: Principal, reader_id: int) -> Order:
        """An order. NotFound also for one that the reader may not see."""
        order = await self._get(order_id)
        if order.user_id != reader_id and not reader.is_admin:
            raise NotFound(_NO_SUCH_ORDER)
        return order

    async def page(self, user_id: int, period: DateRange, paginator: Paginator) -> tuple[list[Order], int]:
        """One page of the user's orders within the period, newest first, and how many there are."""
        return await self.orders.page(user_id, period, paginator)

    async def exists(self, order_id: int) -> bool:
        """Whether there is such an order."""
        return await self.orders.exists(order_id)

    async def mark_paid(self, order_id: int) -> None:
        """The order is paid, from now on or since before."""
        await self.orders.mark_paid(order_id)

    async def _get(self, order_id: int) -> Order:
        if order := await self.orders.find(id=order_id):
            return order
        raise NotFound(_NO_SUCH_ORDER)


_NO_SUCH_ORDER = "There is no such order."
