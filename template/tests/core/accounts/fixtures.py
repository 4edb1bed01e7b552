"""Fixtures of the tests of accounts in both frameworks."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from app.core.accounts.auth.roles import declared_roles
from app.core.problems import Unauthorized
from app.core.security.bearer import AccessToken, TokenVerifier, log_in_time


class Tokens:
    """Verify tokens of a provider with one valid token, `good`."""

    def __init__(self, good: AccessToken) -> None:
        self.good = good

    def may_wait(self, token: str) -> bool:
        return True

    def verify(self, token: str) -> AccessToken:
        if token != "good":
            raise Unauthorized
        return self.good


@pytest.fixture
def provider(trust: Callable[[TokenVerifier], None]) -> Callable[..., None]:
    """Configure an identity provider. Its only valid token, `good`, has the given scopes and claims."""

    def provider(*scopes: str, **claims: Any) -> None:
        trust(Tokens(AccessToken("provider|ada", frozenset(scopes), claims, logged_in_at=log_in_time(claims))))

    return provider


@pytest.fixture
def editor(newcomer: Path) -> Iterator[None]:
    """A slice that declares the role `editor`."""
    (newcomer / "roles.py").write_text('ROLES = {"editor": ("notes:write",)}\n')
    declared_roles.cache_clear()
    yield
    declared_roles.cache_clear()
