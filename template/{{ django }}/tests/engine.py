"""The fixtures of Django.

Requests run as in production, under WSGI; asgiref calls that for the async client, in the one thread that also runs the
transaction of the test.
"""

import os
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

import django
import httpx2
import psycopg
import pytest
from asgiref.sync import sync_to_async
from asgiref.wsgi import WsgiToAsgi
from django.core.signals import request_finished, request_started
from django.db import close_old_connections, connections, transaction
from django.db import connection as default_connection
from django.db.backends.base.base import BaseDatabaseWrapper
from django.test import override_settings

os.environ["DJANGO_SETTINGS_MODULE"] = "app.settings"
django.setup()

import app as package
from app import logging
from app.config import Settings
from app.security import ADMIN, LocalTokens, TokenVerifier
from app.settings import database
from app.users.models import User
from app.wsgi import Application
from support import IDENTITY_PROVIDER, Execute, Headers, MakeClient

FIXED = {"auth_permission", "django_content_type"}
"""Tables whose rows the migrations bring."""


@pytest.fixture(scope="session")
def execute(server_url: str) -> Iterator[Execute]:
    """Runs a statement on the server, and returns the first column of what it says."""
    with psycopg.connect(server_url, autocommit=True) as connection:

        def execute(sql: str) -> list[Any]:
            cursor = connection.execute(sql)
            return [row[0] for row in cursor] if cursor.description else []

        yield execute


@contextmanager
def connected_by(settings: Settings) -> Iterator[None]:
    """Connects Django by other settings, and lets go of every connection before and after."""
    before = dict(connections.settings["default"])
    if before["NAME"]:  # or there is nothing to let go of yet
        _let_go()
    connections.settings["default"].update(database(settings))
    yield
    _let_go()
    connections.settings["default"].update(before)


def _let_go() -> None:
    connections.close_all()
    default_connection.close_pool()  # type: ignore[attr-defined]  # PostgreSQL's


@pytest.fixture(scope="session")
def connected() -> Callable[[], AbstractContextManager[None]]:
    """Connects Django to DATABASE_URL."""
    return lambda: connected_by(Settings(database_url=os.environ["DATABASE_URL"]))


@pytest.fixture(scope="session")
def migrations() -> bytes:
    """All that decides what the tables look like."""
    files = sorted(Path(package.__file__).parent.glob("*/migrations/*.py"))
    return b"".join(path.read_bytes() for path in files) + django.__version__.encode()


@pytest.fixture(scope="session", autouse=True)
def _logging() -> None:
    logging.configure("warning", json=True)


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
def trust(app: Application, settings: Settings) -> Callable[[TokenVerifier], None]:
    """Makes the application accept the tokens of an identity provider."""

    def trust(tokens: TokenVerifier) -> None:
        app.service = app.service._replace(tokens=tokens, settings=settings.model_copy(update=IDENTITY_PROVIDER))

    return trust


@pytest.fixture
def committed_database(database_url: str, cheap_passwords: None) -> Iterator[str]:
    """The database for a test that really commits: emptied afterwards."""
    yield database_url
    tables = set(default_connection.introspection.django_table_names()) - FIXED
    with default_connection.cursor() as cursor:
        cursor.execute(f"TRUNCATE {', '.join(map(default_connection.ops.quote_name, tables))} RESTART IDENTITY")
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
def create_user(db_session: BaseDatabaseWrapper) -> Callable[..., Awaitable[User]]:
    """Stores a user with these fields."""
    return sync_to_async(User.objects.create)


@pytest.fixture
async def statements(db_session: BaseDatabaseWrapper) -> AsyncIterator[list[str]]:
    """What is sent to the database, savepoints apart."""
    sent: list[str] = []

    def note(execute: Any, sql: str, *arguments: Any) -> Any:
        if "SAVEPOINT" not in sql:
            sent.append(sql)
        return execute(sql, *arguments)

    # In the thread of the requests: another one would have another connection.
    await sync_to_async(lambda: db_session.execute_wrappers.append(note))()
    yield sent
    await sync_to_async(lambda: db_session.execute_wrappers.remove(note))()


def _application(settings: Settings) -> Application:
    with override_settings(SERVICE=settings):
        return Application()


def _client(app: Application) -> httpx2.AsyncClient:
    transport = httpx2.ASGITransport(WsgiToAsgi(app))  # type: ignore[no-untyped-call]
    return httpx2.AsyncClient(transport=transport, base_url="http://test")
