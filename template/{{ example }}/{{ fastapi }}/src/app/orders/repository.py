"""Orders in the database."""

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, time
from typing import Any

from sqlalchemy import func, insert, select, update
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.orm import selectinload

from app.core import BaseRepository, DateRange, Paginator, ReadSession, WriteSession
from app.orders.models import Order, OrderItem


class OrderRepository[Session: ReadSession](BaseRepository[Order, Session]):
    model = Order

    async def find(self, **values: Any) -> Order | None:
        """Return the order with these values and its lines, or None."""
        return await self.session.scalar(select(Order).options(selectinload(Order.lines)).filter_by(**values))

    async def page_of_user(self, user_id: int, period: DateRange, paginator: Paginator) -> tuple[list[Order], int]:
        """Return one page of the user's orders in the period with their lines, newest first, and the total number."""
        first = datetime.combine(period.start_date, time.min, UTC)
        last = datetime.combine(period.end_date, time.max, UTC)
        wanted = select(Order).where(Order.user_id == user_id, Order.created_at.between(first, last))
        newest_first = wanted.options(selectinload(Order.lines)).order_by(Order.created_at.desc(), Order.id.desc())
        return await self.page(paginator, newest_first)

    async def all_of_user(self, user_id: int) -> Iterable[Order]:
        """Return all orders of the user with their lines, oldest first."""
        query = select(Order).where(Order.user_id == user_id).options(selectinload(Order.lines)).order_by(Order.id)
        return await self.session.scalars(query)

    async def create_once(self: "OrderRepository[WriteSession]", values: Mapping[str, Any]) -> int | None:
        """Store a new order and return its id. None if the user has an order with the same idempotency key.

        Waits for a concurrent request with the same key.
        """
        return await self.session.scalar(
            upsert(Order)
            .values(values)
            .on_conflict_do_nothing(index_elements=[Order.user_id, Order.idempotency_key])
            .returning(Order.id)
        )

    async def add_lines(self: "OrderRepository[WriteSession]", lines: Iterable[Mapping[str, Any]]) -> None:
        await self.session.execute(insert(OrderItem), list(lines))

    async def mark_paid(self: "OrderRepository[WriteSession]", order_id: int) -> None:
        """Set the time of payment, unless it is set already."""
        await self.session.execute(
            update(Order).where(Order.id == order_id, Order.paid_at.is_(None)).values(paid_at=func.now())
        )
