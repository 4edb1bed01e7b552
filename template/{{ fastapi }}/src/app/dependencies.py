"""What a route can ask for: who calls, the settings, a page."""

import asyncio
from typing import Annotated

from fastapi import Depends, Request
from fastapi.security import OAuth2PasswordBearer
from fastapi.security.base import SecurityBase
from structlog.contextvars import bind_contextvars

from app.config import Settings
from app.pagination import Paginator
from app.problems import Unauthorized
from app.security import ADMIN, Principal, TokenVerifier


class Authenticated(SecurityBase):
    """Whoever the request's token names. Unauthorized without a valid one."""

    def __init__(self) -> None:
        # Asked here and not as a dependency: those below it are solved anew wherever a route or another one names it.
        self.bearer = OAuth2PasswordBearer(tokenUrl="/auth/token", auto_error=False, scheme_name="token")
        self.model = self.bearer.model
        self.scheme_name = self.bearer.scheme_name

    async def __call__(self, request: Request) -> Principal:
        token = await self.bearer(request)
        if token is None:
            raise Unauthorized
        verifier: TokenVerifier = request.app.state.tokens
        if verifier.may_wait(token):
            principal = await asyncio.to_thread(verifier.verify, token)
        else:
            principal = verifier.verify(token)
        bind_contextvars(user=principal.subject)
        return principal


authenticated = Authenticated()
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
