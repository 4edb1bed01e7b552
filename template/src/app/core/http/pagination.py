"""Pagination of lists."""


class Paginator:
    """A page of a list. Numbers out of range are clamped instead of refused, so that old links keep working."""

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
