"""A handler that commits by itself, and then fails, stores no response."""

import httpx2

from app.core.testing import SignIn, UserFactory, assert_problem


async def test_incomplete_request_is_409(
    things: httpx2.AsyncClient, user_factory: UserFactory, sign_in: SignIn
) -> None:
    headers = sign_in(await user_factory()) | {"Idempotency-Key": "k"}
    for detail in ("", "The first request with this Idempotency-Key did not complete."):
        problem = assert_problem(await things.post("things", json={"name": "half"}, headers=headers), 409)
        assert detail in problem["detail"]
