"""An invalid declaration of a pipeline raises an error when the slice loads."""

from dataclasses import replace
from typing import Any

import polars as pl
import pytest

import app.core.pipeline
from tests.core.pipeline.trips import RATINGS, TRIPS, pipeline


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"name": "the trips"}, "'the trips' is not a valid Python identifier"),
        ({"columns": {**TRIPS.columns, "price": pl.Decimal(10, 2)}}, "trips: the column price is of Decimal"),
        ({"columns": {**TRIPS.columns, "day": pl.String()}}, "trips: the column day is added to every row"),
        ({"day": "meters"}, "trips: day must name a column of Datetime"),
        ({"unique": "nothing"}, "trips: unique must name a column of "),
        ({"partition_by": "station"}, "trips: partition_by must name a column of Int64"),
        ({"partition_by": None, "parent": "routes"}, "trips: parent needs partition_by"),
    ],
    ids=str,
)
def test_invalid_pipeline_input_is_refused(change: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        replace(TRIPS, **change)


@pytest.mark.parametrize("parent", [{"unique": None}, {"unique": "station"}, {"name": "rides"}], ids=str)
def test_parent_input_needs_unique_whole_numbers(parent: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="ratings: parent must be an input with whole numbers"):
        replace(pipeline, inputs=(replace(TRIPS, **parent), RATINGS))


def test_result_columns_start_with_day() -> None:
    assert pipeline.columns == ("day", "station", "trips", "meters", "stars")


def test_every_public_name_can_be_imported() -> None:
    assert [name for name in app.core.pipeline.__all__ if not hasattr(app.core.pipeline, name)] == []
