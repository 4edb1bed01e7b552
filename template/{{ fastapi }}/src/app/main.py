"""The only place where the parts are wired together."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib.metadata import version

import structlog
from fastapi import APIRouter, Depends, FastAPI
from fastapi.routing import APIRoute
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import configure_mappers

from app import errors, health, logging, telemetry
from app.about import ABOUT
from app.config import Environment, Settings
from app.db import Database
from app.dependencies import authenticated
from app.middleware import PROBES, RequestContext, cors
from app.openapi import Service
from app.rate_limits import RateLimits
from app.runtime import current
from app.security import token_verifier
from app.slices import SliceError, find_slices

log = structlog.get_logger()

FIRST = "users"
"""The slice that most requests are for: FastAPI tries the routers in turn, and each route takes it 9 µs."""


def create_app(settings: Settings | None = None) -> FastAPI:
    """The application. ConfigError or SliceError, in one sentence, when it cannot be put together."""
    settings = settings or Settings.load()
    logging.configure(settings.log_level, json=settings.logs_json)
    telemetry.start(settings)
    traced = settings.otel_exporter_otlp_endpoint is not None
    app = Service(
        title=ABOUT.title,
        description=ABOUT.description,
        version=version(ABOUT.name),
        lifespan=lifespan,
        redirect_slashes=False,
        docs_url=None if settings.production else "/docs",
        redoc_url=None,
        openapi_url=None if settings.production else "/openapi.json",
        telemetry={
            "tracing": traced,
            "metrics": traced,
            "logs": False,
            "operation_spans": False,
            "auto_configure": False,
            "exclude": lambda scope: scope["path"].startswith(PROBES),
        },
    )
    app.state.settings = settings
    app.state.database = Database.connect(settings)
    app.state.rate_limits = RateLimits(settings)
    app.state.tokens = token_verifier(settings)
    app.state.draining = False
    errors.install(app)
    app.add_middleware(cors, settings=settings)
    app.add_middleware(RequestContext, settings=settings)
    app.router.routes.extend(health.router.routes)  # what is included instead, FastAPI matches twice, and slower
    include_slices(app)
    return app


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    """Reach the database before the first request, give its connections back after the last."""
    settings: Settings = app.state.settings
    log.info("start", environment=settings.environment, **current()._asdict())
    if not settings.hosts:
        log.warning("ALLOWED_HOSTS is empty: every request but the health probes is refused")
    try:
        await app.state.database.ping()
    except Exception as error:
        # Readiness says so until it is there; a process that exits would only be started again.
        log.warning("database unavailable", reason=str(error).partition("\n")[0])
    yield
    await app.state.database.close()
    log.info("stop")


def include_slices(app: FastAPI) -> None:
    """Add every slice: `router` for callers with a token, `public` for everybody."""
    load_models()
    taken: dict[tuple[str, str], str] = {}
    for found in sorted(find_slices(), key=lambda found: found.name != FIRST):
        if settings := found.attribute("settings", "Settings", type(Environment), required=True):
            settings.load()
        private = found.attribute("routes", "router", APIRouter)
        public = found.attribute("routes", "public", APIRouter, required=private is None)
        for router, dependencies in ((private, [Depends(authenticated)]), (public, [])):
            if router:
                _take(router, found.name, taken)
                app.include_router(router, dependencies=dependencies)


def load_models() -> None:
    """Import the models of every slice, so that the metadata knows all tables."""
    for found in find_slices():
        found.module("models")
    try:
        configure_mappers()
    except SQLAlchemyError as error:
        raise SliceError(f"The models of the slices do not fit together: {str(error).splitlines()[0]}") from error


def _take(router: APIRouter, name: str, taken: dict[tuple[str, str], str]) -> None:
    """SliceError when a route of `router` is another's already: FastAPI would only ever call the first."""
    for route in router.routes:
        if isinstance(route, APIRoute):
            for method in route.methods or ():
                if other := taken.get((method, route.path)):
                    raise SliceError(f"The slice '{name}' does not load: {method} {route.path} is a route of '{other}'")
                taken[method, route.path] = name
