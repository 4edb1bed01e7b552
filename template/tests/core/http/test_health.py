import httpx2
import pytest

from app.core.testing import MakeClient


async def test_liveness_is_200(async_client: httpx2.AsyncClient) -> None:
    response = await async_client.get("/health/live")
    assert (response.status_code, response.json()["status"]) == (200, "ok")


async def test_readiness_lists_its_checks(async_client: httpx2.AsyncClient) -> None:
    response = await async_client.get("/health/ready")
    assert (response.status_code, response.json()) == (200, {"status": "ok", "checks": ["database"], "degraded": []})


@pytest.mark.slow
async def test_readiness_lists_unreachable_redis(make_client: MakeClient) -> None:
    """Without Redis, each process counts the rate limits for itself: the service still works."""
    async with make_client(redis_url="redis://127.0.0.1:9") as client:
        response = await client.get("/health/ready")
        assert response.status_code == 200
        assert response.json() == {"status": "ok", "checks": ["database"], "degraded": ["redis"]}
