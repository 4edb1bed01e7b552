import pytest

from app.core.http.pagination import Paginator


@pytest.mark.parametrize(
    ("asked", "page", "size", "offset"),
    [
        ({}, 1, 20, 0),
        ({"page": 3, "size": 10}, 3, 10, 20),
        ({"page": 0, "size": 0}, 1, 1, 0),
        ({"page": -1, "size": -1}, 1, 1, 0),
        ({"size": 100}, 1, 100, 0),
        ({"page": 2, "size": 101}, 2, 100, 100),
    ],
)
def test_paginator_clamps_page_and_size(asked: dict[str, int], page: int, size: int, offset: int) -> None:
    paginator = Paginator(**asked)
    assert (paginator.page, paginator.size, paginator.offset) == (page, size, offset)


def test_largest_offset_fits_into_bigint() -> None:
    assert Paginator(page=10**30, size=10**30).offset < 2**63
