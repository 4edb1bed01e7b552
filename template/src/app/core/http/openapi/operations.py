"""Operations of the OpenAPI document."""

import re
from collections import Counter
from http import HTTPStatus
from typing import Any

from app.core.config import Settings
from app.core.http.headers import MERGE_PATCH
from app.core.problems import ErrorBody, Problem

IF_MATCH = {
    "name": "If-Match",
    "in": "header",
    "required": False,
    "schema": {"type": "string"},
    "example": "*",
    "description": "ETags of the state that the caller has read; 412 if the resource has changed since then",
}

API_KEYS = {
    "key": {"type": "http", "scheme": "bearer", "description": "An API key of `POST /api-keys`."},
}
"""The security scheme of routes that accept API keys."""

REFERENCE = "#/components/schemas/{model}"


def problem_response(status: int) -> dict[str, Any]:
    """Return the documentation of an error response."""
    return {"description": HTTPStatus(status).phrase, "content": _content(Problem)}


def error_schemas(kind: type[ErrorBody]) -> dict[str, Any]:
    """Return the schemas of the body of error responses, by name."""
    schema = kind.model_json_schema(mode="serialization", ref_template=REFERENCE)
    parts: dict[str, Any] = schema.pop("$defs", {})
    return parts | {kind.__name__: schema}


def describe_token(document: dict[str, Any]) -> None:
    """Describe the header of a token if TOKEN_SCHEME is set: the flows of OAuth 2 send `Bearer`."""
    scheme = Settings.current().token_scheme
    if scheme.lower() != "bearer":
        document["components"]["securitySchemes"]["token"] = {
            "type": "apiKey",
            "in": "header",
            "name": "Authorization",
            "description": f"`{scheme} ` and an access token",
        }


def name_operations(paths: dict[str, dict[str, Any]]) -> None:
    """Name each operation after its function, which generated clients use. Method and path follow an ambiguous name.

    Expects ids that begin with the name of the function and a space. Other ids are the project's own, and stay.
    """
    operations = [(path, method, operation) for path, found in paths.items() for method, operation in found.items()]
    names = Counter(operation["operationId"].partition(" ")[0] for _, _, operation in operations)
    for path, method, operation in operations:
        name, derived, _ = operation["operationId"].partition(" ")
        if derived:
            long = re.sub(r"\W+", "_", f"{name}_{method}{path}").strip("_")
            operation["operationId"] = name if names[name] == 1 else long


def complete(operation: dict[str, Any], kind: type[ErrorBody], method: str = "get") -> None:
    """Add the responses of core, with errors of this kind. Take the summary from the docstring of the route.

    A PATCH body is a merge patch. A route that answers 412 reads If-Match. A route that documents 400 answers it for
    invalid values, instead of 422.
    """
    _summarize(operation)
    if method == "patch" and (content := operation.get("requestBody", {}).get("content", {})):
        content |= dict.fromkeys(MERGE_PATCH, content[MERGE_PATCH[0]])
    if {"412", 412} & operation["responses"].keys():
        operation["parameters"] = [*operation.get("parameters", ()), IF_MATCH]
    if {"400", 400} & operation["responses"].keys():
        invalid = 400
        operation["responses"].pop("422", None)
    else:
        invalid = 422
    statuses = [400, 500]
    if "security" in operation:
        statuses += [401]
    if "requestBody" in operation:
        statuses += [413, 415, invalid]
    elif operation.get("parameters"):
        statuses += [invalid]
    if operation.get("tags") != ["health"]:
        statuses += [503]
    responses = {str(status): response for status, response in operation["responses"].items()}
    responses |= {str(status): problem_response(status) for status in statuses}
    # Replace the Problem of `problem_responses`: a slice is imported before the application, which sets the kind.
    documented = _content(Problem)
    operation["responses"] = {
        status: response | {"content": _content(kind)} if response.get("content") == documented else response
        for status, response in sorted(responses.items())
    }


def _content(kind: type[ErrorBody]) -> dict[str, Any]:
    return {kind.media_type: {"schema": {"$ref": REFERENCE.format(model=kind.__name__)}}}


def _summarize(operation: dict[str, Any]) -> None:
    """Make the first sentence of the docstring the summary, unless the route sets a summary of its own."""
    is_derived = operation.get("summary") == operation["operationId"].replace("_", " ").title()
    sentence = re.match(r"(.+?)\.(?:\s+|$)", operation.get("description", ""), re.DOTALL)
    if not is_derived or not sentence:
        return
    operation["summary"] = " ".join(sentence[1].split())
    operation["description"] = operation["description"][sentence.end() :]
    if not operation["description"]:
        del operation["description"]
