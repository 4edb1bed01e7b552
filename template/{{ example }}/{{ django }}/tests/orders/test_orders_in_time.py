"""Dates of orders: filter, sort order and time of payment."""

from datetime import UTC, datetime, timedelta

import httpx2
import pytest
from asgiref.sync import sync_to_async

from app.core.testing import SignIn, UserFactory
from app.orders import OrderRepository
from app.orders.models import Order

MIDNIGHT = datetime(2026, 1, 31, tzinfo=UTC)
INSTANT = timedelta(microseconds=1)


@sync_to_async
def order_of(user_id: int, created_at: datetime) -> Order:
    order = Order.objects.create(user_id=user_id)
    Order.objects.filter(id=order.id).update(created_at=created_at)  # `create` sets the current time
    return order


@pytest.mark.parametrize(
    ("created_at", "found"),
    [
        (MIDNIGHT - INSTANT, False),
        (MIDNIGHT, True),
        (MIDNIGHT + timedelta(1) - INSTANT, True),
        (MIDNIGHT + timedelta(1), False),
        (datetime.fromisoformat("2026-02-01T00:30:00+01:00"), True),
    ],
)
async def test_date_filter_is_a_whole_utc_day(
    async_client: httpx2.AsyncClient, user_factory: UserFactory, sign_in: SignIn, *, created_at: datetime, found: bool
) -> None:
    user = await user_factory()
    await order_of(user.id, created_at)
    query = {"start_date": "2026-01-31", "end_date": "2026-01-31"}
    page = (await async_client.get("/api/v1/orders", params=query, headers=sign_in(user))).json()
    assert page["total"] == len(page["items"]) == found


async def test_orders_are_sorted_by_time_not_id(
    async_client: httpx2.AsyncClient, user_factory: UserFactory, sign_in: SignIn
) -> None:
    user = await user_factory()
    new, old = await order_of(user.id, MIDNIGHT), await order_of(user.id, MIDNIGHT - INSTANT)
    page = (await async_client.get("/api/v1/orders", headers=sign_in(user))).json()
    assert [order["id"] for order in page["items"]] == [new.id, old.id]


async def test_paid_at_is_not_overwritten(user_factory: UserFactory) -> None:
    order = await order_of((await user_factory()).id, MIDNIGHT)

    @sync_to_async
    def paid_again() -> datetime | None:
        Order.objects.filter(id=order.id).update(paid_at=MIDNIGHT)
        OrderRepository().mark_paid(order.id)
        return Order.objects.get(id=order.id).paid_at

    assert await paid_again() == MIDNIGHT
