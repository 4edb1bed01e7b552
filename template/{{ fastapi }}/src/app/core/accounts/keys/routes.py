"""Routes of `/api-keys`: the caller's keys."""

from http import HTTPStatus
from typing import Annotated

from fastapi import APIRouter, Depends, Query

from app.core.accounts.auth.identity import LoggedIn, require_log_in
from app.core.accounts.keys.repository import ApiKeyRepository
from app.core.accounts.keys.schemas import ApiKeyCreate, ApiKeyCreated, ApiKeyDetails, ApiKeyQuery
from app.core.accounts.keys.service import create_key
from app.core.database.sessions import ReadOnly, Transaction
from app.core.http.openapi.document import problem_responses
from app.core.problems import NotFound
from app.core.schemas import Page
from app.core.types import PathId

router = APIRouter(
    prefix="/api-keys", tags=["api-keys"], dependencies=[Depends(require_log_in)], responses=problem_responses(403)
)


@router.post("", status_code=HTTPStatus.CREATED)
async def create_api_key(data: ApiKeyCreate, session: Transaction, user: LoggedIn) -> ApiKeyCreated:
    """Create an API key. The response shows the key only once."""
    key, text = await create_key(session, user.id, data)
    return ApiKeyCreated(**ApiKeyDetails.model_validate(key).model_dump(), key=text)


@router.get("")
async def list_api_keys(
    session: ReadOnly, user: LoggedIn, query: Annotated[ApiKeyQuery, Query()]
) -> Page[ApiKeyDetails]:
    """List your API keys. The newest is first."""
    keys, total = await ApiKeyRepository(session).find(user.id, query)
    return Page[ApiKeyDetails].of(keys, total, query)


@router.delete("/{key_id}", status_code=HTTPStatus.NO_CONTENT, responses=problem_responses(404))
async def delete_api_key(key_id: PathId, session: Transaction, user: LoggedIn) -> None:
    """Delete an API key. Requests with this key are refused from now on."""
    if not await ApiKeyRepository(session).delete_own(user.id, key_id):
        raise NotFound("You have no such API key.")
