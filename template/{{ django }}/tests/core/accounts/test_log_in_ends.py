"""The end of sessions: expiry, deleted users, changed accounts and token reuse."""

import time
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from datetime import timedelta
from typing import Any

import httpx2
import pytest
from asgiref.sync import sync_to_async
from django.contrib.auth.models import Group
from django.db import IntegrityError, connection, connections, transaction
from django.db.models import F
from django.db.models.signals import pre_delete

from app.core.accounts.auth.models import RefreshToken, UserSession
from app.core.accounts.auth.schemas import Origin
from app.core.accounts.auth.service import AuthService
from app.core.accounts.models import User
from app.core.accounts.repository import UserRepository
from app.core.config import Settings
from app.core.http.middleware import Application
from app.core.security.bearer import ADMIN
from app.core.security.tokens import LocalTokens, Revocations
from app.core.testing import PASSWORD, Accounts, UserFactory, assert_problem


async def test_refresh_does_not_extend_the_session(async_client: httpx2.AsyncClient, user_factory: UserFactory) -> None:
    await user_factory(email="ada@example.com")
    form = {"grant_type": "password", "username": "ada@example.com", "password": PASSWORD}
    tokens = (await async_client.post("/api/v1/auth/token", data=form)).json()
    ends = {(await UserSession.objects.aget()).expires_at}
    for _ in range(2):
        body = {"refresh_token": tokens["refresh_token"]}
        tokens = (await async_client.post("/api/v1/auth/token", data={"grant_type": "refresh_token"} | body)).json()
        ends.add((await UserSession.objects.aget()).expires_at)
    assert len(ends) == 1


@pytest.mark.parametrize("delete", [User.adelete, lambda user: User.objects.filter(id=user.id).adelete()])
async def test_deleting_a_user_ends_sessions(
    async_client: httpx2.AsyncClient, user_factory: UserFactory, monkeypatch: pytest.MonkeyPatch, delete: Any
) -> None:
    user = await user_factory(email="ada@example.com")
    form = {"grant_type": "password", "username": "ada@example.com", "password": PASSWORD}
    tokens = (await async_client.post("/api/v1/auth/token", data=form)).json()
    headers = {"Authorization": f"Bearer {tokens['access_token']}"}
    monkeypatch.setattr(Revocations, "SECONDS", 0)
    assert (await async_client.get("/api/v1/auth/sessions", headers=headers)).status_code == 200
    await delete(user)
    assert_problem(await async_client.get("/api/v1/auth/sessions", headers=headers), 401)
    assert_problem(
        await async_client.post(
            "/api/v1/auth/token", data={"grant_type": "refresh_token", "refresh_token": tokens["refresh_token"]}
        ),
        400,
    )


@pytest.mark.parametrize("change", ["deactivate", "set_password"])
async def test_account_change_during_log_in_gives_no_token(
    user_factory: UserFactory, accounts: Accounts, settings: Settings, change: str
) -> None:
    user = await user_factory()
    log_in = sync_to_async(AuthService(LocalTokens(settings), 30).log_in)
    assert await log_in(await User.objects.aget(id=user.id), Origin())
    verified = await User.objects.aget(id=user.id)
    await (accounts.deactivate(user) if change == "deactivate" else accounts.set_password(user, PASSWORD))
    assert await log_in(verified, Origin()) is None
    assert not await UserSession.objects.filter(ended_at=None).aexists()


@pytest.mark.slow
def test_token_reuse_revokes_concurrent_refresh(committing_client: httpx2.Client, settings: Settings) -> None:
    def refresh(token: str) -> httpx2.Response:
        return committing_client.post(
            "/api/v1/auth/token", data={"grant_type": "refresh_token", "refresh_token": token}
        )

    committing_client.post("/api/v1/users", json={"name": "Ada", "email": "ada@example.com", "password": PASSWORD})
    form = {"grant_type": "password", "username": "ada@example.com", "password": PASSWORD}
    first = committing_client.post("/api/v1/auth/token", data=form).json()
    second = refresh(first["refresh_token"]).json()
    RefreshToken.objects.update(used_at=F("used_at") - timedelta(minutes=1))
    with ThreadPoolExecutor(1) as thread:
        with transaction.atomic(), connection.cursor() as cursor:
            third = AuthService(LocalTokens(settings), 30).refresh(second["refresh_token"])
            again = thread.submit(refresh, first["refresh_token"])
            deadline = time.monotonic() + 30
            waiting = 0
            while not waiting and time.monotonic() < deadline:
                cursor.execute("SELECT count(*) FROM pg_locks WHERE NOT granted")
                [waiting] = cursor.fetchone()
            assert waiting
        assert third
        assert_problem(again.result(), 400)
        assert_problem(refresh(third.refresh_token), 400)


def wait_for_lock(cursor: Any) -> int:
    """Wait until a statement waits for a lock. Return the number of such statements."""
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        cursor.execute("SELECT count(*) FROM pg_locks, pg_sleep(0.1) WHERE NOT granted")
        if waiting := cursor.fetchone()[0]:
            return int(waiting)
    raise TimeoutError


def log_in(client: httpx2.Client) -> dict[str, Any]:
    client.post("/api/v1/users", json={"name": "Ada", "email": "ada@example.com", "password": PASSWORD})
    form = {"grant_type": "password", "username": "ada@example.com", "password": PASSWORD}
    tokens: dict[str, Any] = client.post("/api/v1/auth/token", data=form).json()
    return tokens


def list_sessions(client: httpx2.Client, access_token: str) -> int:
    headers = {"Authorization": f"Bearer {access_token}"}
    return client.get("/api/v1/auth/sessions", headers=headers).status_code


@pytest.mark.slow
def test_all_concurrent_requests_wait_for_revocations(committing_client: httpx2.Client, app: Application) -> None:
    token = log_in(committing_client)["access_token"]
    assert list_sessions(committing_client, token) == 200
    with ThreadPoolExecutor(5) as threads:
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute("LOCK TABLE users IN ACCESS EXCLUSIVE MODE")
            cursor.execute("UPDATE users SET revoked_at = clock_timestamp()")
            app.state.revocations.expire()
            asked = [threads.submit(list_sessions, committing_client, token) for _ in range(5)]
            assert wait_for_lock(cursor) == 1, "one request reads, and the others wait for it"
        assert [answer.result() for answer in asked] == [401] * 5


@pytest.mark.slow
def test_deleted_group_revokes_concurrent_token(
    committing_client: httpx2.Client, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Revocations, "SECONDS", 0)
    first = log_in(committing_client)
    group = Group.objects.create(name="editor")
    User.objects.get().groups.add(group)
    with ThreadPoolExecutor(1) as thread:
        with transaction.atomic(), connection.cursor() as cursor:
            UserRepository().get_for_update(User.objects.get().pk)
            deleting = thread.submit(Group.objects.filter(name="editor").delete)
            wait_for_lock(cursor)
            second = AuthService(LocalTokens(settings), 30).refresh(first["refresh_token"])
        deleting.result()
    assert second
    assert list_sessions(committing_client, second.access_token) == 401


@pytest.mark.slow
def test_membership_in_a_deleted_group_is_refused(committing_client: httpx2.Client) -> None:
    log_in(committing_client)
    group = Group.objects.create(name="editor")
    joined: list[Future[None]] = []

    def join() -> None:
        try:
            User.objects.get().groups.add(group)
        finally:
            connections.close_all()

    def begin(**_: Any) -> None:
        joined.append(thread.submit(join))
        with suppress(TimeoutError):
            joined[0].result(1)

    with ThreadPoolExecutor(1) as thread:
        pre_delete.connect(begin, sender=Group)
        try:
            group.delete()
        finally:
            pre_delete.disconnect(begin, sender=Group)
        with pytest.raises(IntegrityError):
            joined[0].result()


@pytest.mark.slow
def test_refresh_waits_for_concurrent_demotion(committing_client: httpx2.Client, settings: Settings) -> None:
    def refresh() -> httpx2.Response:
        return committing_client.post(
            "/api/v1/auth/token", data={"grant_type": "refresh_token", "refresh_token": token}
        )

    committing_client.post("/api/v1/users", json={"name": "Ada", "email": "ada@example.com", "password": PASSWORD})
    form = {"grant_type": "password", "username": "ada@example.com", "password": PASSWORD}
    token = committing_client.post("/api/v1/auth/token", data=form).json()["refresh_token"]
    User.objects.update(is_superuser=True)
    with ThreadPoolExecutor(1) as thread:
        with transaction.atomic(), connection.cursor() as cursor:
            User.objects.update(is_superuser=False)
            refreshing = thread.submit(refresh)
            deadline = time.monotonic() + 30
            waiting = 0
            while not waiting and time.monotonic() < deadline:
                cursor.execute("SELECT count(*) FROM pg_locks WHERE NOT granted")
                [waiting] = cursor.fetchone()
            assert waiting
        issued = refreshing.result().json()["access_token"]
    assert ADMIN not in LocalTokens(settings).verify(issued).scopes
