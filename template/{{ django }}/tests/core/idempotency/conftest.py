"""A slice with idempotent routes."""

import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import httpx2
import pytest
from django.core.signals import got_request_exception
from django.test import override_settings
from django.urls import path

from app.core.testing import MakeClient

ROUTES = """
from uuid import uuid4

from django.db import transaction
from django.http import HttpRequest, HttpResponse, StreamingHttpResponse
from ninja import Router

from app.core import BaseSchema, Conflict, ShortText, idempotent

router = Router()
public = Router()


class Thing(BaseSchema):
    name: ShortText


@public.post("/newcomer/public", response={201: str})
@router.post("/newcomer/others", response={201: str})
@router.post("/newcomer/things", response={201: str})
@idempotent
@transaction.atomic
def create_thing(request: HttpRequest, data: Thing, response: HttpResponse) -> str:
    if data.name == "refused":
        raise Conflict
    if data.name == "streamed":
        return StreamingHttpResponse(iter(["a"]))
    response.headers["Location"] = f"/things/{data.name}"
    return uuid4().hex
"""


@pytest.fixture
async def things(newcomer: Path, make_client: MakeClient) -> AsyncIterator[httpx2.AsyncClient]:
    """A client of an application with the routes above."""
    # Imported here: the modules need configured settings.
    from app.core.http.api import all_routes
    from app.core.http.openapi.document import API, JSONParser, JSONRenderer

    (newcomer / "routes.py").write_text(ROUTES)
    api = API(urls_namespace="planted", renderer=JSONRenderer(), parser=JSONParser(), default_router=all_routes())

    class URLs:
        urlpatterns = (path("", api.urls),)

    with override_settings(ROOT_URLCONF=URLs):
        async with make_client() as client:
            client.base_url = httpx2.URL("http://test/api/v1/newcomer/")
            yield client


@pytest.fixture
def errors() -> Iterator[list[BaseException | None]]:
    """The unexpected errors of requests."""
    found: list[BaseException | None] = []

    def note(**_: object) -> None:
        found.append(sys.exception())

    got_request_exception.connect(note)
    yield found
    got_request_exception.disconnect(note)
