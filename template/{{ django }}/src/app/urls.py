"""The only place where the routes are wired together."""

from importlib.metadata import version
from typing import Any

from django.contrib import admin
from django.urls import path
from ninja import Router
from ninja.constants import NOT_SET
from ninja.operation import PathView

from app import errors, health
from app.about import ABOUT
from app.config import Environment
from app.db import unit_of_work
from app.dependencies import Authenticated, authenticated, in_development
from app.openapi import JSONParser, JSONRenderer, Service
from app.slices import SliceError, find_slices

SAFE = {"GET", "HEAD", "OPTIONS"}


def all_routes() -> Router:
    """Every slice's routes: of its `router` for callers with a token, of its `public` for everybody."""
    routes = Router()
    taken: dict[tuple[str, str], str] = {}
    _add(routes, health.public, "health", taken, private=False)
    for found in find_slices():
        if settings := found.attribute("settings", "Settings", type(Environment), required=True):
            settings.load()
        private = found.attribute("routes", "router", Router)
        public = found.attribute("routes", "public", Router, required=private is None)
        if private:
            _add(routes, private, found.name, taken, private=True)
        if public:
            _add(routes, public, found.name, taken, private=False)
    return routes


def _add(routes: Router, router: Router, name: str, taken: dict[tuple[str, str], str], *, private: bool) -> None:
    """Add what `router` has to `routes`. One view serves all methods of a path, whichever routers they are from."""
    default = authenticated if private else None
    for route, view in router.path_operations.items():
        for operation in (operation.clone() for operation in view.operations):
            for method in operation.methods:
                if other := taken.get((method, route)):
                    raise SliceError(f"The slice '{name}' does not load: {method} {route} is a route of '{other}'")
                taken[method, route] = name
            auth: Any = next((auth for auth in (operation.auth_param, router.auth) if auth is not NOT_SET), default)
            if private and not isinstance(auth, Authenticated):
                raise SliceError(f"The slice '{name}' does not load: {route} of its `router` must ask for a token")
            operation.auth_callbacks = [auth] if auth else []
            # Django's word for a view that begins its transactions itself, which it leaves to its own handler.
            begins_its_own = hasattr(operation.view_func, "_non_atomic_requests")
            if not (begins_its_own or SAFE.issuperset(operation.methods)):
                operation.view_func = unit_of_work(operation.view_func)
            operation.tags = operation.tags or router.tags
            routes.path_operations.setdefault(route, PathView()).operations.append(operation)


api = Service(
    title=ABOUT.title,
    description=ABOUT.description,
    version=version(ABOUT.name),
    urls_namespace="api",
    renderer=JSONRenderer(),
    parser=JSONParser(),
    docs_decorator=in_development,
    default_router=all_routes(),
)

# What is included, Django matches level by level, and that takes a tenth of a small request. So the API's routes stand
# here as well, before the namespace that gives them their names.
routes = api.urls
urlpatterns = [*routes[0], path("", routes), path("admin/", admin.site.urls)]

handler400 = errors.bad_request
handler403 = errors.permission_denied
handler404 = errors.page_not_found
handler500 = errors.server_error
