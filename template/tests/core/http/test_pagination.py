import pytest
from pydantic import ValidationError

from app.core.http.pagination import OffsetPaginator, Paginator
from app.core.schemas import ListQuery, OffsetPage, sort_by


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
    assert OffsetPaginator(offset=10**30).offset < 2**63


@pytest.mark.parametrize(
    ("asked", "limit", "offset"),
    [
        ({}, 20, 0),
        ({"limit": 5, "offset": 7}, 5, 7),
        ({"limit": 0, "offset": -1}, 1, 0),
        ({"limit": 101, "offset": 3}, 100, 3),
    ],
)
def test_limit_and_offset_are_clamped(asked: dict[str, int], limit: int, offset: int) -> None:
    paginator = OffsetPaginator(**asked)
    assert (paginator.size, paginator.offset) == (limit, offset)
    page = OffsetPage[int].of([1, 2], 9, paginator)
    assert (page.items, page.limit, page.offset, page.total) == ([1, 2], limit, offset, 9)


class NoteQuery(ListQuery):
    sort: str = sort_by("created_at", "id", default="-created_at")
    q: str | None = None


def test_list_query_has_page_and_order() -> None:
    query = NoteQuery.model_validate({"page": "3", "size": "1000", "sort": "-id,created_at,id"})
    assert (query.page, query.size, query.offset) == (3, 100, 200)
    assert list(query.order.items()) == [("id", True), ("created_at", False)]
    assert NoteQuery().order == {"created_at": True}


@pytest.mark.parametrize(
    ("given", "field"),
    [
        ({"sort": "text"}, "sort"),
        ({"sort": "id,"}, "sort"),
        ({"sort": "--id"}, "sort"),
        ({"sort": ""}, "sort"),
        ({"sort": "ID"}, "sort"),
        ({"sort": "id" + ",id" * 100}, "sort"),
        ({"page": "1_0"}, "page"),
        ({"size": "\u0661"}, "size"),
        ({"qq": "a"}, "qq"),
    ],
)
def test_unknown_sort_or_filter_is_refused(given: dict[str, str], field: str) -> None:
    with pytest.raises(ValidationError) as refused:
        NoteQuery.model_validate(given)
    assert [error["loc"] for error in refused.value.errors()] == [(field,)]
