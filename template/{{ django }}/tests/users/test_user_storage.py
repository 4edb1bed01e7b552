"""Users in the database, from the inside."""

from contextlib import closing

import httpx2
import pytest
from asgiref.sync import sync_to_async
from django.contrib.auth.hashers import make_password
from django.contrib.auth.management.commands.changepassword import Command
from django.core.management import call_command
from django.db.backends.base.base import BaseDatabaseWrapper

from app.repository import Repository
from app.users.models import User
from app.users.repository import UserRepository
from support import PASSWORD, UserFactory


def test_it_is_a_repository() -> None:
    repository: Repository[User] = UserRepository()
    assert isinstance(repository, Repository)
    assert not isinstance(object(), Repository)


async def test_get_create_delete(db_session: BaseDatabaseWrapper) -> None:
    @sync_to_async
    def use() -> None:
        users = UserRepository()
        created = users.create({"name": "Ada", "email": "ada@example.com", "subject": "ada"})
        assert users.get(created.id) == created
        assert users.delete(created.id) is True
        assert users.delete(created.id) is False
        assert users.get(created.id) is None

    await use()


async def test_stream_reads_as_it_goes(db_session: BaseDatabaseWrapper, user_factory: UserFactory) -> None:
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
    assert (await async_client.post("/users", json=ada)).status_code == 201
    stored = (await User.objects.aget()).password_hash
    assert stored
    assert stored.startswith("$argon2id$")
    assert PASSWORD not in stored


async def test_password_that_django_sets_is_one_of_the_service(
    async_client: httpx2.AsyncClient, user_factory: UserFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    await user_factory(email="ada@example.com")
    monkeypatch.setattr(Command, "_get_pass", lambda *_: "engine no. 1")
    await sync_to_async(call_command)("changepassword", "ada@example.com")
    form = {"username": "ada@example.com", "password": "engine no. 1"}
    assert (await async_client.post("/auth/token", data=form)).status_code == 200


@pytest.mark.slow
def test_what_django_hashes_itself_is_argon2id_too() -> None:
    assert make_password(PASSWORD).startswith("argon2$argon2id$")
