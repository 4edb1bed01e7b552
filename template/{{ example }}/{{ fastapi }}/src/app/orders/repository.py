"""Orders in the database."""

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, time
from typing import Any

from sqlalchemy import ColumnElement, Select, asc, desc, func, insert, select, update
from sqlalchemy.orm import selectinload

from app.core import BaseRepository, ReadSession, WriteSession
from app.orders.models import Order, OrderItem
from app.orders.schemas import OrderPeriod, OrderQuery, SummaryQuery
from app.products import Product

STATUS: dict[str, ColumnElement[bool]] = {
    "placed": Order.paid_at.is_(None) & Order.cancelled_at.is_(None),
    "paid": Order.paid_at.is_not(None),
    "cancelled": Order.cancelled_at.is_not(None),
}


class OrderRepository[Session: ReadSession](BaseRepository[Order, Session]):
    model = Order

    async def find(self, **values: Any) -> Order | None:
        """Return the order with these values and its lines, or None."""
        return await self.session.scalar(select(Order).options(selectinload(Order.lines)).filter_by(**values))

    async def page_of_user(self, user_id: int, query: OrderQuery) -> tuple[list[Order], int]:
        """Return one page of the user's orders that match the filters with their lines, and the total number."""
        wanted = select(Order).where(Order.user_id == user_id, _placed_in(query))
        if query.status:
            wanted = wanted.where(STATUS[query.status])
        return await self.page(query, wanted.options(selectinload(Order.lines)))

    async def summary(self, query: SummaryQuery) -> tuple[list[Any], int]:
        """Return one page of orders, quantity and revenue by day (UTC) and product, and the number of such lines."""
        day = func.date(func.timezone("UTC", Order.created_at))
        columns: dict[str, Any] = {
            "day": day,
            "product_id": Product.id,
            "name": Product.name,
            "orders": func.count(),
            "quantity": func.sum(OrderItem.quantity),
            "revenue": func.sum(OrderItem.quantity * OrderItem.unit_price),
        }
        lines: Select[*tuple[Any, ...]] = (
            select(*(column.label(name) for name, column in columns.items()))
            .select_from(OrderItem)
            .join(Order, Order.id == OrderItem.order_id)
            .join(Product, Product.id == OrderItem.product_id)
            .where(Order.cancelled_at.is_(None), _placed_in(query))
            .group_by(day, Product.id)
        )
        order = {**query.order, "day": query.order.get("day", True), "product_id": query.order.get("product_id", False)}
        ordered: list[ColumnElement[Any]] = [
            desc(name) if is_descending else asc(name) for name, is_descending in order.items()
        ]
        rows = await self.session.execute(lines.order_by(*ordered).offset(query.offset).limit(query.size))
        total = await self.session.scalar(select(func.count()).select_from(lines.subquery()))
        return list(rows), total or 0

    async def all_of_user(self, user_id: int) -> Iterable[Order]:
        """Return all orders of the user with their lines, oldest first."""
        query = select(Order).where(Order.user_id == user_id).options(selectinload(Order.lines)).order_by(Order.id)
        return await self.session.scalars(query)

    async def add(self: "OrderRepository[WriteSession]", user_id: int, lines: Iterable[Mapping[str, Any]]) -> Order:
        """Store an order, and return it with its lines. Raise IntegrityError for an unknown user."""
        order_id = await self.session.scalar(insert(Order).values(user_id=user_id).returning(Order.id))
        await self.session.execute(insert(OrderItem), [{"order_id": order_id, **line} for line in lines])
        placed = select(Order).options(selectinload(Order.lines)).where(Order.id == order_id)
        return (await self.session.scalars(placed)).one()

    async def mark_paid(self: "OrderRepository[WriteSession]", order_id: int) -> bool:
        """Set the time of payment. Return False for an order that is paid or cancelled already."""
        placed = (Order.id == order_id) & STATUS["placed"]
        marked = update(Order).where(placed).values(paid_at=func.now()).returning(Order.id)
        return await self.session.scalar(marked) is not None

    async def mark_cancelled(self: "OrderRepository[WriteSession]", order_id: int) -> bool:
        """Set the time of cancelling. Return False for an order that is paid or cancelled already."""
        placed = (Order.id == order_id) & STATUS["placed"]
        marked = update(Order).where(placed).values(cancelled_at=func.now()).returning(Order.id)
        return await self.session.scalar(marked) is not None


def _placed_in(period: OrderPeriod) -> ColumnElement[bool]:
    first = datetime.combine(period.start_date, time.min, UTC)
    last = datetime.combine(period.end_date, time.max, UTC)
    return Order.created_at.between(first, last)
