"""A pipeline for the tests: the trips from each station of a day, with their ratings."""

from datetime import date, timedelta
from pathlib import Path

import narwhals as nw
import polars as pl

from app.core.pipeline.definition import UTC_TIME, Frame, Input, Pipeline
from app.core.pipeline.output import Output

TRIPS = Input(
    "trips",
    columns={"id": pl.Int64(), "station": pl.String(), "started_at": UTC_TIME, "meters": pl.Int64()},
    rules={"meters is negative": pl.col("meters") >= 0},
    day="started_at",
    unique="id",
    partition_by="id",
)
RATINGS = Input(
    "ratings",
    columns={"trip_id": pl.Int64(), "started_at": UTC_TIME, "stars": pl.Int64()},
    rules={"stars is not 1 to 5": pl.col("stars").is_between(1, 5)},
    day="started_at",
    partition_by="trip_id",
    parent="trips",
)
TABLE = """
    CREATE TABLE station_days (
        day date, station text, trips bigint, meters bigint CHECK (meters >= 0), stars bigint,
        PRIMARY KEY (day, station)
    )
"""


def station_days(trips: Frame, ratings: Frame) -> Frame:
    """Count the trips, and add up their meters and stars."""
    stars = ratings.group_by("trip_id").agg(nw.col("stars").sum())
    return (
        trips.join(stars, how="left", left_on="id", right_on="trip_id")
        .with_columns(nw.col("stars").fill_null(0))
        .group_by("day", "station")
        .agg(nw.len().alias("trips"), nw.col("meters", "stars").sum())
        .select("day", "station", nw.col("trips", "meters", "stars").cast(nw.Int64))
    )


def write_report(output: Output) -> str:
    """Return the meters of each day: of the results, then of the accepted rows."""
    lines = []
    for rows in output.results(), output.accepted("trips"):
        lines += rows.group_by("day").agg(pl.col("meters").sum()).sort("day").collect().rows()
    return "".join(f"{day}: {meters}\n" for day, meters in lines)


def write_sample(folder: Path, days: int = 3) -> None:
    """Write 200 trips a day: every third has a rating, and the last has negative meters."""
    for name in ("trips", "ratings"):
        (folder / name).mkdir(parents=True)
    for number in range(days):
        day = date(2026, 1, 1) + timedelta(number)
        ids = range(200 * number + 1, 200 * number + 201)
        trips = [f"{trip},{'AB'[trip % 2]},{day}T12:00:00Z,{trip if trip % 200 else -1}" for trip in ids]
        (folder / "trips" / f"{day}.csv").write_text("\n".join(["id,station,started_at,meters", *trips, ""]))
        stars = [{"trip_id": trip, "started_at": f"{day}T12:00:00Z", "stars": trip % 5 + 1} for trip in ids[::3]]
        pl.DataFrame(stars).write_parquet(folder / "ratings" / f"{day}.parquet")


def expected(number: int) -> list[tuple[date, str, int, int, int]]:
    """Return the expected rows of day `number` (from 1) of the sample."""
    accepted = range(200 * number - 199, 200 * number)
    found = []
    for place, station in enumerate("AB"):
        ids = [trip for trip in accepted if trip % 2 == place]
        stars = sum(trip % 5 + 1 for trip in ids if (trip - 1 - 200 * (number - 1)) % 3 == 0)
        found.append((date(2026, 1, number), station, len(ids), sum(ids), stars))
    return found


pipeline = Pipeline(
    description="Count the trips from each station.",
    inputs=(TRIPS, RATINGS),
    transform=station_days,
    table="station_days",
    dimensions=("station",),
    measures=("trips", "meters", "stars"),
    write_report=write_report,
    write_sample=write_sample,
)
