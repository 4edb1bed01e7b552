"""What a route can ask for: who calls, the settings, a page."""

import asyncio
from typing import Annotated

from fastapi import Depends, Request, Security
from fastapi.security import OAuth2PasswordBearer
from structlog.contextvars import bind_contextvars

from app.config import Settings
from app.pagination import Paginator
from app.problems import Unauthorized
from app.security import ADMIN, Principal, TokenVerifier

bearer = OAuth2PasswordBearer(tokenUrl="/auth/token", auto_error=False, scheme_name="token")


async def authenticated(request: Request, token: Annotated[str | None, Security(bearer)]) -> Principal:
    """Whoever the request's token names. Unauthorized without a valid one."""
    if token is None:
        raise Unauthorized
    verifier: TokenVerifier = request.app.state.tokens
    principal = await asyncio.to_thread(verifier.verify, token) if verifier.blocking else verifier.verify(token)
    bind_contextvars(user=principal.subject)
    return principal


CurrentPrincipal = Annotated[Principal, Depends(authenticated)]


async def administrator(principal: CurrentPrincipal) -> Principal:
    """Whoever the token names. Forbidden unless it is an administrator."""
    principal.require(ADMIN)
    return principal


# Like every dependency here a coroutine, although it waits for nothing: FastAPI would call a function in a thread.
async def get_settings(request: Request) -> Settings:
    """The settings that the application was made with."""
    settings: Settings = request.app.state.settings
    return settings


Administrator = Annotated[Principal, Depends(administrator)]
CurrentSettings = Annotated[Settings, Depends(get_settings)]
Pagination = Annotated[Paginator, Depends(Paginator)]
