"""Every way to create a user sends the event `registered` in its transaction."""

import io
import os
import subprocess
import sys
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import httpx2
import pytest

from app.core.cli.main import main
from app.core.security.bearer import AccessToken, TokenVerifier
from app.core.slices import SliceError, import_all
from app.core.testing import Listen, UserFactory


@pytest.fixture
def announced(listen: Listen) -> list[str]:
    """The e-mail addresses of users for whom `registered` was sent."""
    found: list[str] = []

    def note(user: Any) -> None:
        assert user.id
        found.append(user.email)

    listen("registered", note)
    return found


ADA = {"name": "Ada Lovelace", "email": "ada@example.com", "password": "engine no. 1"}


async def test_registration_sends_registered_once(async_client: httpx2.AsyncClient, announced: list[str]) -> None:
    assert (await async_client.post("/api/v1/users", json=ADA)).status_code == 201
    assert (await async_client.post("/api/v1/users", json=ADA)).status_code == 409
    assert announced == ["ada@example.com"]


def test_user_command_sends_registered_once(
    committed_database: str, announced: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for arguments in (["user", "root@example.com"], ["user", "--admin", "root@example.com"]):
        monkeypatch.setattr("sys.stdin", io.StringIO("correct horse\n"))
        main(arguments)
    assert announced == ["root@example.com"]


async def test_first_provider_request_sends_registered(
    async_client: httpx2.AsyncClient, announced: list[str], trust: Callable[[TokenVerifier], None]
) -> None:
    class Tokens:
        def may_wait(self, token: str) -> bool:
            return False

        def verify(self, token: str) -> AccessToken:
            return AccessToken("ada", frozenset(), {"email": "ada@example.com", "email_verified": True, "name": "Ada"})

    trust(Tokens())
    for _ in range(2):
        response = await async_client.get("/api/v1/users/me", headers={"Authorization": "Bearer any"})
        assert response.status_code == 200
    assert announced == ["ada@example.com"]


async def test_user_factory_sends_registered(announced: list[str], user_factory: UserFactory) -> None:
    user = await user_factory()
    assert announced == [user.email]


async def test_listener_error_rolls_back_registration(
    committing_async_client: httpx2.AsyncClient, listen: Listen
) -> None:
    errors = [RuntimeError("after the user was stored")]

    def fail(_user: Any) -> None:
        if errors:
            raise errors.pop()

    listen("registered", fail)
    assert (await committing_async_client.post("/api/v1/users", json=ADA)).status_code == 500
    assert (await committing_async_client.post("/api/v1/users", json=ADA)).status_code == 201


def test_listeners_of_slices_are_imported(newcomer: Path) -> None:
    (newcomer / "listeners.py").write_text("raise RuntimeError('imported')\n")
    with pytest.raises(SliceError, match=r"^The slice 'newcomer' does not load: RuntimeError: imported "):
        import_all("listeners")


COMMANDS = [["serve"], ["user", "root@example.com"], *([["worker"]] if find_spec("app.core.jobs") else [])]
PROGRAM = """
import io, pkgutil, sys
import app
from app.core import slices
from app.core.cli.main import main

folder, *arguments = sys.argv[1:]
app.__path__.append(folder)
found = pkgutil.iter_modules
slices.iter_modules = lambda paths: found([*paths, folder] if paths == [str(slices.PACKAGE)] else paths)
sys.stdin = io.StringIO("correct horse")
main(arguments)
"""


@pytest.mark.slow
@pytest.mark.parametrize("arguments", COMMANDS, ids=lambda arguments: arguments[0])
def test_each_process_imports_listeners(newcomer: Path, committed_database: str, arguments: list[str]) -> None:
    """Run each command in a process that also finds the slice `newcomer`."""
    (newcomer / "listeners.py").write_text("raise RuntimeError('imported')\n")
    command = [sys.executable, "-c", PROGRAM, str(newcomer.parent), *arguments]
    environment = os.environ | {"PORT": "0"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 1, done.stderr
    assert "The slice 'newcomer' does not load: RuntimeError: imported" in done.stderr
