"""What can be set about workers."""

from pydantic import Field

from app.core.config import Environment


class Settings(Environment):
    """The slice's settings."""

    worker_concurrency: int = Field(default=10, ge=1, le=1000, description="jobs that one worker does at a time")
    worker_grace_seconds: float = Field(
        default=30, ge=0, le=3600, description="time that jobs under way have to finish after SIGTERM"
    )
