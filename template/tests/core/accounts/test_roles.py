"""Roles that slices declare, and the scopes of each role."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import jwt
import pytest

from app.core.accounts.auth.roles import declared_roles, scopes_of
from app.core.slices import SliceError
from app.core.testing import PASSWORD, Accounts, SignIn, UserFactory


@pytest.fixture
def newcomer(newcomer: Path) -> Iterator[Path]:
    declared_roles.cache_clear()
    yield newcomer
    declared_roles.cache_clear()


def test_role_gives_its_scopes(newcomer: Path) -> None:
    (newcomer / "roles.py").write_text('ROLES = {"editor": ("notes:write", "notes:delete"), "reader": ()}\n')
    assert scopes_of(["editor", "reader"], admin=False) == {"notes:write", "notes:delete"}
    assert scopes_of([], admin=False) == frozenset()


def test_admin_has_the_scopes_of_all_roles(newcomer: Path) -> None:
    (newcomer / "roles.py").write_text('ROLES = {"editor": ("notes:write", "notes:delete"), "reader": ()}\n')
    assert scopes_of([], admin=True) >= {"notes:write", "notes:delete", "admin"}


def test_undeclared_role_gives_no_scope() -> None:
    assert scopes_of(["no such role"], admin=False) == frozenset()


@pytest.mark.parametrize(
    ("declared", "reason"),
    [
        ('ROLES = {"editor": "notes:write"}', "ROLES in roles.py: editor: Input should be a valid tuple"),
        ('ROLES = {"editor": ("notes write",)}', "ROLES in roles.py: editor → 0: String should match pattern"),
        ('ROLES = {"boss": ("admin",)}', "the role 'boss' must not give 'admin'"),
        ("ROLES = []", "roles.py must define `ROLES`, of type dict"),
        ("", "roles.py must define `ROLES`, of type dict"),
    ],
)
def test_invalid_roles_are_refused(newcomer: Path, declared: str, reason: str) -> None:
    (newcomer / "roles.py").write_text(declared)
    with pytest.raises(SliceError) as refused:
        declared_roles()
    assert str(refused.value).startswith(f"The slice 'newcomer' does not load: {reason}")


async def test_log_in_and_refresh_give_role_scopes(
    newcomer: Path, async_client: httpx2.AsyncClient, user_factory: UserFactory, accounts: Accounts
) -> None:
    (newcomer / "roles.py").write_text('ROLES = {"editor": ("notes:write",)}\n')
    user = await user_factory(email="ada@example.com")
    await accounts.give_role(user, "editor")
    await accounts.give_role(user, "no such role")
    form = {"grant_type": "password", "username": "ada@example.com", "password": PASSWORD}
    tokens = (await async_client.post("/api/v1/auth/token", data=form)).json()
    body = {"refresh_token": tokens["refresh_token"]}
    refreshed = (await async_client.post("/api/v1/auth/token", data={"grant_type": "refresh_token"} | body)).json()
    for answer in (tokens, refreshed):
        claims: dict[str, Any] = jwt.decode(answer["access_token"], options={"verify_signature": False})
        assert claims["scope"] == "notes:write"


async def test_sign_in_gives_role_scopes(newcomer: Path, user_factory: UserFactory, sign_in: SignIn) -> None:
    (newcomer / "roles.py").write_text('ROLES = {"editor": ("notes:write",)}\n')
    token = sign_in(await user_factory(), "editor")["Authorization"].removeprefix("Bearer ")
    assert jwt.decode(token, options={"verify_signature": False})["scope"] == "notes:write"
