"""Fixtures of core: a real PostgreSQL, and a transaction for each test that is rolled back.

All workers use one server. The migrations run once, in a template database that later test runs reuse. Each
pytest-xdist worker gets a copy of the template database.
"""

import hashlib
import io
import itertools
import json
import logging
import os
import re
import sys
from collections.abc import Awaitable, Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from email.message import EmailMessage
from pathlib import Path
from pkgutil import iter_modules
from typing import Any
from urllib.parse import urlsplit

import pytest
import structlog
from pwdlib import PasswordHash
from pwdlib.hashers.argon2 import Argon2Hasher

import app as package
from app.core import problems, slices
from app.core.accounts.auth.roles import declared_roles, scopes_of
from app.core.cli.env_example import variables
from app.core.config import ABOUT, Settings
from app.core.database import embedded
from app.core.mail import messages as mail_messages
from app.core.observability import logs
from app.core.security import passwords
from app.core.security.tokens import LocalTokens
from app.core.testing import ERRORS, PASSWORD, Execute, Headers, Rows, SignIn, Use, UserFactory

# The shell must not affect tests: unset the variables of core, slices, libraries and proxies.
LIBRARIES = re.compile(r"(OTEL|SENTRY|UVICORN|DJANGO)_.*|FORWARDED_ALLOW_IPS|(HTTPS?|ALL|NO)_PROXY")
SETTINGS = {name for name, _ in variables()}
for name in [name for name in os.environ if name.upper() in SETTINGS or LIBRARIES.fullmatch(name.upper())]:
    del os.environ[name]
os.environ["ENVIRONMENT"] = "test"

pytest_plugins = ["tests.core.accounts.fixtures", "tests.core.engine", "tests.core.mail.inbox"]


@pytest.fixture(scope="session", autouse=True)
def _errors() -> Iterator[None]:
    """Keep the problem behind each error response for `assert_problem`: other formats than Problem lack parts of it."""

    def rendered(problem: problems.Problem, kind: type[problems.ErrorBody]) -> bytes:
        body = render(problem, kind)
        ERRORS.append((body, problem, kind))
        return body

    render = problems._rendered
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(problems, "_rendered", rendered)
        yield


@pytest.fixture(scope="session")
def server_url() -> str:
    return os.environ.get("TEST_DATABASE_URL") or embedded.start("postgres")


@pytest.fixture(scope="session")
def use(server_url: str, connected: Callable[[], AbstractContextManager[None]]) -> Use:
    """Set DATABASE_URL for this process and its child processes: `use(path="/name")` or `use(netloc="host")`."""

    @contextmanager
    def use(**place: str) -> Iterator[str]:
        url = urlsplit(server_url)._replace(**place).geturl()
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("DATABASE_URL", url)
            with connected():
                yield url

    return use


@pytest.fixture(scope="session")
def template(execute: Execute, use: Use, migrations: bytes) -> str:
    """The name of the template database with all migrations. The first worker creates the database."""
    prefix = f"{ABOUT.name}_template_"
    name = prefix + hashlib.sha256(migrations).hexdigest()[:8]
    execute(f"SELECT pg_advisory_lock(hashtext('{prefix}'))")
    drop_abandoned(execute)
    found = set(execute("SELECT datname FROM pg_database"))
    if name not in found:
        from app.core.cli.operations import migrate

        for old in (old for old in found if old.startswith(prefix)):
            execute(f'DROP DATABASE "{old}" WITH (FORCE)')
        # Renamed after the migrations, so that an interrupted run leaves no incomplete template.
        execute(f'CREATE DATABASE "{prefix}new"')
        with use(path=f"/{prefix}new"):
            migrate()
        execute(f'ALTER DATABASE "{prefix}new" RENAME TO "{name}"')
    execute(f"SELECT pg_advisory_unlock(hashtext('{prefix}'))")
    return name


def drop_abandoned(execute: Execute) -> None:
    """Drop the databases of killed workers. A running worker holds an advisory lock on its database name."""
    workers = f"^{re.escape(ABOUT.name)}" + r"_(master|gw\d+)_[0-9a-f]{8}$"
    abandoned = execute(f"""
        SELECT datname FROM pg_database WHERE datname ~ '{workers}' AND NOT EXISTS (
            SELECT FROM pg_locks WHERE locktype = 'advisory' AND objid = hashtext(datname)::bit(32)::bigint::oid)
    """)
    for name in abandoned:
        execute(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')


@pytest.fixture(scope="session")
def copy_template(execute: Execute, template: str, worker_id: str, testrun_uid: str) -> Callable[[], str]:
    """Replace the database of this worker by a copy of the template database, and return its name."""
    own = f"{ABOUT.name}_{worker_id}_{testrun_uid[:8]}"
    execute(f"SELECT pg_advisory_lock(hashtext('{own}'))")

    def copy() -> str:
        execute(f'DROP DATABASE IF EXISTS "{own}" WITH (FORCE)')
        execute(f'CREATE DATABASE "{own}" TEMPLATE "{template}"')
        execute(f'ALTER DATABASE "{own}" SET synchronous_commit = off')
        return own

    return copy


@pytest.fixture(scope="session")
def database_url(execute: Execute, use: Use, copy_template: Callable[[], str]) -> Iterator[str]:
    """The URL of the database of this worker."""
    own = copy_template()
    with use(path=f"/{own}") as url:
        yield url
    execute(f'DROP DATABASE "{own}" WITH (FORCE)')


@pytest.fixture(scope="session")
def settings(database_url: str) -> Settings:
    # With `console`, pytest shows the stack of a response 500 as text.
    return Settings(environment="test", database_url=database_url, log_level="warning", log_format="console")


@pytest.fixture
def cheap_passwords(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Hash passwords with minimal Argon2 parameters: a real hash takes 0.1 s."""
    hasher = PasswordHash((Argon2Hasher(time_cost=1, memory_cost=8, parallelism=1),))
    monkeypatch.setattr(passwords, "_passwords", lambda: hasher)
    forget = passwords._dummy_hash.cache_clear
    forget()
    yield
    forget()


@pytest.fixture
def newcomer(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Path]:
    """The folder of a slice `newcomer`, which is found beside the real slices."""
    folder = tmp_path / "newcomer"
    folder.mkdir()
    (folder / "__init__.py").touch()
    monkeypatch.setattr(package, "__path__", [*package.__path__, str(tmp_path)])
    beside = {str(slices.PACKAGE): [str(tmp_path)]}
    monkeypatch.setattr(slices, "iter_modules", lambda paths: iter_modules([*paths, *beside.get(paths[0], [])]))
    yield folder
    for name in [name for name in sys.modules if name.startswith("app.newcomer")]:
        sys.modules.pop(name, None)


@pytest.fixture
async def nested_loops(rows: Rows) -> None:
    """Let the planner use only nested loops, as it may after new statistics."""
    for other in ("enable_hashjoin", "enable_mergejoin", "enable_hashagg", "enable_sort", "enable_material"):
        await rows(f"SELECT set_config('{other}', 'off', true)")


@pytest.fixture
def user_factory(create_user: Callable[..., Awaitable[Any]]) -> UserFactory:
    """Create a user: `await user_factory(name="Ada")`. `password` is plain text or None; the default is PASSWORD."""
    numbers = itertools.count(1)

    def create(**fields: Any) -> Awaitable[Any]:
        defaults = {
            "name": "Grace Hopper",
            "email": f"user{next(numbers)}@example.com",
            "password": PASSWORD,
        }
        return create_user(**(defaults | fields))

    return create


@pytest.fixture
def messages(monkeypatch: pytest.MonkeyPatch) -> list[EmailMessage]:
    """The messages that were passed to `app.core.mail.send`."""
    called: list[EmailMessage] = []

    def compose(*arguments: Any, **options: Any) -> EmailMessage:
        called.append(composed(*arguments, **options))
        return called[-1]

    composed = mail_messages.compose
    monkeypatch.setattr("app.core.mail.sending.compose", compose)
    return called


@pytest.fixture
def security_events(app: object, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[], list[dict[str, Any]]]]:
    """Return the security events that were logged since the last call. No log line has personal data."""
    root = logging.getLogger()
    handlers, level, before = root.handlers[:], root.level, structlog.get_config()
    output = io.StringIO()
    monkeypatch.setattr(sys, "stdout", output)
    logs.configure("info", json=True)

    def read() -> list[dict[str, Any]]:
        written = output.getvalue()
        output.seek(0)
        output.truncate()
        for personal in ("Ada", "example.com", PASSWORD):
            assert personal not in written
        return [line for line in map(json.loads, written.splitlines()) if "account" in line]

    yield read
    root.handlers[:] = handlers
    root.setLevel(level)
    structlog.configure(**before)


@pytest.fixture
def sign_in(settings: Settings) -> SignIn:
    """Return headers with an access token: `sign_in(user)`, `sign_in(user, "editor")`."""

    def headers(user: Any, *roles: str) -> Headers:
        assert declared_roles().keys() >= set(roles), f"The declared roles are {sorted(declared_roles())}."
        token = LocalTokens(settings).issue(str(user.id), scopes_of(roles, admin=user.is_superuser))
        return {"Authorization": f"Bearer {token}"}

    return headers


@pytest.fixture
async def admin(user_factory: UserFactory, sign_in: SignIn) -> Headers:
    """Headers with the access token of an admin."""
    return sign_in(await user_factory(name="Admin", email="admin@example.com", is_superuser=True))
