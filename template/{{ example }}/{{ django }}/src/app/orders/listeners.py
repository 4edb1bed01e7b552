"""Listeners to events of users. The orders of an erased user stay, because they hold no personal data."""

from typing import Any

from django.dispatch import receiver

from app.core import User, exporting
from app.orders.repository import OrderRepository
from app.orders.schemas import OrderResponse


@receiver(exporting)
def export_orders(user: User, **_: Any) -> list[dict[str, Any]]:
    """Return all orders of the user."""
    orders = OrderRepository().all_of_user(user.id)
    return [OrderResponse.model_validate(order).model_dump(mode="json") for order in orders]
