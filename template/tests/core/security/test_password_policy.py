"""The rules for new passwords are settings, within the bounds of OWASP ASVS 5.0, 6.2."""

import httpx2
import pytest
from pydantic import ValidationError

from app.core.config import Settings
from app.core.testing import pointers

ADA = {"name": "Ada", "email": "ada@example.com"}


@pytest.fixture
def _policy(monkeypatch: pytest.MonkeyPatch) -> None:
    policy = Settings(environment="test", password_min_length=15, password_forbidden_words=("Conduit", "Analytical"))
    monkeypatch.setattr(Settings, "current", lambda: policy)


@pytest.mark.usefixtures("_policy")
@pytest.mark.parametrize(
    ("password", "message"),
    [
        ("fourteen chars", "must have at least 15 characters"),
        ("my conduit is leaking", "must not contain the word Conduit"),
    ],
)
async def test_password_outside_the_policy_is_422(
    async_client: httpx2.AsyncClient, password: str, message: str
) -> None:
    response = await async_client.post("/api/v1/users", json=ADA | {"password": password})
    assert pointers(response) == {"/body/password"}
    assert message in response.text


@pytest.mark.usefixtures("_policy")
async def test_password_within_the_policy_is_accepted(async_client: httpx2.AsyncClient) -> None:
    body = ADA | {"password": "fifteen signs it"}
    assert (await async_client.post("/api/v1/users", json=body)).status_code == 201


@pytest.mark.parametrize("length", [7, 65])
def test_unsafe_password_length_is_refused(length: int) -> None:
    """Shorter passwords are guessed, and passwords of 64 characters must stay possible."""
    with pytest.raises(ValidationError):
        Settings(password_min_length=length)


async def test_openapi_document_has_the_shortest_length(async_client: httpx2.AsyncClient) -> None:
    document = (await async_client.get("/openapi.json")).json()
    password = document["components"]["schemas"]["UserCreate"]["properties"]["password"]
    assert password["minLength"] == Settings.current().password_min_length
