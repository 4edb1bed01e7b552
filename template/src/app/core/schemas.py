"""Base classes of schemas."""

from collections.abc import Iterable
from typing import Annotated, Any, Self

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from app.core.http.pagination import OffsetPaginator, Paginator
from app.core.types import Day, validate_plain

UNCHANGED: Any = Field(default_factory=lambda: None)
"""The default of a field in a PATCH body: a missing field does not change, and `null` needs `| None` in the type.

    class NoteUpdate(BaseSchema):
        text: ShortText = UNCHANGED

Read the sent fields with `model_dump(exclude_unset=True)`.
"""


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


def sort_by(*names: str, default: str) -> Any:
    """Return the field `sort` of a ListQuery: names of fields, each after `-` for descending order, with commas."""
    name = f"-?({'|'.join(names)})"
    about = f"fields, separated by commas, each after `-` for descending order: {', '.join(names)}"
    return Field(default=default, pattern=f"^{name}(,{name})*$", max_length=200, description=about)


class ListQuery(BaseSchema):
    """Query parameters of a list: page, size and sort order. Unknown parameters are refused.

    A subclass adds filters, and the fields to sort by, which are attributes of the model:

        sort: str = sort_by("created_at", "id", default="-created_at")
    """

    page: Annotated[int, AfterValidator(Paginator.clamp_page), BeforeValidator(validate_plain)] = 1
    size: Annotated[int, AfterValidator(Paginator.clamp_size), BeforeValidator(validate_plain)] = 20
    sort: str = sort_by("id", default="id")

    @property
    def offset(self) -> int:
        return (self.page - 1) * self.size

    @property
    def order(self) -> dict[str, bool]:
        """The fields to sort by, and whether the order of each is descending."""
        order: dict[str, bool] = {}
        for name in self.sort.split(","):
            order.setdefault(name.removeprefix("-"), name.startswith("-"))
        return order


class Page[T](BaseSchema):
    """One page of a list, with the total number of items."""

    items: list[T]
    page: int
    size: int
    total: int

    @classmethod
    def of(cls, rows: Iterable[Any], total: int, paginator: Paginator | ListQuery, **more: Any) -> Self:
        """Return a page of rows from a repository. `more` has the fields that a subclass adds."""
        return cls(items=list(rows), total=total, page=paginator.page, size=paginator.size, **more)


class OffsetPage[T](BaseSchema):
    """A part of a list, with the total number of items."""

    items: list[T]
    limit: int
    offset: int
    total: int

    @classmethod
    def of(cls, rows: Iterable[Any], total: int, paginator: OffsetPaginator, **more: Any) -> Self:
        """Return a part of the rows of a repository. `more` has the fields that a subclass adds."""
        return cls(items=list(rows), total=total, limit=paginator.size, offset=paginator.offset, **more)


class DateRange(BaseSchema):
    """The days from `start_date` to `end_date`, both included. `end_date` must not be before `start_date`."""

    start_date: Day
    end_date: Day

    @model_validator(mode="after")
    def validate_dates(self) -> Self:
        if self.end_date < self.start_date:
            raise ValueError("end_date must not be before start_date")
        return self
