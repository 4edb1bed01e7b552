"""A read session refuses writes, in the type checker and at run time."""

import asyncio
import subprocess
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, cast

import httpx2
import pytest
from fastapi import FastAPI
from sqlalchemy import delete, func, insert, select, text, update
from sqlalchemy.ext.asyncio import AsyncSession

from app.core.accounts.models import User
from app.core.accounts.repository import UserRepository
from app.core.config import Settings
from app.core.database.engine import Database
from app.core.database.sessions import DatabaseUnavailableError, ReadOnly, ReadOnlyError, WriteSession
from app.core.http.state import state_of
from app.core.testing import UserFactory
from app.main import create_app

ROOT = Path(__file__).parents[3]
USER = {"name": "Ada", "email": "ada@example.com", "subject": "ada"}


async def rename(session: AsyncSession) -> None:
    [user] = await session.scalars(select(User))
    user.name = "Other"
    await session.scalar(select(func.count()).select_from(User))


async def flush(session: AsyncSession) -> None:
    session.sync_session._save_or_update_impl(User(**USER)._sa_instance_state)  # type: ignore[attr-defined]
    await session.flush()


WRITES: dict[str, Callable[[AsyncSession], Awaitable[Any]]] = {
    "flush": flush,
    "changed": rename,
    "merge": lambda session: session.merge(User(id=1, **USER)),
    "commit": lambda session: session.commit(),
    "begin_nested": lambda session: session.begin_nested().start(),
    "connection": lambda session: session.connection(),
    "insert": lambda session: session.execute(insert(User).values(**USER)),
    "update": lambda session: session.execute(update(User).values(name="Other")),
    "delete": lambda session: session.execute(delete(User)),
    "text": lambda session: session.execute(text("DELETE FROM users")),
    "text of columns": lambda session: session.execute(text("DELETE FROM users RETURNING id").columns(User.id)),
    "from text": lambda session: session.execute(select(User).from_statement(text("DELETE FROM users RETURNING *"))),
    "in a CTE": lambda session: session.execute(select(delete(User).returning(User.id).cte())),
    "stream": lambda session: session.stream(delete(User).returning(User.id)),
    "repository": lambda session: UserRepository(cast("WriteSession", session)).create(USER),
}


@pytest.mark.parametrize("write", WRITES.values(), ids=WRITES)
@pytest.mark.parametrize("kind", ["read_sessions", "streaming_sessions"])
async def test_write_in_read_session_is_refused(
    app: FastAPI, user_factory: UserFactory, db_session: AsyncSession, kind: str, write: Any
) -> None:
    await user_factory(name="Grace")
    async with getattr(state_of(app).database, kind)() as session:
        with pytest.raises(ReadOnlyError, match="declare `session: Transaction`"):
            await write(session)
    db_session.expire_all()
    assert (await db_session.scalars(select(User.name))).all() == ["Grace"]


@pytest.mark.parametrize("write", ["add", "delete"])
async def test_read_session_refuses_add_and_delete(app: FastAPI, write: str) -> None:
    async with state_of(app).database.read_sessions() as session:
        with pytest.raises(ReadOnlyError):
            await getattr(session, write)(User(**USER))


async def test_write_in_read_only_endpoint_is_500(settings: Settings, app: FastAPI, db_session: AsyncSession) -> None:
    probe = create_app(settings)
    state_of(probe).database = state_of(app).database

    @probe.post("/probe")
    async def add_and_raise(session: ReadOnly) -> None:
        await UserRepository(cast("WriteSession", session)).create(USER)
        raise RuntimeError

    transport = httpx2.ASGITransport(probe)
    async with httpx2.AsyncClient(transport=transport, base_url="http://test") as client:
        assert (await client.post("/probe")).status_code == 500
    assert await db_session.scalar(select(func.count()).select_from(User)) == 0


async def test_read_session_may_read(settings: Settings) -> None:
    database = Database.connect(settings)
    four = select(func.length("four"))
    async with database.read_sessions() as session:
        assert (await session.execute(four.union_all(four))).all() == [(4,), (4,)]
        assert await session.get(User, 1) is None
    async with database.streaming_sessions() as session:
        assert [row async for row in await session.stream(four)] == [(4,)]
    await database.close()


async def test_streaming_transaction_is_read_only(settings: Settings) -> None:
    database = Database.connect(settings)
    async with database.streaming_sessions() as session:
        assert await session.scalar(select(func.current_setting("transaction_read_only"))) == "on"
    await database.close()


GOOD = """
from sqlalchemy import delete, insert, select, update
from sqlalchemy.ext.asyncio import AsyncSession
from app.core import ReadSession, User, WriteSession
from app.core.accounts.repository import UserRepository

async def read(session: ReadSession) -> list[User]:
    return list(await session.scalars(select(User)))

async def good(reading: ReadSession, writing: WriteSession) -> AsyncSession:
    await read(reading)
    await read(writing)
    await UserRepository(reading).get(1)
    await UserRepository(writing).create({})
    return writing

async def bad(session: ReadSession) -> None:
"""
BAD = [
    "session.add(User())",
    "session.add_all([])",
    "await session.delete(User())",
    "await session.merge(User())",
    "await session.flush()",
    "await session.commit()",
    "session.begin_nested()",
    "await session.connection()",
    "await session.execute(insert(User))",
    "await session.execute(update(User))",
    "await session.execute(delete(User))",
    "await session.scalars(delete(User).returning(User.id))",
    "await UserRepository(session).create({})",
    "await UserRepository(session).update(User(), {})",
    "await UserRepository(session).delete(1)",
]


@pytest.mark.slow
def test_mypy_refuses_writes_in_read_session(tmp_path: Path) -> None:
    code = GOOD + "".join(f"    {line}\n" for line in BAD)
    planted = tmp_path / "planted.py"
    planted.write_text(code)
    checked = subprocess.run(
        [sys.executable, "-m", "mypy", planted], cwd=ROOT, capture_output=True, text=True, check=False, timeout=300
    )
    first = len(GOOD.splitlines()) + 1
    refused = {int(line.split(":")[1]) for line in checked.stdout.splitlines() if ": error: " in line}
    assert refused == set(range(first, first + len(BAD))), checked.stdout + checked.stderr


async def test_connections_are_given_in_turn(settings: Settings) -> None:
    """A request that starts when a connection becomes free waits behind those that already wait."""
    database = Database.connect(settings.model_copy(update={"database_pool_size": 1}))
    served: list[int] = []

    async def work(number: int) -> None:
        async with database.read_sessions() as session:
            await session.execute(select(1))
            served.append(number)

    holder = cast("AsyncSession", database.read_sessions())
    await holder.execute(select(1))
    working = [asyncio.ensure_future(work(number)) for number in range(3)]
    await asyncio.sleep(0.05)
    # The new request runs after the return of the connection, but before the request that is woken by it.
    await asyncio.gather(holder.close(), work(3), *working)
    await database.close()
    assert served == [0, 1, 2, 3]


async def test_failed_connection_leaves_its_turn(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    limits = {"database_pool_size": 1, "database_timeout_seconds": 0.5}
    database = Database.connect(settings.model_copy(update=limits))

    async def refuse(*_: Any, **__: Any) -> None:
        raise OSError("no route")

    with monkeypatch.context() as patch:
        patch.setattr("asyncpg.connect", refuse)
        for _ in range(3):
            with pytest.raises(DatabaseUnavailableError, match="no route"):
                async with database.read_sessions() as session:
                    await session.execute(select(1))
    async with database.read_sessions() as session:
        await session.execute(select(1))
        with pytest.raises(DatabaseUnavailableError, match="in use"):
            async with database.read_sessions() as other:
                await other.execute(select(1))
    await database.close()
