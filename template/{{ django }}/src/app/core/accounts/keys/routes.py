"""Routes of `/api-keys`: the caller's keys."""

from http import HTTPStatus

from django.db import transaction
from ninja import Query, Router, Status

from app.core.accounts.auth.identity import require_log_in
from app.core.accounts.keys.repository import ApiKeyRepository
from app.core.accounts.keys.schemas import ApiKeyCreate, ApiKeyCreated, ApiKeyDetails, ApiKeyQuery
from app.core.accounts.keys.service import create_key
from app.core.http.openapi.document import problem_responses
from app.core.http.state import Request
from app.core.problems import NotFound
from app.core.schemas import Page
from app.core.types import PathId

router = Router(tags=["api-keys"], auth=require_log_in)


@router.post("/api-keys", response={HTTPStatus.CREATED: ApiKeyCreated}, openapi_extra=problem_responses(403))
@transaction.atomic
def create_api_key(request: Request, data: ApiKeyCreate) -> Status[ApiKeyCreated]:
    """Create an API key. The response shows the key only once."""
    key, text = create_key(request.auth.id, data)
    details = ApiKeyDetails.model_validate(key).model_dump()
    return Status(HTTPStatus.CREATED, ApiKeyCreated(**details, key=text))


@router.get("/api-keys", response=Page[ApiKeyDetails], openapi_extra=problem_responses(403))
def list_api_keys(request: Request, query: Query[ApiKeyQuery]) -> Page[ApiKeyDetails]:
    """List your API keys. The newest is first."""
    keys, total = ApiKeyRepository().find(request.auth.id, query)
    return Page[ApiKeyDetails].of(keys, total, query)


@router.delete("/api-keys/{key_id}", response={HTTPStatus.NO_CONTENT: None}, openapi_extra=problem_responses(403, 404))
@transaction.atomic
def delete_api_key(request: Request, key_id: PathId) -> Status[None]:
    """Delete an API key. Requests with this key are refused from now on."""
    if not ApiKeyRepository().delete_own(request.auth.id, key_id):
        raise NotFound("You have no such API key.")
    return Status(HTTPStatus.NO_CONTENT, None)
