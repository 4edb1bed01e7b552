"""Which slice of a list a request asks for."""


class Paginator:
    """A page of a list. Values out of range are clamped, never an error: a link stays a link."""

    MAX_PAGE = 10_000_000
    """Keeps `offset` within PostgreSQL's `bigint` whatever a caller asks for."""

    MAX_SIZE = 100

    def __init__(self, page: int = 1, size: int = 20) -> None:
        self.page = min(self.MAX_PAGE, max(1, page))
        self.size = min(self.MAX_SIZE, max(1, size))
        self.offset = (self.page - 1) * self.size
