"""HTTP tests of `/api/v1/payments`."""

import json
from typing import Any

import httpx2
import pytest

from app.core import ConfigError, signature
from app.core.testing import Headers, SignIn, UserFactory, assert_problem, pointers
from app.payments.events import process_response
from app.payments.settings import Settings
from tests.orders.helpers import place_order
from tests.products.helpers import make_product


@pytest.fixture
async def user(user_factory: UserFactory, sign_in: SignIn) -> Headers:
    return sign_in(await user_factory())


@pytest.fixture
async def order_id(async_client: httpx2.AsyncClient, admin: Headers, user: Headers) -> int:
    product_id = await make_product(async_client, admin)
    return int((await place_order(async_client, user, (product_id, 1))).json()["id"])


def sign(body: bytes) -> str:
    return signature(Settings.current().payments_secret.get_secret_value(), body)


async def deliver(client: httpx2.AsyncClient, **event: Any) -> httpx2.Response:
    body = json.dumps({"id": "evt_1"} | event).encode()
    headers = {"Content-Type": "application/json", "X-Signature": sign(body)}
    return await client.post("/api/v1/payments/events", content=body, headers=headers)


@pytest.mark.parametrize(
    ("response", "message"),
    [
        ({"status": "ok", "data": "pay_7"}, "Success: pay_7"),
        ({"status": "ok", "data": {"amount": 1}, "more": True}, "Success: {'amount': 1}"),
        ({"status": "ok"}, "Unknown response"),
        ({"status": "error", "message": "card declined"}, "Error: card declined"),
        ({"status": "error", "data": "pay_7"}, "Unknown response"),
        ({"status": "pending"}, "In progress"),
        ({"status": "processing", "data": "pay_7"}, "In progress"),
        ({"status": "refunded"}, "Unknown response"),
        ({"status": ["pending"]}, "Unknown response"),
        ({}, "Unknown response"),
    ],
)
def test_response_status_selects_the_message(response: dict[str, Any], message: str) -> None:
    assert process_response(response) == message


@pytest.mark.parametrize(
    ("event", "message"),
    [
        ({"status": "ok", "data": "pay_7"}, "Success: pay_7"),
        ({"status": "ok"}, "Unknown response"),
        ({"status": "error", "message": "card declined"}, "Error: card declined"),
        ({"status": "pending"}, "In progress"),
        ({"status": "processing", "message": None}, "In progress"),
        ({"status": "refunded", "data": "pay_7"}, "Unknown response"),
    ],
)
async def test_only_success_event_pays_the_order(
    async_client: httpx2.AsyncClient, user: Headers, order_id: int, event: dict[str, Any], message: str
) -> None:
    response = await deliver(async_client, order_id=order_id, **event)
    assert (response.status_code, response.json()) == (200, {"message": message})
    order = (await async_client.get(f"/api/v1/orders/{order_id}", headers=user)).json()
    assert (order["paid_at"] is not None) is message.startswith("Success")


async def test_order_is_paid_once(async_client: httpx2.AsyncClient, user: Headers, order_id: int) -> None:
    success = {"order_id": order_id, "status": "ok", "data": "pay_7"}
    await deliver(async_client, **success)
    paid = (await async_client.get(f"/api/v1/orders/{order_id}", headers=user)).json()
    assert (await deliver(async_client, **success)).json() == {"message": "Success: pay_7"}
    await deliver(async_client, **success, id="evt_2")
    await deliver(async_client, order_id=order_id, status="pending", id="evt_3")
    assert (await async_client.get(f"/api/v1/orders/{order_id}", headers=user)).json() == paid


async def test_second_event_with_same_id_is_ignored(
    async_client: httpx2.AsyncClient, user: Headers, order_id: int
) -> None:
    await deliver(async_client, order_id=order_id, status="pending")
    await deliver(async_client, order_id=order_id, status="ok", data="pay_7")
    assert (await async_client.get(f"/api/v1/orders/{order_id}", headers=user)).json()["paid_at"] is None


async def test_invalid_signature_is_401(async_client: httpx2.AsyncClient, user: Headers, order_id: int) -> None:
    body = json.dumps({"id": "evt_1", "order_id": order_id, "status": "ok", "data": "pay_7"}).encode()
    of_other_bytes = sign(body.replace(b"pay_7", b"pay_8")), sign(body + b" "), sign(b"")
    headers = {"Content-Type": "application/json"}
    for signed in ({}, *({"X-Signature": offered} for offered in ("", "0" * 64, "\xe9", *of_other_bytes))):
        response = await async_client.post(
            "/api/v1/payments/events", content=body, headers=httpx2.Headers(headers | signed, encoding="latin-1")
        )
        assert_problem(response, 401)
        assert response.headers["www-authenticate"] == "Signature"
    assert (await async_client.get(f"/api/v1/orders/{order_id}", headers=user)).json()["paid_at"] is None


async def test_signature_is_checked_before_the_body(async_client: httpx2.AsyncClient) -> None:
    assert_problem(await async_client.post("/api/v1/payments/events", json={"colour": "red"}), 401)


@pytest.mark.parametrize(
    ("changes", "pointer"),
    [
        ({"id": ""}, "/body/id"),
        ({"id": "x" * 256}, "/body/id"),
        ({"id": "a\x00"}, "/body/id"),
        ({"id": None}, "/body/id"),
        ({"order_id": 0}, "/body/order_id"),
        ({"order_id": True}, "/body/order_id"),
        ({"order_id": 2**53}, "/body/order_id"),
        ({"order_id": 2**53 - 1}, "/body/order_id"),
        ({"status": ""}, "/body/status"),
        ({"status": 1}, "/body/status"),
        ({"data": "x" * 201}, "/body/data"),
        ({"message": "\ud800"}, "/body/message"),
        ({"amount": "19.90"}, "/body/amount"),
    ],
)
async def test_invalid_field_is_422(async_client: httpx2.AsyncClient, changes: dict[str, Any], pointer: str) -> None:
    event = {"order_id": 1, "status": "ok", "data": "pay_7"} | changes
    assert pointers(await deliver(async_client, **event)) == {pointer}


def test_development_secret_is_random() -> None:
    assert Settings().payments_secret != Settings().payments_secret
    assert Settings.current() is Settings.current()


@pytest.mark.parametrize(
    ("secret", "sentence"),
    [
        ("", "PAYMENTS_SECRET is required in production."),
        ("change-me-please-0123456789abcdefghij", "PAYMENTS_SECRET looks like a placeholder."),
        ("0123456789abcdef", "PAYMENTS_SECRET must be at least 32 bytes."),
    ],
)
def test_weak_production_secret_is_refused(monkeypatch: pytest.MonkeyPatch, secret: str, sentence: str) -> None:
    monkeypatch.setenv("ENVIRONMENT", "production")
    monkeypatch.setenv("PAYMENTS_SECRET", secret)
    with pytest.raises(ConfigError) as refused:
        Settings.load()
    assert str(refused.value) == f"{sentence} Make one with: openssl rand -base64 48"


def test_strong_production_secret_is_accepted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ENVIRONMENT", "production")
    monkeypatch.setenv("PAYMENTS_SECRET", "0123456789abcdef" * 2)
    settings = Settings.load()
    assert settings.payments_secret.get_secret_value() == "0123456789abcdef" * 2
    assert "0123456789abcdef" not in repr(settings)
