"""Concurrent orders, each on its own connection."""

import asyncio
from collections import Counter
from decimal import Decimal
from types import SimpleNamespace

import httpx2
import pytest
from fastapi import FastAPI
from sqlalchemy import Text, column, func, select, table, update

from app.core import Database, User, state_of
from app.core.testing import Headers, SignIn
from app.orders import OrderRepository
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
def admin_of_catalogue(sign_in: SignIn) -> Headers:
    return sign_in(SimpleNamespace(id=1, is_superuser=True))


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


async def test_order_is_cancelled_once(async_client: httpx2.AsyncClient, user: Headers, products: list[int]) -> None:
    order = (await place_order(async_client, user, (products[0], 4), (products[1], 1))).json()
    path = f"/api/v1/orders/{order['id']}/cancel"
    responses = await asyncio.gather(*(async_client.post(path, headers=user) for _ in range(6)))
    assert Counter(response.status_code for response in responses) == {200: 1, 409: 5}
    assert [await stock_of(async_client, product_id) for product_id in products[:2]] == [10, 10]


async def test_order_is_paid_or_cancelled(
    committing_app: FastAPI, async_client: httpx2.AsyncClient, user: Headers, products: list[int]
) -> None:
    database: Database = state_of(committing_app).database

    async def pay(order_id: int) -> bool:
        async with database.sessions.begin() as session:
            return await OrderRepository(session).mark_paid(order_id)

    for _ in range(5):
        order = (await place_order(async_client, user, (products[0], 3))).json()
        path = f"/api/v1/orders/{order['id']}/cancel"
        is_paid, cancelled = await asyncio.gather(pay(order["id"]), async_client.post(path, headers=user))
        assert cancelled.status_code == (409 if is_paid else 200)
        if is_paid:  # give the stock back for the next order
            async with database.sessions.begin() as session:
                await session.execute(update(Product).where(Product.id == products[0]).values(stock=10))
        assert await stock_of(async_client, products[0]) == 10


async def test_cancelling_does_not_deadlock_with_orders(
    async_client: httpx2.AsyncClient, user: Headers, products: list[int]
) -> None:
    lines = [(product_id, 1) for product_id in products]
    made = [(await place_order(async_client, user, *reversed(lines))).json() for _ in range(4)]
    responses = await asyncio.gather(
        *(async_client.post(f"/api/v1/orders/{order['id']}/cancel", headers=user) for order in made),
        *(place_order(async_client, user, *lines) for _ in made),
    )
    assert Counter(response.status_code for response in responses) == {200: 4, 201: 4}
    assert [await stock_of(async_client, product_id) for product_id in products] == [6] * 5


async def test_one_of_two_changes_with_the_same_tag_wins(
    async_client: httpx2.AsyncClient, admin_of_catalogue: Headers, products: list[int]
) -> None:
    path = f"/api/v1/products/{products[0]}"
    headers = admin_of_catalogue | {"If-Match": (await async_client.get(path)).headers["etag"]}
    responses = await asyncio.gather(*(async_client.patch(path, json={"stock": n}, headers=headers) for n in range(4)))
    assert Counter(response.status_code for response in responses) == {200: 1, 412: 3}


async def test_deleted_product_is_archived_or_not_ordered(
    async_client: httpx2.AsyncClient, user: Headers, admin_of_catalogue: Headers, products: list[int]
) -> None:
    for product_id in products:
        deleted, placed = await asyncio.gather(
            async_client.delete(f"/api/v1/products/{product_id}", headers=admin_of_catalogue),
            place_order(async_client, user, (product_id, 1)),
        )
        assert (deleted.status_code, placed.status_code) in {(204, 201), (204, 404)}
