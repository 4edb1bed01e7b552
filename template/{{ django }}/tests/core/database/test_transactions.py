"""Writing routes declare their transaction; GET handlers cannot write."""

import inspect
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Any, cast

import httpx2
import pytest
from asgiref.sync import sync_to_async
from django.db import connection, transaction
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.transaction import Atomic
from psycopg import sql

from app.core.accounts.models import User
from app.core.accounts.repository import UserRepository
from app.core.database.transactions import ReadOnlyError, read_only
from app.core.http.api import SAFE, api
from app.core.testing import UserFactory, assert_problem

USER = {"name": "Ada", "email": "ada@example.com", "subject": "ada"}

View = Callable[..., Any]


def declares_its_transaction(view: View) -> bool:
    """Return whether the view has `transaction.non_atomic_requests`, or `transaction.atomic` directly above `def`.

    A decorator below `atomic` could catch an error, and Django would commit what the view did before the error.
    """
    if hasattr(view, "_non_atomic_requests"):
        return True
    while (inner := getattr(view, "__wrapped__", None)) and hasattr(inner, "__wrapped__"):
        view = inner
    return any(isinstance(cell.cell_contents, Atomic) for cell in view.__closure__ or ())


def complaint(view: View) -> str:
    """Return a failure message with the file and the line to add."""
    code = inspect.unwrap(view).__code__
    path = Path(code.co_filename).relative_to(Path(__file__).parents[3])
    return f"{path}, directly above `def {code.co_name}`: add `@transaction.atomic` (from django.db import transaction)"


def test_every_writing_route_declares_its_transaction() -> None:
    writing = [
        operation.view_func
        for _, router in api._routers
        for path in router.path_operations.values()
        for operation in path.operations
        if not SAFE.issuperset(operation.methods)
    ]
    assert writing
    assert [complaint(view) for view in writing if not declares_its_transaction(view)] == []


def test_route_without_transaction_is_named() -> None:
    def plain() -> None: ...

    assert not declares_its_transaction(plain)
    said = "tests/core/database/test_transactions.py, directly above `def plain`: add `@transaction"
    assert complaint(plain).startswith(said)
    for decorate in (transaction.atomic, transaction.atomic(), transaction.non_atomic_requests):
        assert declares_its_transaction(cast("View", decorate(plain)))
        assert declares_its_transaction(read_only(cast("View", decorate(plain))))


def test_decorator_below_the_transaction_is_refused() -> None:
    def catching(view: View) -> View:
        @wraps(view)
        def caught() -> None: ...

        return caught

    def plain() -> None: ...

    assert not declares_its_transaction(transaction.atomic(catching(plain)))
    assert declares_its_transaction(catching(transaction.atomic(plain)))


def execute(statement: Any) -> None:
    with connection.cursor() as cursor:
        cursor.execute(statement)


WRITES: dict[str, Callable[[], Any]] = {
    "create": lambda: User.objects.create(**USER),
    "update": lambda: User.objects.update(name="Other"),
    "delete": lambda: User.objects.all().delete(),
    "bulk_create": lambda: User.objects.bulk_create([User(**USER)]),
    "repository": lambda: UserRepository().create(USER),
    "sql": lambda: execute("DELETE FROM users"),
    "many": lambda: connection.cursor().executemany("UPDATE users SET name = %s", [["Other"]]),
    "composed": lambda: execute(sql.SQL("DELETE FROM {}").format(sql.Identifier("users"))),
    "in a CTE": lambda: execute("WITH gone AS (DELETE FROM users RETURNING id)\nSELECT * FROM gone"),
    "update in a CTE": lambda: execute("with x as (update users set name = 'Other' returning id) select * from x"),
    "truncate": lambda: execute("TRUNCATE users CASCADE"),
    "call": lambda: execute("DO $$ BEGIN DELETE FROM users; END $$"),
}


@pytest.mark.parametrize("write", WRITES.values(), ids=WRITES)
async def test_write_in_get_handler_is_refused(
    db_session: BaseDatabaseWrapper, user_factory: UserFactory, write: Callable[[], Any]
) -> None:
    await user_factory(name="Grace")

    @sync_to_async
    def names() -> list[str]:
        with pytest.raises(ReadOnlyError, match="A GET handler cannot write"), transaction.atomic():
            read_only(write)()
        return list(User.objects.values_list("name", flat=True))

    assert await names() == ["Grace"]


@pytest.mark.parametrize(
    "statement",
    [
        "SELECT 1",
        "(SELECT 1) UNION (SELECT 2)",
        "WITH found AS (SELECT id FROM users FOR NO KEY UPDATE) SELECT * FROM found",
        "WITH found AS (SELECT id FROM users FOR UPDATE) SELECT * FROM found",
        "VALUES (1)",
        "SHOW work_mem",
    ],
)
async def test_get_handler_may_read(db_session: BaseDatabaseWrapper, statement: str) -> None:
    @sync_to_async
    @read_only
    def read() -> None:
        with transaction.atomic():
            execute(statement)

    await read()


async def test_get_request_that_writes_is_500(
    async_client: httpx2.AsyncClient, user_factory: UserFactory, sign_in: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    user = await user_factory(name="Grace")

    @transaction.atomic
    def create(*_: object) -> User:
        return User.objects.create(**USER)

    monkeypatch.setattr(UserRepository, "get", create)
    assert_problem(await async_client.get("/api/v1/users/me", headers=sign_in(user)), 500)
    assert await User.objects.acount() == 1
