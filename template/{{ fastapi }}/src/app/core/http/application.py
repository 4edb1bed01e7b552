"""The application of core: settings, state, middleware, routes of core and of all slices."""

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from functools import partial
from importlib.metadata import version
from typing import Any, NamedTuple

import structlog
from fastapi import APIRouter, Depends, FastAPI, params
from fastapi.routing import APIRoute, iter_route_contexts
from starlette.middleware import Middleware
from starlette.types import ASGIApp, Lifespan

from app.core.accounts import routes
from app.core.accounts.auth import data_routes, session_routes
from app.core.accounts.auth import routes as auth_routes
from app.core.accounts.auth.identity import authenticated
from app.core.accounts.auth.roles import declared_roles
from app.core.accounts.email import invitation_routes, recovery_routes, verification_routes
from app.core.accounts.keys import routes as key_routes
from app.core.config import ABOUT, API_PREFIX, Environment, Settings
from app.core.database.base import load_models
from app.core.http import errors, health
from app.core.http.headers import PROBES
from app.core.http.middleware import RequestContext, cors
from app.core.http.openapi.docs import add_docs
from app.core.http.openapi.document import completed
from app.core.http.routing import refusing_query, watch
from app.core.http.state import State, state_of
from app.core.observability import logs, telemetry
from app.core.problems import ErrorBody, Problem
from app.core.runtime import current
from app.core.slices import SliceError, find_parts, find_slices, import_all

log = structlog.get_logger()


class Application(FastAPI):
    """FastAPI with core's middleware around the project's middleware, and core's responses in the OpenAPI document."""

    def build_middleware_stack(self) -> ASGIApp:
        state = state_of(self)
        options: dict[str, Any] = {"settings": state.settings, "error_body": state.error_body}
        # The first middleware is the outermost: core's also handles and logs errors of the project's middleware.
        outer = [Middleware(RequestContext, **options), Middleware(cors, **options)]
        self.user_middleware = [*outer, *self.user_middleware]
        return super().build_middleware_stack()

    def include_router(self, router: APIRouter, **options: Any) -> None:
        watch(router.routes)
        super().include_router(router, **options)

    def openapi(self) -> dict[str, Any]:
        if not self.openapi_schema:
            self.openapi_schema = completed(super().openapi(), state_of(self).error_body)
        return self.openapi_schema


def create_app(
    settings: Settings | None = None,
    *,
    error_body: type[ErrorBody] = Problem,
    lifespan: Lifespan[FastAPI] | None = None,
) -> FastAPI:
    """Return the application. All error responses have a body of the type `error_body`.

    `lifespan` of the project begins after core's and ends before it.

    Raise ConfigError or SliceError, with one sentence, for invalid settings or slices.
    """
    settings = settings or Settings.load()
    logs.configure(settings.log_level, json=settings.logs_json)
    telemetry.start(settings)
    traced = settings.otel_exporter_otlp_endpoint is not None
    app = Application(
        title=ABOUT.title,
        description=ABOUT.description,
        version=version(ABOUT.name),
        lifespan=lifespan,
        redirect_slashes=False,
        generate_unique_id_function=lambda route: f"{route.name} {route.methods}{route.path_format}",
        docs_url=None,  # FastAPI's page loads files from another server
        redoc_url=None,
        openapi_url=None if settings.production else "/openapi.json",
        servers=[{"url": settings.root_path}] if settings.root_path else None,
        telemetry={
            "tracing": traced,
            "metrics": traced,
            "logs": False,
            "operation_spans": False,
            "auto_configure": False,
            "exclude": lambda scope: scope["path"].removeprefix(settings.root_path).startswith(PROBES),
        },
    )
    app.state.core = State.of(settings, error_body)
    app.router.lifespan_context = partial(connected, within=app.router.lifespan_context)
    errors.install(app, error_body)
    app.router.routes.extend(health.router.routes)  # faster than `include_router`: FastAPI would match its routes twice
    if not settings.production:
        add_docs(app)
    include_routes(app)
    return app


@asynccontextmanager
async def connected(app: FastAPI, *, within: Lifespan[FastAPI]) -> AsyncIterator[Any]:
    """Connect to the database before the first request, and disconnect after the last.

    `within` is the lifespan of the project. FastAPI's default runs the handlers of `on_event`.
    """
    state = state_of(app)
    settings = state.settings
    log.info("start", environment=settings.environment, **current()._asdict())
    if not settings.hosts:
        log.warning("only health probes are answered", reason="ALLOWED_HOSTS is empty")
    try:
        await state.database.ping()
    except Exception as error:
        # Continue: readiness is 503 until the database answers. A process that exits would only be restarted.
        log.warning("database unavailable", reason=str(error).partition("\n")[0])
    try:
        async with within(app) as values:
            yield values
    finally:
        await state.database.close()
    log.info("stop")


def include_routes(app: FastAPI) -> None:
    """Add the routes of core and of all slices: `router` requires a token, `public` does not."""
    load_models()
    import_all("listeners")
    declared_roles()
    taken: dict[tuple[str, str], str] = {}
    for name, router, dependencies, prefix in _routers():
        _take(router, name, prefix, taken)
        app.include_router(router, prefix=prefix, dependencies=dependencies)


class Found(NamedTuple):
    """A router, its owner and the dependencies of its routes."""

    owner: str
    router: APIRouter
    dependencies: list[params.Depends]
    prefix: str = API_PREFIX


def _routers() -> Iterator[Found]:
    private = [Depends(authenticated)]
    # Core first: FastAPI tries the routers in order, and most requests are for `/users`.
    yield Found("core", routes.router, private)
    yield Found("core", routes.public, [])
    yield Found("core", data_routes.router, private)
    yield Found("core", auth_routes.public, [])
    yield Found("core", session_routes.router, private)
    yield Found("core", key_routes.router, private)
    yield Found("core", recovery_routes.public, [])
    yield Found("core", verification_routes.public, [])
    yield Found("core", invitation_routes.router, private)
    for part in find_parts():
        if settings := part.attribute("settings", "Settings", type(Environment), required=True):
            settings.load()
    for found in find_slices():
        router, public = found.routers(APIRouter)
        if router:
            yield Found(found.name, router, private, found.prefix)
        if public:
            yield Found(found.name, public, [], found.prefix)


def _take(router: APIRouter, name: str, prefix: str, taken: dict[tuple[str, str], str]) -> None:
    """Raise SliceError for a route that another slice has, or with a query model that refuses its other parameters.

    FastAPI would silently ignore the second of two equal routes.
    """
    for route in iter_route_contexts(router.routes):
        if isinstance(route.original_route, APIRoute) and route.path is not None:
            path = prefix + route.path
            for method in route.methods or ():
                if other := taken.get((method, path)):
                    raise SliceError(f"The slice '{name}' does not load: {method} {path} is a route of '{other}'")
                taken[method, path] = name
            if model := refusing_query(route.dependant):
                raise SliceError(
                    f"The slice '{name}' does not load: {path} reads other query parameters beside "
                    f"{model}, which refuses them: let {model} derive from QuerySchema instead of BaseSchema"
                )
