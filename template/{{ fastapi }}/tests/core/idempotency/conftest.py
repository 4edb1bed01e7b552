"""A slice with idempotent routes."""

from collections.abc import AsyncIterator
from pathlib import Path

import httpx2
import pytest

from app.core.observability import telemetry
from app.core.testing import MakeClient

ROUTES = """
from uuid import uuid4

from fastapi import APIRouter, Response
from fastapi.responses import StreamingResponse

from app.core import BaseSchema, Conflict, IdempotentTransaction, ShortText

router = APIRouter(prefix="/newcomer")
public = APIRouter(prefix="/newcomer")


class Thing(BaseSchema):
    name: ShortText


@public.post("/public", status_code=201)
@router.post("/others", status_code=201)
@router.post("/things", status_code=201)
async def create_thing(data: Thing, session: IdempotentTransaction, response: Response) -> str:
    if data.name == "refused":
        raise Conflict
    if data.name == "half":
        await session.commit()
        raise Conflict
    if data.name == "streamed":
        return StreamingResponse(iter(["a"]))
    response.headers["Location"] = f"/things/{data.name}"
    return uuid4().hex
"""


@pytest.fixture
async def things(newcomer: Path, make_client: MakeClient) -> AsyncIterator[httpx2.AsyncClient]:
    """A client of an application with the routes above."""
    (newcomer / "routes.py").write_text(ROUTES)
    async with make_client() as client:
        client.base_url = httpx2.URL("http://test/api/v1/newcomer/")
        yield client


@pytest.fixture
def errors(monkeypatch: pytest.MonkeyPatch) -> list[BaseException]:
    """The unexpected errors of requests."""
    found: list[BaseException] = []
    monkeypatch.setattr(telemetry, "report", found.append)
    return found
