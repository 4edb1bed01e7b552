"""Orders in the database."""

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, time
from typing import Any

from django.db.models import Prefetch, prefetch_related_objects
from django.db.models.functions import Now

from app.core import BaseRepository, DateRange, Paginator, User
from app.orders.models import Order, OrderItem

# Gives an order its `lines`.
LINES = Prefetch("items", OrderItem.objects.order_by("product_id"), to_attr="lines")


class OrderRepository(BaseRepository[Order]):
    """Orders and their lines."""

    model = Order

    def find(self, order_id: int) -> Order | None:
        """The order with this key, and its lines."""
        return self.rows.prefetch_related(LINES).filter(id=order_id).first()

    def page_of_user(self, user_id: int, period: DateRange, paginator: Paginator) -> tuple[list[Order], int]:
        """One page of the user's orders within the period, newest first, with their lines, and how many there are."""
        first = datetime.combine(period.start_date, time.min, UTC)
        last = datetime.combine(period.end_date, time.max, UTC)
        wanted = self.rows.prefetch_related(LINES).filter(user_id=user_id, created_at__range=(first, last))
        return self.page(paginator, wanted.order_by("-created_at", "-id"))

    def all_of_user(self, user_id: int) -> list[Order]:
        """All orders of the user with their lines, oldest first."""
        return list(self.rows.prefetch_related(LINES).filter(user_id=user_id).order_by("id"))

    def user_exists(self, user_id: int) -> bool:
        """Whether there is such a user."""
        return User.objects.filter(id=user_id).exists()

    def create_once(self, user_id: int, idempotency_key: str | None, fingerprint: str) -> tuple[Order, bool]:
        """Store a new order, or return the one that the user gave this idempotency key, and whether it is new.

        It waits for a concurrent request with the same key.
        """
        if idempotency_key is None:
            return self.create({"user_id": user_id, "fingerprint": fingerprint}), True
        return self.rows.get_or_create(
            user_id=user_id, idempotency_key=idempotency_key, defaults={"fingerprint": fingerprint}
        )

    def add_lines(self, lines: Iterable[Mapping[str, Any]]) -> None:
        """Store the lines of an order."""
        OrderItem.objects.bulk_create(OrderItem(**line) for line in lines)

    def mark_paid(self, order_id: int) -> None:
        """Note when the order was paid, once."""
        self.rows.filter(id=order_id, paid_at=None).update(paid_at=Now())

    def load_lines(self, order: Order) -> Order:
        """Load the lines of an order."""
        prefetch_related_objects([order], LINES)
        return order
