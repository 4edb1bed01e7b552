"""Conditional requests: the ETag of a resource, and If-Match against lost updates (RFC 9110, section 13)."""

import hashlib
import re
from collections.abc import Mapping
from typing import Protocol

from pydantic import BaseModel

from app.core.problems import PreconditionFailed

ENTITY_TAG = re.compile(r'(W/)?("[!\x23-\x7e\x80-\xff]*")')
"""An entity tag, with the marker of a weak tag (RFC 9110, section 8.8.3). A tag may contain commas."""


class Request(Protocol):
    @property
    def headers(self) -> Mapping[str, str]: ...


class Headers(Protocol):
    def __setitem__(self, name: str, value: str, /) -> None: ...


class Response(Protocol):
    @property
    def headers(self) -> Headers: ...


def etag(resource: BaseModel) -> str:
    """Return the strong entity tag of a response body: a hash of its JSON."""
    return f'"{hashlib.sha256(resource.model_dump_json().encode()).hexdigest()[:32]}"'


def tagged[Resource: BaseModel](response: Response, resource: Resource) -> Resource:
    """Set the ETag of the response, and return the resource unchanged."""
    response.headers["ETag"] = etag(resource)
    return resource


def require_match(request: Request, current: BaseModel | None) -> None:
    """Raise PreconditionFailed if the request has If-Match, and the current resource has none of its tags.

    None is a resource that does not exist yet, which has no tag. Lock the row before, as `get_for_update` does:
    otherwise two requests with the same tag could both succeed.
    """
    # A request may have several lines of one header, and `get` of a framework returns only the first.
    lines = [value for name, value in request.headers.items() if name.lower() == "if-match"]
    if lines and (current is None or not _matches(", ".join(lines), etag(current))):
        raise PreconditionFailed


def _matches(condition: str, current: str) -> bool:
    # If-Match compares strongly: a weak tag never matches (section 13.1.1).
    return condition.strip() == "*" or ("", current) in ENTITY_TAG.findall(condition)
