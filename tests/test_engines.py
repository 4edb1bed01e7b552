"""Both frameworks serve one contract: their OpenAPI documents are the same, but for the names of what is nobody's."""

import json
from collections.abc import Callable
from difflib import unified_diff
from typing import Any

import pytest
from conftest import Project

pytestmark = pytest.mark.deep

DOCUMENTS = {
    "fastapi": "from app.main import create_app; document = create_app().openapi()",
    "django": (
        "from app.wsgi import create_application; create_application();"
        " from app.urls import api; document = api.get_openapi_schema()"
    ),
}


def normalized(document: Any) -> Any:
    """Without what a framework says of a success, and with each number in one form."""
    match document:
        case {"responses": responses, **rest}:
            plain = {status: {**response, "description": ""} for status, response in responses.items()}
            return {"responses": normalized(plain), **{name: normalized(value) for name, value in rest.items()}}
        case dict():
            return {name: normalized(value) for name, value in document.items()}
        case list():
            return [normalized(value) for value in document]
        case float() if document.is_integer():
            return int(document)
    return document


@pytest.mark.parametrize("features", ["[example]", "[]"])
def test_the_documents_are_equal(installed: Callable[..., Project], features: str) -> None:
    written = {}
    for framework, make in DOCUMENTS.items():
        service = installed(framework=framework, features=features)
        script = f"{make}; import json; print('document', json.dumps(document))"
        printed = service.run_inside("python", "-c", script)
        [line] = [line for line in printed.splitlines() if line.startswith("document ")]
        document = json.loads(line.removeprefix("document "))
        written[framework] = json.dumps(normalized(document), indent=1, sort_keys=True).splitlines()
    difference = "\n".join(unified_diff(written["fastapi"], written["django"], "FastAPI", "Django", lineterm=""))
    assert not difference, difference
