"""Both frameworks serve one contract: their OpenAPI documents are equal, except for internal names."""

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
        "from app.core.http.application import create_application; create_application();"
        " from app.core.http.api import api; document = api.get_openapi_schema()"
    ),
}


def normalized(document: Any) -> Any:
    """Remove the framework's texts for success, and write each number in one form."""
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
def test_openapi_documents_are_equal(installed: Callable[..., Project], features: str) -> None:
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
