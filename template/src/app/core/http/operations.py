"""Operations of the OpenAPI document."""

import re
from http import HTTPStatus
from typing import Any

from app.core.problems import MEDIA_TYPE, Problem

REFERENCE = "#/components/schemas/{model}"


def problem_response(status: int) -> dict[str, Any]:
    """Return the documentation of a response that is a problem document."""
    schema = {"$ref": REFERENCE.format(model=Problem.__name__)}
    return {"description": HTTPStatus(status).phrase, "content": {MEDIA_TYPE: {"schema": schema}}}


def problem_schemas() -> dict[str, Any]:
    """Return the schemas of a problem document, by name."""
    problem = Problem.model_json_schema(ref_template=REFERENCE)
    parts: dict[str, Any] = problem.pop("$defs")
    return parts | {Problem.__name__: problem}


def complete(operation: dict[str, Any]) -> None:
    """Add the responses of core, and take the summary from the docstring of the route."""
    _summarize(operation)
    statuses = [400, 500]
    if "security" in operation:
        statuses += [401]
    if "requestBody" in operation:
        statuses += [413, 415, 422]
    elif operation.get("parameters"):
        statuses += [422]
    if operation.get("tags") != ["health"]:
        statuses += [503]
    responses = {str(status): response for status, response in operation["responses"].items()}
    responses |= {str(status): problem_response(status) for status in statuses}
    operation["responses"] = dict(sorted(responses.items()))


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
