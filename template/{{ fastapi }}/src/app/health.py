"""Whether the process lives, and whether it should get requests."""

from collections.abc import Awaitable, Callable
from typing import Literal

import structlog
from fastapi import APIRouter, Request
from pydantic import BaseModel

from app.concurrency import bounded_map
from app.openapi import problems
from app.problems import Unavailable

log = structlog.get_logger()
router = APIRouter(prefix="/health", tags=["health"])

SECONDS = 1.0
"""How long one dependency may take to answer; a probe gives up after a few seconds itself."""


class Health(BaseModel):
    """The process answers, and so does everything that it was asked about."""

    status: Literal["ok"] = "ok"
    checks: list[str] = []


@router.get("/live")
async def live() -> Health:
    """Whether the process answers. Never asks the database: a restart would not mend that."""
    return Health()


@router.get("/ready", responses=problems(503))
async def ready(request: Request) -> Health:
    """Whether requests should be sent here: every dependency answers and no shutdown is under way."""
    state = request.app.state
    if state.draining:
        raise Unavailable("The service is shutting down.")
    checks: dict[str, Callable[[], Awaitable[None]]] = {"database": state.database.check}
    if state.rate_limits.shared:
        checks["redis"] = state.rate_limits.check

    async def failed(name: str) -> bool:
        try:
            await checks[name]()
        except Exception as error:
            log.warning("not ready", dependency=name, error=type(error).__name__)
            return True
        return False

    async def failed_in_time(name: str) -> bool:
        try:
            [result] = await bounded_map(failed, [name], limit=1, seconds=SECONDS)
        except* TimeoutError:
            log.warning("not ready", dependency=name, error="timeout")
            result = True
        return result

    results = await bounded_map(failed_in_time, checks, limit=len(checks))
    if down := [name for name, is_down in zip(checks, results, strict=True) if is_down]:
        raise Unavailable(f"No answer from: {', '.join(down)}.")
    return Health(checks=list(checks))
