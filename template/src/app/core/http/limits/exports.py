"""Limits for exports: a stream holds a database connection until its client has read it."""

from collections.abc import Iterator
from contextlib import contextmanager
from threading import BoundedSemaphore

from app.core.problems import Unavailable

MAX_CONCURRENT_EXPORTS = 2

EXPORT_SECONDS = 600.0
"""Time limit for a whole export. Afterwards the connection is closed, so that the client notices the missing rest."""

_places = BoundedSemaphore(MAX_CONCURRENT_EXPORTS)


class TooManyExports(Unavailable):
    detail = "Too many exports at the moment; try again later."

    def __init__(self) -> None:
        super().__init__(headers={"Retry-After": "30"})


class ExportTimeout(Unavailable):
    detail = "The export took too long."


@contextmanager
def export_place() -> Iterator[None]:
    """Occupy a place for an export. Raise TooManyExports if all places are taken."""
    if not _places.acquire(blocking=False):
        raise TooManyExports
    try:
        yield
    finally:
        _places.release()
