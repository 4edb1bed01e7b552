"""`python -m app.pipeline`, from its arguments to files, the table and the exit status."""

import csv
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from datetime import date
from pathlib import Path
from typing import Any, NamedTuple

import narwhals as nw
import polars as pl
import psycopg
import pytest
from matplotlib.figure import Figure

from app.pipeline import engines, extract, report, run
from app.pipeline.__main__ import main
from app.pipeline.engines import collect
from app.pipeline.load import replace_day
from app.pipeline.sample import write_sample
from app.pipeline.transform import Frame, daily_sales

HEADER = "id,customer_id,channel,placed_at,total"
EVENTS_HEADER = "order_id,placed_at,kind,at"


class Ended(NamedTuple):
    code: int
    out: str
    err: str


Run = Callable[..., Ended]


@pytest.fixture
def table(database_url: str) -> Iterator[psycopg.Connection]:
    """A connection to the database whose table the pipeline fills."""
    with psycopg.connect(database_url, autocommit=True) as connection:
        yield connection
        connection.execute("TRUNCATE daily_sales")


@pytest.fixture
def rows(table: psycopg.Connection) -> Callable[[], list[Any]]:
    """What the table holds."""
    return lambda: table.execute("SELECT * FROM daily_sales ORDER BY day, channel").fetchall()


@pytest.fixture
def pipeline(
    table: psycopg.Connection, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Run:
    """Runs the command line in an empty folder."""
    monkeypatch.chdir(tmp_path)

    def pipeline(*arguments: str) -> Ended:
        with pytest.raises(SystemExit) as ended:
            main([*arguments])
        return Ended(int(ended.value.code or 0), *capsys.readouterr())

    return pipeline


@pytest.fixture
def sample(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[str, ...]:
    """The arguments that name three small days. Their plot stays empty: drawing would be the most of each test."""
    monkeypatch.setattr(report, "_plot", lambda sales: Figure())
    write_sample(tmp_path / "given", days=3, orders=200)
    return "--orders", str(tmp_path / "given/orders"), "--events", str(tmp_path / "given/events")


def by_hand(folder: Path, day: str) -> dict[str, list[int]]:
    """The sales of a day of files by channel, row by row."""
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
def test_the_first_command_does_a_sample(pipeline: Run, rows: Callable[[], list[Any]]) -> None:
    ended = pipeline()
    assert (ended.code, ended.err) == (0, ""), "no bar where nobody looks"
    assert "7 of 7 days are done." in ended.out
    for number in range(1, 8):
        day = f"2026-01-0{number}"
        known = by_hand(Path(".pipeline/sample"), day)
        file = pl.read_parquet(f".pipeline/output/daily_sales/{day}.parquet")
        assert {channel: [*sums] for when, channel, *sums in rows() if str(when) == day} == known
        assert {channel: [*sums] for _, channel, *sums in file.iter_rows()} == known
    rejected = pl.read_csv(".pipeline/output/rejected/orders/2026-01-01.csv")
    assert rejected.columns == [*HEADER.split(","), "reason"]
    assert set(rejected["reason"]) == {"total is negative"}
    assert len(rejected) == 5
    page = Path(".pipeline/output/report.md").read_text()
    revenue = sum(sums[-1] for sums in by_hand(Path(".pipeline/sample"), "2026-01-01").values())
    assert f"{revenue / 100:,.2f} |" in page
    assert "An order is worth" in page
    assert Path(".pipeline/output/revenue.svg").read_text().count("<svg") == 1


def test_what_is_done_is_not_done_again(pipeline: Run, sample: tuple[str, ...], rows: Callable[[], list[Any]]) -> None:
    assert "3 of 3 days are done." in pipeline(*sample).out
    first = rows()
    assert pipeline(*sample).out == "0 of 0 days are done.\n"
    Path(".pipeline/output/daily_sales/2026-01-02.parquet").unlink()
    assert "1 of 1 days are done." in pipeline(*sample).out
    assert "1 of 1 days are done." in pipeline(*sample, "--again", "--day", "2026-01-03").out
    assert "3 of 3 days are done." in pipeline(*sample, "--again").out
    assert rows() == first


def test_a_report_that_was_not_written_is_made_good(
    pipeline: Run, sample: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    pipeline(*sample, "--files-only", "--day", "2026-01-01")
    with monkeypatch.context() as patch:
        patch.setattr(report, "_page", lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            main([*sample, "--files-only"])
    assert "2026-01-02" not in Path(".pipeline/output/report.md").read_text()
    assert "0 of 0 days are done.\nThe report: " in pipeline(*sample, "--files-only").out
    assert "2026-01-02" in Path(".pipeline/output/report.md").read_text()


def test_a_run_whose_database_went_away_is_taken_up(
    pipeline: Run, sample: tuple[str, ...], rows: Callable[[], list[Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    async def interrupted(connection: psycopg.AsyncConnection, day: date, sales: pl.DataFrame) -> None:
        if day == date(2026, 1, 2):
            async with await psycopg.AsyncConnection.connect(connection.info.dsn, autocommit=True) as other:
                await other.execute("SELECT pg_terminate_backend(%s)", [connection.info.backend_pid])
        await replace_day(connection, day, sales)

    monkeypatch.setattr(run, "replace_day", interrupted)
    ended = pipeline(*sample)
    assert ended.code == 75
    assert ended.err.startswith("The database does not answer: ")
    assert len(ended.err.splitlines()) == 1
    assert {day for day, *_ in rows()} == {date(2026, 1, 1)}
    monkeypatch.undo()
    monkeypatch.chdir(Path(sample[1]).parents[1])
    assert "2 of 2 days are done." in pipeline(*sample).out
    assert {day.day for day, *_ in rows()} == {1, 2, 3}
    assert list(Path(".pipeline").rglob(".*")) == []


def test_a_report_leaves_out_what_is_not_done(
    pipeline: Run, sample: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(run, "collect", lambda _: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            main([*sample, "--files-only", "--day", "2026-01-02"])
    pipeline(*sample, "--files-only", "--day", "2026-01-01")
    assert Path(".pipeline/output/clean/orders/2026-01-02").exists()
    totals = pl.read_csv(Path(sample[1], "2026-01-01.csv"))["total"]
    mean = totals.filter(totals >= 0).to_numpy().mean() / 100
    assert f"An order is worth {mean:,.2f} on average" in Path(".pipeline/output/report.md").read_text()


def test_a_day_whose_rows_the_table_refuses_keeps_those_that_it_had(
    pipeline: Run, sample: tuple[str, ...], rows: Callable[[], list[Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(orders: Frame, events: Frame) -> Frame:
        return daily_sales(orders, events).with_columns(revenue=nw.lit(-1))

    pipeline(*sample)
    first = rows()
    with monkeypatch.context() as patch:
        patch.setattr(run, "daily_sales", refused)
        ended = pipeline(*sample, "--again", "--day", "2026-01-02")
    assert (ended.code, ended.err[:19]) == (1, "PostgreSQL refuses:")
    assert rows() == first
    assert "1 of 1 days are done." in pipeline(*sample).out, "it is not done, with the sales of other rows"
    assert rows() == first


def test_a_dry_run_writes_nothing(
    pipeline: Run, sample: tuple[str, ...], rows: Callable[[], list[Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DATABASE_URL", "postgresql://127.0.0.1:1/nothing")  # not needed either
    ended = pipeline(*sample, "--dry-run")
    assert ended.code == 0
    assert "2026-01-01: 199 orders (1 rejected), " in ended.out
    assert "3 of 3 days would be done." in ended.out
    assert not Path(".pipeline").exists()
    assert rows() == []


def test_a_day_of_which_too_much_is_rejected_is_held_back(
    pipeline: Run, sample: tuple[str, ...], rows: Callable[[], list[Any]]
) -> None:
    with Path(sample[1], "2026-01-02.csv").open("a") as file:
        file.writelines(["1,1,fax,2026-01-02T00:00:00Z,1\n"] * 50)
    ended = pipeline(*sample)
    assert ended.code == 65
    assert [line[:10] for line in ended.out.splitlines() if line.endswith(", held back")] == ["2026-01-02"]
    assert "2 of 3 days are done." in ended.out
    assert {day.day for day, *_ in rows()} == {1, 3}
    rejected = pl.read_csv(".pipeline/output/rejected/orders/2026-01-02.csv")
    assert rejected["reason"].to_list().count("channel is not app, store or web") == 50
    assert not Path(".pipeline/output/clean/orders/2026-01-02").exists()
    assert pipeline(*sample, "--dry-run").code == 65
    assert pipeline(*sample, "--allowed", "0.5").code == 0
    assert {day.day for day, *_ in rows()} == {1, 2, 3}


def test_a_day_that_is_held_back_when_it_is_done_again_stays_as_it_was(
    pipeline: Run, sample: tuple[str, ...], rows: Callable[[], list[Any]]
) -> None:
    def files() -> dict[Path, bytes]:
        paths = [path for path in Path(".pipeline/output").rglob("*") if path.is_file() and path.suffix != ".csv"]
        return {path: path.read_bytes() for path in paths}

    pipeline(*sample)
    first = rows(), files()
    with Path(sample[1], "2026-01-02.csv").open("a") as file:
        file.writelines(["1000,1,web,2026-01-02T00:00:00Z,900000\n", *["1,1,fax,2026-01-02T00:00:00Z,1\n"] * 50])
    ended = pipeline(*sample, "--again", "--day", "2026-01-02")
    assert (ended.code, "0 of 1 days are done." in ended.out) == (65, True)
    assert "fax" in Path(".pipeline/output/rejected/orders/2026-01-02.csv").read_text()
    pipeline(*sample, "--again", "--day", "2026-01-03")
    assert (rows(), files()) == first


def test_an_order_is_not_counted_twice(pipeline: Run, sample: tuple[str, ...], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(extract, "BATCH", 50)
    monkeypatch.setattr(run, "ORDERS_AT_ONCE", 30)
    with Path(sample[1], "2026-01-02.csv").open("a") as file:
        file.writelines(["201,1,web,2026-01-02T00:00:00Z,1\n"] * 2)
    ended = pipeline(*sample, "--files-only")
    assert (ended.code, "2026-01-02: 2 rows repeat an order, held back\n" in ended.out) == (65, True)
    assert "2 of 3 days are done." in ended.out


def test_a_day_of_which_a_file_is_missing_is_held_back(
    pipeline: Run, sample: tuple[str, ...], rows: Callable[[], list[Any]]
) -> None:
    orders, events = Path(sample[1]), Path(sample[3])
    (events / "2026-01-02.parquet").unlink()
    (orders / "2026-01-03.csv").unlink()
    for arguments in ["--dry-run"], []:
        ended = pipeline(*sample, *arguments)
        assert ended.code == 65
        assert f"\n2026-01-02: no file in {events}, held back\n" in ended.out
        assert f"\n2026-01-03: no file in {orders}, held back\n" in ended.out
        assert "\n1 of 3 days " in ended.out
    assert {day.day for day, *_ in rows()} == {1}
    (events / "2026-01-02.csv").write_text(f"{EVENTS_HEADER}\n")
    assert "2026-01-02: 199 orders (1 rejected), 0 events (0 rejected)" in pipeline(*sample).out
    ended = pipeline(*sample, "--day", "2025-12-31")
    assert (ended.code, ended.out) == (
        65,
        f"2025-12-31: no file in {orders}, held back\n0 of 1 days are done.\n",
    )


def test_what_does_not_fit_into_a_batch_is_streamed(
    pipeline: Run, sample: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    pipeline(*sample, "--files-only")
    whole = pl.read_parquet(".pipeline/output/daily_sales/*.parquet").sort("day", "channel")
    monkeypatch.setattr(extract, "BATCH", 50)
    pipeline(*sample, "--files-only", "--again")
    assert len([*Path(".pipeline/output/clean/orders/2026-01-01").iterdir()]) >= 4
    assert pl.read_parquet(".pipeline/output/daily_sales/*.parquet").sort("day", "channel").equals(whole)


def test_a_large_day_is_computed_in_parts(
    pipeline: Run, sample: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with (tmp_path / "given/orders/2026-01-01.csv").open("a") as file:
        file.write("-7,1,web,2026-01-01T12:00:00Z,100\n")
    pipeline(*sample, "--files-only")
    whole = pl.read_parquet(".pipeline/output/daily_sales/*.parquet").sort("day", "channel")
    joined = []

    def watched(orders: Frame, events: Frame) -> Frame:
        joined.append(len(collect(orders)))
        return daily_sales(orders, events)

    monkeypatch.setattr(run, "daily_sales", watched)
    monkeypatch.setattr(run, "ORDERS_AT_ONCE", 30)
    pipeline(*sample, "--files-only", "--again")
    assert pl.read_parquet(".pipeline/output/daily_sales/*.parquet").sort("day", "channel").equals(whole)
    assert len(joined) == 3 * 7
    assert max(joined) < 60


def test_postgresql_answers_queries_in_batches(
    pipeline: Run, rows: Callable[[], list[Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(extract, "BATCH", 2)
    orders = """
        SELECT n AS id, 7 AS customer_id, 'web' AS channel, '2026-01-01 23:00+00'::timestamptz + n * interval '30 min'
            AS placed_at, 100 * n AS total
        FROM generate_series(1, 5) AS n;
    """
    events = f"""
        WITH orders AS ({orders.replace(";", "")})
        SELECT id AS order_id, placed_at, 'paid' AS kind, placed_at + interval '1 min' AS at FROM orders -- all of them
    """
    ended = pipeline("--orders", orders, "--events", events)
    assert ended.code == 0
    assert rows() == [(date(2026, 1, 1), "web", 1, 1, 0, 100), (date(2026, 1, 2), "web", 4, 4, 0, 1400)]
    assert len([*Path(".pipeline/output/clean/orders/2026-01-02").iterdir()]) == 3
    none = "SELECT 1 AS order_id, NULL::timestamptz AS placed_at, 'paid' AS kind, NULL AS at WHERE false"
    assert "2 of 2 days would be done." in pipeline("--orders", orders, "--events", none, "--again", "--dry-run").out


def test_a_row_of_no_day_is_refused(pipeline: Run) -> None:
    dated = "SELECT '2026-01-01 12:00+00'::timestamptz AS placed_at"
    rows = f"{dated} UNION ALL SELECT NULL"
    told = "The {} have rows without placed_at, which are of no day: leave them out.\n"
    assert pipeline("--orders", rows, "--events", dated) == (1, "", told.format("orders"))
    assert pipeline("--orders", dated, "--events", rows) == (1, "", told.format("events"))


def test_a_day_waits_until_it_is_over(pipeline: Run) -> None:
    now = "SELECT now() + interval '1 min' AS placed_at"
    assert pipeline("--orders", now, "--events", now).out == "0 of 0 days are done.\n"
    ended = pipeline("--day", "9999-12-31")
    assert (ended.code, "is not over yet, in UTC" in ended.err) == (2, True)


def test_a_day_without_rows_is_done(pipeline: Run, tmp_path: Path, rows: Callable[[], list[Any]]) -> None:
    (tmp_path / "orders").mkdir()
    (tmp_path / "events").mkdir()
    (tmp_path / "orders" / "2026-01-01.csv").write_text(f"{HEADER}\n")
    (tmp_path / "events" / "2026-01-01.csv").write_text(f"{EVENTS_HEADER}\n")
    ended = pipeline("--orders", "orders", "--events", "events")
    assert (ended.code, rows()) == (0, [])
    assert Path(".pipeline/output/report.md").exists()


def test_a_mistake_is_one_sentence(pipeline: Run, tmp_path: Path) -> None:
    (tmp_path / "events").mkdir()

    def told(name: str, content: str) -> str:
        shutil.rmtree(tmp_path / "orders", ignore_errors=True)
        (tmp_path / "orders").mkdir()
        (tmp_path / "orders" / name).write_text(content)
        ended = pipeline("--orders", "orders", "--events", "events")
        assert ended.code == 1
        assert len(ended.err.splitlines()) == 1
        return ended.err

    assert "is not named after its day" in told("orders.csv", HEADER)
    assert "is not named after its day" in told("2026-01-01.txt", HEADER)
    assert "is not named after its day" in told("20260101.csv", HEADER)
    assert "is not named after its day" in told("None.csv", HEADER)
    (tmp_path / "events" / "2026-01-01.csv").touch()
    (tmp_path / "events" / "2026-01-01.parquet").touch()
    assert "events has two files of 2026-01-01: leave one of them." in told("2026-01-01.csv", HEADER)
    (tmp_path / "events" / "2026-01-01.parquet").unlink()
    assert "The orders of 2026-01-01 have no column total" in told("2026-01-01.csv", f"{HEADER[:-6]}\n1,1,web,x\n")
    assert "The orders of 2026-01-01 cannot be read: " in told("2026-01-01.csv", f"{HEADER}\n1,1,web,x,1,2,3\n")
    assert "The orders of 2026-01-01 cannot be read: " in told("2026-01-01.parquet", "nothing of the sort")
    assert pipeline("--orders", "orders").err.startswith("--orders and --events belong together")
    assert pipeline("--orders", "nowhere", "--events", "events").err == "There is no folder nowhere.\n"
    assert pipeline("--orders", "orders", "--events", "evnets").err == "There is no folder evnets.\n"
    ended = pipeline("--orders", "SELECT nothing", "--events", "events")
    assert (ended.code, ended.err) == (1, 'PostgreSQL refuses: column "nothing" does not exist\n')
    assert pipeline("--allowed", "2").code == 2
    assert not Path(".pipeline/output/daily_sales").exists()


def test_a_database_that_does_not_answer_is_tried_later(
    pipeline: Run, sample: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DATABASE_URL", "postgresql://127.0.0.1:1/nothing")
    ended = pipeline(*sample)
    assert (ended.code, len(ended.err.splitlines())) == (75, 1)
    assert pipeline(*sample, "--files-only").code == 0


def test_a_missing_engine_says_how_it_is_installed(
    pipeline: Run, sample: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engines, "find_spec", lambda name: None)
    ended = pipeline(*sample, "--engine", "duckdb")
    assert ended.code == 1
    assert ended.err.startswith("The engine duckdb is not installed. Install its group: ")
    assert ended.err.endswith(" duckdb\n")


def test_a_terminal_sees_a_bar(pipeline: Run, sample: tuple[str, ...], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    assert "days" in pipeline(*sample, "--dry-run").err


def test_the_service_does_not_load_it() -> None:
    script = "import app.pipeline, sys; sys.exit('polars' in sys.modules)"
    subprocess.run([sys.executable, "-c", script], check=True)
