"""The feature `data` with all engines installed, as docs/data.md describes."""

import json
import re
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from conftest import Project
from questionnaire import PROFILES

WITH = next(
    name
    for name, given in PROFILES.items()
    if "data" in given.get("features", "") and given.get("package_manager", "uv") == "uv"
)

LIMIT = 576 * 1024
"""Memory limit in kilobytes, for a day of more than three times that size."""

LARGE_DAY = """
import json, sys
from pathlib import Path
import polars as pl
from app.sales.sample import FIRST, sample

ORDERS, PARTS = 500_000, 4
folder, found = Path(sys.argv[1]), []
for name in ("orders", "events"):
    (folder / name).mkdir(parents=True)
for part in range(PARTS):
    orders, events = sample(FIRST, ORDERS, first_id=part * ORDERS + 1, seed=part)
    by_kind = {kind: orders["id"].is_in(rows["order_id"].implode()) for (kind,), rows in events.group_by("kind")}
    paid, returned = by_kind["paid"], by_kind["returned"]
    found.append((ORDERS, paid.sum(), returned.sum(), (orders["total"] * (paid & ~returned)).sum()))
    comment = pl.lit("as people leave it in every export, though it is not read here " * 4).alias("comment")
    for name, rows in (("orders", orders), ("events", events)):
        with (folder / name / f"{FIRST}.csv").open("ab") as file:
            rows.with_columns(comment).write_csv(
                file, include_header=not part, datetime_format="%Y-%m-%dT%H:%M:%S%.6fZ"
            )
print(json.dumps([sum(column) for column in zip(*found)]))
"""

SALES = """
import json, sys
import polars as pl
print(json.dumps(pl.read_parquet(sys.argv[1]).select("orders", "paid", "returned", "revenue").sum().row(0)))
"""

pytestmark = [pytest.mark.deep, pytest.mark.xdist_group(WITH)]


@pytest.fixture
def service(installed: Callable[..., Project]) -> Project:
    return installed(**PROFILES[WITH])


def test_engines_compute_equal_results(service: Project) -> None:
    assert shutil.which("java"), "Spark needs Java 17 or newer: install one, such as Debian's openjdk-17-jre-headless."
    assert "The report: .pipeline/sales/output/report.md" in service.run_inside("poe", "-q", "pipeline")

    output = service.run_inside("poe", "-q", "pipeline", "sales", "--engine", "duckdb", fails=True)
    assert "The engine duckdb is not installed. " in output
    service.run(*output.strip().rpartition(": ")[2].split())
    assert "7 of 7 days are done." in service.run_inside(
        "poe", "-q", "pipeline", "sales", "--engine", "duckdb", "--again"
    )

    assert "is not installed" in service.run_inside("poe", "-q", "engines", fails=True)
    service.run("uv", "sync", "--all-groups")
    assert "8 passed" in service.run_inside("poe", "-q", "engines")


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder for gigabytes, deleted after the test."""
    with tempfile.TemporaryDirectory() as path:
        yield Path(path)


def test_day_larger_than_memory_is_computed(service: Project, folder: Path) -> None:
    orders, events = folder / "orders", folder / "events"
    expected = json.loads(service.run(service.python(), "-c", LARGE_DAY, folder))
    [day] = orders.iterdir()
    size = day.stat().st_size + (events / day.name).stat().st_size
    assert size > 3 * LIMIT * 1024

    whole = f"import polars; polars.read_csv('{events / day.name}')"
    assert "memory allocation" in limited(service, "-c", whole, fails=True), "the limit has no effect"
    sources = ("--orders", orders, "--events", events, "--output", folder / "output")
    output = limited(service, "-m", "app", "pipeline", "sales", "--files-only", *sources)
    assert "1 of 1 days are done." in output
    sales = folder / "output" / "daily_sales" / f"{day.stem}.parquet"
    assert json.loads(service.run(service.python(), "-c", SALES, sales)) == expected


def limited(service: Project, *command: str | Path, fails: bool = False) -> str:
    """Run Python with limited memory, with the settings in docs/data.md."""
    page = (service.path / "docs" / "data.md").read_text()
    [settings] = re.findall(r"`(POLARS_[A-Z_0-9=]+ POLARS_\S+ _RJEM\S+)`", page)
    return service.run(
        "bash", "-c", f'ulimit -d {LIMIT}; exec env {settings} "$@"', "limited", service.python(), *command, fails=fails
    )
