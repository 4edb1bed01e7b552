"""The repository of users, and the columns of stored users."""

from contextlib import closing
from email.message import EmailMessage
from typing import Any

import httpx2
import pytest
from asgiref.sync import sync_to_async
from django.contrib.admin.models import CHANGE, LogEntry
from django.contrib.auth.management.commands.changepassword import Command
from django.contrib.auth.models import Group, Permission
from django.core.management import call_command
from django.db import IntegrityError, transaction
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.models import QuerySet
from django.test import RequestFactory
from pydantic import Secret

from app.core.accounts.access import change_account, log_in
from app.core.accounts.models import User
from app.core.accounts.repository import UserRepository
from app.core.accounts.schemas import ProvidedUser
from app.core.accounts.service import UserService
from app.core.config import Settings
from app.core.database.repository import BaseRepository, Repository
from app.core.http.state import Request, State
from app.core.problems import TooManyRequests, Unprocessable
from app.core.testing import PASSWORD, Accounts, Listen, UserFactory, assert_problem


def test_user_repository_is_a_repository() -> None:
    repository: Repository[User] = UserRepository()
    assert isinstance(repository, Repository)
    assert not isinstance(object(), Repository)


async def test_get_create_update_delete(db_session: BaseDatabaseWrapper) -> None:
    @sync_to_async
    def use() -> None:
        users = UserRepository()
        created = users.create({"name": "Ada", "email": "ada@example.com"})
        assert users.get(created.id) == created
        users.update(created, {"name": "Countess"})
        assert users.rows.get(id=created.id).name == "Countess"
        assert users.delete(created.id) is True
        assert users.delete(created.id) is False
        assert users.get(created.id) is None

    await use()


async def test_stream_uses_a_server_side_cursor(db_session: BaseDatabaseWrapper, user_factory: UserFactory) -> None:
    for number in range(3):
        await user_factory(name=f"User {number}")

    @sync_to_async
    def names() -> list[str]:
        with closing(UserRepository().stream()) as users, db_session.cursor() as other:
            first = next(users)
            other.execute("SELECT count(*) FROM pg_cursors WHERE statement LIKE '%%CURSOR%%FROM \"users\"%%'")
            assert other.fetchone() == (1,)
            return [first.name, *(user.name for user in users)]

    assert await names() == ["User 0", "User 1", "User 2"]


async def test_password_is_stored_as_argon2id(async_client: httpx2.AsyncClient) -> None:
    ada = {"name": "Ada", "email": "ada@example.com", "password": PASSWORD}
    assert (await async_client.post("/api/v1/users", json=ada)).status_code == 201
    stored = (await User.objects.aget()).password
    assert stored.startswith("argon2$argon2id$")
    assert PASSWORD not in stored


async def test_changepassword_sets_a_usable_password(
    async_client: httpx2.AsyncClient, user_factory: UserFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    await user_factory(email="ada@example.com")
    monkeypatch.setattr(Command, "_get_pass", lambda *_: "engine no. 1")
    await sync_to_async(call_command)("changepassword", "ada@example.com")
    form = {"grant_type": "password", "username": "ada@example.com", "password": "engine no. 1"}
    assert (await async_client.post("/api/v1/auth/token", data=form)).status_code == 200


async def test_erased_user_has_no_rights_or_name_in_history(user_factory: UserFactory, accounts: Accounts) -> None:
    user = await user_factory(name="Ada", is_staff=True)
    permission = await Permission.objects.afirst()
    assert permission
    await user.user_permissions.aadd(permission)
    log = sync_to_async(LogEntry.objects.log_actions)
    await log(user_id=user.id, queryset=[user], action_flag=CHANGE, change_message="", single_object=True)
    await accounts.erase(user)
    entry = await LogEntry.objects.aget()
    assert entry.object_repr == f"user {user.id}"
    await user.arefresh_from_db()
    assert (user.is_staff, user.has_usable_password(), await user.user_permissions.aexists()) == (False, False, False)


async def test_integrity_error_of_listener_is_500(async_client: httpx2.AsyncClient, listen: Listen) -> None:
    def fail(_user: User) -> None:
        raise IntegrityError("a constraint of the slice")

    listen("registered", fail)
    ada = {"name": "Ada", "email": "ada@example.com", "password": PASSWORD}
    assert_problem(await async_client.post("/api/v1/users", json=ada), 500)


async def test_error_of_listener_does_not_drop_the_address(async_client: httpx2.AsyncClient, listen: Listen) -> None:
    addresses = []

    def fail(user: User) -> None:
        addresses.append(user.email)
        raise IntegrityError("a constraint of the slice")

    listen("registered", fail)
    provided = ProvidedUser(issuer="https://id.example", subject="ada", name="Ada", email="ada@example.com")
    with pytest.raises(IntegrityError, match="of the slice"):
        await sync_to_async(UserService().enter)(provided)
    assert addresses == ["ada@example.com"], "no second attempt without the address"


async def test_deleted_group_revokes_tokens(user_factory: UserFactory) -> None:
    user = await user_factory()
    group = await Group.objects.acreate(name="editor")
    await user.groups.aadd(group)
    await group.adelete()
    await user.arefresh_from_db()
    assert user.revoked_at


class Adas(BaseRepository[User]):
    """A repository with a filter."""

    model = User

    @property
    def rows(self) -> QuerySet[User]:
        return super().rows.filter(name="Ada")


async def test_filter_of_a_repository_applies_to_get(user_factory: UserFactory) -> None:
    ada, eve = await user_factory(name="Ada"), await user_factory(name="Eve")
    get = sync_to_async(Adas().get)
    assert await get(ada.id) == ada
    assert await get(eve.id) is None


def request_with(settings: Settings, **changes: Any) -> Request:
    """Return a request to an application with these settings."""
    request: Request = RequestFactory().get("/")  # type: ignore[assignment]
    request.state = State.of(settings.model_copy(update=changes))
    return request


change = sync_to_async(transaction.atomic(change_account))


async def test_change_of_account_keeps_the_rules(settings: Settings, user_factory: UserFactory) -> None:
    user = await user_factory()
    for changes in ({"password": Secret("a")}, {"email": "nope"}):
        with pytest.raises(Unprocessable):
            await change(request_with(settings), user, **changes)


async def test_change_of_account_verifies_the_address(
    settings: Settings, user_factory: UserFactory, messages: list[EmailMessage]
) -> None:
    user = await user_factory(email="ada@example.com")
    messages.clear()  # of listeners
    request = request_with(settings, verify_email=True, email_address_rate="1/hour")
    await change(request, user, email="lovelace@example.com")
    await user.arefresh_from_db()
    assert user.email == "ada@example.com"
    assert [str(message["To"]) for message in messages] == ["lovelace@example.com"]
    with pytest.raises(TooManyRequests):
        await change(request, user, email="countess@example.com")


async def test_change_of_account_changes_the_address(settings: Settings, user_factory: UserFactory) -> None:
    user = await user_factory(email="ada@example.com")
    await change(request_with(settings), user, email="Lovelace@EXAMPLE.com")
    await user.arefresh_from_db()
    assert user.email == "Lovelace@example.com"


async def test_log_in_of_a_slice_counts_one_account(settings: Settings, user_factory: UserFactory) -> None:
    await user_factory(email="ada@bücher.example")
    request = request_with(settings, login_rate="2/minute")
    for email in ("ADA@bücher.example", " ada@xn--bcher-kva.example "):
        await sync_to_async(log_in)(request, email=email, password=Secret(PASSWORD))
    with pytest.raises(TooManyRequests):
        await sync_to_async(log_in)(request, email="ada@\uff42ücher.example", password=Secret(PASSWORD))
