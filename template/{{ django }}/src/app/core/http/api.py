"""The API with the routes of core and of all slices."""

from collections.abc import Iterator
from importlib.metadata import version
from typing import Any, NamedTuple

from ninja import Router
from ninja.constants import NOT_SET
from ninja.operation import PathView

from app.core.accounts import routes as account_routes
from app.core.accounts.auth import data_routes, session_routes
from app.core.accounts.auth import routes as auth_routes
from app.core.accounts.auth.identity import BearerToken, UserOptional, logged_in
from app.core.accounts.email import invitation_routes, recovery_routes, verification_routes
from app.core.accounts.keys import routes as key_routes
from app.core.config import ABOUT, API_PREFIX, Environment
from app.core.database.transactions import read_only
from app.core.http import health
from app.core.http.dependencies import in_development, refuse_unknown_query
from app.core.http.limits.bodies import note_limit
from app.core.http.openapi.document import API, JSONParser, JSONRenderer
from app.core.slices import SliceError, find_parts, find_slices

SAFE = {"GET", "HEAD", "OPTIONS"}


def all_routes() -> Router:
    """Return a router with the routes of core and of all slices."""
    routes = Router()
    taken: dict[tuple[str, str], str] = {}
    for found in _routers():
        _add(routes, found, taken)
    return routes


class Found(NamedTuple):
    """A router and its owner. A private router requires a token."""

    owner: str
    router: Router
    private: bool
    prefix: str = API_PREFIX


def _routers() -> Iterator[Found]:
    yield Found("core", health.public, private=False, prefix="")
    yield Found("core", account_routes.router, private=True)
    yield Found("core", account_routes.public, private=False)
    yield Found("core", data_routes.router, private=True)
    yield Found("core", auth_routes.public, private=False)
    yield Found("core", session_routes.router, private=True)
    yield Found("core", key_routes.router, private=True)
    yield Found("core", recovery_routes.public, private=False)
    yield Found("core", verification_routes.public, private=False)
    yield Found("core", invitation_routes.router, private=True)
    for part in find_parts():
        if settings := part.attribute("settings", "Settings", type(Environment), required=True):
            settings.load()
    for found in find_slices():
        private, public = found.routers(Router)
        if private:
            yield Found(found.name, private, private=True, prefix=found.prefix)
        if public:
            yield Found(found.name, public, private=False, prefix=found.prefix)


def _add(routes: Router, found: Found, taken: dict[tuple[str, str], str]) -> None:
    """Add the operations of `found` to `routes`. Operations of several routers with the same path share one view."""
    name, router, private, prefix = found
    default = logged_in if private else None
    for path, view in router.path_operations.items():
        route = prefix + path
        for operation in (operation.clone() for operation in view.operations):
            for method in operation.methods:
                if other := taken.get((method, route)):
                    raise SliceError(f"The slice '{name}' does not load: {method} {route} is a route of '{other}'")
                taken[method, route] = name
            if "GET" in operation.methods and not any("HEAD" in other.methods for other in view.operations):
                operation.methods.append("HEAD")
            auth: Any = next((auth for auth in (operation.auth_param, router.auth) if auth is not NOT_SET), default)
            if private and (not isinstance(auth, BearerToken) or auth.is_optional):
                raise SliceError(f"The slice '{name}' does not load: {route} of its `router` must ask for a token")
            operation.auth_callbacks = [auth] if auth else []
            operation.by_alias = True  # a response names its fields like a request, as in the OpenAPI document
            if isinstance(auth, UserOptional):
                operation.view_func = auth.around(operation.view_func)
            if SAFE.issuperset(operation.methods):
                operation.view_func = read_only(operation.view_func)
            refuse_unknown_query(operation)
            note_limit(operation.view_func, operation.methods, route)
            operation.tags = operation.tags or router.tags
            routes.path_operations.setdefault(route, PathView()).operations.append(operation)


api = API(
    title=ABOUT.title,
    description=ABOUT.description,
    version=version(ABOUT.name),
    urls_namespace="api",
    renderer=JSONRenderer(),
    parser=JSONParser(),
    docs_decorator=in_development,
    default_router=all_routes(),
)
