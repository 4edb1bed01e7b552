"""Every engine reads folders and runs a transform as Polars does."""

from pathlib import Path

import polars as pl
import pytest

from app.core.pipeline.engines import ENGINES, Engine, collect, open_engine
from tests.core.pipeline.trips import station_days

ROWS = [("2026-01-01", "A", 2, 400, 7), ("2026-01-01", "B", 1, 200, 0)]


def compute(name: Engine, folder: Path) -> list[tuple[object, ...]]:
    trips = pl.DataFrame({"id": [1, 2, 3], "station": ["A", "B", "A"], "meters": [100, 200, 300]})
    trips = trips.with_columns(day=pl.lit("2026-01-01"))
    ratings = pl.DataFrame({"trip_id": [1, 3, 3], "stars": [2, 1, 4]})
    for table, frame in (("trips", trips), ("ratings", ratings)):
        (folder / table).mkdir()
        frame[:1].write_parquet(folder / table / "0.parquet")
        frame[1:].write_parquet(folder / table / "1.parquet")
    with open_engine(name) as scan:
        return collect(station_days(scan(folder / "trips"), scan(folder / "ratings"))).sort("station").rows()


def test_polars_runs_a_transform(tmp_path: Path) -> None:
    assert compute("polars", tmp_path) == ROWS


@pytest.mark.engines
@pytest.mark.parametrize("name", [name for name in ENGINES if name != "polars"])
def test_engine_runs_a_transform(name: Engine, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert compute(name, tmp_path) == ROWS
    assert "Exception" not in capfd.readouterr().err, "a stack trace of Java"
