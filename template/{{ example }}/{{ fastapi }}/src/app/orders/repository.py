"""Orders in the database."""

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, time
from typing import Any

from sqlalchemy import func, insert, select, update
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import selectinload

from app.orders.models import Order, OrderItem
from app.pagination import Paginator
from app.schemas import DateRange


class OrderRepository:
    """What the service asks about orders."""

    def __init__(self, session: AsyncSession) -> None:
        self.session = session

    async def find(self, **values: Any) -> Order | None:
        """The order with these values, and its lines."""
        return await self.session.scalar(_WITH_LINES.filter_by(**values))

    async def page(self, user_id: int, period: DateRange, paginator: Paginator) -> tuple[list[Order], int]:
        """One page of the user's orders within the period, newest first, with their lines, and how many there are."""
        first = datetime.combine(period.start_date, time.min, UTC)
        last = datetime.combine(period.end_date, time.max, UTC)
        wanted = (Order.user_id == user_id, Order.created_at.between(first, last))
        orders = await self.session.scalars(
            _WITH_LINES.where(*wanted)
            .order_by(Order.created_at.desc(), Order.id.desc())
            .offset(paginator.offset)
            .limit(paginator.size)
        )
        total = await self.session.scalar(select(func.count()).select_from(Order).where(*wanted))
        return list(orders), total or 0

    async def create(self, **values: Any) -> int | None:
        """Store a new order and return its key; None when its user gave the idempotency key to an order before.

        A request with the same key that is under way is waited for.
        """
        return await self.session.scalar(
            upsert(Order)
            .values(values)
            .on_conflict_do_nothing(index_elements=[Order.user_id, Order.idempotency_key])
            .returning(Order.id)
        )

    async def add_lines(self, lines: Iterable[Mapping[str, Any]]) -> None:
        """Store the lines of an order."""
        await self.session.execute(insert(OrderItem), list(lines))

    async def exists(self, order_id: int) -> bool:
        """Whether there is an order with this key."""
        return bool(await self.session.scalar(select(Order.id).where(Order.id == order_id)))

    async def mark_paid(self, order_id: int) -> None:
        """Note when the order was paid, once."""
        await self.session.execute(
            update(Order).where(Order.id == order_id, Order.paid_at.is_(None)).values(paid_at=func.now())
        )


_WITH_LINES = select(Order).options(selectinload(Order.lines))
