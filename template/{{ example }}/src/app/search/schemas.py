"""What callers get of a search."""

from app.core import Page
from app.products import ProductResponse


class SearchPage(Page[ProductResponse]):
    """One page of what was found, with links to the pages beside it."""

    next: str | None
    previous: str | None
