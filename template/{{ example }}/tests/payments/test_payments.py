"""HTTP tests of `/api/v1/payments`."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx2
import pytest
from standardwebhooks import Webhook

from app.core import ConfigError
from app.core.testing import Headers, Rows, SignIn, UserFactory, assert_problem, pointers
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


def signed(body: bytes, event_id: str = "evt_1", age: timedelta = timedelta()) -> dict[str, str]:
    """Return the headers of a message from the payment provider."""
    sent = datetime.now(UTC) - age
    secret = Settings.current().payments_secret.get_secret_value()
    return {
        "Content-Type": "application/json",
        "webhook-id": event_id,
        "webhook-timestamp": str(int(sent.timestamp())),
        "webhook-signature": Webhook(secret).sign(event_id, sent, body.decode()),
    }


async def deliver(client: httpx2.AsyncClient, event_id: str = "evt_1", **event: Any) -> httpx2.Response:
    body = json.dumps(event).encode()
    return await client.post("/api/v1/payments/events", content=body, headers=signed(body, event_id))


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
        ({"status": "error", "message": "card declined"}, "Error: card declined"),
        ({"status": "pending"}, "In progress"),
        ({"status": "processing"}, "In progress"),
    ],
)
async def test_only_success_event_pays_the_order(
    async_client: httpx2.AsyncClient, user: Headers, order_id: int, event: dict[str, Any], message: str
) -> None:
    response = await deliver(async_client, order_id=order_id, **event)
    assert (response.status_code, response.json()) == (200, {"message": message})
    order = (await async_client.get(f"/api/v1/orders/{order_id}", headers=user)).json()
    assert (order["paid_at"] is not None) is message.startswith("Success")


async def test_order_is_paid_once(async_client: httpx2.AsyncClient, user: Headers, order_id: int, rows: Rows) -> None:
    success: dict[str, Any] = {"order_id": order_id, "status": "ok", "data": "pay_7"}
    await deliver(async_client, **success)
    await rows("UPDATE orders SET paid_at = paid_at - interval '1 hour' RETURNING id")
    paid = (await async_client.get(f"/api/v1/orders/{order_id}", headers=user)).json()
    assert (await deliver(async_client, **success)).json() == {"message": "Success: pay_7"}
    await deliver(async_client, event_id="evt_2", **success)
    await deliver(async_client, event_id="evt_3", order_id=order_id, status="pending")
    assert (await async_client.get(f"/api/v1/orders/{order_id}", headers=user)).json() == paid


async def test_second_event_with_same_id_is_ignored(
    async_client: httpx2.AsyncClient, user: Headers, order_id: int
) -> None:
    await deliver(async_client, order_id=order_id, status="pending")
    await deliver(async_client, order_id=order_id, status="ok", data="pay_7")
    assert (await async_client.get(f"/api/v1/orders/{order_id}", headers=user)).json()["paid_at"] is None


async def test_invalid_signature_is_401(async_client: httpx2.AsyncClient, user: Headers, order_id: int) -> None:
    body = json.dumps({"order_id": order_id, "status": "ok", "data": "pay_7"}).encode()
    good = signed(body)
    for headers in (
        {"Content-Type": "application/json"},
        *({name: value for name, value in good.items() if name != missing} for missing in good if "webhook" in missing),
        good | {"webhook-id": "evt_2"},
        good | {"webhook-signature": "v1,\xe9"},
        signed(body.replace(b"pay_7", b"pay_8")),
        signed(body, age=timedelta(minutes=6)),
    ):
        response = await async_client.post(
            "/api/v1/payments/events", content=body, headers=httpx2.Headers(headers, encoding="latin-1")
        )
        assert_problem(response, 401)
        assert response.headers["www-authenticate"] == "Signature"
    assert (await async_client.get(f"/api/v1/orders/{order_id}", headers=user)).json()["paid_at"] is None


async def test_signature_of_old_or_new_key_is_accepted(async_client: httpx2.AsyncClient, order_id: int) -> None:
    body = json.dumps({"order_id": order_id, "status": "pending"}).encode()
    headers = signed(body)
    headers["webhook-signature"] = f"v1,{'A' * 43}= {headers['webhook-signature']}"
    response = await async_client.post("/api/v1/payments/events", content=body, headers=headers)
    assert response.status_code == 200


async def test_signature_is_checked_before_the_body(async_client: httpx2.AsyncClient) -> None:
    assert_problem(await async_client.post("/api/v1/payments/events", json={"colour": "red"}), 401)


@pytest.mark.parametrize(
    ("changes", "pointer"),
    [
        ({"order_id": 0}, "/body/order_id"),
        ({"order_id": True}, "/body/order_id"),
        ({"order_id": 2**53}, "/body/order_id"),
        ({"order_id": 2**53 - 1}, "/body/order_id"),
        ({"status": ""}, "/body/status"),
        ({"status": 1}, "/body/status"),
        ({"status": "refunded"}, "/body/status"),
        ({"status": "pending"}, "/body/data"),
        ({"data": ""}, "/body/data"),
        ({"data": None}, "/body/data"),
        ({"data": "x" * 201}, "/body/data"),
        ({"data": "\ud800"}, "/body/data"),
        ({"amount": "19.90"}, "/body/amount"),
    ],
)
async def test_invalid_field_is_422(async_client: httpx2.AsyncClient, changes: dict[str, Any], pointer: str) -> None:
    event: dict[str, Any] = {"order_id": 1, "status": "ok", "data": "pay_7"} | changes
    assert pointers(await deliver(async_client, **event)) == {pointer}


@pytest.mark.parametrize("event_id", ["x" * 256, "a b"])
async def test_invalid_event_id_is_422(async_client: httpx2.AsyncClient, order_id: int, event_id: str) -> None:
    response = await deliver(async_client, event_id, order_id=order_id, status="pending")
    assert pointers(response) == {"/header/webhook-id"}


def test_development_secret_is_random() -> None:
    assert Settings().payments_secret != Settings().payments_secret
    assert Settings.current() is Settings.current()


@pytest.mark.parametrize(
    ("secret", "sentence"),
    [
        ("", "PAYMENTS_SECRET is required in production."),
        ("changeMePlease0123456789abcdefghij+/", "PAYMENTS_SECRET looks like a placeholder."),
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
