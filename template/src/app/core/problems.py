"""Errors and their responses: problem documents (RFC 9457), or the format that the project sets.

A response never contains a stack trace, SQL or a path of the server.
"""

from collections.abc import Container, Iterable, Mapping
from http import HTTPStatus
from itertools import islice
from types import MappingProxyType
from typing import Any, ClassVar, Self

from pydantic import BaseModel, Field, JsonValue
from pydantic_core import to_json, to_jsonable_python

MAX_ERRORS = 20
"""Errors in one response. The rest is counted: a small body may have thousands of errors."""


class ErrorBody(BaseModel):
    """Base class of the body of all error responses. A project replaces problem documents by a subclass of its own."""

    media_type: ClassVar[str] = "application/json"

    @classmethod
    def of(cls, problem: "Problem") -> "ErrorBody":
        """Return the body for `problem`. A subclass must define this method."""
        raise NotImplementedError(f"{cls.__name__} must define the class method `of`.")


class FieldError(BaseModel):
    """One error in a request."""

    pointer: str = Field(description="JSON pointer to the value, below `/body`, `/query`, `/path` or `/header`")
    message: str


def _optional(description: str) -> Any:
    """Return a field that the body leaves out if it is None."""
    return Field(default=None, exclude_if=lambda value: value is None, description=description)


class Problem(ErrorBody):
    """The body of every error response (RFC 9457)."""

    media_type: ClassVar[str] = "application/problem+json"

    type: str = Field(description="URI of the kind of problem; `about:blank` for a kind that only the status defines")
    title: str
    status: int
    detail: str
    instance: str = Field(description="path of the request")
    errors: list[FieldError] | None = _optional(f"the first {MAX_ERRORS} errors in the request")
    more_errors: int | None = _optional("number of errors that `errors` leaves out")
    error: str | None = _optional("code of an OAuth 2 endpoint (RFC 6749, section 5.2)")
    data: JsonValue = _optional("details for programs; the structure depends on the route")

    @classmethod
    def of(cls, problem: "Problem") -> "Problem":
        return problem


class ProblemError(Exception):
    """An error with a problem document as response. Services raise a subclass: one of those below, or their own."""

    status: int = HTTPStatus.INTERNAL_SERVER_ERROR
    type: str = "about:blank"
    detail: str = "The request could not be handled."
    headers: Mapping[str, str] = MappingProxyType({})
    errors: tuple[FieldError, ...] = ()
    more_errors: int = 0
    error: str | None = None
    data: JsonValue = None

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


class MethodNotAllowed(ProblemError):
    status = HTTPStatus.METHOD_NOT_ALLOWED
    detail = f"{HTTPStatus.METHOD_NOT_ALLOWED.description}."


class Conflict(ProblemError):
    status = HTTPStatus.CONFLICT
    detail = "The request does not fit the state of the resource."


class PreconditionFailed(ProblemError):
    status = HTTPStatus.PRECONDITION_FAILED
    detail = "The resource has changed since it was read: its ETag does not match If-Match. Read it again."


class ContentTooLarge(ProblemError):
    status = HTTPStatus.REQUEST_ENTITY_TOO_LARGE
    detail = "The body is larger than this service accepts."


class UnsupportedMediaType(ProblemError):
    status = HTTPStatus.UNSUPPORTED_MEDIA_TYPE
    detail = "The body is of a type that this path does not read."


class Unprocessable(ProblemError):
    """A request with invalid values, which `errors` lists."""

    status = HTTPStatus.UNPROCESSABLE_ENTITY
    detail = "The request is not valid."

    def __init__(
        self, *errors: FieldError, detail: str | None = None, headers: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(detail, headers=headers)
        self.errors = errors[:MAX_ERRORS]
        self.more_errors = len(errors) - len(self.errors)

    @classmethod
    def from_pydantic(cls, errors: Iterable[Mapping[str, Any]]) -> Self:
        """Make the error from the list of Pydantic's `errors()`, without the input, which may be a password."""
        rest = iter(errors)
        error = cls(*map(_field_error, islice(rest, MAX_ERRORS)))
        error.more_errors = sum(1 for _ in rest)
        return error


class TooManyRequests(ProblemError):
    status = HTTPStatus.TOO_MANY_REQUESTS
    detail = "Too many requests; try again later."


class Unavailable(ProblemError):
    status = HTTPStatus.SERVICE_UNAVAILABLE
    detail = "The service cannot answer now; try again."
    headers = MappingProxyType({"Retry-After": "1"})


class ServerError(ProblemError):
    detail = "Internal error. Quote the X-Request-ID of this response when you report it."


PROBLEMS: Mapping[int, type[ProblemError]] = MappingProxyType(
    {
        400: BadRequest,
        401: Unauthorized,
        403: Forbidden,
        404: NotFound,
        405: MethodNotAllowed,
        409: Conflict,
        412: PreconditionFailed,
        413: ContentTooLarge,
        415: UnsupportedMediaType,
        422: Unprocessable,
        429: TooManyRequests,
        500: ServerError,
        503: Unavailable,
    }
)
"""The problem for each status that a web framework raises. Problems of slices do not belong here."""


def problem_for(status: int, detail: Any = None, headers: Mapping[str, str] | None = None) -> ProblemError:
    """Return the problem for an error that the web framework raises.

    The sentence of this service replaces the default phrase of the status ("Not Found"). A detail that is not text
    becomes the member `data`: RFC 9457 allows only text as `detail`.
    """
    text = detail if isinstance(detail, str) and detail != _phrase(status) else None
    kind = PROBLEMS.get(status)
    error = kind(detail=text, headers=headers) if kind else ProblemError(text or _sentence(status), headers=headers)
    error.status = status
    if not isinstance(detail, str):
        error.data = to_jsonable_python(detail, fallback=str)
    return error


def require_values(data: Mapping[str, Any], names: Container[str]) -> None:
    """Raise Unprocessable with each field of `names` that is null in a body."""
    nulls = [name for name, value in data.items() if value is None and name in names]
    if nulls:
        raise Unprocessable(*(FieldError(pointer=f"/body/{name}", message="must not be null") for name in nulls))


def document(error: ProblemError, instance: str, kind: type[ErrorBody]) -> bytes:
    """Return the body of the response to `error`, for a request to the path `instance`."""
    problem = Problem(
        type=error.type,
        title=_phrase(error.status),
        status=error.status,
        detail=error.detail,
        instance=instance,
        errors=list(error.errors) or None,
        more_errors=error.more_errors or None,
        error=error.error,
        data=error.data,
    )
    return _rendered(problem, kind)


def _rendered(problem: Problem, kind: type[ErrorBody]) -> bytes:
    body = kind.of(problem)
    if problem.error is None:
        return body.model_dump_json(by_alias=True).encode()
    # OAuth clients need this member in every format (RFC 6749, section 5.2).
    return to_json(body.model_dump(mode="json", by_alias=True) | {"error": problem.error})


def _phrase(status: int) -> str:
    """Return the phrase of a status (RFC 9110, section 15), or the phrase of its class for an unknown status."""
    if status in HTTPStatus:
        return HTTPStatus(status).phrase
    return "Client Error" if status < HTTPStatus.INTERNAL_SERVER_ERROR else "Server Error"


def _sentence(status: int) -> str:
    described = HTTPStatus(status).description if status in HTTPStatus else ""
    return f"{described or _phrase(status)}."


def _field_error(error: Mapping[str, Any]) -> FieldError:
    # For invalid JSON, Pydantic adds an offset to the location. JSON pointers have no offsets.
    location = error["loc"][:1] if error["type"] == "json_invalid" else error["loc"]
    return FieldError(pointer=_pointer(location), message=error["msg"].removeprefix("Value error, "))


def _pointer(location: Iterable[str | int]) -> str:
    """Return a JSON pointer (RFC 6901)."""
    return "".join(f"/{str(part).replace('~', '~0').replace('/', '~1')}" for part in location)
