"""Security events are log lines with a name, the account and the address of the client."""

import asyncio
from collections.abc import Callable
from typing import Any

import httpx2
import pytest

from app.core.testing import PASSWORD, Execute

USERS = "/api/v1/users"
TOKEN = "/api/v1/auth/token"

type Lines = Callable[[], list[dict[str, Any]]]


async def register(client: httpx2.AsyncClient, name: str) -> int:
    body = {"name": "Ada", "email": f"{name}@example.com", "password": PASSWORD}
    return int((await client.post(USERS, json=body)).json()["id"])


async def log_in(client: httpx2.AsyncClient, name: str, password: str = PASSWORD) -> dict[str, str]:
    form = {"grant_type": "password", "username": f"{name}@example.com", "password": password}
    tokens: dict[str, str] = (await client.post(TOKEN, data=form)).json()
    return tokens


def bearer(tokens: dict[str, str]) -> dict[str, str]:
    return {"Authorization": f"Bearer {tokens['access_token']}"}


def named(found: list[dict[str, Any]], *fields: str) -> list[tuple[Any, ...]]:
    assert all(line["address"] == "127.0.0.1" and line["request_id"] for line in found)
    return [tuple(line[field] for field in ("event", "level", "account", *fields)) for line in found]


@pytest.mark.slow
async def test_log_ins_are_events(
    committing_async_client: httpx2.AsyncClient, security_events: Lines, sql: Execute
) -> None:
    client = committing_async_client
    ada = await register(client, "ada")
    await log_in(client, "ada", "wrong password")
    await log_in(client, "unknown")
    await log_in(client, "ada")
    await asyncio.to_thread(sql, f"UPDATE users SET is_superuser = true WHERE id = {ada}")
    await log_in(client, "ada")
    found = security_events()
    assert named(found) == [
        ("log-in failed", "warning", ada),
        ("log-in failed", "warning", None),
        ("log-in", "info", ada),
        ("admin log-in", "info", ada),
    ]
    assert [line.get("user") for line in found] == [None, None, str(ada), str(ada)]


@pytest.mark.slow
async def test_ends_of_sessions_are_events(
    committing_async_client: httpx2.AsyncClient, security_events: Lines, sql: Execute
) -> None:
    client = committing_async_client
    ada = await register(client, "ada")
    first, second, third = [await log_in(client, "ada") for _ in range(3)]
    sessions = [line["session"] for line in security_events()]
    refresh = {"grant_type": "refresh_token", "refresh_token": first["refresh_token"]}
    await client.post(TOKEN, data=refresh)
    await asyncio.to_thread(sql, "UPDATE refresh_tokens SET used_at = used_at - interval '1 minute'")
    await client.post(TOKEN, data=refresh)
    await client.post("/api/v1/auth/revoke", data={"token": second["refresh_token"]})
    await client.post("/api/v1/auth/revoke", data={"token": second["refresh_token"]})
    await client.delete(f"/api/v1/auth/sessions/{sessions[2]}", headers=bearer(third))
    fourth = await log_in(client, "ada")
    await client.delete("/api/v1/auth/sessions", headers=bearer(fourth))
    found = security_events()
    assert named(found) == [
        ("refresh token reused", "warning", ada),
        ("session ended", "info", ada),
        ("session ended", "info", ada),
        ("log-in", "info", ada),
        ("sessions ended", "info", ada),
    ]
    assert [line["session"] for line in found[:3]] == sessions


@pytest.mark.slow
async def test_changes_of_accounts_are_events(
    committing_async_client: httpx2.AsyncClient, security_events: Lines, sql: Execute
) -> None:
    client = committing_async_client
    root, ada = await register(client, "root"), await register(client, "ada")
    await asyncio.to_thread(sql, f"UPDATE users SET is_superuser = true WHERE id = {root}")
    tokens = await log_in(client, "root")
    own = await log_in(client, "ada")
    security_events()
    await client.put(f"{USERS}/me/password", json={"current": PASSWORD, "new": "engine no. 1"}, headers=bearer(own))
    await client.patch(f"{USERS}/{ada}", json={"is_admin": True}, headers=bearer(tokens))
    await client.patch(f"{USERS}/{ada}", json={"is_admin": True}, headers=bearer(tokens))
    await client.patch(f"{USERS}/{ada}", json={"is_admin": False}, headers=bearer(tokens))
    assert (await client.patch(f"{USERS}/{root}", json={"is_admin": False}, headers=bearer(tokens))).status_code == 409
    found = security_events()
    assert sorted(named(found[:2])) == [("password changed", "info", ada), ("sessions ended", "info", ada)]
    assert named(found[2:], "user", "admin") == [
        ("roles changed", "info", ada, str(root), True),
        ("roles changed", "info", ada, str(root), False),
    ]
