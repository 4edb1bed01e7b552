"""Routes of slices support FastAPI's features."""

from collections.abc import AsyncIterator, Awaitable, Callable
from inspect import signature
from pathlib import Path

import httpx2
import pytest
from fastapi import APIRouter, FastAPI, Request, Response

from app.core.config import Settings
from app.core.http.state import state_of
from app.core.security.bearer import AccessToken
from app.core.slices import SliceError
from app.core.testing import IDENTITY_PROVIDER, Headers, Rows, SignIn, UserFactory, assert_problem
from app.main import create_app

ROUTES = """
from datetime import UTC, datetime
from inspect import signature
from typing import Annotated

from fastapi import APIRouter, Query, Request, UploadFile
from fastapi.responses import JSONResponse
from fastapi.routing import APIRoute

from app.core.accounts.auth.models import UserSession
from app.core import Conflict, BASE, LoggedIn, MaybeLoggedIn, Pagination, ProblemError, Transaction, User


class OwnErrors(APIRoute):
    def get_route_handler(self):
        handler = super().get_route_handler()

        async def answer(request):
            try:
                return await handler(request)
            except ProblemError as error:
                return JSONResponse({"errors": [error.detail]}, 422)

        return answer


class Filters(BASE):
    q: str = ""
    tags: Annotated[list[str], Query()] = []


def limit(size):
    return {"max_body_size": size} if "max_body_size" in signature(APIRouter.post).parameters else {}


public = APIRouter(route_class=OwnErrors)
nested = APIRouter(route_class=OwnErrors)


@nested.post("/newcomer")
@public.post("/newcomer/direct", name="create_direct")
async def create(session: Transaction, fails: bool) -> int:
    session.add(User(name="Half", email="half@example.com"))
    await session.flush()
    if fails:
        raise Conflict("Half done.")
    return 1


@public.get("/newcomer")
async def find(filters: Annotated[Filters, Query()], pagination: Pagination) -> list[str | int]:
    return [filters.q, *filters.tags, pagination.page, pagination.size]


@public.post("/newcomer/large", **limit(4096))
async def large(file: UploadFile) -> int:
    return len(await file.read())


@public.post("/newcomer/small", **limit(8))
async def small(request: Request) -> int:
    return len(await request.body())


@public.post("/newcomer/bytes")
async def bytes_alone(request: Request) -> int:
    return len(await request.body())


plain = APIRouter()


@plain.post("/newcomer/session")
async def refer(session: Transaction, user: LoggedIn, other: int | None = None) -> None:
    session.add(UserSession(user_id=other or user.id, expires_at=datetime.now(UTC), address="", user_agent=""))


@plain.get("/newcomer/greeting")
async def greet(user: MaybeLoggedIn) -> str:
    return str(user.id if user else "stranger")


public.include_router(nested)
public.include_router(plain)
"""


@pytest.fixture
def planted(newcomer: Path, settings: Settings, app: FastAPI) -> FastAPI:
    """An application with the routes above, which uses the database connection of the test."""
    (newcomer / "routes.py").write_text(ROUTES.replace("BASE", "QuerySchema"))
    planted = create_app(settings.model_copy(update={"max_json_bytes": 1024}))
    state_of(planted).database = state_of(app).database
    return planted


def client_of(app: FastAPI) -> httpx2.AsyncClient:
    return httpx2.AsyncClient(transport=httpx2.ASGITransport(app), base_url="http://test/api/v1")


@pytest.mark.parametrize("path", ["/newcomer", "/newcomer/direct"])
async def test_error_caught_by_route_class_rolls_back(planted: FastAPI, rows: Rows, path: str) -> None:
    statement = "SELECT count(*) AS half FROM users WHERE name = 'Half'"
    async with client_of(planted) as client:
        failed = await client.post(path, params={"fails": True})
        assert (failed.status_code, failed.json()) == (422, {"errors": ["Half done."]})
        assert await rows(statement) == [{"half": 0}]
        assert (await client.post(path, params={"fails": False})).status_code == 200
    assert await rows(statement) == [{"half": 1}]


async def test_query_model_works_with_pagination(planted: FastAPI) -> None:
    async with client_of(planted) as client:
        response = await client.get("/newcomer?q=a&tags=b&tags=c&page=2&size=5")
    assert response.json() == ["a", "b", "c", 2, 5]


def test_strict_query_model_is_named(newcomer: Path, settings: Settings) -> None:
    (newcomer / "routes.py").write_text(ROUTES.replace("BASE", "BaseSchema"))
    with pytest.raises(SliceError) as refused:
        create_app(settings)
    assert str(refused.value) == (
        "The slice 'newcomer' does not load: /api/v1/newcomer reads other query parameters beside Filters, which "
        "refuses them: let Filters derive from QuerySchema instead of BaseSchema"
    )


async def test_optional_user_accepts_missing_token(
    planted: FastAPI, user_factory: UserFactory, sign_in: SignIn
) -> None:
    user = await user_factory()
    async with client_of(planted) as client:
        assert (await client.get("/newcomer/greeting")).json() == "stranger"
        assert (await client.get("/newcomer/greeting", headers=sign_in(user))).json() == str(user.id)
        assert_problem(await client.get("/newcomer/greeting", headers={"Authorization": "Bearer x"}), 401)
    document = planted.openapi()
    operation = document["paths"]["/api/v1/newcomer/greeting"]["get"]
    assert operation["security"] == [{}, {"token": []}, {"key": []}]
    assert "401" in operation["responses"]
    assert "optionalToken" not in document["components"]["securitySchemes"]


async def test_reference_to_a_deleted_user_is_401(
    planted: FastAPI, user_factory: UserFactory, sign_in: SignIn, rows: Rows
) -> None:
    """The user is deleted after the check of the token."""
    headers = sign_in(user := await user_factory())
    async with client_of(planted) as client:
        assert (await client.post("/newcomer/session", headers=headers)).status_code == 200
        assert_problem(await client.post("/newcomer/session?other=999999", headers=headers), 500)
        await rows(f"DELETE FROM users WHERE id = {user.id} RETURNING id")
        assert_problem(await client.post("/newcomer/session", headers=headers), 401)


async def test_machine_is_not_an_optional_user(planted: FastAPI, monkeypatch: pytest.MonkeyPatch) -> None:
    state = state_of(planted)
    state.settings = state.settings.model_copy(update=IDENTITY_PROVIDER)
    machine = AccessToken("machine", frozenset(), {"client_id": "machine"})
    monkeypatch.setattr(state.tokens, "verify", lambda _: machine)
    async with client_of(planted) as client:
        found = await client.get("/newcomer/greeting", headers={"Authorization": "Bearer any"})
        assert (found.status_code, found.json()) == (200, "stranger")


def body_of(path: str, length: int) -> tuple[bytes, Headers]:
    """Return a body and its Content-Type: a file upload for `large`, plain bytes for other routes."""
    content = b"x" * length
    if not path.endswith("large"):
        return content, {"Content-Type": "application/json"}
    upload = httpx2.Request("POST", "http://test", files={"file": ("a.bin", content)})
    return upload.read(), {"Content-Type": upload.headers["content-type"]}


@pytest.mark.skipif("max_body_size" not in signature(APIRouter.post).parameters, reason="FastAPI is older than 0.164")
@pytest.mark.parametrize("chunked", [False, True])
@pytest.mark.parametrize("middleware", [False, True])
async def test_route_has_its_own_body_limit(planted: FastAPI, *, chunked: bool, middleware: bool) -> None:
    if middleware:  # Starlette's middleware wraps errors of the body in an ExceptionGroup

        @planted.middleware("http")
        async def surround(request: Request, call_next: Callable[[Request], Awaitable[Response]]) -> Response:
            return await call_next(request)

    limits = {
        "/newcomer/large": (3000, 5000),
        "/newcomer/small": (8, 9),
        "/newcomer/bytes": (1024, 1025),
        "/users": (1024, 1025),
    }
    async with client_of(planted) as client:
        for path, lengths in limits.items():
            for length, accepted in zip(lengths, (True, False), strict=True):
                content, headers = body_of(path, length)

                async def halves(content: bytes = content) -> AsyncIterator[bytes]:
                    yield content[: len(content) // 2]
                    yield content[len(content) // 2 :]

                sent = halves() if chunked else content
                response = await client.post(path, content=sent, headers=headers)
                if not accepted:
                    assert_problem(response, 413)
                elif path != "/users":
                    assert (response.status_code, response.json()) == (200, length)
