"""Orders in the database."""

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, time
from typing import Any

from django.db.models import Count, DecimalField, F, Prefetch, Q, Sum, prefetch_related_objects
from django.db.models.functions import Now, TruncDate

from app.core import BaseRepository, User
from app.orders.models import Order, OrderItem
from app.orders.schemas import OrderPeriod, OrderQuery, SummaryQuery

STATUS = {
    "placed": Q(paid_at=None, cancelled_at=None),
    "paid": Q(paid_at__isnull=False),
    "cancelled": Q(cancelled_at__isnull=False),
}

# Sets `lines` of an order.
LINES = Prefetch("items", OrderItem.objects.order_by("product_id"), to_attr="lines")


class OrderRepository(BaseRepository[Order]):
    model = Order

    def find(self, order_id: int) -> Order | None:
        """Return the order with this id and its lines, or None."""
        return self.rows.prefetch_related(LINES).filter(id=order_id).first()

    def page_of_user(self, user_id: int, query: OrderQuery) -> tuple[list[Order], int]:
        """Return one page of the user's orders that match the filters with their lines, and the total number."""
        wanted = self.rows.prefetch_related(LINES).filter(user_id=user_id, created_at__range=_times(query))
        return self.page(query, wanted.filter(STATUS[query.status]) if query.status else wanted)

    def summary(self, query: SummaryQuery) -> tuple[list[dict[str, Any]], int]:
        """Return one page of orders, quantity and revenue by day (UTC) and product, and the number of such lines."""
        lines = (
            OrderItem.objects.filter(order__cancelled_at=None, order__created_at__range=_times(query))
            .values("product_id", day=TruncDate("order__created_at", tzinfo=UTC), name=F("product__name"))
            .annotate(
                orders=Count("*"),
                sold=Sum("quantity"),
                revenue=Sum(F("quantity") * F("unit_price"), output_field=DecimalField()),
            )
        )
        order = {**query.order, "day": query.order.get("day", True), "product_id": query.order.get("product_id", False)}
        names = ((name if name != "quantity" else "sold", is_descending) for name, is_descending in order.items())
        ordered = lines.order_by(*(f"-{name}" if is_descending else name for name, is_descending in names))
        found = ordered[query.offset : query.offset + query.size]
        renamed = [{name.replace("sold", "quantity"): value for name, value in line.items()} for line in found]
        return renamed, lines.count()

    def all_of_user(self, user_id: int) -> list[Order]:
        """Return all orders of the user with their lines, oldest first."""
        return list(self.rows.prefetch_related(LINES).filter(user_id=user_id).order_by("id"))

    def user_exists(self, user_id: int) -> bool:
        return User.objects.filter(id=user_id).exists()

    def add(self, user_id: int, lines: Iterable[Mapping[str, Any]]) -> Order:
        """Store an order, and return it with its lines."""
        order = Order.objects.create(user_id=user_id)
        OrderItem.objects.bulk_create(OrderItem(order_id=order.id, **line) for line in lines)
        prefetch_related_objects([order], LINES)
        return order

    def mark_paid(self, order_id: int) -> bool:
        """Set the time of payment. Return False for an order that is paid or cancelled already."""
        return self.rows.filter(STATUS["placed"], id=order_id).update(paid_at=Now()) > 0

    def mark_cancelled(self, order_id: int) -> bool:
        """Set the time of cancelling. Return False for an order that is paid or cancelled already."""
        return self.rows.filter(STATUS["placed"], id=order_id).update(cancelled_at=Now()) > 0


def _times(period: OrderPeriod) -> tuple[datetime, datetime]:
    return (
        datetime.combine(period.start_date, time.min, UTC),
        datetime.combine(period.end_date, time.max, UTC),
    )
