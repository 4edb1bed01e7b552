"""The OpenAPI document: FastAPI's, with the responses that all operations have."""

from typing import Any

from app.core.http.openapi.operations import complete, describe_token, error_schemas, name_operations, problem_response
from app.core.problems import ErrorBody

OPTIONAL = "optionalToken"
"""The security scheme of a route that accepts a token, but does not require it."""


def problem_responses(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """Return the `responses` of a route that answers these statuses with an error."""
    return {status: problem_response(status) for status in statuses}


def completed(document: dict[str, Any], kind: type[ErrorBody]) -> dict[str, Any]:
    """Add the responses that core gives for every route, with errors of this kind."""
    models = document.setdefault("components", {}).setdefault("schemas", {})
    models |= error_schemas(kind)
    for unused in ("HTTPValidationError", "ValidationError"):
        models.pop(unused, None)
    document["components"].get("securitySchemes", {}).pop(OPTIONAL, None)
    describe_token(document)
    name_operations(document["paths"])
    for path in document["paths"].values():
        for method, operation in path.items():
            if {OPTIONAL: []} in operation.get("security", ()):
                # An empty requirement makes the other one optional.
                operation["security"] = [{}, {"token": []}]
            complete(operation, kind, method)
    return document
