"""Limits for exports."""

from contextlib import ExitStack

import httpx2
import pytest

from app.core.http.limits import exports
from app.core.http.limits.exports import MAX_CONCURRENT_EXPORTS, TooManyExports, export_place
from app.core.testing import SignIn, UserFactory, assert_problem


async def test_export_without_a_place_is_503(
    async_client: httpx2.AsyncClient, user_factory: UserFactory, sign_in: SignIn
) -> None:
    headers = sign_in(await user_factory(is_superuser=True))
    with ExitStack() as others:
        for _ in range(MAX_CONCURRENT_EXPORTS):
            others.enter_context(export_place())
        refused = await async_client.get("/api/v1/users/export", headers=headers)
        assert_problem(refused, 503)
        assert int(refused.headers["retry-after"]) > 1
    for _ in range(MAX_CONCURRENT_EXPORTS + 1):
        response = await async_client.get("/api/v1/users/export", headers=headers)
        assert response.status_code == 200, "a finished export leaves its place"


def test_failed_export_leaves_its_place() -> None:
    for _ in range(MAX_CONCURRENT_EXPORTS + 1):
        with pytest.raises(ZeroDivisionError), export_place():
            raise ZeroDivisionError
    with ExitStack() as others:
        for _ in range(MAX_CONCURRENT_EXPORTS):
            others.enter_context(export_place())
        with pytest.raises(TooManyExports):
            others.enter_context(exports.export_place())
