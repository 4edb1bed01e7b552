"""Orders in the database."""

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, time
from typing import Any

from django.db import connection
from django.db.models import Prefetch, QuerySet
from django.db.models.functions import Now

from app.orders.models import Order, OrderItem
from app.pagination import Paginator
from app.schemas import DateRange


class OrderRepository:
    """What the service asks about orders."""

    def find(self, **values: Any) -> Order | None:
        """The order with these values, and its lines."""
        return _with_lines().filter(**values).first()

    def page(self, user_id: int, period: DateRange, paginator: Paginator) -> tuple[list[Order], int]:
        """One page of the user's orders within the period, newest first, with their lines, and how many there are."""
        first = datetime.combine(period.start_date, time.min, UTC)
        last = datetime.combine(period.end_date, time.max, UTC)
        wanted = _with_lines().filter(user_id=user_id, created_at__range=(first, last))
        orders = wanted.order_by("-created_at", "-id")[paginator.offset : paginator.offset + paginator.size]
        return list(orders), wanted.count()

    def create(self, **values: Any) -> int | None:
        """Store a new order and return its key; None without its user, or when the user gave an order this key before.

        A request with the same key that is under way is waited for.
        """
        # What Django's `bulk_create(ignore_conflicts=True)` does, but that does not tell the key.
        with connection.cursor() as cursor:
            cursor.execute(CREATE, values)
            row = cursor.fetchone()
        return row[0] if row else None

    def add_lines(self, lines: Iterable[Mapping[str, Any]]) -> None:
        """Store the lines of an order."""
        OrderItem.objects.bulk_create(OrderItem(**line) for line in lines)

    def exists(self, order_id: int) -> bool:
        """Whether there is an order with this key."""
        return Order.objects.filter(id=order_id).exists()

    def mark_paid(self, order_id: int) -> None:
        """Note when the order was paid, once."""
        Order.objects.filter(id=order_id, paid_at=None).update(paid_at=Now())


CREATE = """
INSERT INTO orders (user_id, idempotency_key, fingerprint)
SELECT id, %(idempotency_key)s, %(fingerprint)s FROM users WHERE id = %(user_id)s FOR KEY SHARE
ON CONFLICT (user_id, idempotency_key) DO NOTHING
RETURNING id
"""


def _with_lines() -> QuerySet[Order]:
    return Order.objects.prefetch_related(Prefetch("items", OrderItem.objects.order_by("product_id")))
