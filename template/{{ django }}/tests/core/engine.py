"""Fixtures of the Django engine.

Requests run under WSGI, as in production. For the async client, asgiref calls the application in the thread that also
holds the transaction of the test.
"""

import os
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace
from functools import partial
from importlib.util import find_spec
from inspect import iscoroutinefunction
from pathlib import Path
from typing import Any

import django
import httpx2
import psycopg
import pytest
from asgiref.sync import sync_to_async
from asgiref.wsgi import WsgiToAsgi
from django.apps import apps
from django.conf import settings as django_settings
from django.core import mail
from django.core.mail import EmailMessage
from django.core.signals import request_finished, request_started
from django.db import close_old_connections, connections, transaction
from django.db import connection as default_connection
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.migrations.loader import MigrationLoader
from django.dispatch import Signal
from django.http import StreamingHttpResponse
from django.test import Client, TransactionTestCase, override_settings
from django.test.utils import setup_test_environment, teardown_test_environment
from pydantic import Secret

os.environ["DJANGO_SETTINGS_MODULE"] = "app.settings"
django.setup()

from ninja.errors import HttpError

from app.core.accounts import events
from app.core.accounts.models import User
from app.core.accounts.schemas import PersonalData
from app.core.accounts.service import UserService
from app.core.config import Settings
from app.core.database.pool import database
from app.core.http.api import api
from app.core.http.application import StartResponse
from app.core.http.middleware import Application
from app.core.mail import send
from app.core.observability import logs
from app.core.problems import ErrorBody
from app.core.security.bearer import ADMIN, TokenVerifier
from app.core.security.tokens import LocalTokens
from app.core.testing import IDENTITY_PROVIDER, Accounts, Execute, Headers, Listen, MakeClient, Rows

FIXED = {"auth_permission", "django_content_type"}
"""Tables that the migrations fill."""


@pytest.fixture(scope="session")
def execute(server_url: str) -> Iterator[Execute]:
    """Run a statement on the server; return the first column of its result."""
    with psycopg.connect(server_url, autocommit=True) as connection:

        def execute(sql: str) -> list[Any]:
            cursor = connection.execute(sql)
            return [row[0] for row in cursor] if cursor.description else []

        yield execute


@contextmanager
def connected_by(settings: Settings) -> Iterator[None]:
    """Connect Django with these settings; close all connections before and after."""
    before = dict(connections.settings["default"])
    if before["NAME"]:  # empty before the first connection
        _close_all()
    connections.settings["default"].update(database(settings))
    yield
    _close_all()
    connections.settings["default"].update(before)


def _close_all() -> None:
    connections.close_all()
    default_connection.close_pool()  # type: ignore[attr-defined]  # PostgreSQL's


@pytest.fixture(scope="session")
def connected() -> Callable[[], AbstractContextManager[None]]:
    return lambda: connected_by(Settings(database_url=os.environ["DATABASE_URL"]))


@pytest.fixture(scope="session")
def migrations() -> bytes:
    """The migrations of every application, including other packages: a change rebuilds the template database."""
    names = [MigrationLoader.migrations_module(config.label)[0] for config in apps.get_app_configs()]
    specs = [find_spec(name) for name in names if name]
    folders = [Path(folder) for spec in specs if spec for folder in spec.submodule_search_locations or ()]
    return b"".join(path.read_bytes() for folder in folders for path in sorted(folder.glob("*.py")))


@pytest.fixture(scope="session", autouse=True)
def _logging() -> None:
    logs.configure("warning", json=False)


@pytest.fixture
async def db_session(settings: Settings, cheap_passwords: None) -> AsyncIterator[BaseDatabaseWrapper]:
    """The connection of the test and its requests. Its transaction is rolled back, including inner commits."""
    atomic = transaction.atomic()
    ends = (request_started, request_finished)

    @sync_to_async
    def begin() -> None:
        for signal in ends:
            signal.disconnect(close_old_connections)  # would close the test's transaction
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


@pytest.fixture(scope="session", autouse=True)
def _test_environment() -> Iterator[None]:
    """Give responses their `context` and `templates`, and keep messages in memory, like Django's own test runner."""
    setup_test_environment()
    yield
    teardown_test_environment()


@pytest.fixture(autouse=True, scope="class")
def _connected_class(request: pytest.FixtureRequest) -> None:
    """Connect the test classes of `django.test` to the database of the worker."""
    if request.cls and issubclass(request.cls, TransactionTestCase):
        request.getfixturevalue("database_url")


@pytest.fixture(autouse=True)
def _marked(request: pytest.FixtureRequest) -> None:
    """Connect tests with the marker `django_db` of pytest-django to the database of the worker."""
    if marker := request.node.get_closest_marker("django_db"):
        name = "db_session" if iscoroutinefunction(request.function) else "db"
        request.getfixturevalue("committed_database" if marker.kwargs.get("transaction") else name)


@pytest.fixture
def db(database_url: str, cheap_passwords: None) -> Iterator[None]:
    """The database for a test without `async`, in a transaction that is rolled back."""
    with transaction.atomic():
        yield
        transaction.set_rollback(True)


@pytest.fixture
def client(db: None) -> Client:
    """The client of `django.test`, for a test without `async`."""
    return Client()


@pytest.fixture
def app(settings: Settings) -> Application:
    """The application, with new rate limits."""
    return _application(settings)


@pytest.fixture
def served() -> dict[str, str]:
    """Every route of the API, such as "GET /api/v1/users", and the slice (or `core`) of its function."""
    return {
        f"{method} {re.sub(r'{[^}:]+:', '{', path)}": operation.view_func.__module__.split(".")[1]
        for path, view in api.default_router.path_operations.items()
        for operation in view.operations
        for method in operation.methods
        if method != "HEAD"  # every GET answers HEAD
    }


@pytest.fixture
async def async_client(app: Application, db_session: BaseDatabaseWrapper) -> AsyncIterator[httpx2.AsyncClient]:
    async with _client(app) as client:
        yield client


@pytest.fixture
def make_client(settings: Settings, db_session: BaseDatabaseWrapper) -> MakeClient:
    """A client of an application with other settings: `make_client(environment="production")`."""

    def make(**changes: Any) -> httpx2.AsyncClient:
        return _client(_application(Settings.model_validate(settings.model_dump() | changes)))

    return make


@pytest.fixture
def formatted_client(make_client: MakeClient, monkeypatch: pytest.MonkeyPatch) -> MakeClient:
    """A client of an application with another error format: `formatted_client(Errors, max_json_bytes=1024)`."""

    def make(kind: type[ErrorBody], **changes: Any) -> httpx2.AsyncClient:
        monkeypatch.setattr(django_settings, "ERROR_BODY", f"{kind.__module__}.{kind.__name__}")
        return make_client(**changes)

    return make


@pytest.fixture
def trust(app: Application, settings: Settings) -> Callable[[TokenVerifier], None]:
    """Make the application accept the tokens of an identity provider."""

    def trust(tokens: TokenVerifier) -> None:
        app.state = replace(app.state, tokens=tokens, settings=settings.model_copy(update=IDENTITY_PROVIDER))

    return trust


@pytest.fixture
def http_error() -> Callable[..., Exception]:
    """The framework's exception class: `http_error(status, detail)`."""
    return HttpError


@pytest.fixture
def mailoutbox() -> list[EmailMessage]:
    """The messages that Django's `send_mail` sends."""
    mail.outbox = []
    return mail.outbox


@pytest.fixture(scope="session")
def filled(database_url: str) -> bool:
    """True if a migration of a slice inserts rows."""
    selects = (f'(SELECT 1 FROM "{table}" LIMIT 1)' for table in _tables())
    with psycopg.connect(database_url) as connection:
        return connection.execute(" UNION ALL ".join(selects)).fetchone() is not None


@pytest.fixture
def committed_database(
    database_url: str, filled: bool, copy_template: Callable[[], str], cheap_passwords: None
) -> Iterator[str]:
    """The database for a test with real commits. After the test, it holds only the rows of the migrations."""
    yield database_url
    if filled:
        _close_all()
        copy_template()
        return
    with default_connection.cursor() as cursor:
        cursor.execute(f"TRUNCATE {', '.join(map(default_connection.ops.quote_name, _tables()))} RESTART IDENTITY")
    connections.close_all()


def _tables() -> set[str]:
    return set(default_connection.introspection.django_table_names()) - FIXED


@pytest.fixture
def committing_client(app: Application, committed_database: str) -> Iterator[httpx2.Client]:
    """A client for concurrent requests in threads. Requests commit on their own connections."""
    with httpx2.Client(transport=httpx2.WSGITransport(app), base_url="http://test") as client:
        yield client


@pytest.fixture
async def committing_async_client(app: Application, committed_database: str) -> AsyncIterator[httpx2.AsyncClient]:
    async with _client(app) as client:
        yield client
    await sync_to_async(connections.close_all)()


@pytest.fixture
def admin_token(settings: Settings) -> Headers:
    """Headers with the token of an admin who is not in the database."""
    return {"Authorization": f"Bearer {LocalTokens(settings).issue('1', {ADMIN})}"}


@pytest.fixture
async def transact(committed_database: str) -> AsyncIterator[Callable[..., Awaitable[None]]]:
    """Send messages, then call `then`, in one transaction: `await transact({"to": "ada@example.com", …})`."""

    @sync_to_async
    def transact(*messages: dict[str, Any], then: Callable[[], object] = lambda: None) -> None:
        with transaction.atomic():
            for message in messages:
                send(**message)
            then()

    yield transact
    await sync_to_async(connections.close_all)()


@pytest.fixture
def create_user(db_session: BaseDatabaseWrapper) -> Callable[..., Awaitable[User]]:
    """Register a user with these fields; `password` is plain text or None."""
    return sync_to_async(User.objects.create_user)


class ServiceAccounts:
    async def deactivate(self, user: User, /) -> None:
        await _committed(UserService().deactivate, user)

    async def activate(self, user: User, /) -> None:
        await _committed(UserService().activate, user)

    async def erase(self, user: User, /) -> None:
        await _committed(UserService().erase, user)

    async def export(self, user: User, /) -> dict[str, Any]:
        exported: PersonalData = await _committed(UserService().export, user)
        return exported.model_dump(mode="json")

    async def set_password(self, user: User, password: str, /) -> None:
        await _committed(UserService().set_password, user, Secret(password))

    async def give_role(self, user: User, role: str, /) -> None:
        await _committed(partial(UserService().change_roles, add=[role], remove=[]), user)


@sync_to_async
def _committed(function: Callable[..., Any], *arguments: Any) -> Any:
    with transaction.atomic():
        return function(*arguments)


@pytest.fixture
def accounts(db_session: BaseDatabaseWrapper) -> Accounts:
    """The service functions of accounts, each in a transaction of its own."""
    return ServiceAccounts()


@pytest.fixture
def listen() -> Iterator[Listen]:
    """Connect a function to an event of accounts, until the test ends."""
    connected: list[tuple[Signal, Callable[..., Any]]] = []

    def listen(event: str, function: Callable[[Any], Any], *, of: str = "newcomer") -> None:
        def listener(user: User, **_: Any) -> Any:
            return function(user)

        listener.__module__ = f"app.{of}.listeners"
        signal: Signal = getattr(events, event)
        signal.connect(listener, weak=False)
        connected.append((signal, listener))

    yield listen
    for signal, listener in connected:
        signal.disconnect(listener)


@pytest.fixture
def rows(db_session: BaseDatabaseWrapper) -> Rows:
    """Run a statement on the test's connection; return its rows."""

    @sync_to_async
    def run(statement: str) -> list[dict[str, Any]]:
        with db_session.cursor() as cursor:
            cursor.execute(statement)
            names = [column.name for column in cursor.description]
            return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]

    return run


@pytest.fixture
async def statements(db_session: BaseDatabaseWrapper) -> AsyncIterator[list[str]]:
    """SQL statements that are sent to the database, without savepoints and the reading of revocations."""
    sent: list[str] = []

    def note(execute: Any, sql: str, *arguments: Any) -> Any:
        if "SAVEPOINT" not in sql and not re.search('"(revoked_at|ended_at)" >', sql):
            sent.append(sql)
        return execute(sql, *arguments)

    # Run in the thread of the requests: each thread has its own connection.
    await sync_to_async(lambda: db_session.execute_wrappers.append(note))()
    yield sent
    await sync_to_async(lambda: db_session.execute_wrappers.remove(note))()


def _application(settings: Settings) -> Application:
    with override_settings(CORE_SETTINGS=settings):
        return Application()


def _client(app: Application) -> httpx2.AsyncClient:
    def closing(environ: dict[str, Any], start_response: StartResponse) -> Iterator[bytes]:
        # PEP 3333 requires servers to close responses; otherwise files stay open.
        response = app(environ, start_response)
        try:
            yield from response
        finally:
            if isinstance(response, StreamingHttpResponse):
                response.close()

    transport = httpx2.ASGITransport(WsgiToAsgi(closing))  # type: ignore[no-untyped-call]
    return httpx2.AsyncClient(transport=transport, base_url="http://test")


@pytest.fixture
def sql() -> Execute:
    """Run and commit a statement on DATABASE_URL; return the first column of its result."""

    def run(statement: str) -> list[Any]:
        with psycopg.connect(os.environ["DATABASE_URL"]) as connection:
            cursor = connection.execute(statement)
            return [row[0] for row in cursor] if cursor.description else []

    return run


@pytest.fixture
def write_models() -> Callable[..., str]:
    """Return a `models.py` with one table that refers to a user and, if `refers_to` is given, to another slice."""

    def write(name: str, *columns: str, refers_to: str | None = None) -> str:
        other = f"{refers_to}.{refers_to.title()}" if refers_to else ""
        lines = [
            "from django.conf import settings",
            "from django.db.models import CASCADE, ForeignKey, Model, TextField",
            f"class {name.title()}(Model):",
            "    user = ForeignKey(settings.AUTH_USER_MODEL, on_delete=CASCADE)",
            *([f"    {refers_to} = ForeignKey('{other}', on_delete=CASCADE)"] if refers_to else []),
            *(f"    {column} = TextField(null=True)" for column in columns),
            "    class Meta:",
            f"        db_table = '{name}'",
        ]
        return "\n".join(lines)

    return write


@pytest.fixture
def migrated_table() -> str:
    """A table that the migrations fill."""
    return "auth_permission"
