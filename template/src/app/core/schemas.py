"""What requests and responses are made of."""

from collections.abc import Iterable
from typing import Any, Self

from pydantic import BaseModel, ConfigDict, model_validator

from app.core.http.pagination import Paginator
from app.core.types import Day


class BaseSchema(BaseModel):
    """The base of every schema: reads ORM objects, strips blanks, refuses unknown fields."""

    model_config = ConfigDict(
        from_attributes=True,
        str_strip_whitespace=True,
        populate_by_name=True,
        extra="forbid",
    )


class QuerySchema(BaseSchema):
    """The base of a model of query parameters. It ignores unknown ones: other parameters may read them."""

    model_config = ConfigDict(extra="ignore")


class Page[T](BaseSchema):
    """One page of a longer list, with the length of the whole list."""

    items: list[T]
    page: int
    size: int
    total: int

    @classmethod
    def of(cls, rows: Iterable[Any], total: int, paginator: Paginator, **more: Any) -> Self:
        """Make a page of the rows of a repository; `more` are the fields that a subclass adds."""
        return cls(items=list(rows), total=total, page=paginator.page, size=paginator.size, **more)


class DateRange(BaseSchema):
    """Days from `start_date` to `end_date`, both included; ValueError if they are reversed."""

    start_date: Day
    end_date: Day

    @model_validator(mode="after")
    def validate_dates(self) -> Self:
        if self.end_date < self.start_date:
            raise ValueError("end_date must not be before start_date")
        return self
