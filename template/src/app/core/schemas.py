"""Base classes of schemas."""

from collections.abc import Iterable
from typing import Any, Self

from pydantic import BaseModel, ConfigDict, model_validator

from app.core.http.pagination import Paginator
from app.core.types import Day


class BaseSchema(BaseModel):
    """Base class of all schemas: reads ORM objects, strips white space, refuses unknown fields."""

    model_config = ConfigDict(
        from_attributes=True,
        str_strip_whitespace=True,
        populate_by_name=True,
        extra="forbid",
    )


class QuerySchema(BaseSchema):
    """Base class of query parameters. Unknown parameters are ignored, because other code of the route may read them."""

    model_config = ConfigDict(extra="ignore")


class Page[T](BaseSchema):
    """One page of a list, with the total number of items."""

    items: list[T]
    page: int
    size: int
    total: int

    @classmethod
    def of(cls, rows: Iterable[Any], total: int, paginator: Paginator, **more: Any) -> Self:
        """Return a page of rows from a repository. `more` has the fields that a subclass adds."""
        return cls(items=list(rows), total=total, page=paginator.page, size=paginator.size, **more)


class DateRange(BaseSchema):
    """The days from `start_date` to `end_date`, both included. `end_date` must not be before `start_date`."""

    start_date: Day
    end_date: Day

    @model_validator(mode="after")
    def validate_dates(self) -> Self:
        if self.end_date < self.start_date:
            raise ValueError("end_date must not be before start_date")
        return self
