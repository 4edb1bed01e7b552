from typing import Any

import httpx2
import pytest
from asgiref.sync import sync_to_async
from django.contrib.auth.models import Group, Permission
from django.db import transaction

from app.core.accounts.models import LastAdmin, User
from app.core.testing import PASSWORD, Listen, MakeClient, UserFactory, assert_problem
from tests.core.accounts.browser import log_in, submit

USERS = "/admin/core_accounts/user"
NEW = "engine no. 1"


@pytest.fixture
async def ada(user_factory: UserFactory) -> Any:
    return await user_factory(name="Ada", email="ada@example.com")


@pytest.fixture
async def root(async_client: httpx2.AsyncClient, user_factory: UserFactory) -> httpx2.AsyncClient:
    """A client that is logged in as a superuser."""
    await user_factory(email="root@example.com", is_superuser=True, is_staff=True)
    await log_in(async_client, "root@example.com")
    return async_client


@pytest.fixture
async def helper(user_factory: UserFactory) -> Any:
    """A staff user with permissions for users, and for groups only to view and change."""
    user = await user_factory(name="Helper", email="helper@example.com", is_staff=True)
    codenames = ("add_user", "change_user", "delete_user", "view_user", "change_group", "view_group")
    await user.user_permissions.aset(Permission.objects.filter(codename__in=codenames))
    return user


@pytest.fixture
async def staff(async_client: httpx2.AsyncClient, helper: Any) -> httpx2.AsyncClient:
    """A client that is logged in as `helper`."""
    await log_in(async_client, helper.email)
    return async_client


async def tokens(client: httpx2.AsyncClient, email: str, password: str = PASSWORD) -> dict[str, str]:
    found: dict[str, str] = (
        await client.post(
            "/api/v1/auth/token", data={"grant_type": "password", "username": email, "password": password}
        )
    ).json()
    return found


async def refresh(client: httpx2.AsyncClient, found: dict[str, str]) -> int:
    body = {"refresh_token": found["refresh_token"]}
    return (await client.post("/api/v1/auth/token", data={"grant_type": "refresh_token"} | body)).status_code


@pytest.mark.parametrize(("verifies", "changed"), [(True, "ada@example.com"), (False, "new@example.com")])
async def test_staff_cannot_change_verified_addresses(
    make_client: MakeClient, ada: Any, helper: Any, *, verifies: bool, changed: str
) -> None:
    async with make_client(verify_email=verifies) as client:
        await log_in(client, helper.email)
        page = f"{USERS}/{ada.id}/change/"
        assert (await submit(client, page, email="new@example.com", name="Ada", is_active="on")).status_code == 302
    await ada.arefresh_from_db()
    assert ada.email == changed


class TestSuperuser:
    async def test_adds_a_user(self, root: httpx2.AsyncClient, announced: list[str]) -> None:
        fields = {"email": "Grace@EXAMPLE.com", "name": "Grace", "usable_password": "true"}
        short = await submit(root, f"{USERS}/add/", **fields, password1="short", password2="short")
        assert "at least 8 characters" in short.text
        added = await submit(root, f"{USERS}/add/", **fields, password1=NEW, password2=NEW)
        assert added.status_code == 302
        assert announced == ["Grace@example.com"]
        assert (await tokens(root, "grace@example.com", NEW)).keys() >= {"access_token"}

    async def test_gives_roles_and_rights(self, root: httpx2.AsyncClient, ada: Any) -> None:
        editors = await Group.objects.acreate(name="editor")
        fields = {"email": ada.email, "name": ada.name, "is_active": "on"}
        await submit(root, f"{USERS}/{ada.id}/change/", **fields, is_superuser="on", groups=editors.pk)
        changed = await User.objects.prefetch_related("groups").aget(id=ada.id)
        assert (changed.is_superuser, changed.role_names) == (True, ["editor"])

    async def test_deactivates_a_user(self, root: httpx2.AsyncClient, ada: Any, listen: Listen) -> None:
        found: list[tuple[str, bool]] = []
        listen("deactivated", lambda user: found.append((user.email, user.is_active)))
        session = await tokens(root, ada.email)
        for _ in range(2):
            await submit(root, f"{USERS}/{ada.id}/change/", email=ada.email, name="Ada")
        assert found == [(ada.email, False)]
        await submit(root, f"{USERS}/{ada.id}/change/", email=ada.email, name="Ada", is_active="on")
        assert await refresh(root, session) == 400

    async def test_sets_a_password(self, root: httpx2.AsyncClient, ada: Any) -> None:
        session = await tokens(root, ada.email)
        page = f"{USERS}/{ada.id}/password/"
        common = await submit(root, page, usable_password="true", password1="Password1", password2="Password1")
        assert "most common" in common.text
        changed = await submit(root, page, usable_password="true", password1=NEW, password2=NEW)
        assert changed.status_code == 302
        assert await refresh(root, session) == 400
        assert (await tokens(root, ada.email, NEW)).keys() >= {"access_token"}

    async def test_changes_own_password(
        self, root: httpx2.AsyncClient, async_client: httpx2.AsyncClient, ada: Any
    ) -> None:
        session = await tokens(root, "root@example.com")
        fields = {"new_password1": NEW, "new_password2": NEW}
        page = "/admin/password_change/"
        assert "errorlist" in (await submit(root, page, old_password="wrong password", **fields)).text
        other = dict(root.cookies)
        root.cookies.clear()
        await log_in(root, "root@example.com")
        changed = await submit(root, page, old_password=PASSWORD, **fields)
        assert changed.headers["location"] == "/admin/password_change/done/"
        assert (await root.get("/admin/")).status_code == 200
        assert await refresh(root, session) == 400
        root.cookies.clear()
        root.cookies.update(other)
        assert (await root.get("/admin/")).status_code == 302, "the other session has ended"

    async def test_last_admin_stays(self, root: httpx2.AsyncClient, user_factory: UserFactory) -> None:
        own = await User.objects.aget(email="root@example.com")
        page, fields = f"{USERS}/{own.id}/change/", {"email": own.email, "name": own.name, "is_staff": "on"}
        for rights in ({"is_active": "on"}, {"is_superuser": "on"}):
            refused = await submit(root, page, **fields, **rights)
            assert "This user is the last active admin." in refused.text
        assert_problem(await submit(root, f"{USERS}/{own.id}/delete/", post="yes"), 409)
        with pytest.raises(LastAdmin):
            await sync_to_async(transaction.atomic(User.objects.filter(id=own.id).delete))()
        await own.arefresh_from_db()
        assert (own.is_active, own.is_superuser) == (True, True)
        await user_factory(is_superuser=True)
        assert (await submit(root, page, **fields, is_active="on")).status_code == 302

    async def test_manages_groups(self, root: httpx2.AsyncClient) -> None:
        assert (await submit(root, "/admin/auth/group/add/", name="editor")).status_code == 302
        assert await Group.objects.filter(name="editor").aexists()


class TestStaff:
    async def test_sees_only_permitted_pages(self, async_client: httpx2.AsyncClient, user_factory: UserFactory) -> None:
        user = await user_factory(email="clerk@example.com", is_staff=True)
        group = await Group.objects.acreate(name="clerks")
        await group.permissions.aadd(await Permission.objects.aget(codename="view_user"))
        await user.groups.aadd(group)
        await log_in(async_client, "clerk@example.com")
        index = (await async_client.get("/admin/")).text
        assert f'href="{USERS}/"' in index
        assert index.count('<th scope="row"') == 1
        assert (await async_client.get(f"{USERS}/{user.id}/change/")).status_code == 200
        assert_problem(await async_client.get("/admin/auth/group/"), 403)
        assert_problem(await async_client.get(f"{USERS}/add/"), 403)

    @pytest.mark.parametrize("who", ["helper", "ada"])
    async def test_cannot_grant_rights(self, staff: httpx2.AsyncClient, helper: Any, ada: Any, who: str) -> None:
        user = {"helper": helper, "ada": ada}[who]
        group = await Group.objects.acreate(name="editor")
        rights = await Permission.objects.afirst()
        assert rights
        before = {permission.pk async for permission in user.user_permissions.all()}
        fields = {"email": user.email, "name": "Changed", "is_active": "on", "is_staff": "on", "is_superuser": "on"}
        page = f"{USERS}/{user.id}/change/"
        changed = await submit(staff, page, **fields, groups=group.pk, user_permissions=rights.pk)
        assert changed.status_code == 302
        was_staff = user.is_staff
        await user.arefresh_from_db()
        assert (user.name, user.is_superuser, user.is_staff) == ("Changed", False, was_staff)
        assert not await user.groups.aexists()
        assert {permission.pk async for permission in user.user_permissions.all()} == before

    @pytest.mark.parametrize("rights", ["is_superuser", "is_staff"])
    @pytest.mark.parametrize("page", ["change", "password", "delete"])
    async def test_cannot_change_privileged_accounts(
        self, staff: httpx2.AsyncClient, user_factory: UserFactory, rights: str, page: str
    ) -> None:
        other = await user_factory(**{rights: True})
        fields = {"email": "a@example.com", "is_active": "on", "password1": NEW, "password2": NEW, "post": "yes"}
        path = f"{USERS}/{other.id}/{page}/"
        form = {"csrfmiddlewaretoken": staff.cookies["csrf"], "usable_password": "true", **fields}
        assert_problem(await staff.post(path, data=form), 403)
        await other.arefresh_from_db()
        assert (other.email != "a@example.com", other.check_password(PASSWORD)) == (True, True)

    async def test_cannot_change_groups(self, staff: httpx2.AsyncClient) -> None:
        group = await Group.objects.acreate(name="editor")
        form = {"csrfmiddlewaretoken": staff.cookies["csrf"], "name": "admins"}
        assert_problem(await staff.post(f"/admin/auth/group/{group.pk}/change/", data=form), 403)
        assert_problem(await staff.get("/admin/auth/group/add/"), 403)
        assert_problem(await staff.get(f"/admin/auth/group/{group.pk}/delete/"), 403)


async def test_inactive_user_cannot_use_admin(root: httpx2.AsyncClient, user_factory: UserFactory) -> None:
    root.cookies.clear()
    user = await user_factory(email="former@example.com", is_staff=True)
    await log_in(root, "former@example.com")
    assert (await root.get("/admin/")).status_code == 200
    user.is_active = False
    await user.asave()
    assert (await root.get("/admin/")).status_code == 302
    assert "errornote" in (await log_in(root, "former@example.com")).text
