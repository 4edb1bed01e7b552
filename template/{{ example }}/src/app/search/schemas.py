"""What callers get of a search."""

from app.products import ProductResponse
from app.schemas import Page


class SearchPage(Page[ProductResponse]):
    """One page of what was found, with links to the pages beside it."""

    next: str | None
    previous: str | None
