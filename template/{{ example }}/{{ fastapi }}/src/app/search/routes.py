"""Routes of `/search`."""

import math
from typing import Annotated

from fastapi import APIRouter, Query, Request

from app.core import Paginator, ReadOnly, ShortText, reverse
from app.products import ProductRepository
from app.search.schemas import SearchPage

public = APIRouter(tags=["search"])

Text = Annotated[
    ShortText, Query(description="words; each must be the prefix of a word of the product's name, ignoring case")
]


@public.get("/search")
async def search(q: Text, session: ReadOnly, request: Request, page: int = 1) -> SearchPage:
    """Search products. Each word of the query is the beginning of a word in the name. Sorted by name."""
    paginator = Paginator(page)
    products, total = await ProductRepository(session).search(q, paginator)
    last = math.ceil(total / paginator.size)

    def link(number: int) -> str:
        return reverse(request, "search", query={"q": q, "page": number})

    return SearchPage.of(
        products,
        total,
        paginator,
        next=link(paginator.page + 1) if paginator.page < last else None,
        previous=link(min(paginator.page - 1, last)) if last and paginator.page > 1 else None,
    )
