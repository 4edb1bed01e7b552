"""A project can serve an API that others have specified, without edits of managed files."""

from collections.abc import Callable, Iterator

import pytest
from conftest import Project, once
from questionnaire import engines

pytestmark = pytest.mark.deep

ERRORS = '''"""The error format of another team."""

from typing import Self

from app.core import ErrorBody, Problem


class Errors(ErrorBody):
    """All errors in one list."""

    errors: dict[str, list[str]]

    @classmethod
    def of(cls, problem: Problem) -> Self:
        """Return the messages of the problem."""
        return cls(errors={"body": [error.message for error in problem.errors or ()] or [problem.detail]})
'''


# An API with the shapes of RealWorld's (github.com/gothinkster/realworld): wrapped bodies, `PUT`, limit and offset, its
# own log-in below `/api`.
ROUTES = {
    "fastapi": '''"""An API that others specified."""

from http import HTTPStatus

from fastapi import APIRouter, Request

from app.conduit.schemas import (
    Account,
    Articles,
    Comment,
    CommentRequest,
    LogInRequest,
    Profile,
    UserChangesRequest,
    UserRequest,
    UserResponse,
    Wrapped,
)
from app.core import (
    Conflict,
    CurrentUser,
    FieldError,
    LoggedIn,
    MaybeLoggedIn,
    NotFound,
    OffsetPagination,
    PathId,
    ReadOnly,
    ReadSession,
    ShortText,
    Transaction,
    Unauthorized,
    Unprocessable,
    User,
    change_account,
    issue_access_token,
    log_in,
    problem_responses,
    register_user,
)

PREFIX = "/api"
ARTICLES = 1000

public = APIRouter(tags=["conduit"])
router = APIRouter(tags=["conduit"])


async def account_of(session: ReadSession, user: CurrentUser) -> User:
    """Return the user of the token."""
    if account := await session.get(User, user.id):
        return account
    raise Unauthorized


def response_of(user: User, token: str) -> UserResponse:
    """Return the user with a token."""
    return UserResponse(user=Account(email=user.email or "", username=user.name, token=token))


@public.post("/users", status_code=HTTPStatus.CREATED, responses=problem_responses(403, 404, 429))
async def create_user(data: UserRequest, session: Transaction, request: Request) -> UserResponse:
    """Register."""
    new = data.user
    try:
        user = await register_user(request, session, name=new.username, email=new.email, password=new.password)
    except Conflict as error:
        raise Unprocessable(detail=error.detail) from error
    if new.username == "admin":
        raise Unprocessable(FieldError(pointer="/body/user/username", message="is reserved"))
    return response_of(user, await issue_access_token(request, session, CurrentUser(user.id, frozenset())))


@public.post("/users/login", responses=problem_responses(401, 404, 429))
async def log_in_user(data: LogInRequest, session: Transaction, request: Request) -> UserResponse:
    """Log in."""
    user, tokens = await log_in(request, session, email=data.user.email, password=data.user.password)
    return response_of(user, tokens.access_token)


@router.get("/user")
async def get_current_user(session: ReadOnly, user: LoggedIn, request: Request) -> UserResponse:
    """Get your user."""
    return response_of(await account_of(session, user), await issue_access_token(request, session, user))


@router.put("/user")
async def change_user(
    data: UserChangesRequest, session: Transaction, user: LoggedIn, request: Request
) -> UserResponse:
    """Change your user."""
    account = await account_of(session, user)
    await change_account(request, session, account, email=data.user.email, password=data.user.password)
    return response_of(account, await issue_access_token(request, session, user))


@public.get("/profiles/{username}")
async def show_profile(username: ShortText, user: MaybeLoggedIn) -> Wrapped[Profile]:
    """Get a profile."""
    return Wrapped(data=Profile(username=username, following=user is not None))


@public.get("/articles")
async def list_articles(pages: OffsetPagination) -> Articles:
    """List articles."""
    return Articles(articles=list(range(pages.offset, pages.offset + pages.size)), articles_count=ARTICLES)


@router.post("/articles/{article_id}/comments")
async def add_comment(article_id: PathId, data: CommentRequest) -> Wrapped[Comment]:
    """Comment on an article."""
    if article_id > ARTICLES:
        raise NotFound("There is no such article.")
    return Wrapped(data=data.comment)


@router.delete("/articles/{article_id}", status_code=HTTPStatus.NO_CONTENT)
async def delete_article(article_id: PathId) -> None:
    """Delete an article."""
    if article_id > ARTICLES:
        raise NotFound("There is no such article.")
''',
    "django": '''"""An API that others specified."""

from http import HTTPStatus

from django.db import transaction
from ninja import Router

from app.conduit.schemas import (
    Account,
    Articles,
    Comment,
    CommentRequest,
    LogInRequest,
    Profile,
    UserChangesRequest,
    UserRequest,
    UserResponse,
    Wrapped,
)
from app.core import (
    Conflict,
    CurrentUser,
    FieldError,
    NotFound,
    OffsetPaginator,
    PathId,
    PublicRequest,
    Request,
    ShortText,
    Unauthorized,
    Unprocessable,
    User,
    change_account,
    issue_access_token,
    log_in,
    maybe_logged_in,
    problem_responses,
    register_user,
)

PREFIX = "/api"
ARTICLES = 1000

public = Router(tags=["conduit"])
router = Router(tags=["conduit"])


def account_of(user: CurrentUser) -> User:
    """Return the user of the token."""
    if account := User.objects.filter(pk=user.id).first():
        return account
    raise Unauthorized


def response_of(user: User, token: str) -> UserResponse:
    """Return the user with a token."""
    return UserResponse(user=Account(email=user.email or "", username=user.name, token=token))


@public.post("/users", response={HTTPStatus.CREATED: UserResponse}, openapi_extra=problem_responses(403, 404, 429))
@transaction.atomic
def create_user(request: PublicRequest, data: UserRequest) -> UserResponse:
    """Register."""
    new = data.user
    try:
        user = register_user(request, name=new.username, email=new.email, password=new.password)
    except Conflict as error:
        raise Unprocessable(detail=error.detail) from error
    if new.username == "admin":
        raise Unprocessable(FieldError(pointer="/body/user/username", message="is reserved"))
    return response_of(user, issue_access_token(request, CurrentUser(user.id, frozenset())))


@public.post("/users/login", response=UserResponse, openapi_extra=problem_responses(401, 404, 429))
@transaction.non_atomic_requests
def log_in_user(request: PublicRequest, data: LogInRequest) -> UserResponse:
    """Log in."""
    user, tokens = log_in(request, email=data.user.email, password=data.user.password)
    return response_of(user, tokens.access_token)


@router.get("/user", response=UserResponse)
def get_current_user(request: Request) -> UserResponse:
    """Get your user."""
    return response_of(account_of(request.auth), issue_access_token(request, request.auth))


@router.put("/user", response=UserResponse)
@transaction.atomic
def change_user(request: Request, data: UserChangesRequest) -> UserResponse:
    """Change your user."""
    account = account_of(request.auth)
    change_account(request, account, email=data.user.email, password=data.user.password)
    return response_of(account, issue_access_token(request, request.auth))


@public.get("/profiles/{username}", response=Wrapped[Profile], auth=maybe_logged_in)
def show_profile(request: PublicRequest, username: ShortText) -> Wrapped[Profile]:
    """Get a profile."""
    return Wrapped(data=Profile(username=username, following=request.auth is not None))


@public.get("/articles", response=Articles)
def list_articles(request: PublicRequest, limit: int = 20, offset: int = 0) -> Articles:
    """List articles."""
    pages = OffsetPaginator(limit, offset)
    return Articles(articles=list(range(pages.offset, pages.offset + pages.size)), articles_count=ARTICLES)


@router.post("/articles/{article_id}/comments", response=Wrapped[Comment])
@transaction.atomic
def add_comment(request: Request, article_id: PathId, data: CommentRequest) -> Wrapped[Comment]:
    """Comment on an article."""
    return Wrapped(data=data.comment)


@router.delete("/articles/{article_id}", response={HTTPStatus.NO_CONTENT: None})
@transaction.atomic
def delete_article(request: Request, article_id: PathId) -> None:
    """Delete an article."""
    if article_id > ARTICLES:
        raise NotFound("There is no such article.")
''',
}
SCHEMAS = '''"""Wrapped bodies."""

from pydantic import ConfigDict
from pydantic.alias_generators import to_camel

from app.core import BaseSchema, EmailAddress, LongText, NewPassword, Password, ShortText


class NewUser(BaseSchema):
    username: ShortText
    email: EmailAddress
    password: NewPassword


class UserRequest(BaseSchema):
    user: NewUser


class LogIn(BaseSchema):
    email: EmailAddress
    password: Password


class LogInRequest(BaseSchema):
    user: LogIn


class UserChanges(BaseSchema):
    email: EmailAddress | None = None
    password: NewPassword | None = None


class UserChangesRequest(BaseSchema):
    user: UserChanges


class Account(BaseSchema):
    email: str
    username: str
    token: str


class UserResponse(BaseSchema):
    user: Account


class Profile(BaseSchema):
    username: str
    following: bool


class Comment(BaseSchema):
    body: LongText


class CommentRequest(BaseSchema):
    comment: Comment


class Wrapped[T](BaseSchema):
    data: T


class Articles(BaseSchema):
    model_config = ConfigDict(alias_generator=to_camel)

    articles: list[int]
    articles_count: int
'''
ACCESS = """[public]
"POST /api/users" = "a caller who registers has no token yet"
"POST /api/users/login" = "a caller who logs in has no token yet"
"GET /api/profiles/{username}" = "anyone may read"
"GET /api/articles" = "anyone may read"
"""
TESTS = '''"""The API over HTTP."""

from collections.abc import AsyncIterator
from typing import Any

import httpx2
import pytest

from app.core.testing import MakeClient, Rows, assert_problem, pointers

ADA = {"username": "ada", "email": "ada@example.com", "password": "engine no. 1"}


@pytest.fixture
async def client(make_client: MakeClient) -> AsyncIterator[httpx2.AsyncClient]:
    async with make_client(token_scheme="Token", max_body_bytes=20_000) as client:
        yield client


async def register(client: httpx2.AsyncClient) -> dict[str, str]:
    response = await client.post("/api/users", json={"user": ADA})
    assert response.status_code == 201, response.text
    return {"Authorization": f"Token {response.json()['user']['token']}"}


async def test_user_registers_logs_in_and_changes(client: httpx2.AsyncClient) -> None:
    headers = await register(client)
    log_in = {"user": {"email": "ada@example.com", "password": "engine no. 1"}}
    assert (await client.post("/api/users/login", json=log_in)).json()["user"]["username"] == "ada"
    changes = {"user": {"email": "ada@example.org", "password": "engine no. 2"}}
    changed = await client.put("/api/user", json=changes, headers=headers)
    assert changed.json()["user"]["email"] == "ada@example.org"
    assert (await client.get("/api/user", headers=headers)).json()["user"]["email"] == "ada@example.org"
    assert_problem(await client.post("/api/users/login", json=log_in), 401)
    assert (await client.post("/api/users/login", json=changes)).status_code == 200


async def test_api_key_gets_no_access_token(client: httpx2.AsyncClient) -> None:
    headers = await register(client)
    created = (await client.post("/api/v1/api-keys", json={"name": "backup"}, headers=headers)).json()
    assert_problem(await client.get("/api/user", headers={"Authorization": f"Token {created['key']}"}), 403)


async def test_errors_have_the_format_of_the_api(client: httpx2.AsyncClient) -> None:
    headers = await register(client)
    taken = await client.post("/api/users", json={"user": ADA})
    assert (taken.status_code, taken.json()) == (
        422,
        {"errors": {"body": ["This e-mail address is already registered."]}},
    )
    assert pointers(await client.post("/api/users", json={"user": ADA | {"username": " "}})) == {"/body/user/username"}
    blank = await client.post("/api/articles/1/comments", json={"comment": {"body": " "}}, headers=headers)
    assert blank.json() == {"errors": {"body": ["must not be blank"]}}
    missing = await client.get("/api/nothing")
    assert (missing.status_code, list(missing.json())) == (404, ["errors"])


async def test_refused_registration_is_rolled_back(client: httpx2.AsyncClient, rows: Rows) -> None:
    response = await client.post("/api/users", json={"user": ADA | {"username": "admin"}})
    assert (response.status_code, response.json()) == (422, {"errors": {"body": ["is reserved"]}})
    assert await rows("SELECT count(*) AS users FROM users") == [{"users": 0}]


async def test_log_in_is_optional_or_required(client: httpx2.AsyncClient) -> None:
    headers = await register(client)

    async def following(**options: Any) -> Any:
        return (await client.get("/api/profiles/ada", **options)).json()["data"]["following"]

    assert (await following(), await following(headers=headers)) == (False, True)
    assert_problem(await client.get("/api/profiles/ada", headers={"Authorization": "Token x"}), 401)
    assert_problem(await client.get("/api/user"), 401)
    assert (await client.delete("/api/articles/1", headers=headers)).status_code == 204


async def test_ended_session_gets_no_token(client: httpx2.AsyncClient, rows: Rows) -> None:
    await register(client)
    log_in = {"user": {"email": "ada@example.com", "password": "engine no. 1"}}
    token = (await client.post("/api/users/login", json=log_in)).json()["user"]["token"]
    headers = {"Authorization": f"Token {token}"}
    assert (await client.get("/api/user", headers=headers)).status_code == 200
    await rows("UPDATE user_sessions SET ended_at = now() RETURNING id")
    assert_problem(await client.get("/api/user", headers=headers), 401)


async def test_pages_have_limit_and_offset(client: httpx2.AsyncClient) -> None:
    found = await client.get("/api/articles", params={"limit": 2, "offset": 4})
    assert found.json() == {"articles": [4, 5], "articlesCount": 1000}


async def test_comment_has_several_lines(client: httpx2.AsyncClient) -> None:
    comment = {"body": "One.\\nTwo."}
    headers = await register(client)
    response = await client.post("/api/articles/1/comments", json={"comment": comment}, headers=headers)
    assert response.json() == {"data": comment}
'''


@pytest.fixture(params=once(engines()))
def service(installed: Callable[..., Project], request: pytest.FixtureRequest) -> Iterator[Project]:
    """Yield an installed service of each framework, and restore it afterwards."""
    service = installed(**request.param)
    yield service
    service.run("git", "reset", "--quiet", "--hard")
    service.run("git", "clean", "--quiet", "--force", "-dx", "src", "tests")


def test_suite_passes_with_an_api_of_others(service: Project) -> None:
    app = service.path / "src/app"
    framework = "django" if (app / "settings.py").exists() else "fastapi"
    planted = {
        "src/app/errors.py": ERRORS,
        "src/app/conduit/__init__.py": '"""An API that others specified."""\n',
        "src/app/conduit/schemas.py": SCHEMAS,
        "src/app/conduit/routes.py": ROUTES[framework],
        "tests/conduit/access.toml": ACCESS,
        "tests/conduit/test_conduit.py": TESTS,
    }
    for name, content in planted.items():
        (service.path / name).parent.mkdir(exist_ok=True)
        (service.path / name).write_text(content)
    if framework == "django":
        with (app / "settings.py").open("a") as settings:
            settings.write('\nERROR_BODY = "app.errors.Errors"\n')
    else:
        text = (app / "main.py").read_text()
        text = text.replace("create_core_app(settings)", "create_core_app(settings, error_body=Errors)")
        (app / "main.py").write_text(
            text.replace("create_core_app\n", "create_core_app\nfrom app.errors import Errors\n")
        )
    service.run_inside("poe", "fmt")
    service.run_inside("poe", "check")
