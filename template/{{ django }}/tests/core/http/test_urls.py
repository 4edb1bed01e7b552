from typing import Any

import pytest
from django.urls import NoReverseMatch, reverse


@pytest.mark.parametrize(
    ("options", "url"),
    [
        ({}, "/api/v1/users/7"),
        ({"query": {"q": "django", "page": 1}, "fragment": "results"}, "/api/v1/users/7?q=django&page=1#results"),
        ({"query": {"q": "a&b=c d/é%#?"}}, "/api/v1/users/7?q=a%26b%3Dc+d%2F%C3%A9%25%23%3F"),
        ({"query": {}, "fragment": "results"}, "/api/v1/users/7#results"),
    ],
)
def test_reverse_with_query_and_fragment(options: dict[str, Any], url: str) -> None:
    assert reverse("api:get_user", kwargs={"user_id": 7}, **options) == url


def test_reverse_of_unknown_route_raises() -> None:
    with pytest.raises(NoReverseMatch):
        reverse("api:nothing")
