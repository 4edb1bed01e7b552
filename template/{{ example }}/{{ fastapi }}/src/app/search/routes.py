"""`/search` over HTTP."""

import math
from typing import Annotated

from fastapi import APIRouter, Query, Request

from app.db import ReadingDb
from app.pagination import Paginator
from app.products import ProductResponse, ProductService
from app.search.schemas import SearchPage
from app.types import Line
from app.urls import reverse

public = APIRouter(tags=["search"])

Text = Annotated[Line, Query(description="each word must begin a word of the product's name, whatever its case")]


@public.get("/search")
async def search(q: Text, db: ReadingDb, request: Request, page: int = 1) -> SearchPage:
    """Products by text, by name."""
    paginator = Paginator(page)
    products, total = await ProductService(db).search(q, paginator)
    last = math.ceil(total / paginator.size)

    def link(number: int) -> str:
        return reverse(request, "search", query={"q": q, "page": number})

    return SearchPage(
        items=[ProductResponse.model_validate(product) for product in products],
        page=paginator.page,
        size=paginator.size,
        total=total,
        next=link(paginator.page + 1) if paginator.page < last else None,
        previous=link(min(paginator.page - 1, last)) if last and paginator.page > 1 else None,
    )
