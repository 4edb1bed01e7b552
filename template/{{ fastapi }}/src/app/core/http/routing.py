"""Checks and changes of the routes of slices, and URLs of routes."""

from collections.abc import Mapping, Sequence
from email.message import Message as Header
from typing import Any
from urllib.parse import quote, urlencode

from fastapi import Depends, Request
from fastapi.dependencies.models import Dependant
from fastapi.routing import APIRoute, iter_route_contexts
from pydantic import BaseModel
from starlette.routing import BaseRoute, Match, Mount
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.core.database.sessions import watch_route
from app.core.http.headers import is_json
from app.core.problems import UnsupportedMediaType

FORMS = frozenset({"application/x-www-form-urlencoded", "multipart/form-data"})
"""Media types of forms."""


def watch(routes: Sequence[BaseRoute]) -> None:
    """Let transactions see the errors of routes, and let PATCH routes refuse bodies that are not merge patches."""
    for route in (context.original_route for context in iter_route_contexts(routes)):
        if isinstance(route, APIRoute):
            watch_route(route)
            if "PATCH" in (route.methods or ()) and route.body_field:
                route.dependencies = [*(kept for kept in route.dependencies if kept is not MERGE), MERGE]


def media_type(request: Request) -> str:
    """Return the media type of the body, without parameters."""
    header = Header()
    header["content-type"] = request.headers.get("content-type", "")
    return header.get_content_type()


async def require_merge_patch(request: Request) -> None:
    """Raise UnsupportedMediaType for a PATCH body that is not a merge patch. FastAPI itself reads all JSON types."""
    if not is_json("PATCH", media_type(request)):
        raise UnsupportedMediaType


MERGE = Depends(require_merge_patch)


class AnswerHead:
    """Middleware that answers HEAD with the headers of GET. Passes HEAD to a route that declares the method itself."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["method"] != "HEAD" or _answers_head(scope["app"].router.routes, scope):
            await self.app(scope, receive, send)
            return

        is_sent = False

        async def send_headers(message: Message) -> None:
            nonlocal is_sent
            if message["type"] != "http.response.body":
                await send(message)
            elif not is_sent:
                is_sent = True
                await send({"type": "http.response.body"})

        # A copy, because the server reads the method of its scope. With version 2.3 of the ASGI specification,
        # Starlette ends a stream as soon as the server reports the response as complete.
        asked = {**scope, "method": "GET", "asgi": {**scope["asgi"], "spec_version": "2.3"}}
        try:
            await self.app(asked, receive, send_headers)
        finally:
            scope.update({**asked, "method": "HEAD"})  # the route, for the log


def _answers_head(routes: Sequence[BaseRoute], scope: Scope) -> bool:
    """Return whether the first route of this path answers HEAD itself.

    A mount matches every method. A mounted router is searched; another mounted application answers HEAD itself.
    """
    for route in routes:
        match, found = route.matches(dict(scope))
        if match is Match.FULL:
            return not (isinstance(route, Mount) and route.routes) or _answers_head(route.routes, {**scope, **found})
        if route.matches({**scope, "method": "GET"})[0] is Match.FULL:
            return False
    return False


def refusing_query(route: Dependant) -> str:
    """Return the name of a query model that refuses the other query parameters of the route, or ""."""
    dependants, parameters = [route], []
    for dependant in dependants:
        dependants += dependant.dependencies
        parameters += [parameter.field_info.annotation for parameter in dependant.query_params]
    models = (kind for kind in parameters if isinstance(kind, type) and issubclass(kind, BaseModel))
    refusing = (model.__name__ for model in models if model.model_config.get("extra") == "forbid")
    return next(refusing, "") if len(parameters) > 1 else ""


def reverse(
    request: Request, name: str, *, query: Mapping[str, Any] | None = None, fragment: str = "", **path: Any
) -> str:
    """Return the path of the route `name`, with an encoded query and fragment."""
    url = f"{request.scope.get('root_path', '')}{request.app.url_path_for(name, **path)}"
    if query:
        url += f"?{urlencode(query)}"
    if fragment:
        url += f"#{quote(fragment)}"
    return url
