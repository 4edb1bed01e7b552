"""The application of the project, around the application of core."""

from fastapi import FastAPI

from app.core import Settings
from app.core import create_app as create_core_app


def create_app(settings: Settings | None = None) -> FastAPI:
    """Return the application. Add your own middleware, mounts and exception handlers here.

    `error_body=Errors`, where `Errors` is a subclass of `app.core.ErrorBody`, replaces the format of all errors.
    `lifespan=own` adds your start-up and clean-up. `uvicorn --factory app.main:create_app` needs DATABASE_URL.
    """
    return create_core_app(settings)
