"""Schemas of search."""

from app.core import Page
from app.products import ProductResponse


class SearchPage(Page[ProductResponse]):
    """One page of results, with links to the next and the previous page."""

    next: str | None
    previous: str | None
