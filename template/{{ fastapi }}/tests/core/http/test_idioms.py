"""Common idioms of FastAPI developers work."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime
from http import HTTPStatus

import httpx2
import pytest
from fastapi import APIRouter, FastAPI, HTTPException
from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import Mapped, mapped_column, registry, selectinload

from app.core.accounts.models import User
from app.core.config import Settings
from app.core.database.base import Base
from app.core.database.sessions import ReadOnly, Transaction, get_db
from app.core.http.application import create_app
from app.core.http.state import state_of
from app.core.testing import Rows, UserFactory, assert_problem


@pytest.fixture
def own(settings: Settings, app: FastAPI) -> FastAPI:
    """An application for routes of the test, on the test's connection."""
    own = create_app(settings)
    state_of(own).database = state_of(app).database
    return own


def client_of(app: FastAPI) -> httpx2.AsyncClient:
    return httpx2.AsyncClient(transport=httpx2.ASGITransport(app), base_url="http://test")


@pytest.mark.parametrize(("fails", "names"), [(False, ["Ada", "Later"]), (True, ["Ada"])])
async def test_handler_commits_and_goes_on(own: FastAPI, rows: Rows, *, fails: bool, names: list[str]) -> None:
    @own.post("/users")
    async def create(session: Transaction) -> str:
        user = User(name="Ada", email="ada@example.com")
        session.add(user)
        await session.commit()
        await session.refresh(user)
        session.add(User(name="Later", email="later@example.com"))
        await session.flush()
        if fails:
            raise HTTPException(HTTPStatus.CONFLICT)
        return user.name

    async with client_of(own) as client:
        response = await client.post("/users")
    assert response.status_code == (409 if fails else 200)
    assert [row["name"] for row in await rows("SELECT name FROM users ORDER BY id")] == names


class OwnBase(Base):
    """As `Base`, without adding tables to the metadata of the service."""

    __abstract__ = True
    registry = registry()
    metadata = registry.metadata


class Note(OwnBase):
    __tablename__ = "notes_of_a_test"

    id: Mapped[int] = mapped_column(primary_key=True)
    text: Mapped[str]
    changed_at: Mapped[datetime | None] = mapped_column(onupdate=func.now())


async def test_onupdate_in_the_database_is_loaded(db_session: AsyncSession) -> None:
    await (await db_session.connection()).run_sync(OwnBase.metadata.create_all)
    note = Note(text="a")
    db_session.add(note)
    await db_session.flush()
    note.text = "b"
    await db_session.flush()
    assert note.changed_at is not None


async def test_read_session_loads_and_refreshes(own: FastAPI, user_factory: UserFactory) -> None:
    user = await user_factory(name="Ada")

    @own.get("/names")
    async def names(session: ReadOnly) -> list[str]:
        found = await session.get(User, user.id, options=[selectinload(User.roles)])
        assert found
        await session.refresh(found, ["name"])
        return [found.name, *found.role_names]

    async with client_of(own) as client:
        assert (await client.get("/names")).json() == ["Ada"]


@pytest.mark.parametrize("way", ["parameter", "on_event", "router"])
async def test_project_has_a_lifespan(settings: Settings, way: str) -> None:
    seen: list[str] = []

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        async with state_of(app).database.sessions() as session:
            seen.append(f"{await session.scalar(select(func.now())):start}")
        yield
        seen.append("stop")

    async def start() -> None:
        seen.append("start")

    async def stop() -> None:
        seen.append("stop")

    app = create_app(settings, lifespan=lifespan if way == "parameter" else None)
    match way:
        case "on_event":
            app.router.add_event_handler("startup", start)
            app.router.add_event_handler("shutdown", stop)
        case "router":
            app.include_router(APIRouter(lifespan=lifespan))
    async with app.router.lifespan_context(app):
        assert seen == ["start"]
    assert seen == ["start", "stop"]


async def test_route_after_a_parameter_is_422_not_405(own: FastAPI) -> None:
    @own.get("/books/{book_id}")
    async def get(book_id: int) -> int:
        return book_id

    @own.get("/books/events")
    async def events() -> int:
        return 0

    async with client_of(own) as client:
        assert_problem(await client.get("/books/events"), 422)
        refused = await client.post("/books/events")
    assert (refused.status_code, refused.headers["allow"]) == (405, "GET, HEAD")


@pytest.mark.parametrize("_test", ["first", "second"])
async def test_overrides_end_with_the_test(app: FastAPI, _test: str) -> None:
    assert get_db not in app.dependency_overrides
    app.dependency_overrides[get_db] = lambda: None
