"""Health checks: liveness and readiness."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Literal

import structlog
from fastapi import APIRouter
from pydantic import BaseModel

from app.core.concurrency import bounded_map
from app.core.http.dependencies import CurrentState
from app.core.http.openapi import problem_responses
from app.core.problems import Unavailable

log = structlog.get_logger()
router = APIRouter(prefix="/health", tags=["health"], generate_unique_id_function=lambda route: route.name)

CHECK_TIMEOUT_SECONDS = 1.0
"""Time limit for the check of one dependency, shorter than the time limit of a probe."""


class Health(BaseModel):
    """The process and all checked dependencies answer."""

    status: Literal["ok"] = "ok"
    checks: list[str] = []


ALIVE = Health()


@router.get("/live")
async def live() -> Health:
    """Check that the process answers. The database is not checked, because a restart would not fix it."""
    return ALIVE


@router.get("/ready", responses=problem_responses(503))
async def ready(state: CurrentState) -> Health:
    """Check readiness for requests. The response is 503 while a dependency does not answer, and during a shutdown."""
    if state.draining:
        raise Unavailable("The service is shutting down.")
    checks: dict[str, Callable[[], Awaitable[None]]] = {"database": state.database.check}
    if state.rate_limits.shared:
        checks["redis"] = state.rate_limits.check

    async def answers(name: str) -> bool:
        check = asyncio.ensure_future(checks[name]())
        try:
            async with asyncio.timeout(CHECK_TIMEOUT_SECONDS):
                await asyncio.shield(check)  # without `shield`, the cancellation could exceed the time limit
        except Exception as error:
            check.cancel()
            log.warning("not ready", dependency=name, error=type(error).__name__)
            return False
        return True

    results = await bounded_map(answers, checks, limit=len(checks))
    if down := [name for name, up in zip(checks, results, strict=True) if not up]:
        raise Unavailable(f"No answer from: {', '.join(down)}.")
    return Health(checks=list(checks))
