"""Concurrent orders, each on its own connection."""

import time
from collections import Counter
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from functools import partial
from types import SimpleNamespace
from typing import Any

import httpx2
import pytest
from django.db import connection, transaction

from app.core import User
from app.core.testing import Headers, SignIn
from app.orders import OrderRepository
from app.products.models import Product

pytestmark = pytest.mark.slow

Lines = Iterable[tuple[int, int]]


@pytest.fixture
def user(committing_client: httpx2.Client, sign_in: SignIn) -> Headers:
    return sign_in(User.objects.create(name="Ada", email="ada@example.com"))


@pytest.fixture
def admin_of_catalogue(sign_in: SignIn) -> Headers:
    return sign_in(SimpleNamespace(id=1, is_superuser=True))


@pytest.fixture
def products(committing_client: httpx2.Client) -> list[int]:
    return [Product.objects.create(name=f"Product {n}", price=Decimal(1), stock=10).id for n in range(5)]


def post_concurrently(
    client: httpx2.Client, headers: Headers, *orders: Lines, key: str | None = None
) -> list[httpx2.Response]:
    def place(order: Lines) -> httpx2.Response:
        body = {"lines": [{"product_id": product_id, "quantity": quantity} for product_id, quantity in order]}
        return client.post("/api/v1/orders", json=body, headers=headers | ({"Idempotency-Key": key} if key else {}))

    with ThreadPoolExecutor(len(orders)) as threads:
        return list(threads.map(place, orders))


def statuses(responses: Iterable[httpx2.Response]) -> Any:
    return Counter(response.status_code for response in responses)


def test_concurrent_orders_do_not_oversell(
    committing_client: httpx2.Client, user: Headers, products: list[int]
) -> None:
    responses = post_concurrently(committing_client, user, *[[(products[0], 3)]] * 8)
    assert statuses(responses) == {201: 3, 409: 5}
    assert Product.objects.get(id=products[0]).stock == 1


def test_concurrent_orders_do_not_deadlock(
    committing_client: httpx2.Client, user: Headers, products: list[int]
) -> None:
    lines = [(product_id, 1) for product_id in products]
    responses = post_concurrently(committing_client, user, *(lines if n % 2 else lines[::-1] for n in range(10)))
    assert statuses(responses) == {201: 10}
    assert set(Product.objects.values_list("stock", flat=True)) == {0}


def test_products_are_locked_in_key_order(committing_client: httpx2.Client, user: Headers, products: list[int]) -> None:
    first, *others = products
    # Moves the first product to the end of the table: a scan in physical order would lock it last.
    moved = Product.objects.get(id=first)
    moved.delete()
    Product.objects.create(id=first, name=moved.name, price=moved.price, stock=moved.stock)
    body = {"lines": [{"product_id": product_id, "quantity": 1} for product_id in reversed(products)]}
    with ThreadPoolExecutor(1) as thread:
        with transaction.atomic():
            Product.objects.select_for_update().get(id=first)
            order = thread.submit(committing_client.post, "/api/v1/orders", json=body, headers=user)
            wait_for_a_lock()
            # While the first product is locked, the order must not lock the others.
            free = Product.objects.filter(id__in=others).select_for_update(nowait=True)
            assert {product.id for product in free} == set(others)
        assert order.result().status_code == 201


def wait_for_a_lock() -> None:
    """Wait until a transaction waits for a lock; fail after 60 seconds."""
    deadline = time.monotonic() + 60
    waiting = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()"
    while time.monotonic() < deadline:
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_stat_clear_snapshot()")  # a transaction caches the statistics
            cursor.execute(waiting)
            if cursor.fetchone() != (0,):
                return
        time.sleep(0.01)
    pytest.fail("no transaction waits for a lock")


def test_concurrent_repeats_place_one_order(
    committing_client: httpx2.Client, user: Headers, products: list[int]
) -> None:
    responses = post_concurrently(committing_client, user, *[[(products[0], 2)]] * 6, key="k")
    assert statuses(responses) == {201: 6}
    assert len({response.json()["id"] for response in responses}) == 1
    assert Product.objects.get(id=products[0]).stock == 8


def test_concurrent_idempotency_key_reuse_is_422(
    committing_client: httpx2.Client, user: Headers, products: list[int]
) -> None:
    responses = post_concurrently(committing_client, user, *([(product_id, 1)] for product_id in products), key="k")
    assert statuses(responses) == {201: 1, 422: 4}
    assert sum(Product.objects.values_list("stock", flat=True)) == 49


def concurrently(*calls: Callable[[], Any]) -> list[Any]:
    with ThreadPoolExecutor(len(calls)) as threads:
        return list(threads.map(lambda call: call(), calls))


def place(client: httpx2.Client, headers: Headers, *lines: tuple[int, int]) -> int:
    [response] = post_concurrently(client, headers, lines)
    return int(response.json()["id"])


def test_order_is_cancelled_once(committing_client: httpx2.Client, user: Headers, products: list[int]) -> None:
    order_id = place(committing_client, user, (products[0], 4), (products[1], 1))
    cancel = partial(committing_client.post, f"/api/v1/orders/{order_id}/cancel", headers=user)
    assert statuses(concurrently(*[cancel] * 6)) == {200: 1, 409: 5}
    assert set(Product.objects.values_list("stock", flat=True)) == {10}


def test_order_is_paid_or_cancelled(committing_client: httpx2.Client, user: Headers, products: list[int]) -> None:
    def pay(order_id: int) -> bool:
        try:
            return OrderRepository().mark_paid(order_id)
        finally:
            connection.close()

    for _ in range(5):
        order_id = place(committing_client, user, (products[0], 3))
        cancel = partial(committing_client.post, f"/api/v1/orders/{order_id}/cancel", headers=user)
        is_paid, cancelled = concurrently(partial(pay, order_id), cancel)
        assert cancelled.status_code == (409 if is_paid else 200)
        stock = Product.objects.filter(id=products[0])
        assert stock.get().stock == (7 if is_paid else 10)
        stock.update(stock=10)


def test_cancelling_does_not_deadlock_with_orders(
    committing_client: httpx2.Client, user: Headers, products: list[int]
) -> None:
    lines = [(product_id, 1) for product_id in products]
    made = [place(committing_client, user, *lines[::-1]) for _ in range(4)]
    body = {"lines": [{"product_id": product_id, "quantity": 1} for product_id in products]}
    order = partial(committing_client.post, "/api/v1/orders", json=body, headers=user)
    cancels = [partial(committing_client.post, f"/api/v1/orders/{key}/cancel", headers=user) for key in made]
    assert statuses(concurrently(*cancels, *[order] * 4)) == {200: 4, 201: 4}
    assert set(Product.objects.values_list("stock", flat=True)) == {6}


def test_one_of_two_changes_with_the_same_tag_wins(
    committing_client: httpx2.Client, admin_of_catalogue: Headers, products: list[int]
) -> None:
    path = f"/api/v1/products/{products[0]}"
    headers = admin_of_catalogue | {"If-Match": committing_client.get(path).headers["etag"]}
    changes = [partial(committing_client.patch, path, json={"stock": n}, headers=headers) for n in range(4)]
    assert statuses(concurrently(*changes)) == {200: 1, 412: 3}


def test_deleted_product_is_archived_or_not_ordered(
    committing_client: httpx2.Client, user: Headers, admin_of_catalogue: Headers, products: list[int]
) -> None:
    for product_id in products:
        delete = partial(committing_client.delete, f"/api/v1/products/{product_id}", headers=admin_of_catalogue)
        body = {"lines": [{"product_id": product_id, "quantity": 1}]}
        order = partial(committing_client.post, "/api/v1/orders", json=body, headers=user)
        deleted, placed = concurrently(delete, order)
        assert (deleted.status_code, placed.status_code) in {(204, 201), (204, 404)}
