"""Pagination of lists.

Numbers out of range are clamped instead of refused, so that old links keep working.
"""

from typing import Protocol


class Window(Protocol):
    """The part of a list that a repository returns: at most `size` items, after the first `offset`."""

    @property
    def size(self) -> int: ...

    @property
    def offset(self) -> int: ...


class Paginator:
    """A page of a list, by number: `page` and `size`."""

    MAX_PAGE = 10_000_000
    """Limit that keeps `offset` within PostgreSQL's `bigint`."""

    MAX_SIZE = 100

    def __init__(self, page: int = 1, size: int = 20) -> None:
        self.page = self.clamp_page(page)
        self.size = self.clamp_size(size)
        self.offset = (self.page - 1) * self.size

    @classmethod
    def clamp_page(cls, page: int) -> int:
        return min(cls.MAX_PAGE, max(1, page))

    @classmethod
    def clamp_size(cls, size: int) -> int:
        return min(cls.MAX_SIZE, max(1, size))


class OffsetPaginator:
    """A part of a list: at most `limit` items, after the first `offset`."""

    def __init__(self, limit: int = 20, offset: int = 0) -> None:
        self.size = min(Paginator.MAX_SIZE, max(1, limit))
        self.offset = min(Paginator.MAX_PAGE * Paginator.MAX_SIZE, max(0, offset))
