"""Dates of orders: filter, sort order and time of payment."""

from datetime import UTC, datetime, timedelta

import httpx2
import pytest
from sqlalchemy.ext.asyncio import AsyncSession

from app.core import WriteSession
from app.core.testing import SignIn, UserFactory
from app.orders import OrderRepository
from app.orders.models import Order

MIDNIGHT = datetime(2026, 1, 31, tzinfo=UTC)
INSTANT = timedelta(microseconds=1)


def order_of(user_id: int, created_at: datetime) -> Order:
    return Order(user_id=user_id, created_at=created_at)


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
    async_client: httpx2.AsyncClient,
    db_session: AsyncSession,
    user_factory: UserFactory,
    sign_in: SignIn,
    *,
    created_at: datetime,
    found: bool,
) -> None:
    user = await user_factory()
    db_session.add(order_of(user.id, created_at))
    await db_session.commit()
    query = {"start_date": "2026-01-31", "end_date": "2026-01-31"}
    page = (await async_client.get("/api/v1/orders", params=query, headers=sign_in(user))).json()
    assert page["total"] == len(page["items"]) == found


async def test_orders_are_sorted_by_time_not_id(
    async_client: httpx2.AsyncClient, db_session: AsyncSession, user_factory: UserFactory, sign_in: SignIn
) -> None:
    user = await user_factory()
    new, old = order_of(user.id, MIDNIGHT), order_of(user.id, MIDNIGHT - INSTANT)
    db_session.add_all([new, old])
    await db_session.commit()
    page = (await async_client.get("/api/v1/orders", headers=sign_in(user))).json()
    assert [order["id"] for order in page["items"]] == [new.id, old.id]


async def test_paid_at_is_not_overwritten(db_session: WriteSession, user_factory: UserFactory) -> None:
    order = order_of((await user_factory()).id, MIDNIGHT)
    order.paid_at = MIDNIGHT
    db_session.add(order)
    await db_session.commit()
    await OrderRepository(db_session).mark_paid(order.id)
    await db_session.refresh(order)
    assert order.paid_at == MIDNIGHT
