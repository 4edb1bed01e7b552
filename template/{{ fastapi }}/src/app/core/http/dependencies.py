"""Dependencies for routes: the state of the application, a page."""

from typing import Annotated

from fastapi import Depends
from fastapi.requests import HTTPConnection

from app.core.http.pagination import Paginator
from app.core.http.state import State, state_of


# A coroutine, although it waits for nothing: FastAPI would call a function in a thread.
async def get_state(request: HTTPConnection) -> State:
    """Return the state of the application that handles this request."""
    return state_of(request.app)


CurrentState = Annotated[State, Depends(get_state)]
Pagination = Annotated[Paginator, Depends(Paginator)]
