from email.message import EmailMessage

import httpx2

from app.core.testing import UserFactory

ADA = {"name": "Ada Lovelace", "email": "ada@example.com", "password": "engine no. 1"}


async def test_new_user_gets_a_message(async_client: httpx2.AsyncClient, messages: list[EmailMessage]) -> None:
    assert (await async_client.post("/api/v1/users", json=ADA)).status_code == 201
    [message] = messages
    assert str(message["To"]) == "Ada Lovelace <ada@example.com>"
    assert str(message["Subject"]).startswith("Welcome to ")
    assert "Hello Ada Lovelace," in message.get_content()


async def test_refused_registration_sends_nothing(
    async_client: httpx2.AsyncClient, messages: list[EmailMessage]
) -> None:
    await async_client.post("/api/v1/users", json=ADA)
    messages.clear()
    assert (await async_client.post("/api/v1/users", json=ADA)).status_code == 409
    assert messages == []


async def test_user_without_address_gets_no_message(user_factory: UserFactory, messages: list[EmailMessage]) -> None:
    await user_factory(email=None)
    assert messages == []


async def test_user_without_name_is_greeted_by_address(user_factory: UserFactory, messages: list[EmailMessage]) -> None:
    await user_factory(name="", email="ada@example.com")
    [message] = messages
    assert "Hello ada@example.com," in message.get_content()
