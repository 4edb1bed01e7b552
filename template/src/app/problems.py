"""Errors as callers see them: problem documents after RFC 9457, never a stack trace, SQL or a path of the server."""

from collections.abc import Iterable, Mapping
from http import HTTPStatus
from types import MappingProxyType
from typing import Any, Self

from pydantic import BaseModel, Field

MEDIA_TYPE = "application/problem+json"


class FieldError(BaseModel):
    """One thing that is wrong with a request."""

    pointer: str = Field(description="JSON pointer to the value, below `/body`, `/query`, `/path` or `/header`")
    message: str


class Problem(BaseModel):
    """What every error answers (RFC 9457)."""

    type: str = Field(description="names the kind of problem; `about:blank` when the status says it all")
    title: str
    status: int
    detail: str
    instance: str = Field(description="path of the request")
    errors: list[FieldError] | None = Field(default=None, description="with 422: each thing that is wrong")


class ProblemError(Exception):
    """An error with an answer of its own. Services raise one of the kinds below, or a subclass of it."""

    status: HTTPStatus = HTTPStatus.INTERNAL_SERVER_ERROR
    type: str = "about:blank"
    detail: str = "The request could not be handled."
    headers: Mapping[str, str] = MappingProxyType({})
    errors: tuple[FieldError, ...] = ()

    def __init__(self, detail: str | None = None, *, headers: Mapping[str, str] | None = None) -> None:
        self.detail = detail or self.detail
        self.headers = headers or self.headers
        super().__init__(self.detail)


class BadRequest(ProblemError):
    status = HTTPStatus.BAD_REQUEST
    detail = "The request could not be understood."


class Unauthorized(ProblemError):
    status = HTTPStatus.UNAUTHORIZED
    detail = "A valid token is required."
    headers = MappingProxyType({"WWW-Authenticate": "Bearer"})


class Forbidden(ProblemError):
    status = HTTPStatus.FORBIDDEN
    detail = "The token does not allow this."


class NotFound(ProblemError):
    status = HTTPStatus.NOT_FOUND
    detail = "There is nothing here."


class Conflict(ProblemError):
    status = HTTPStatus.CONFLICT
    detail = "The request does not fit the state of the resource."


class ContentTooLarge(ProblemError):
    status = HTTPStatus.REQUEST_ENTITY_TOO_LARGE
    detail = "The body is larger than this service accepts."


class UnsupportedMediaType(ProblemError):
    status = HTTPStatus.UNSUPPORTED_MEDIA_TYPE
    detail = "The body is of a type that this path does not read."


class Unprocessable(ProblemError):
    """A request that cannot be used; `errors` says where."""

    status = HTTPStatus.UNPROCESSABLE_ENTITY
    detail = "The request is not valid."

    def __init__(self, *errors: FieldError) -> None:
        super().__init__()
        self.errors = errors

    @classmethod
    def from_pydantic(cls, errors: Iterable[Mapping[str, Any]]) -> Self:
        """From what Pydantic's `errors()` lists, leaving out the input: it may be a password."""
        return cls(*map(_field_error, errors))


class TooManyRequests(ProblemError):
    status = HTTPStatus.TOO_MANY_REQUESTS
    detail = "Too many requests; try again later."


class Unavailable(ProblemError):
    status = HTTPStatus.SERVICE_UNAVAILABLE
    detail = "The service cannot answer now; try again."
    headers = MappingProxyType({"Retry-After": "1"})


class ServerError(ProblemError):
    detail = "The service failed; the request's id leads to what happened."


def document(error: ProblemError, instance: str) -> dict[str, Any]:
    """The problem document of `error`, as it stands in the response to a request for the path `instance`."""
    return Problem(
        type=error.type,
        title=HTTPStatus(error.status).phrase,
        status=error.status,
        detail=error.detail,
        instance=instance,
        errors=list(error.errors) or None,
    ).model_dump(exclude_none=True)


def _field_error(error: Mapping[str, Any]) -> FieldError:
    # Where JSON cannot be read at all, Pydantic gives an offset, which is no part of a JSON pointer.
    location = error["loc"][:1] if error["type"] == "json_invalid" else error["loc"]
    return FieldError(pointer=_pointer(location), message=error["msg"].removeprefix("Value error, "))


def _pointer(location: Iterable[str | int]) -> str:
    """A JSON pointer (RFC 6901)."""
    return "".join(f"/{str(part).replace('~', '~0').replace('/', '~1')}" for part in location)
