"""Concurrent orders, each on its own connection."""

import asyncio
from collections import Counter
from decimal import Decimal

import httpx2
import pytest
from fastapi import FastAPI
from sqlalchemy import Text, column, func, select, table, update

from app.core import Database, User, state_of
from app.core.testing import Headers, SignIn
from app.products.models import Product
from tests.orders.helpers import place_order
from tests.products.helpers import stock_of

pytestmark = pytest.mark.slow


@pytest.fixture
async def user(committing_app: FastAPI, sign_in: SignIn) -> Headers:
    async with state_of(committing_app).database.sessions.begin() as session:
        user = User(name="Ada", email="ada@example.com", password="none")
        session.add(user)
    return sign_in(user)


@pytest.fixture
async def products(committing_app: FastAPI) -> list[int]:
    async with state_of(committing_app).database.sessions.begin() as session:
        products = [Product(name=f"Product {n}", price=Decimal(1), stock=10) for n in range(5)]
        session.add_all(products)
    return [product.id for product in products]


async def test_concurrent_orders_do_not_oversell(
    async_client: httpx2.AsyncClient, user: Headers, products: list[int]
) -> None:
    responses = await asyncio.gather(*(place_order(async_client, user, (products[0], 3)) for _ in range(8)))
    assert Counter(response.status_code for response in responses) == {201: 3, 409: 5}
    assert await stock_of(async_client, products[0]) == 1


async def test_concurrent_orders_do_not_deadlock(
    async_client: httpx2.AsyncClient, user: Headers, products: list[int]
) -> None:
    lines = [(product_id, 1) for product_id in products]
    responses = await asyncio.gather(
        *(place_order(async_client, user, *(lines if n % 2 else reversed(lines))) for n in range(10))
    )
    assert {response.status_code for response in responses} == {201}
    assert [await stock_of(async_client, product_id) for product_id in products] == [0] * 5


async def test_products_are_locked_in_key_order(
    committing_app: FastAPI, async_client: httpx2.AsyncClient, user: Headers, products: list[int]
) -> None:
    database: Database = state_of(committing_app).database
    first, *others = products
    async with database.sessions.begin() as session:
        # Moves the first product to the end of the table: a scan in physical order would lock it last.
        await session.execute(update(Product).where(Product.id == first).values(stock=11))
    activity = table("pg_stat_activity", column("wait_event_type", Text))
    waiting = select(func.count(), func.pg_sleep(0.01)).where(activity.c.wait_event_type == "Lock")
    async with asyncio.timeout(10), database.sessions.begin() as session, database.read_sessions() as observer:
        await session.execute(select(Product.id).where(Product.id == first).with_for_update())
        order = asyncio.create_task(place_order(async_client, user, *((key, 1) for key in reversed(products))))
        while not await observer.scalar(waiting):
            pass
        # While the first product is locked, the order must not lock the others.
        free = await session.scalars(select(Product.id).where(Product.id.in_(others)).with_for_update(nowait=True))
        assert set(free) == set(others)
    assert (await order).status_code == 201


async def test_concurrent_repeats_place_one_order(
    async_client: httpx2.AsyncClient, user: Headers, products: list[int]
) -> None:
    responses = await asyncio.gather(*(place_order(async_client, user, (products[0], 2), key="k") for _ in range(6)))
    assert {response.status_code for response in responses} == {201}
    assert len({response.json()["id"] for response in responses}) == 1
    assert await stock_of(async_client, products[0]) == 8


async def test_concurrent_idempotency_key_reuse_is_422(
    async_client: httpx2.AsyncClient, user: Headers, products: list[int]
) -> None:
    responses = await asyncio.gather(
        *(place_order(async_client, user, (product_id, 1), key="k") for product_id in products)
    )
    assert Counter(response.status_code for response in responses) == {201: 1, 422: 4}
    assert sum([await stock_of(async_client, product_id) for product_id in products]) == 49
