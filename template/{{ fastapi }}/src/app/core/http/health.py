"""Health checks: liveness and readiness."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Literal

import structlog
from fastapi import APIRouter
from pydantic import BaseModel, Field

from app.core.concurrency import bounded_map
from app.core.http.dependencies import CurrentState
from app.core.http.openapi.document import problem_responses
from app.core.http.state import State
from app.core.problems import Unavailable

log = structlog.get_logger()
router = APIRouter(prefix="/health", tags=["health"], generate_unique_id_function=lambda route: f"{route.name} ")

CHECK_TIMEOUT_SECONDS = 1.0
"""Time limit for the check of one dependency, shorter than the time limit of a probe."""

MAX_AGE_SECONDS = 0.5
"""Age of a result that further requests get: a burst of requests does not reach the database."""


class Health(BaseModel):
    """The process answers, and all dependencies that it needs."""

    status: Literal["ok"] = "ok"
    checks: list[str] = Field(default=[], description="dependencies that answer")
    degraded: list[str] = Field(default=[], description="dependencies that do not answer, but are not needed")


ALIVE = Health()


@router.get("/live")
async def live() -> Health:
    """Check that the process answers. The database is not checked, because a restart would not fix it."""
    return ALIVE


@router.get("/ready", responses=problem_responses(503))
async def ready(state: CurrentState) -> Health:
    """Check readiness for requests. The response is 503 while the database does not answer, and during a shutdown.

    Other dependencies are listed: the service works without them.
    """
    if state.draining:
        raise Unavailable("The service is shutting down.")
    if state.checking is None or (state.checking.done() and time.monotonic() - state.checked > MAX_AGE_SECONDS):
        state.checking = asyncio.ensure_future(_check(state))
    answers = await asyncio.shield(state.checking)
    if not answers["database"]:
        raise Unavailable("No answer from: database.")
    return Health(
        checks=[name for name, up in answers.items() if up], degraded=[name for name, up in answers.items() if not up]
    )


async def _check(state: State) -> dict[str, bool]:
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
            log.warning("no answer", dependency=name, error=type(error).__name__)
            return False
        return True

    results = await bounded_map(answers, checks, limit=len(checks))
    state.checked = time.monotonic()
    return dict(zip(checks, results, strict=True))
