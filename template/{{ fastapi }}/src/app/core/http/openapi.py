"""The OpenAPI document: FastAPI's, with the common responses of all operations."""

from http import HTTPStatus
from typing import Any

from app.core.problems import MEDIA_TYPE, Problem

OPTIONAL = "optionalToken"
"""Security scheme of a route with an optional token."""

REFERENCE = "#/components/schemas/{model}"


def problem_responses(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """Return the `responses` of a route whose errors have these statuses."""
    schema = {"$ref": REFERENCE.format(model=Problem.__name__)}
    return {
        status: {"description": HTTPStatus(status).phrase, "content": {MEDIA_TYPE: {"schema": schema}}}
        for status in statuses
    }


def completed(document: dict[str, Any]) -> dict[str, Any]:
    """Add core's common responses to FastAPI's document."""
    models = document.setdefault("components", {}).setdefault("schemas", {})
    problem = Problem.model_json_schema(ref_template=REFERENCE)
    models |= problem.pop("$defs") | {Problem.__name__: problem}
    for unused in ("HTTPValidationError", "ValidationError"):
        models.pop(unused, None)
    document["components"].get("securitySchemes", {}).pop(OPTIONAL, None)
    for path in document["paths"].values():
        for operation in path.values():
            _complete(operation)
    return document


def _complete(operation: dict[str, Any]) -> None:
    if {OPTIONAL: []} in operation.get("security", ()):
        operation["security"] = [{}, {"token": []}]  # the empty requirement makes the token optional
    responses = operation["responses"]
    common = [400, 500]
    if "security" in operation:
        common += [401]
    if "requestBody" in operation:
        common += [413, 415, 422]
    elif responses.pop("422", None):
        common += [422]
    if operation.get("tags") != ["health"]:
        common += [503]
    for status, response in problem_responses(*common).items():
        responses[str(status)] = response
    operation["responses"] = dict(sorted(responses.items()))
