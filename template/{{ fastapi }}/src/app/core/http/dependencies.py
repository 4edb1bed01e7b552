"""Dependencies for routes: the state of the application, pagination."""

from typing import Annotated

from fastapi import Depends
from fastapi.requests import HTTPConnection

from app.core.http.pagination import OffsetPaginator, Paginator
from app.core.http.state import State, state_of

USER_ID = "app.user_id"
"""Key in the scope of a request: the id of its user."""


# `async` although nothing is awaited: FastAPI calls a plain function in a thread.
async def get_state(request: HTTPConnection) -> State:
    return state_of(request.app)


CurrentState = Annotated[State, Depends(get_state)]
Pagination = Annotated[Paginator, Depends(Paginator)]
OffsetPagination = Annotated[OffsetPaginator, Depends(OffsetPaginator)]
