"""Health checks: liveness and readiness."""

import asyncio
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Literal

import structlog
from ninja import Router
from pydantic import BaseModel, Field

from app.core.concurrency import bounded_map
from app.core.database import checks as database
from app.core.http.openapi.document import problem_responses
from app.core.http.state import Request, State
from app.core.problems import Unavailable

log = structlog.get_logger()
public = Router(tags=["health"])

CHECK_TIMEOUT_SECONDS = 1.0
"""Time limit for the check of one dependency, shorter than the time limit of a probe."""

MAX_AGE_SECONDS = 0.5
"""Age of a result that further requests get: a burst of requests does not reach the database."""

# Not the event loop's executor: `asyncio.run` would wait for threads that wait for an answer.
_threads = ThreadPoolExecutor(4, "health")


class Health(BaseModel):
    """The process answers, and all dependencies that it needs."""

    status: Literal["ok"] = "ok"
    checks: list[str] = Field(default=[], description="dependencies that answer")
    degraded: list[str] = Field(default=[], description="dependencies that do not answer, but are not needed")


ALIVE = Health()


@public.get("/health/live", response=Health)
def live(request: Request) -> Health:
    """Check that the process answers. The database is not checked, because a restart would not fix it."""
    return ALIVE


@public.get("/health/ready", response=Health, openapi_extra=problem_responses(503))
def ready(request: Request) -> Health:
    """Check readiness for requests. The response is 503 while the database does not answer, and during a shutdown.

    Other dependencies are listed: the service works without them.
    """
    state = request.state
    if state.draining:
        raise Unavailable("The service is shutting down.")
    with state.checking:
        if time.monotonic() - state.checked > MAX_AGE_SECONDS:
            state.answers = _check(state)
            state.checked = time.monotonic()
        answers = state.answers
    if not answers["database"]:
        raise Unavailable("No answer from: database.")
    return Health(
        checks=[name for name, up in answers.items() if up], degraded=[name for name, up in answers.items() if not up]
    )


def _check(state: State) -> dict[str, bool]:
    checks: dict[str, Callable[[], None]] = {"database": database.check}
    if state.rate_limits.shared:
        checks["redis"] = state.rate_limits.check

    async def answers(name: str) -> bool:
        try:
            async with asyncio.timeout(CHECK_TIMEOUT_SECONDS):
                await asyncio.get_running_loop().run_in_executor(_threads, checks[name])
        except Exception as error:
            log.warning("no answer", dependency=name, error=type(error).__name__)
            return False
        return True

    results = asyncio.run(bounded_map(answers, checks, limit=len(checks)))
    return dict(zip(checks, results, strict=True))
