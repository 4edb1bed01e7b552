"""Callers of a route with `auth=require_scope(…)`, and the user that the route gets."""

import pytest
from asgiref.sync import sync_to_async
from django.test import RequestFactory

from app.core.accounts.auth.identity import require_scope
from app.core.config import Settings
from app.core.http.state import Request, State
from app.core.problems import Forbidden
from app.core.security.bearer import ADMIN, AccessToken
from app.core.security.tokens import LocalTokens
from app.core.testing import IDENTITY_PROVIDER


def request_with(token: str, state: State) -> Request:
    request: Request = RequestFactory().get("/", headers={"Authorization": f"Bearer {token}"})  # type: ignore[assignment]
    request.state = state
    return request


def test_own_token_names_the_user(settings: Settings) -> None:
    state = State.of(settings)
    token = LocalTokens(settings).issue("7", {ADMIN})
    user = require_scope(ADMIN)(request_with(token, state))
    assert (user.id, user.is_admin) == (7, True)
    with pytest.raises(Forbidden):
        require_scope("export")(request_with(token, state))


class Machine:
    """Accept every token as the token of a machine: the token names no user."""

    def may_wait(self, token: str, /) -> bool:
        return False

    def verify(self, token: str) -> AccessToken:
        return AccessToken("machine", frozenset({ADMIN}), {})


async def test_machine_has_scopes_and_no_user(settings: Settings, async_client: object) -> None:
    state = State.of(settings.model_copy(update=IDENTITY_PROVIDER))
    state.tokens = Machine()
    user = await sync_to_async(require_scope(ADMIN))(request_with("any", state))
    assert user.is_admin
    with pytest.raises(Forbidden):
        _ = user.id


async def test_route_for_users_creates_user_of_provider(settings: Settings, async_client: object) -> None:
    state = State.of(settings.model_copy(update=IDENTITY_PROVIDER))
    state.tokens = Machine()
    enter = sync_to_async(require_scope(ADMIN, user=True))
    first, second = await enter(request_with("any", state)), await enter(request_with("any", state))
    assert first.is_admin
    assert first.id == second.id
    with pytest.raises(Forbidden):
        await sync_to_async(require_scope("export", user=True))(request_with("any", state))
