from typing import Any

import pytest
from fastapi import FastAPI, Request
from starlette.routing import NoMatchFound

from app.core.http.routing import reverse


@pytest.fixture
def request_of(application: FastAPI) -> Request:
    return Request({"type": "http", "app": application})


@pytest.mark.parametrize(
    ("options", "url"),
    [
        ({}, "/api/v1/users/7"),
        ({"query": {"q": "python", "page": 1}, "fragment": "results"}, "/api/v1/users/7?q=python&page=1#results"),
        ({"query": {"q": "a&b=c d/é%#?"}}, "/api/v1/users/7?q=a%26b%3Dc+d%2F%C3%A9%25%23%3F"),
        ({"query": {}, "fragment": "a b#c"}, "/api/v1/users/7#a%20b%23c"),
    ],
)
def test_reverse_with_query_and_fragment(request_of: Request, options: dict[str, Any], url: str) -> None:
    assert reverse(request_of, "get_user", user_id=7, **options) == url


def test_reverse_of_unknown_route_raises(request_of: Request) -> None:
    with pytest.raises(NoMatchFound):
        reverse(request_of, "nothing")
