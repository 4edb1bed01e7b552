"""Checks and changes of the routes of slices."""

from collections.abc import Callable, Coroutine, Sequence
from typing import Any

from fastapi import Request, Response
from fastapi.dependencies.models import Dependant
from fastapi.routing import APIRoute, iter_route_contexts
from pydantic import BaseModel
from starlette.routing import BaseRoute

from app.core.database.sessions import FAILED

type Handler = Callable[[Request], Coroutine[Any, Any, Response]]


class _Watched(APIRoute):
    """Records in the scope of the request whether FastAPI's own handler returned a response."""

    def get_route_handler(self) -> Handler:
        handler = super().get_route_handler()

        async def watched(request: Request) -> Response:
            request.scope[FAILED] = True
            response = await handler(request)
            request.scope[FAILED] = False
            return response

        return watched


def watch(routes: Sequence[BaseRoute]) -> None:
    """Roll back the transaction when the function of a route raises, also if the route has its own APIRoute subclass.

    A subclass may catch the error in `get_route_handler`. FastAPI closes the dependencies outside of that method.
    Without `_Watched` as an additional base class, the transaction would not see the error, and would commit.
    """
    for route in (context.original_route for context in iter_route_contexts(routes)):
        kind = type(route)
        if issubclass(kind, APIRoute) and kind is not APIRoute and not issubclass(kind, _Watched):
            route.__class__ = type(kind.__name__, (kind, _Watched), {})


def refusing_query(route: Dependant) -> str:
    """Return the name of a query model that refuses the other query parameters of the route, or ""."""
    dependants, parameters = [route], []
    for dependant in dependants:
        dependants += dependant.dependencies
        parameters += [parameter.field_info.annotation for parameter in dependant.query_params]
    models = (kind for kind in parameters if isinstance(kind, type) and issubclass(kind, BaseModel))
    refusing = (model.__name__ for model in models if model.model_config.get("extra") == "forbid")
    return next(refusing, "") if len(parameters) > 1 else ""
