"""Pagination of lists."""


class Paginator:
    """A page of a list. Numbers out of range are clamped instead of refused, so that old links keep working."""

    MAX_PAGE = 10_000_000
    """Limit that keeps `offset` within PostgreSQL's `bigint`."""

    MAX_SIZE = 100

    def __init__(self, page: int = 1, size: int = 20) -> None:
        self.page = min(self.MAX_PAGE, max(1, page))
        self.size = min(self.MAX_SIZE, max(1, size))
        self.offset = (self.page - 1) * self.size
