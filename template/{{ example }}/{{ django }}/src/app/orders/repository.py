"""Orders in the database."""

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, time
from typing import Any

from django.db.models import Prefetch, prefetch_related_objects
from django.db.models.functions import Now

from app.core import BaseRepository, DateRange, Paginator, User
from app.orders.models import Order, OrderItem

# Sets `lines` of an order.
LINES = Prefetch("items", OrderItem.objects.order_by("product_id"), to_attr="lines")


class OrderRepository(BaseRepository[Order]):
    model = Order

    def find(self, order_id: int) -> Order | None:
        """Return the order with this id and its lines, or None."""
        return self.rows.prefetch_related(LINES).filter(id=order_id).first()

    def page_of_user(self, user_id: int, period: DateRange, paginator: Paginator) -> tuple[list[Order], int]:
        """Return one page of the user's orders in the period with their lines, newest first, and the total number."""
        first = datetime.combine(period.start_date, time.min, UTC)
        last = datetime.combine(period.end_date, time.max, UTC)
        wanted = self.rows.prefetch_related(LINES).filter(user_id=user_id, created_at__range=(first, last))
        return self.page(paginator, wanted.order_by("-created_at", "-id"))

    def all_of_user(self, user_id: int) -> list[Order]:
        """Return all orders of the user with their lines, oldest first."""
        return list(self.rows.prefetch_related(LINES).filter(user_id=user_id).order_by("id"))

    def user_exists(self, user_id: int) -> bool:
        return User.objects.filter(id=user_id).exists()

    def create_once(self, user_id: int, idempotency_key: str | None, fingerprint: str) -> tuple[Order, bool]:
        """Store a new order, or find the user's order with this idempotency key. Return it, and whether it is new.

        Waits for a concurrent request with the same key.
        """
        if idempotency_key is None:
            return self.create({"user_id": user_id, "fingerprint": fingerprint}), True
        return self.rows.get_or_create(
            user_id=user_id, idempotency_key=idempotency_key, defaults={"fingerprint": fingerprint}
        )

    def add_lines(self, lines: Iterable[Mapping[str, Any]]) -> None:
        OrderItem.objects.bulk_create(OrderItem(**line) for line in lines)

    def mark_paid(self, order_id: int) -> None:
        """Set the time of payment, unless it is set already."""
        self.rows.filter(id=order_id, paid_at=None).update(paid_at=Now())

    def load_lines(self, order: Order) -> Order:
        """Load the lines of an order and return the order."""
        prefetch_related_objects([order], LINES)
        return order
