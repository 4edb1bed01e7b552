"""Idempotency keys: a repeated request gets the response of the first, and has no effect."""

import httpx2
import pytest

from app.core.idempotency.keys import STREAMED
from app.core.testing import Accounts, Headers, Rows, SignIn, UserFactory, assert_problem

STORED = "SELECT caller, key FROM idempotent_requests"
AGE = "UPDATE idempotent_requests SET created_at = created_at - interval '{}' RETURNING key"


@pytest.fixture
async def user(user_factory: UserFactory, sign_in: SignIn) -> Headers:
    return sign_in(await user_factory())


async def create(
    client: httpx2.AsyncClient, user: Headers, name: str = "a", *, key: str = "k", path: str = "things"
) -> httpx2.Response:
    return await client.post(path, json={"name": name}, headers=user | {"Idempotency-Key": key})


async def test_repeated_request_gets_the_stored_response(things: httpx2.AsyncClient, user: Headers) -> None:
    first, second = await create(things, user), await create(things, user)
    assert first.status_code == second.status_code == 201
    assert first.content == second.content
    for name in ("location", "content-type"):
        assert first.headers[name] == second.headers[name]
    assert first.headers["x-request-id"] != second.headers["x-request-id"]


async def test_requests_with_other_or_no_key_run_again(things: httpx2.AsyncClient, user: Headers) -> None:
    responses = [await create(things, user, key=key) for key in ("k", "K", "k 2")]
    responses += [await things.post("things", json={"name": "a"}, headers=user) for _ in range(2)]
    assert len({response.json() for response in responses}) == 5


@pytest.mark.parametrize("change", [{"name": "b"}, {"path": "others"}, {"path": "things?a=1"}])
async def test_key_of_a_different_request_is_422(
    things: httpx2.AsyncClient, user: Headers, change: dict[str, str]
) -> None:
    first = await create(things, user)
    problem = assert_problem(await create(things, user, **change), 422)
    assert problem["type"] == "urn:problem-type:idempotency-key-reused"
    assert (await create(things, user)).content == first.content


async def test_failed_request_releases_its_key(things: httpx2.AsyncClient, user: Headers, rows: Rows) -> None:
    assert_problem(await create(things, user, "refused"), 409)
    assert await rows(STORED) == []
    assert (await create(things, user)).status_code == 201


async def test_stream_is_an_error(
    things: httpx2.AsyncClient, user: Headers, rows: Rows, errors: list[BaseException]
) -> None:
    assert (await create(things, user, "streamed")).status_code == 500
    assert list(map(str, errors)) == [STREAMED]
    assert await rows(STORED) == []


async def test_keys_are_per_caller(things: httpx2.AsyncClient, user_factory: UserFactory, sign_in: SignIn) -> None:
    first, second = [await create(things, sign_in(await user_factory())) for _ in range(2)]
    assert first.content != second.content


async def test_key_without_token_is_401(things: httpx2.AsyncClient) -> None:
    assert_problem(await create(things, {}, path="public"), 401)
    assert (await things.post("public", json={"name": "a"})).status_code == 201


async def test_response_is_stored_for_a_day(things: httpx2.AsyncClient, user: Headers, rows: Rows) -> None:
    first = await create(things, user)
    await rows(AGE.format("23 hours 59 minutes"))
    assert (await create(things, user)).content == first.content
    await rows(AGE.format("2 minutes"))
    second = await create(things, user, "b")
    assert second.status_code == 201
    assert (await create(things, user, "b")).content == second.content


@pytest.mark.usefixtures("nested_loops")
async def test_expired_responses_are_deleted(
    things: httpx2.AsyncClient, user_factory: UserFactory, sign_in: SignIn, rows: Rows
) -> None:
    ada, grace = await user_factory(), await user_factory()
    for number in range(12):
        await create(things, sign_in(ada), key=f"k{number}")
    await rows(AGE.format("25 hours"))
    await create(things, sign_in(grace))
    assert len(await rows(STORED)) == 3  # at most ten are deleted by each request
    await create(things, sign_in(grace), key="k2")
    assert await rows(f"{STORED} ORDER BY key") == [{"caller": str(grace.id), "key": key} for key in ("k", "k2")]


async def test_responses_of_an_erased_user_are_deleted(
    things: httpx2.AsyncClient, user_factory: UserFactory, sign_in: SignIn, accounts: Accounts, rows: Rows
) -> None:
    ada, grace = await user_factory(), await user_factory()
    for user in (ada, grace):
        await create(things, sign_in(user))
    await accounts.erase(ada)
    assert await rows(STORED) == [{"caller": str(grace.id), "key": "k"}]
