"""Listeners to events of users. The orders of an erased user stay, because they hold no personal data."""

from typing import Any

from app.core import User, WriteSession, exporting
from app.orders.repository import OrderRepository
from app.orders.schemas import OrderResponse


@exporting.connect
async def export(session: WriteSession, user: User) -> list[dict[str, Any]]:
    """Return all orders of the user."""
    orders = await OrderRepository(session).all_of_user(user.id)
    return [OrderResponse.model_validate(order).model_dump(mode="json") for order in orders]
