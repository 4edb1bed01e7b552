"""The admin in a browser: access, cookies, headers and forms."""

import re
import runpy

import httpx2
import pytest
from django.conf import settings as django_settings
from django.test import override_settings

from app.core import settings as settings_module
from app.core.testing import PRODUCTION, MakeClient, UserFactory, assert_problem
from tests.core.accounts.browser import log_in, submit


@pytest.mark.slow
async def test_admin_sees_every_slice(async_client: httpx2.AsyncClient, user_factory: UserFactory) -> None:
    user = await user_factory(email="root@example.com", is_superuser=True, is_staff=True)
    assert (await log_in(async_client, "ROOT@example.com")).headers["location"] == "/admin/"
    index = await async_client.get("/admin/")
    changed = re.findall(r'href="(/admin/\w+/\w+/)"', index.text)
    assert "/admin/core_accounts/user/" in changed
    for path in {*changed, f"/admin/core_accounts/user/{user.id}/change/"}:
        page = await async_client.get(path)
        assert page.status_code == 200
        assert user.password not in page.text


async def test_admin_changes_a_user(async_client: httpx2.AsyncClient, user_factory: UserFactory) -> None:
    await user_factory(email="root@example.com", is_superuser=True, is_staff=True)
    user = await user_factory(name="Ada", email="ada@example.com")
    await log_in(async_client, "root@example.com")
    path = f"/admin/core_accounts/user/{user.id}/change/"
    changed = await submit(async_client, path, name="Ada Lovelace", email="ada@example.com", is_active="on")
    assert changed.headers["location"] == "/admin/core_accounts/user/"
    await user.arefresh_from_db()
    assert (user.name, user.is_superuser, user.is_active) == ("Ada Lovelace", False, True)


async def test_admin_refuses_non_staff_user(async_client: httpx2.AsyncClient, user_factory: UserFactory) -> None:
    await user_factory(email="ada@example.com")
    assert (await log_in(async_client, "ada@example.com")).status_code == 200
    assert (await log_in(async_client, "ada@example.com", "wrong password")).status_code == 200
    assert (await async_client.get("/admin/")).headers["location"] == "/admin/login/?next=/admin/"


async def test_log_in_rate_limit(make_client: MakeClient, user_factory: UserFactory) -> None:
    await user_factory(email="root@example.com", is_superuser=True, is_staff=True)
    async with make_client(login_rate="2/minute") as client:
        for _ in range(2):
            assert (await log_in(client, "root@example.com", "wrong password")).status_code == 200
        assert_problem(await log_in(client, "root@example.com"), 429)


async def test_rate_limit_counts_the_account(make_client: MakeClient, user_factory: UserFactory) -> None:
    """An internationalized domain has several spellings."""
    await user_factory(email="root@bücher.example", is_superuser=True, is_staff=True)
    async with make_client(login_rate="2/minute") as client:
        for name in ("ROOT@bücher.example", "root@xn--bcher-kva.example"):
            assert (await log_in(client, name, "wrong password")).status_code == 200
        assert_problem(await log_in(client, "root@bücher.example"), 429)


async def test_admin_is_off_with_identity_provider(make_client: MakeClient, user_factory: UserFactory) -> None:
    await user_factory(email="root@example.com", is_superuser=True, is_staff=True)
    async with make_client(jwt_issuer="http://127.0.0.1:9", jwt_audience="service") as client:
        assert (await log_in(client, "root@example.com")).status_code == 200
        assert (await client.get("/admin/")).status_code == 302


async def test_production_cookies_are_secure_and_host_only(
    make_client: MakeClient, user_factory: UserFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    await user_factory(email="root@example.com", is_superuser=True, is_staff=True)
    for name, value in PRODUCTION.items():
        monkeypatch.setenv(name.upper(), value)
    production = runpy.run_path(settings_module.__file__)
    cookies = {name: value for name, value in production.items() if "_COOKIE_" in name}
    with override_settings(**cookies, STORAGES=django_settings.STORAGES):
        async with make_client(**PRODUCTION) as client:
            client.base_url = httpx2.URL("https://test")
            client.headers["Referer"] = "https://test/admin/login/"
            page = await client.get("/admin/login/")
            entered = await log_in(client, "root@example.com")
    assert entered.headers["location"] == "/admin/"
    found = [*page.headers.get_list("set-cookie"), *entered.headers.get_list("set-cookie")]
    sent = [cookie.strip() for cookie in found]
    assert {cookie.partition("=")[0] for cookie in sent} == {"__Host-csrf", "__Host-session"}
    for cookie in sent:
        assert {"Secure", "HttpOnly", "SameSite=Lax", "Path=/"} <= set(cookie.split("; "))
        assert "Domain" not in cookie


def test_admin_pages_load_only_local_files(committing_client: httpx2.Client) -> None:
    page = committing_client.get("/admin/login/")
    assert "script-src 'self'" in page.headers["content-security-policy"]
    assert not re.search(r"<script(?![^>]*\bsrc=)|<style| style=| on\w+=", page.text)
    sheet = re.search(r'href="(/static/admin/css/base\S*\.css)"', page.text)
    assert sheet
    assert committing_client.get(sheet[1]).headers["content-type"].startswith("text/css")
    # Django's CSRF check needs the Referer of forms.
    assert page.headers["referrer-policy"] == "same-origin"


async def test_post_without_csrf_token_is_403(async_client: httpx2.AsyncClient) -> None:
    assert_problem(
        await async_client.post("/admin/login/", data={"grant_type": "password", "username": "a", "password": "b"}), 403
    )


@pytest.mark.parametrize("path", ["/admin/nothing/", "/admin/core_accounts/user/unknown/nothing/"])
async def test_unknown_admin_page_is_302_or_404(async_client: httpx2.AsyncClient, path: str) -> None:
    assert (await async_client.get(path)).status_code in {302, 404}


@pytest.mark.parametrize("changes", [{"email": "a b <x@y>"}, {"name": "Ada\x7f"}])
async def test_admin_form_validates_like_the_api(
    async_client: httpx2.AsyncClient, user_factory: UserFactory, changes: dict[str, str]
) -> None:
    await user_factory(email="root@example.com", is_superuser=True, is_staff=True)
    user = await user_factory(name="Ada", email="ada@example.com")
    await log_in(async_client, "root@example.com")
    fields = {"name": "Ada", "email": "ada@example.com", "is_active": "on"} | changes
    assert "errorlist" in (await submit(async_client, f"/admin/core_accounts/user/{user.id}/change/", **fields)).text
    await user.arefresh_from_db()
    assert (user.name, user.email) == ("Ada", "ada@example.com")


async def test_filter_by_password_hash_is_400(async_client: httpx2.AsyncClient, user_factory: UserFactory) -> None:
    await user_factory(email="root@example.com", is_superuser=True, is_staff=True)
    await log_in(async_client, "root@example.com")
    assert (await async_client.get("/admin/core_accounts/user/?name__startswith=Ada")).status_code == 200
    assert_problem(await async_client.get("/admin/core_accounts/user/?password__startswith=argon2"), 400)


async def test_invalid_session_cookie_is_ignored(async_client: httpx2.AsyncClient) -> None:
    headers = {"Cookie": 'session="\\000aaaaaaaaaaaaaaaa"'}
    assert (await async_client.get("/admin/", headers=headers)).status_code == 302
