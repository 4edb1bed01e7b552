"""Idempotency keys, and what is stored with them."""

import hashlib
import json
from contextlib import suppress
from datetime import timedelta
from typing import Annotated

from pydantic import StringConstraints

from app.core.problems import Unprocessable

CALLER = "app.caller"
"""Key in the scope or WSGI environment of a request: the subject of its token."""

KEPT = timedelta(hours=24)
"""Time for which a response is stored. Later, the key is free again."""

MAX_EXPIRED = 10
"""Maximum number of expired responses that one request deletes."""

STORED_HEADERS = ("content-type", "etag", "location")

STREAMED = "The response of an idempotent route is stored, so it cannot be a stream or a file."

IdempotencyKey = Annotated[str, StringConstraints(pattern=r"^[!-~]([ -~]{0,253}[!-~])?$")]
"""The caller's name for a request, so that a retry is safe: 1 to 255 printable ASCII characters."""

KEY_DESCRIPTION = "new for each request, such as a UUID; a repeated request with the same key gets the stored response"


class IdempotencyKeyReused(Unprocessable):
    type = "urn:problem-type:idempotency-key-reused"
    detail = "This Idempotency-Key was already used for a different request."


def fingerprint(method: str, target: str, body: bytes) -> str:
    """Return a hash of a request, which does not depend on the formatting of JSON. `target` is the path and query."""
    with suppress(ValueError, RecursionError):  # another media type
        body = json.dumps(json.loads(body), sort_keys=True).encode()
    return hashlib.sha256(b"\0".join((method.encode(), target.encode(), body))).hexdigest()
