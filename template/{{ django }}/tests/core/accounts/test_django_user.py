"""The user model supports Django's commands, managers, forms and authentication."""

import getpass
from collections.abc import Callable
from typing import Any

import httpx2
import pytest
from asgiref.sync import sync_to_async
from django.contrib.auth import aauthenticate, authenticate, get_user_model
from django.contrib.auth.hashers import Argon2PasswordHasher, check_password, make_password
from django.contrib.auth.management.commands.changepassword import Command
from django.contrib.auth.models import Permission
from django.contrib.auth.password_validation import validate_password
from django.core.exceptions import ValidationError
from django.core.management import CommandError, call_command
from django.test import RequestFactory

from app.core.accounts.models import User
from app.core.accounts.schemas import ProvidedUser
from app.core.accounts.service import UserService
from app.core.config import Settings
from app.core.http.state import Request, State
from app.core.problems import TooManyRequests
from app.core.security import passwords
from app.core.testing import PASSWORD, Accounts, Listen, UserFactory, assert_problem
from tests.core.accounts.browser import log_in, submit

ROOT = "root@example.com"

call = sync_to_async(call_command)


async def token(client: httpx2.AsyncClient, email: str, password: str = PASSWORD) -> httpx2.Response:
    return await client.post(
        "/api/v1/auth/token", data={"grant_type": "password", "username": email, "password": password}
    )


class Terminal:
    def isatty(self) -> bool:
        return True


@pytest.fixture
def type_in(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Answer the prompts of a command: `type_in(texts, passwords)`."""

    def answer(texts: list[str], hidden: list[str]) -> None:
        monkeypatch.setattr("builtins.input", lambda _question: texts.pop(0))
        monkeypatch.setattr(getpass, "getpass", lambda *_: hidden.pop(0))

    return answer


class TestCreatesuperuser:
    async def test_noinput_creates_superuser(
        self, async_client: httpx2.AsyncClient, announced: list[str], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("DJANGO_SUPERUSER_PASSWORD", PASSWORD)
        await call("createsuperuser", "--noinput", "--email=root@EXAMPLE.com", verbosity=0)
        assert announced == [ROOT]
        assert (await log_in(async_client, ROOT)).headers["location"] == "/admin/"
        assert (await token(async_client, ROOT)).status_code == 200

    async def test_questions_refuse_a_common_password(
        self, async_client: httpx2.AsyncClient, type_in: Callable[..., None], capsys: pytest.CaptureFixture[str]
    ) -> None:
        type_in([ROOT, "n"], ["password", "password", PASSWORD, PASSWORD])
        await call("createsuperuser", stdin=Terminal(), verbosity=0)
        assert "most common" in capsys.readouterr().err
        assert (await log_in(async_client, ROOT)).headers["location"] == "/admin/"

    @pytest.mark.parametrize("email", ["ROOT@example.com", "invalid"])
    async def test_unusable_address_is_one_sentence(
        self, user_factory: UserFactory, monkeypatch: pytest.MonkeyPatch, email: str
    ) -> None:
        await user_factory(email=ROOT)
        monkeypatch.setenv("DJANGO_SUPERUSER_PASSWORD", PASSWORD)
        with pytest.raises(CommandError, match=r"is already registered|not a valid email address"):
            await call("createsuperuser", "--noinput", f"--email={email}")


async def test_commands_and_forms_normalize_text(
    async_client: httpx2.AsyncClient, monkeypatch: pytest.MonkeyPatch, user_factory: UserFactory
) -> None:
    monkeypatch.setenv("DJANGO_SUPERUSER_PASSWORD", "cafe\u0301 au lait")
    await call("createsuperuser", "--noinput", "--email=jose\u0301@example.com", verbosity=0)
    assert (await log_in(async_client, "jos\u00e9@example.com", "caf\u00e9\u00a0au lait")).status_code == 302
    ada = await user_factory(email="ada@example.com")
    page = f"/admin/core_accounts/user/{ada.id}"
    typed = "e\u0301tudes no. 1"
    await submit(async_client, f"{page}/password/", usable_password="true", password1=typed, password2=typed)
    assert (await token(async_client, ada.email, "\u00e9tudes no. 1")).status_code == 200
    await submit(async_client, f"{page}/change/", email=ada.email, name="\u200bJose\u0301\u200d", is_active="on")
    await ada.arefresh_from_db()
    assert ada.name == "Jos\u00e9"
    monkeypatch.setattr(Command, "_get_pass", lambda *_: "a\u0300 la carte")
    await call("changepassword", ada.email)
    assert (await token(async_client, ada.email, "\u00e0 la carte")).status_code == 200


class TestManager:
    async def test_address_is_normalized_like_the_api(self, async_client: httpx2.AsyncClient) -> None:
        user = await User.objects.acreate_user("Ada@EXAMPLE.com", PASSWORD)
        assert user.email == "Ada@example.com"
        assert (await token(async_client, "ada@example.com")).status_code == 200

    async def test_natural_key_ignores_case(self, user_factory: UserFactory) -> None:
        ada = await user_factory(email="Ada@example.com")
        find = sync_to_async(User.objects.get_by_natural_key)
        assert await find("aDA@EXAMPLE.com") == ada
        for unknown in ("grace@example.com", "", None):
            with pytest.raises(User.DoesNotExist):
                await find(unknown)
        assert await User.objects.aget_by_natural_key("aDA@EXAMPLE.com") == ada

    async def test_superuser_is_staff(self, async_client: httpx2.AsyncClient) -> None:
        root = await User.objects.acreate_superuser(ROOT, PASSWORD)
        assert (root.is_staff, root.is_superuser) == (True, True)
        with pytest.raises(ValueError, match="must have is_staff=True"):
            await User.objects.acreate_superuser("grace@example.com", PASSWORD, is_staff=False)

    async def test_with_perm_finds_permitted_users(self, user_factory: UserFactory) -> None:
        ada = await user_factory()
        await user_factory()
        permission = await Permission.objects.aget(codename="view_user")
        await ada.user_permissions.aadd(permission)
        assert [user async for user in User.objects.with_perm("core_accounts.view_user")] == [ada]


class TestUser:
    def test_str_has_no_address(self) -> None:
        assert str(User(id=7, email="ada@example.com")) == "user 7"
        assert str(User(id=7, name="Ada", email="ada@example.com")) == "Ada"
        assert get_user_model()(name="Ada").get_full_name() == User(name="Ada").get_short_name() == "Ada"

    async def test_empty_address_becomes_none(self, user_factory: UserFactory) -> None:
        for user in (await user_factory(email=""), await user_factory()):
            user.email = ""
            await user.asave()
            await user.arefresh_from_db()
            assert user.email is None

    async def test_form_validation_matches_the_api(self, user_factory: UserFactory) -> None:
        await user_factory(email="ada@example.com")
        user = User(email=" ADA@Example.com ", name="a\x7fb", password="!")
        with pytest.raises(ValidationError) as refused:
            await sync_to_async(user.full_clean)()
        assert refused.value.message_dict.keys() == {"name", "__all__"}
        assert refused.value.message_dict["__all__"] == ["This e-mail address is already registered."]


class TestEvents:
    """Applications that know only `get_user_model()` neither call the service of core nor its events."""

    async def test_deactivation_ends_sessions(
        self, async_client: httpx2.AsyncClient, user_factory: UserFactory, listen: Listen
    ) -> None:
        found: list[str | None] = []
        listen("deactivated", lambda user: found.append(user.email))
        user = await user_factory(email="ada@example.com")
        tokens = (await token(async_client, "ada@example.com")).json()
        user.is_active = False
        await user.asave(update_fields=["name"])
        assert found == []
        await user.asave()
        await user.asave()
        assert found == ["ada@example.com"]
        user.is_active = True
        await user.asave()
        body = {"refresh_token": tokens["refresh_token"]}
        assert_problem(await async_client.post("/api/v1/auth/token", data={"grant_type": "refresh_token"} | body), 400)

    async def test_deletion_erases_data_of_slices(self, user_factory: UserFactory, listen: Listen) -> None:
        found: list[str | None] = []
        listen("erased", lambda user: found.append(user.email))
        await (await user_factory(email="ada@example.com")).adelete()
        await user_factory(email="grace@example.com")
        await User.objects.filter(email="grace@example.com").adelete()
        assert found == ["ada@example.com", "grace@example.com"]

    async def test_erasure_sends_no_deactivated(
        self, user_factory: UserFactory, listen: Listen, accounts: Accounts
    ) -> None:
        found: list[str | None] = []
        listen("deactivated", lambda user: found.append(user.email))
        await accounts.erase(await user_factory())
        assert found == []


class TestPassword:
    async def test_user_of_a_provider_has_no_usable_password(self, async_client: httpx2.AsyncClient) -> None:
        data = ProvidedUser.of("https://id.example.com", "ada", {})
        user = await sync_to_async(UserService().enter)(data)
        assert not user.has_usable_password()

    @pytest.mark.parametrize("unusable", [True, False])
    async def test_change_ends_sessions(
        self, async_client: httpx2.AsyncClient, user_factory: UserFactory, unusable: bool
    ) -> None:
        user = await user_factory(email="ada@example.com", is_staff=True)
        tokens = (await token(async_client, "ada@example.com")).json()
        await log_in(async_client, "ada@example.com")
        if unusable:
            user.set_unusable_password()
        else:
            user.set_password("engine no. 1")
        await user.asave()
        assert_problem(
            await async_client.post(
                "/api/v1/auth/token", data={"grant_type": "refresh_token", "refresh_token": tokens["refresh_token"]}
            ),
            400,
        )
        assert (await async_client.get("/admin/")).status_code == 302
        assert_problem(await token(async_client, "ada@example.com"), 400)

    async def test_other_change_keeps_sessions(
        self, async_client: httpx2.AsyncClient, user_factory: UserFactory
    ) -> None:
        user = await user_factory(email="ada@example.com")
        tokens = (await token(async_client, "ada@example.com")).json()
        user.name = "Ada Lovelace"
        await user.asave()
        body = {"refresh_token": tokens["refresh_token"]}
        assert (
            await async_client.post("/api/v1/auth/token", data={"grant_type": "refresh_token"} | body)
        ).status_code == 200

    def test_hashing_uses_the_limit_of_core(self, cheap_passwords: None, monkeypatch: pytest.MonkeyPatch) -> None:
        taken = 0

        class Queue:
            def __enter__(self) -> None:
                nonlocal taken
                taken += 1

            def __exit__(self, *_: object) -> None: ...

        monkeypatch.setattr(passwords, "_hashing", Queue())
        encoded = make_password(PASSWORD)
        assert check_password(PASSWORD, encoded)
        assert not check_password("wrong password", encoded)
        assert taken == 3

    async def test_log_in_keeps_the_hash(self, async_client: httpx2.AsyncClient, user_factory: UserFactory) -> None:
        """A new hash would end the sessions of the admin."""
        user = await user_factory(email="ada@example.com")
        assert (await token(async_client, "ada@example.com")).status_code == 200
        before = user.password
        await user.arefresh_from_db()
        assert user.password == before

    @pytest.mark.slow
    def test_hash_is_argon2id(self) -> None:
        assert make_password(PASSWORD).startswith("argon2$argon2id$")

    @pytest.mark.slow
    def test_default_django_argon2_hash_is_verified(self) -> None:
        """For a database with users of another Django service."""
        encoded = Argon2PasswordHasher().encode(PASSWORD, "a salt of Django")
        assert check_password(PASSWORD, encoded)
        assert not check_password("wrong password", encoded)

    @pytest.mark.parametrize("password", ["seven77", "x" * 129, "Password1"])
    def test_password_policy_matches_the_api(self, password: str) -> None:
        validate_password(PASSWORD)
        with pytest.raises(ValidationError):
            validate_password(password)


class TestAuthenticate:
    async def test_authenticate_without_a_request(self, user_factory: UserFactory) -> None:
        """Django's test client authenticates without a request."""
        ada = await user_factory(email="ada@example.com")
        check: Callable[..., Any] = sync_to_async(authenticate)
        assert await check(email="Ada@example.com", password=PASSWORD) == ada
        assert await check(username="ada@example.com", password="wrong password") is None
        assert await check(username="ada@example.com") is None

    async def test_inactive_user_is_refused(self, user_factory: UserFactory) -> None:
        await user_factory(email="ada@example.com", is_active=False)
        assert await sync_to_async(authenticate)(username="ada@example.com", password=PASSWORD) is None

    async def test_asynchronous_log_in_is_limited(self, user_factory: UserFactory, settings: Settings) -> None:
        ada = await user_factory(email="ada@bücher.example")
        request: Request = RequestFactory().get("/")  # type: ignore[assignment]
        request.state = State.of(settings.model_copy(update={"login_rate": "2/minute"}))
        for name in ("Ada@bücher.example", " ada@xn--bcher-kva.example "):
            assert await aauthenticate(request, username=name, password=PASSWORD) == ada
        with pytest.raises(TooManyRequests):
            await aauthenticate(request, username="ada@\uff42ücher.example", password=PASSWORD)
