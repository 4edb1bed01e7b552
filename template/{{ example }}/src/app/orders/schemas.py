"""Schemas of orders."""

from datetime import date
from decimal import Decimal
from typing import Literal, Self

from pydantic import AwareDatetime, Field, computed_field, model_validator

from app.core import BaseSchema, BodyId, DateRange, Day, ListQuery, PositiveInt, sort_by

Status = Literal["placed", "paid", "cancelled"]


class LineCreate(BaseSchema):
    """A product and a quantity."""

    product_id: BodyId
    quantity: PositiveInt


class OrderCreate(BaseSchema):
    """Request to place an order. Each product may appear once."""

    lines: list[LineCreate] = Field(min_length=1, max_length=100, json_schema_extra={"uniqueItems": True})

    @model_validator(mode="after")
    def validate_lines(self) -> Self:
        if len({line.product_id for line in self.lines}) < len(self.lines):
            raise ValueError("a product must not appear twice")
        return self


class LineResponse(BaseSchema):
    """A line of an order, with the price at the time of the order."""

    product_id: int
    quantity: int
    unit_price: Decimal


class OrderResponse(BaseSchema):
    """An order, as seen by its user and by admins."""

    id: int
    user_id: int
    created_at: AwareDatetime
    paid_at: AwareDatetime | None
    cancelled_at: AwareDatetime | None
    lines: list[LineResponse]

    @computed_field  # type: ignore[prop-decorator]
    @property
    def total(self) -> Decimal:
        return sum((line.quantity * line.unit_price for line in self.lines), Decimal(0))

    @computed_field  # type: ignore[prop-decorator]
    @property
    def status(self) -> Status:
        return "cancelled" if self.cancelled_at else "paid" if self.paid_at else "placed"


class OrderPeriod(DateRange):
    """A period of days in UTC, by default all days."""

    start_date: Day = Field(default=date.min, description="first day in UTC")
    end_date: Day = Field(default=date.max, description="last day in UTC, included")


class OrderQuery(ListQuery, OrderPeriod):
    """Filters and sort order of a list of orders."""

    sort: str = sort_by("created_at", "paid_at", "id", default="-created_at")
    status: Status | None = None


class SummaryQuery(ListQuery, OrderPeriod):
    """Days of a summary, and sort order."""

    sort: str = sort_by("day", "product_id", "orders", "quantity", "revenue", default="-day")


class SummaryLine(BaseSchema):
    """The orders of a product on a day in UTC, without cancelled orders."""

    day: date
    product_id: int
    name: str
    orders: int
    quantity: int
    revenue: Decimal
