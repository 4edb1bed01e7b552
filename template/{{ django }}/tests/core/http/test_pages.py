"""Pages beside the API. This module is also their URLconf."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest
from asgiref.sync import sync_to_async
from django.conf import settings as django_settings
from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied, SuspiciousOperation
from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from django.http.response import HttpResponseBase
from django.middleware.csrf import get_token
from django.test import Client, RequestFactory, override_settings
from django.urls import path, resolve
from django.utils.html import escape
from django.views.static import serve

from app.core import urls as core_urls
from app.core.accounts.auth.identity import logged_in
from app.core.config import ABOUT, ConfigError
from app.core.http import application
from app.core.http.middleware import Application, View
from app.core.testing import PRODUCTION, MakeClient, SignIn, UserFactory, assert_problem
from tests.core.accounts.browser import log_in

ERRORS: dict[str, type[Exception]] = {"400": SuspiciousOperation, "403": PermissionDenied, "404": Http404}


def visits(request: HttpRequest) -> HttpResponse:
    request.session["visits"] = request.session.get("visits", 0) + 1
    messages.info(request, "Welcome")
    said = [str(message) for message in messages.get_messages(request)]
    return HttpResponse(f"{request.user} {request.session['visits']} {said}")


def form(request: HttpRequest) -> HttpResponse:
    return HttpResponse(request.POST["text"] if request.method == "POST" else get_token(request))


def own_policy(request: HttpRequest) -> HttpResponse:
    return HttpResponse("", headers={"Content-Security-Policy": "default-src 'self'"})


def failing(request: HttpRequest, status: str) -> HttpResponse:
    raise ERRORS.get(status, RuntimeError)


urlpatterns = [
    *core_urls.urlpatterns,
    path("pages/visits/", visits),
    path("pages/form/", form),
    path("pages/policy/", own_policy),
    path("pages/json/", lambda _request: JsonResponse({})),
    path("pages/failing/<status>/", failing),
]
handler400 = core_urls.handler400
handler403 = core_urls.handler403
handler404 = core_urls.handler404
handler500 = core_urls.handler500


@pytest.fixture(autouse=True)
def _pages() -> Iterator[None]:
    with override_settings(ROOT_URLCONF=__name__):
        yield


async def test_page_has_session_user_and_messages(async_client: httpx2.AsyncClient, user_factory: UserFactory) -> None:
    await user_factory(name="Root", email="root@example.com", is_superuser=True, is_staff=True)
    assert (await async_client.get("/pages/visits/")).text == "AnonymousUser 1 ['Welcome']"
    await log_in(async_client, "root@example.com")
    assert (await async_client.get("/pages/visits/")).text == "Root 2 ['Welcome']"


async def test_form_without_csrf_token_is_403(async_client: httpx2.AsyncClient) -> None:
    assert_problem(await async_client.post("/pages/form/", data={"text": "x"}), 403)
    token = (await async_client.get("/pages/form/")).text
    sent = await async_client.post("/pages/form/", data={"text": "x", "csrfmiddlewaretoken": token})
    assert (sent.status_code, sent.text) == (200, "x")


class TestHeaders:
    async def test_page_policy_allows_local_files(self, async_client: httpx2.AsyncClient) -> None:
        headers = (await async_client.get("/pages/form/")).headers
        assert "script-src 'self'; style-src 'self';" in headers["content-security-policy"]
        assert headers["referrer-policy"] == "same-origin", "Django needs the Referer of forms"
        assert headers["x-frame-options"] == "DENY"
        headers = (await async_client.get("/pages/json/")).headers
        assert headers["content-security-policy"].startswith("default-src 'none'; base-uri")

    async def test_view_may_set_its_own_policy(self, async_client: httpx2.AsyncClient) -> None:
        headers = (await async_client.get("/pages/policy/")).headers
        assert headers.get_list("content-security-policy") == ["default-src 'self'"]

    async def test_policy_is_a_setting(self, make_client: MakeClient) -> None:
        with override_settings(SECURE_CSP={"default-src": ["'self'", "https://cdn.example.com"], "sandbox": []}):
            client = make_client()
        async with client:
            found = (await client.get("/pages/form/")).headers["content-security-policy"]
        assert found == "default-src 'self' https://cdn.example.com; sandbox"

    async def test_debug_page_has_no_policy(self, async_client: httpx2.AsyncClient) -> None:
        with override_settings(DEBUG=True):
            page = await async_client.get("/pages/failing/404/")
            assert "content-security-policy" in (await async_client.get("/pages/form/")).headers
        assert page.headers["content-type"].startswith("text/html")
        assert "content-security-policy" not in page.headers


@pytest.mark.parametrize("missing", ["/admin", "/pages/visits"])
async def test_missing_slash_is_added(async_client: httpx2.AsyncClient, missing: str) -> None:
    moved = await async_client.get(missing)
    assert (moved.status_code, moved.headers["location"]) == (301, f"{missing}/")


class TestErrors:
    @pytest.mark.parametrize("status", ["400", "403", "404", "500"])
    async def test_error_is_a_problem_document(self, async_client: httpx2.AsyncClient, status: str) -> None:
        assert_problem(await async_client.get(f"/pages/failing/{status}/"), int(status))

    @pytest.mark.parametrize("status", ["400", "403", "403_csrf", "404", "500"])
    async def test_error_template_replaces_problem_document(
        self, async_client: httpx2.AsyncClient, tmp_path: Path, status: str
    ) -> None:
        (tmp_path / f"{status}.html").write_text("Sorry: {" + "{ problem.detail }" + "}")
        with override_settings(TEMPLATES=[{**django_settings.TEMPLATES[0], "DIRS": [tmp_path]}]):
            if status == "403_csrf":
                page = await async_client.post("/pages/form/", data={"text": "x"})
            else:
                page = await async_client.get(f"/pages/failing/{status}/")
            assert_problem(await async_client.get("/api/v1/nothing"), 404)
        assert (str(page.status_code), page.text[:7]) == (status[:3], "Sorry: ")
        assert page.headers["content-type"].startswith("text/html")


class TestUser:
    async def test_token_gives_the_user(self, app: Application, user_factory: UserFactory, sign_in: SignIn) -> None:
        user = await user_factory()
        request: Any = RequestFactory().get("/", headers=sign_in(user))
        request.state = app.state
        await sync_to_async(logged_in)(request)
        assert await sync_to_async(lambda: request.user == user)()

    async def test_api_request_without_token_is_anonymous(self, make_client: MakeClient) -> None:
        with override_settings(MIDDLEWARE=[*django_settings.MIDDLEWARE, f"{__name__}.remembering"]):
            client = make_client()
        async with client:
            await client.get("/health/live")
        assert remembered.pop().is_anonymous


remembered: list[Any] = []


def remembering(get_response: View) -> View:
    """A middleware that reads only `request.user`."""

    def surround(request: HttpRequest) -> HttpResponseBase:
        remembered.append(request.user)
        return get_response(request)

    return surround


def test_django_test_client_gets_a_page() -> None:
    assert Client().get("/pages/form/").status_code == 200


def test_uploads_are_served_outside_production() -> None:
    match = resolve("/media/posts/a.txt")
    assert match.func is serve
    assert match.kwargs == {"path": "posts/a.txt", "document_root": django_settings.MEDIA_ROOT}


def test_debug_is_refused_in_production(database_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in PRODUCTION.items():
        monkeypatch.setenv(name.upper(), value)
    monkeypatch.setenv("DATABASE_URL", database_url)
    with override_settings(DEBUG=True), pytest.raises(ConfigError, match="must be off in production"):
        application.create_application()


class TestAdmin:
    async def test_admin_has_the_name_of_the_service(self, async_client: httpx2.AsyncClient) -> None:
        assert f"<title>Log in | {escape(ABOUT.title)}</title>" in (await async_client.get("/admin/login/")).text

    @pytest.mark.parametrize(
        ("pages", "environment", "url"),
        [([], "development", "/docs"), ([], "production", None), (["home"], "production", "/")],
    )
    def test_view_site_leads_to_home_page_or_docs(
        self, settings: Any, monkeypatch: pytest.MonkeyPatch, pages: list[str], environment: str, url: str | None
    ) -> None:
        monkeypatch.setattr(admin.site, "site_url", "/")
        home = [path("", form, name=name) for name in pages]
        monkeypatch.setattr(f"{__name__}.urlpatterns", [*core_urls.urlpatterns, *home])
        with override_settings(ROOT_URLCONF=__name__):  # clears the URL cache
            vars(application)["_set_view_site"](settings.model_copy(update={"environment": environment}))
        assert admin.site.site_url == url
