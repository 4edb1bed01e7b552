"""What the tests stand on: a real PostgreSQL, and a transaction a test that is rolled back.

One server serves the session. The migrations run once, into a template database that the next session finds again, and
each pytest-xdist worker gets a copy of it. Requests run as in production, under WSGI; asgiref calls that for the async
client, in the one thread that also runs the transaction of the test.
"""

import hashlib
import itertools
import os
from collections.abc import AsyncIterator, Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import django
import httpx2
import psycopg
import pytest
from asgiref.sync import sync_to_async
from asgiref.wsgi import WsgiToAsgi
from django.core.management import call_command
from django.core.signals import request_finished, request_started
from django.db import close_old_connections, connections, transaction
from django.db import connection as default_connection
from django.db.backends.base.base import BaseDatabaseWrapper
from django.test import override_settings
from pwdlib import PasswordHash
from pwdlib.hashers.argon2 import Argon2Hasher

from app.config import Settings

# The settings of a developer's shell are not the tests'.
for name in Settings.model_fields:
    os.environ.pop(name.upper(), None)
os.environ["ENVIRONMENT"] = "test"
os.environ["DJANGO_SETTINGS_MODULE"] = "app.settings"
django.setup()

import app as package
from app import embedded, logging, security
from app.about import ABOUT
from app.security import ADMIN, LocalTokens, hash_password
from app.settings import database
from app.users.models import User
from app.wsgi import Application
from support import PASSWORD, Headers, MakeClient, SignIn, UserFactory


@pytest.fixture(scope="session")
def database_url(worker_id: str, testrun_uid: str) -> Iterator[str]:
    """The URL of this worker's own database."""
    server = os.environ.get("TEST_DATABASE_URL") or embedded.start("postgres")
    own = f"{ABOUT.name}_{worker_id}_{testrun_uid[:8]}"
    with psycopg.connect(server, autocommit=True) as admin:

        def execute(sql: str) -> list[Any]:
            cursor = admin.execute(sql)
            return [row[0] for row in cursor] if cursor.description else []

        template = _template(execute, server)
        execute(f'CREATE DATABASE "{own}" TEMPLATE "{template}"')
        execute(f'ALTER DATABASE "{own}" SET synchronous_commit = off')
        url = _use(server, own)
        yield url
        _leave()
        execute(f'DROP DATABASE "{own}" WITH (FORCE)')


def _template(execute: Callable[[str], list[Any]], server: str) -> str:
    """The name of a database that all migrations were applied to; made by whichever worker comes first."""
    migrations = sorted(Path(package.__file__).parent.glob("*/migrations/*.py"))
    content = b"".join(path.read_bytes() for path in migrations) + django.__version__.encode()
    prefix = f"{ABOUT.name}_template_"
    name = prefix + hashlib.sha256(content).hexdigest()[:8]
    execute(f"SELECT pg_advisory_lock(hashtext('{prefix}'))")
    found = set(execute("SELECT datname FROM pg_database"))
    if name not in found:
        for old in (old for old in found if old.startswith(prefix)):
            execute(f'DROP DATABASE "{old}" WITH (FORCE)')
        # Under its own name only when it is whole.
        execute(f'CREATE DATABASE "{prefix}new"')
        _use(server, f"{prefix}new")
        call_command("migrate", verbosity=0)
        _leave()
        execute(f'ALTER DATABASE "{prefix}new" RENAME TO "{name}"')
    execute(f"SELECT pg_advisory_unlock(hashtext('{prefix}'))")
    return name


def _use(server: str, name: str) -> str:
    """Point Django, and the processes that a test starts, at the database of this name."""
    url = urlsplit(server)._replace(path=f"/{name}").geturl()
    os.environ["DATABASE_URL"] = url
    connections.settings["default"].update(database(Settings(database_url=url)))
    return url


def _leave() -> None:
    default_connection.close()
    default_connection.close_pool()  # type: ignore[attr-defined]  # PostgreSQL's


@pytest.fixture(scope="session")
def settings(database_url: str) -> Settings:
    """The settings that the application under test is made with."""
    return Settings(environment="test", database_url=database_url, log_level="warning")


@pytest.fixture(scope="session", autouse=True)
def _logging() -> None:
    logging.configure("warning", json=True)


@pytest.fixture
def cheap_passwords(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Hashes take next to no work, where a tenth of a second each would be the most of the test."""
    hasher = PasswordHash((Argon2Hasher(time_cost=1, memory_cost=8, parallelism=1),))
    monkeypatch.setattr(security, "_passwords", lambda: hasher)
    forget = security._nobodys_hash.cache_clear
    forget()
    yield
    forget()


@pytest.fixture
async def db_session(settings: Settings, cheap_passwords: None) -> AsyncIterator[BaseDatabaseWrapper]:
    """The connection of the test and its requests. Its transaction is rolled back, whatever was committed inside it."""
    atomic = transaction.atomic()
    ends = (request_started, request_finished)

    @sync_to_async
    def begin() -> None:
        for signal in ends:
            signal.disconnect(close_old_connections)  # it takes the open transaction for one that was forgotten
        atomic.__enter__()

    @sync_to_async
    def roll_back() -> None:
        transaction.set_rollback(True)
        atomic.__exit__(None, None, None)
        connections.close_all()
        for signal in ends:
            signal.connect(close_old_connections)

    await begin()
    yield default_connection
    await roll_back()


@pytest.fixture
def app(settings: Settings) -> Application:
    """The application, with fresh counters."""
    return _application(settings)


@pytest.fixture
async def async_client(app: Application, db_session: BaseDatabaseWrapper) -> AsyncIterator[httpx2.AsyncClient]:
    """A client of the application, without a token."""
    async with _client(app) as client:
        yield client


@pytest.fixture
def make_client(settings: Settings, db_session: BaseDatabaseWrapper) -> MakeClient:
    """A client of an application with other settings: `make_client(environment="production")`."""

    def make(**changes: Any) -> httpx2.AsyncClient:
        return _client(_application(Settings.model_validate(settings.model_dump() | changes)))

    return make


@pytest.fixture
def committed_database(database_url: str, cheap_passwords: None) -> Iterator[str]:
    """The database for a test that really commits: emptied afterwards."""
    yield database_url
    call_command("flush", interactive=False, verbosity=0)
    connections.close_all()


@pytest.fixture
def committing_client(app: Application, committed_database: str) -> Iterator[httpx2.Client]:
    """A client whose requests have connections of their own, for requests at the same time from several threads."""
    with httpx2.Client(transport=httpx2.WSGITransport(app), base_url="http://test") as client:
        yield client


@pytest.fixture
def admin_token(settings: Settings) -> Headers:
    """The headers of a request by an administrator whom the database does not know."""
    return {"Authorization": f"Bearer {LocalTokens(settings).issue('1', {ADMIN})}"}


@pytest.fixture
def user_factory(db_session: BaseDatabaseWrapper) -> UserFactory:
    """Makes a user: `await user_factory(name="Ada")`. Everybody's password is PASSWORD."""
    numbers = itertools.count(1)

    @sync_to_async
    def create(**fields: Any) -> User:
        defaults = {
            "name": "Grace Hopper",
            "email": f"user{next(numbers)}@example.com",
            "password_hash": _hash_of(PASSWORD),
        }
        return User.objects.create(**(defaults | fields))

    return create


@pytest.fixture
def sign_in(settings: Settings) -> SignIn:
    """The headers of a request by a user."""

    def headers(user: User) -> Headers:
        token = LocalTokens(settings).issue(str(user.id), {ADMIN} if user.is_admin else ())
        return {"Authorization": f"Bearer {token}"}

    return headers


@pytest.fixture
async def admin(user_factory: UserFactory, sign_in: SignIn) -> Headers:
    """The headers of a request by an administrator."""
    return sign_in(await user_factory(name="Admin", email="admin@example.com", is_admin=True))


def _application(settings: Settings) -> Application:
    with override_settings(SERVICE=settings):
        return Application()


def _client(app: Application) -> httpx2.AsyncClient:
    transport = httpx2.ASGITransport(WsgiToAsgi(app))  # type: ignore[no-untyped-call]
    return httpx2.AsyncClient(transport=transport, base_url="http://test")


@cache
def _hash_of(password: str) -> str:
    return hash_password(password)
