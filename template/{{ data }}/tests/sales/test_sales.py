"""`python -m app pipeline sales`, on the sample."""

import csv
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import polars as pl
import psycopg
import pytest

from app.sales.sample import write_sample

OUTPUT = Path(".pipeline/sales/output")


@pytest.fixture
def table(database_url: str) -> Iterator[psycopg.Connection]:
    """A connection to the database with the table that the pipeline fills."""
    with psycopg.connect(database_url, autocommit=True) as connection:
        yield connection
        connection.execute("TRUNCATE daily_sales")


def by_hand(folder: Path, day: str) -> dict[str, list[int]]:
    """Compute the sales of a day by channel in plain Python."""
    kinds: dict[int, set[str]] = {}
    for event in pl.read_parquet(folder / "events" / f"{day}.parquet").iter_rows(named=True):
        kinds.setdefault(event["order_id"], set()).add(event["kind"])
    found: dict[str, list[int]] = {}
    with (folder / "orders" / f"{day}.csv").open() as file:
        for order in csv.DictReader(file):
            if int(order["total"]) >= 0:
                paid = "paid" in kinds.get(int(order["id"]), set())
                returned = paid and "returned" in kinds[int(order["id"])]
                sums = found.setdefault(order["channel"], [0, 0, 0, 0])
                for place, more in enumerate((1, paid, returned, int(order["total"]) * (paid and not returned))):
                    sums[place] += more
    return found


@pytest.mark.slow
def test_sample_gives_sales_and_a_report(
    table: psycopg.Connection, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    command = [sys.executable, "-m", "app", "pipeline", "sales"]
    assert "7 of 7 days are done." in subprocess.run(command, check=True, capture_output=True, text=True).stdout
    rows = table.execute("SELECT * FROM daily_sales").fetchall()
    known = {
        f"2026-01-0{number}": by_hand(Path(".pipeline/sales/sample"), f"2026-01-0{number}") for number in range(1, 8)
    }
    for day, sales in known.items():
        file = pl.read_parquet(OUTPUT / f"daily_sales/{day}.parquet")
        assert {channel: [*sums] for when, channel, *sums in rows if str(when) == day} == sales
        assert {channel: [*sums] for _, channel, *sums in file.iter_rows()} == sales
    rejected = pl.read_csv(OUTPUT / "rejected/orders/2026-01-01.csv")
    assert rejected["reason"].to_list() == ["total is negative"] * 5
    page = (OUTPUT / "report.md").read_text()
    revenue = sum(sums[-1] for sums in known["2026-01-01"].values())
    assert f"{revenue / 100:,.2f} |" in page
    totals = pl.concat(pl.read_csv(path)["total"] for path in Path(".pipeline/sales/sample/orders").glob("*.csv"))
    assert f"The average order is {totals.filter(totals >= 0).to_numpy().mean() / 100:,.2f} (95 %" in page
    assert (OUTPUT / "revenue.svg").read_text().count("<svg") == 1


def test_sample_is_the_same_each_time(tmp_path: Path) -> None:
    for name in ("one", "two"):
        write_sample(tmp_path / name, days=1, orders=50)
    one, two = ({path.name: path.read_bytes() for path in (tmp_path / name).rglob("2026*")} for name in ("one", "two"))
    assert one == two
