"""Settings of workers."""

from pydantic import Field

from app.core.config import Environment


class Settings(Environment):
    worker_concurrency: int = Field(default=10, ge=1, le=1000, description="jobs that one worker runs concurrently")
    worker_grace_seconds: float = Field(
        default=30, ge=0, le=3600, description="time for running jobs to finish after SIGTERM"
    )
