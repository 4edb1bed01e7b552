"""The OpenAPI document: FastAPI's, with the responses that all operations have."""

from collections.abc import Iterator
from typing import Any

from app.core.http.openapi.operations import (
    API_KEYS,
    complete,
    describe_token,
    error_schemas,
    name_operations,
    problem_response,
)
from app.core.problems import ErrorBody

OPTIONAL = "optionalToken"
"""The security scheme of a route that accepts a token, but does not require it."""

LOG_IN = "logIn"
"""The security scheme of a route that refuses API keys."""


def problem_responses(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """Return the `responses` of a route that answers these statuses with an error."""
    return {status: problem_response(status) for status in statuses}


def completed(document: dict[str, Any], kind: type[ErrorBody]) -> dict[str, Any]:
    """Add the responses that core gives for every route, with errors of this kind."""
    models = document.setdefault("components", {}).setdefault("schemas", {})
    models |= error_schemas(kind)
    for unused in ("HTTPValidationError", "ValidationError"):
        models.pop(unused, None)
    schemes = document["components"].setdefault("securitySchemes", {})
    for internal in (OPTIONAL, LOG_IN):
        schemes.pop(internal, None)
    schemes |= API_KEYS
    describe_token(document)
    name_operations(document["paths"])
    for path in document["paths"].values():
        for method, operation in path.items():
            if "security" in operation:
                operation["security"] = list(_public_names(operation["security"]))
            complete(operation, kind, method)
    return document


def _public_names(schemes: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """Yield the security schemes of an operation. Those of core get their public names."""
    if {OPTIONAL: []} in schemes:
        yield {}  # makes the others optional
    for scheme in schemes:
        if scheme in ({"token": []}, {OPTIONAL: []}):
            yield {"token": []}
            if {LOG_IN: []} not in schemes:
                yield from ({name: []} for name in API_KEYS)
        elif scheme != {LOG_IN: []}:
            yield scheme
