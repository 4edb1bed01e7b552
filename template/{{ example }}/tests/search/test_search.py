"""HTTP tests of `/api/v1/search`."""

import string
from typing import Any

import httpx2
import pytest

from app.core.testing import Headers, pointers
from app.products.words import prefix_query
from tests.products.helpers import make_product

NAMES = (
    "Steel Bottle, 1 l",
    "steel bottle opener",
    "Bottle (glass)",
    "100% Cotton T-Shirt",
    "1000 Pins",
    "snake_case \\ mug",
    "O'Neill's café ÉCLAIR",
)


FOUND: dict[str, set[int]] = {
    "bottle": {0, 1, 2},
    "BOTTLE": {0, 1, 2},
    "bot": {0, 1, 2},
    "bottle steel": {0, 1},
    "  bottle   op ": {1},
    "glass": {2},
    "(glass)": {2},
    "shirt": {3},
    "t-shirt": {3},
    "100": {3, 4},
    "100%": {3},
    "%": {3},
    "_": {5},
    "snake_case": {5},
    "snakeXcase": set(),
    "\\": {5},
    "'": {6},
    "o'neill's": {6},
    "Café éclair": {6},
    "ottle": set(),
    "bottle | cotton": set(),
    "!cotton": set(),
    "cotton:*": set(),
    "teapot": set(),
}


@pytest.mark.slow
async def test_search_matches_word_prefixes(async_client: httpx2.AsyncClient, admin: Headers) -> None:
    for name in NAMES:
        await make_product(async_client, admin, name=name)
    for q, numbers in FOUND.items():
        page = (await async_client.get("/api/v1/search", params={"q": q})).json()
        assert {product["name"] for product in page["items"]} == {NAMES[number] for number in numbers}, q
        assert page["total"] == len(numbers)


async def test_search_returns_the_product(async_client: httpx2.AsyncClient, admin: Headers) -> None:
    product_id = await make_product(async_client, admin)
    page = (await async_client.get("/api/v1/search", params={"q": "teapot"})).json()
    assert page == {
        "items": [{"id": product_id, "name": "Teapot", "price": "19.90", "stock": 5}],
        "page": 1,
        "size": 20,
        "total": 1,
        "next": None,
        "previous": None,
    }


@pytest.mark.slow
async def test_search_has_no_special_characters(async_client: httpx2.AsyncClient, admin: Headers) -> None:
    await make_product(async_client, admin, name=f"a{string.punctuation}b")
    for character in string.punctuation:
        response = await async_client.get("/api/v1/search", params={"q": f"{character} {character}x"})
        assert response.status_code == 200, character
    page = (await async_client.get("/api/v1/search", params={"q": f"a{string.punctuation}b"})).json()
    assert page["total"] == 1


@pytest.mark.slow
async def test_next_links_reach_all_pages(async_client: httpx2.AsyncClient, admin: Headers) -> None:
    for number in range(41):
        await make_product(async_client, admin, name=f"Bolt & Nut #{number:02}")
    page = (await async_client.get("/api/v1/search", params={"q": "bolt & nut"})).json()
    assert page["previous"] is None
    assert page["next"] == "/api/v1/search?q=bolt+%26+nut&page=2"
    names = [product["name"] for product in page["items"]]
    visited = 1
    while page["next"]:
        before, page = page, (await async_client.get(page["next"])).json()
        names += [product["name"] for product in page["items"]]
        visited += 1
        assert (await async_client.get(page["previous"])).json() == before
    assert visited == 3
    assert names == [f"Bolt & Nut #{number:02}" for number in range(41)]


@pytest.mark.slow
async def test_full_last_page_has_no_next(async_client: httpx2.AsyncClient, admin: Headers) -> None:
    for number in range(20):
        await make_product(async_client, admin, name=f"Bolt {number}")
    assert (await async_client.get("/api/v1/search", params={"q": "bolt"})).json()["next"] is None


@pytest.mark.parametrize(
    ("asked", "given", "previous"),
    [
        (0, 1, None),
        (-1, 1, None),
        (2, 2, "/api/v1/search?q=teapot&page=1"),
        (10**30, 10_000_000, "/api/v1/search?q=teapot&page=1"),
    ],
)
async def test_page_out_of_range_links_to_previous(
    async_client: httpx2.AsyncClient, admin: Headers, asked: int, given: int, previous: str | None
) -> None:
    await make_product(async_client, admin)
    page = (await async_client.get("/api/v1/search", params={"q": "teapot", "page": asked})).json()
    assert (page["page"], page["previous"], page["next"]) == (given, previous, None)


async def test_empty_result_has_no_links(async_client: httpx2.AsyncClient) -> None:
    page = (await async_client.get("/api/v1/search", params={"q": "teapot", "page": 3})).json()
    assert (page["items"], page["total"], page["next"], page["previous"]) == ([], 0, None, None)


@pytest.mark.parametrize(
    ("query", "pointer"),
    [
        ({}, "/query/q"),
        ({"q": ""}, "/query/q"),
        ({"q": " \t "}, "/query/q"),
        ({"q": "a\x00"}, "/query/q"),
        ({"q": "a\nb"}, "/query/q"),
        ({"q": "x" * 201}, "/query/q"),
        ({"q": "a", "page": "two"}, "/query/page"),
    ],
)
async def test_invalid_query_is_422(async_client: httpx2.AsyncClient, query: dict[str, Any], pointer: str) -> None:
    assert pointers(await async_client.get("/api/v1/search", params=query)) == {pointer}


async def test_longest_query_is_accepted(async_client: httpx2.AsyncClient) -> None:
    assert (await async_client.get("/api/v1/search", params={"q": "😀" * 200})).status_code == 200
    assert (await async_client.get("/api/v1/search", params={"q": "a " * 99})).status_code == 200


async def test_invalid_utf_8_is_accepted(async_client: httpx2.AsyncClient) -> None:
    assert (await async_client.get("/api/v1/search?q=%ff%ed%a0%80")).status_code == 200


def test_prefix_query_quotes_every_word() -> None:
    assert prefix_query("a 'b' \\c & d") == r"'a':* & '''b''':* & '\\c':* & '&':* & 'd':*"
