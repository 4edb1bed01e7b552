import httpx2
import pytest

from app.core.testing import MakeClient, assert_problem


async def test_liveness_is_200(async_client: httpx2.AsyncClient) -> None:
    response = await async_client.get("/health/live")
    assert (response.status_code, response.json()["status"]) == (200, "ok")


async def test_readiness_lists_its_checks(async_client: httpx2.AsyncClient) -> None:
    response = await async_client.get("/health/ready")
    assert (response.status_code, response.json()) == (200, {"status": "ok", "checks": ["database"]})


@pytest.mark.slow
async def test_readiness_failure_names_failed_check(make_client: MakeClient) -> None:
    async with make_client(redis_url="redis://127.0.0.1:9") as client:
        problem = assert_problem(await client.get("/health/ready"), 503)
        assert problem["detail"] == "No answer from: redis."
        assert (await client.get("/health/live")).status_code == 200
