"""HTTP tests of the list `/api/v1/products`: text search, filters, sort order, links."""

import string
from typing import Any

import httpx2
import pytest

from app.core.testing import Headers, assert_problem, pointers
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
        page = (await async_client.get("/api/v1/products", params={"q": q})).json()
        assert {product["name"] for product in page["items"]} == {NAMES[number] for number in numbers}, q
        assert page["total"] == len(numbers)


async def test_search_returns_the_product(async_client: httpx2.AsyncClient, admin: Headers) -> None:
    product_id = await make_product(async_client, admin)
    page = (await async_client.get("/api/v1/products", params={"q": "teapot"})).json()
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
        response = await async_client.get("/api/v1/products", params={"q": f"{character} {character}x"})
        assert response.status_code == 200, character
    page = (await async_client.get("/api/v1/products", params={"q": f"a{string.punctuation}b"})).json()
    assert page["total"] == 1


@pytest.mark.slow
async def test_next_links_reach_all_pages(async_client: httpx2.AsyncClient, admin: Headers) -> None:
    for number in range(41):
        await make_product(async_client, admin, name=f"Bolt & Nut #{number:02}")
    page = (await async_client.get("/api/v1/products", params={"q": "bolt & nut"})).json()
    assert page["previous"] is None
    assert page["next"] == "/api/v1/products?q=bolt+%26+nut&page=2"
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
    assert (await async_client.get("/api/v1/products", params={"q": "bolt"})).json()["next"] is None


@pytest.mark.parametrize(
    ("asked", "given", "previous"),
    [
        (0, 1, None),
        (-1, 1, None),
        (2, 2, "/api/v1/products?q=teapot&page=1"),
        (10**30, 10_000_000, "/api/v1/products?q=teapot&page=1"),
    ],
)
async def test_page_out_of_range_links_to_previous(
    async_client: httpx2.AsyncClient, admin: Headers, asked: int, given: int, previous: str | None
) -> None:
    await make_product(async_client, admin)
    page = (await async_client.get("/api/v1/products", params={"q": "teapot", "page": asked})).json()
    assert (page["page"], page["previous"], page["next"]) == (given, previous, None)


async def test_empty_result_has_no_links(async_client: httpx2.AsyncClient) -> None:
    page = (await async_client.get("/api/v1/products", params={"q": "teapot", "page": 3})).json()
    assert (page["items"], page["total"], page["next"], page["previous"]) == ([], 0, None, None)


@pytest.mark.parametrize(
    ("query", "pointer"),
    [
        ({"q": ""}, "/query/q"),
        ({"q": " \t "}, "/query/q"),
        ({"q": "a\x00"}, "/query/q"),
        ({"q": "a\nb"}, "/query/q"),
        ({"q": "x" * 201}, "/query/q"),
        ({"page": "two"}, "/query/page"),
        ({"page": "1_0"}, "/query/page"),
        ({"sort": "words"}, "/query/sort"),
        ({"sort": "-"}, "/query/sort"),
        ({"min_price": "0"}, "/query/min_price"),
        ({"max_price": "\u0661"}, "/query/max_price"),
        ({"min_price": "2", "max_price": "1"}, "/query"),
        ({"in_stock": "maybe"}, "/query/in_stock"),
        ({"in_stock": "yes"}, "/query/in_stock"),
        ({"color": "red"}, "/query/color"),
    ],
)
async def test_invalid_query_is_422(async_client: httpx2.AsyncClient, query: dict[str, Any], pointer: str) -> None:
    assert pointers(await async_client.get("/api/v1/products", params=query)) == {pointer}


async def test_longest_query_is_accepted(async_client: httpx2.AsyncClient) -> None:
    assert (await async_client.get("/api/v1/products", params={"q": "😀" * 200})).status_code == 200
    assert (await async_client.get("/api/v1/products", params={"q": "a " * 99})).status_code == 200


async def test_invalid_utf_8_is_accepted(async_client: httpx2.AsyncClient) -> None:
    assert (await async_client.get("/api/v1/products?q=%ff%ed%a0%80")).status_code == 200


def test_prefix_query_quotes_every_word() -> None:
    assert prefix_query("a 'b' \\c & d") == r"'a':* & '''b''':* & '\\c':* & '&':* & 'd':*"


async def test_filters_combine(async_client: httpx2.AsyncClient, admin: Headers) -> None:
    for name, price in (("Cup", "1"), ("Mug", "2"), ("Pot", "3")):
        await make_product(async_client, admin, name=name, price=price)
    sold = await make_product(async_client, admin, name="Pan", price="2.50")
    await async_client.patch(f"/api/v1/products/{sold}", json={"stock": 0}, headers=admin)
    found: list[tuple[dict[str, Any], list[str]]] = [
        ({}, ["Cup", "Mug", "Pan", "Pot"]),
        ({"min_price": "2"}, ["Mug", "Pan", "Pot"]),
        ({"max_price": "2"}, ["Cup", "Mug"]),
        ({"min_price": "2", "max_price": "2.00"}, ["Mug"]),
        ({"in_stock": "true"}, ["Cup", "Mug", "Pot"]),
        ({"in_stock": "false"}, ["Pan"]),
        ({"q": "p", "in_stock": "true", "min_price": "2"}, ["Pot"]),
        ({"sort": "-price"}, ["Pot", "Pan", "Mug", "Cup"]),
        ({"sort": "stock,-name"}, ["Pan", "Pot", "Mug", "Cup"]),
    ]
    for query, names in found:
        page = (await async_client.get("/api/v1/products", params=query)).json()
        assert ([product["name"] for product in page["items"]], page["total"]) == (names, len(names)), query


@pytest.mark.parametrize("sort", ["price", "-price"])
async def test_equal_products_are_on_one_page(async_client: httpx2.AsyncClient, admin: Headers, sort: str) -> None:
    made = [await make_product(async_client, admin) for _ in range(5)]
    found: list[int] = []
    for page in range(1, 4):
        query: dict[str, Any] = {"size": 2, "page": page, "sort": sort}
        found += [item["id"] for item in (await async_client.get("/api/v1/products", params=query)).json()["items"]]
    assert found == (made[::-1] if sort.startswith("-") else made)


async def test_links_keep_the_query(async_client: httpx2.AsyncClient, admin: Headers) -> None:
    for _ in range(3):
        await make_product(async_client, admin)
    query: dict[str, Any] = {"min_price": "1.50", "in_stock": "true", "sort": "-price", "size": 1, "page": 2}
    page = (await async_client.get("/api/v1/products", params=query)).json()
    kept = "/api/v1/products?min_price=1.50&in_stock=true&sort=-price&size=1&page="
    assert (page["previous"], page["next"]) == (f"{kept}1", f"{kept}3")


async def test_unknown_sort_field_is_explained(async_client: httpx2.AsyncClient) -> None:
    [error] = assert_problem(await async_client.get("/api/v1/products?sort=colour"), 422)["errors"]
    assert error["pointer"] == "/query/sort"
    assert error["message"].endswith("for descending order: name, price, stock, id")
