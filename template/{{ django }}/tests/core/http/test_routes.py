"""Routes of a slice: an optional user, and a body limit of their own."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import httpx2
import pytest
from django.conf import settings as django_settings
from django.db import connection
from django.test import override_settings
from django.urls import path
from ninja.compatibility.files import FIX_MIDDLEWARE_PATH

from app.core.accounts.models import User
from app.core.http.api import all_routes
from app.core.http.openapi.document import API, JSONParser, JSONRenderer
from app.core.security.bearer import AccessToken
from app.core.security.issuer import IssuerTokens
from app.core.testing import IDENTITY_PROVIDER, Headers, MakeClient, SignIn, UserFactory, assert_problem

ROUTES = """
from django.db import transaction
from django.http import HttpRequest
from django.utils import timezone
from ninja import Router

from pydantic import Field

from app.core.accounts.auth.models import UserSession
from app.core import BaseSchema, PublicRequest, max_body_size, maybe_logged_in

public, router = Router(), Router()


@router.post("/newcomer/session", response=None)
@transaction.atomic
def refer(request: HttpRequest, other: int = 0) -> None:
    fields = {"expires_at": timezone.now(), "address": "", "user_agent": ""}
    UserSession.objects.create(user_id=other or request.auth.id, **fields)


@public.get("/newcomer/greeting", response=str, auth=maybe_logged_in)
def greeting(request: PublicRequest) -> str:
    return str(request.auth.id) if request.auth else "stranger"


class Signature:
    name = "signature"
    model = {"type": "apiKey", "in": "header", "name": "X-Signature"}

    def __call__(self, request: HttpRequest) -> bool:
        return True


@public.get("/newcomer/signed", response=str, auth=Signature())
def signed(request: HttpRequest) -> str:
    return "signed"


class Label(BaseSchema):
    font_size: int = Field(alias="fontSize")


@public.get("/newcomer/label", response=Label)
def label(request: HttpRequest) -> Label:
    return Label(fontSize=2)


@public.post("/newcomer/large/{name}", response=int)
@max_body_size(4096)
@transaction.atomic
def large(request: HttpRequest, name: str) -> int:
    return len(request.body)


@public.post("/newcomer/small", response=int)
@transaction.atomic
@max_body_size(16)
def small(request: HttpRequest) -> int:
    return len(request.body)
"""


class URLs:
    """A module of URLs with the routes of the slice `newcomer`."""

    def __init__(self) -> None:
        self.api = API(
            urls_namespace="planted", renderer=JSONRenderer(), parser=JSONParser(), default_router=all_routes()
        )
        self.urlpatterns = [path("", self.api.urls)]


@pytest.fixture
def planted(newcomer: Path) -> Iterator[API]:
    (newcomer / "routes.py").write_text(ROUTES)
    urls = URLs()
    with override_settings(ROOT_URLCONF=urls):
        yield urls.api


@pytest.fixture
async def client(planted: API, make_client: MakeClient) -> AsyncIterator[httpx2.AsyncClient]:
    async with make_client(max_body_bytes=1024) as client:
        client.base_url = httpx2.URL("http://test/api/v1/newcomer/")
        yield client


async def test_optional_user_accepts_missing_token(
    client: httpx2.AsyncClient, planted: API, user_factory: UserFactory, sign_in: SignIn
) -> None:
    user = await user_factory()
    assert (await client.get("greeting")).json() == "stranger"
    assert (await client.get("greeting", headers=sign_in(user))).json() == str(user.id)
    assert_problem(await client.get("greeting", headers={"Authorization": "Bearer x"}), 401)
    operation = planted.get_openapi_schema()["paths"]["/api/v1/newcomer/greeting"]["get"]
    assert operation["security"] == [{}, {"token": []}, {"key": []}]
    assert "401" in operation["responses"]


@pytest.mark.usefixtures("planted")
def test_reference_to_a_deleted_user_is_401(committing_client: httpx2.Client, sign_in: SignIn) -> None:
    """The user is deleted after the check of the token."""
    path = "/api/v1/newcomer/session"
    user = User.objects.create_user("ada@example.com")
    headers = sign_in(user)
    assert committing_client.post(path, headers=headers).status_code == 200
    assert committing_client.post(f"{path}?other=999999", headers=headers).status_code == 500
    with connection.cursor() as cursor:
        cursor.execute("TRUNCATE users CASCADE")
    assert_problem(committing_client.post(path, headers=headers), 401)


@pytest.mark.usefixtures("planted")
async def test_machine_is_not_an_optional_user(make_client: MakeClient, monkeypatch: pytest.MonkeyPatch) -> None:
    machine = AccessToken("machine", frozenset(), {"client_id": "machine"})
    monkeypatch.setattr(IssuerTokens, "verify", lambda *_: machine)
    async with make_client(**IDENTITY_PROVIDER) as client:
        found = await client.get("/api/v1/newcomer/greeting", headers={"Authorization": "Bearer any"})
        assert (found.status_code, found.json()) == (200, "stranger")


async def test_own_authentication_is_documented(planted: API) -> None:
    operation = planted.get_openapi_schema()["paths"]["/api/v1/newcomer/signed"]["get"]
    assert operation["security"] == [{"signature": []}]


async def test_response_has_aliases(client: httpx2.AsyncClient, planted: API) -> None:
    assert (await client.get("label")).json() == {"fontSize": 2}
    assert planted.get_openapi_schema()["components"]["schemas"]["Label"]["properties"].keys() == {"fontSize"}


async def chunks(length: int) -> AsyncIterator[bytes]:
    yield b"x" * length


@pytest.mark.parametrize("chunked", [False, True])
@pytest.mark.parametrize(("url", "limit"), [("large/a", 4096), ("small", 16)])
async def test_route_has_its_own_body_limit(client: httpx2.AsyncClient, url: str, limit: int, *, chunked: bool) -> None:
    headers: Headers = {"Content-Type": "application/octet-stream"}
    for length in (limit, limit + 1):
        content = chunks(length) if chunked else b"x" * length
        response = await client.post(url, content=content, headers=headers)
        if length == limit:
            assert response.json() == limit
        else:
            assert_problem(response, 413)


UPLOADS = """
from django.db import transaction
from django.http import HttpRequest
from ninja import File, Router
from ninja.files import UploadedFile

from app.core import BaseSchema

public = Router()


class Name(BaseSchema):
    name: str


@public.put("/newcomer/cover", response=Name)
@transaction.atomic
def put_cover(request: HttpRequest, cover: File[UploadedFile]) -> Name:
    return Name(name=cover.name)


@public.patch("/newcomer/name", response=Name)
@transaction.atomic
def change_name(request: HttpRequest, data: Name) -> Name:
    return data
"""


async def test_upload_by_put_with_the_middleware_of_ninja(newcomer: Path, make_client: MakeClient) -> None:
    (newcomer / "routes.py").write_text(UPLOADS)
    middleware = [name for name in django_settings.MIDDLEWARE if name != FIX_MIDDLEWARE_PATH]
    with override_settings(MIDDLEWARE=[*middleware, FIX_MIDDLEWARE_PATH]), override_settings(ROOT_URLCONF=URLs()):
        client = make_client()
        client.base_url = httpx2.URL("http://test/api/v1/newcomer/")
        async with client:
            assert (await client.put("cover", files={"cover": ("a.png", b"x")})).json() == {"name": "a.png"}
            assert (await client.patch("name", json={"name": "b"})).json() == {"name": "b"}
            # The middleware has read the body.
            assert_problem(await client.patch("name", files={"name": ("a.png", b"x")}), 415)
