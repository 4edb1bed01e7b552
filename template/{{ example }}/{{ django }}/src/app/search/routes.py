"""Routes of `/search`."""

import math
from typing import Annotated

from django.urls import reverse
from ninja import Query, Router

from app.core import Paginator, Request, ShortText
from app.products import ProductRepository
from app.search.schemas import SearchPage

public = Router(tags=["search"])

Text = Annotated[
    ShortText, Query(..., description="words; each must be the prefix of a word of the product's name, ignoring case")
]


@public.get("/search", response=SearchPage)
def search(request: Request, q: Text, page: int = 1) -> SearchPage:
    """Search products. Each word of the query is the beginning of a word in the name. Sorted by name."""
    paginator = Paginator(page)
    products, total = ProductRepository().search(q, paginator)
    last = math.ceil(total / paginator.size)

    def link(number: int) -> str:
        return reverse("api:search", query={"q": q, "page": number})

    return SearchPage.of(
        products,
        total,
        paginator,
        next=link(paginator.page + 1) if paginator.page < last else None,
        previous=link(min(paginator.page - 1, last)) if last and paginator.page > 1 else None,
    )
