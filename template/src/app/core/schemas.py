"""Base classes of schemas."""

from collections.abc import Iterable
from typing import Annotated, Any, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    GetCoreSchemaHandler,
    ValidationError,
    ValidatorFunctionWrapHandler,
    field_validator,
    model_validator,
)
from pydantic_core import CoreSchema, ErrorDetails, InitErrorDetails, PydanticCustomError
from pydantic_core.core_schema import no_info_wrap_validator_function

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


class DiscriminatedBy:
    """Makes a union of schemas a discriminated union: `Annotated[Card | Transfer, DiscriminatedBy("kind")]`.

    As Pydantic's `Field(discriminator=…)`, but the JSON pointer of an error does not contain the name of the variant.
    """

    def __init__(self, field: str) -> None:
        self.field = field

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        union = handler.generate_schema(Annotated[source, Field(discriminator=self.field)])
        return no_info_wrap_validator_function(self._validate, union)

    def _validate(self, value: Any, validate: ValidatorFunctionWrapHandler) -> Any:
        try:
            return validate(value)
        except ValidationError as error:
            found = error.errors(include_url=False)
        raise ValidationError.from_exception_data("union", [self._without_variant(one) for one in found])

    def _without_variant(self, error: ErrorDetails) -> InitErrorDetails:
        location, message = error["loc"][1:], error["msg"]
        match error:
            case {"type": "union_tag_invalid", "loc": (), "ctx": {"expected_tags": tags}}:
                location, message = (self.field,), f"Input should be one of {tags}"
            case {"type": "union_tag_not_found", "loc": ()}:
                location, message = (self.field,), "Field required"
        kind = PydanticCustomError(error["type"], "{message}", {"message": message})
        return InitErrorDetails(type=kind, loc=location, input=error["input"])


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

    page: Annotated[int, AfterValidator(Paginator.clamp_page), BeforeValidator(validate_plain)] = Field(
        default=1, description="number of the page, from 1"
    )
    size: Annotated[int, AfterValidator(Paginator.clamp_size), BeforeValidator(validate_plain)] = Field(
        default=20, description=f"items per page; more than {Paginator.MAX_SIZE} count as {Paginator.MAX_SIZE}"
    )
    sort: str = sort_by("id", default="id")

    @field_validator("sort", mode="wrap")
    @classmethod
    def _validate_sort(cls, value: Any, validate: ValidatorFunctionWrapHandler) -> Any:
        try:
            return validate(value)
        except ValidationError:
            raise ValueError(f"must be {cls.model_fields['sort'].description}") from None

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
