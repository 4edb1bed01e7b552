"""Runs of a pipeline: from files and queries to results, table and report."""

import shutil
from collections.abc import Sequence
from dataclasses import replace
from datetime import date
from pathlib import Path

import narwhals as nw
import polars as pl
import psycopg
import pytest

from app.core.pipeline import run, sources
from app.core.pipeline.definition import Frame
from app.core.pipeline.engines import collect
from app.core.pipeline.output import Output, replace_day
from tests.core.pipeline.conftest import Command, Plant, Rows
from tests.core.pipeline.trips import RATINGS, TRIPS, expected, station_days

OUTPUT = Path(".pipeline/newcomer/output")


def failing(*_: object) -> Frame:
    raise ZeroDivisionError


class TestRun:
    def test_run_of_a_sample_fills_files_table_and_report(self, command: Command, rows: Rows) -> None:
        ended = command()
        assert (ended.code, ended.err) == (0, ""), "no progress bar without a terminal"
        assert ended.out.startswith("Made a sample in .pipeline/newcomer/sample, as no input is named.\n")
        assert "2026-01-01: 199 trips (1 rejected: meters is negative (1)), 67 ratings (0 rejected)\n" in ended.out
        assert ended.out.endswith("3 of 3 days are done.\nThe report: .pipeline/newcomer/output/report.md\n")
        known = [*expected(1), *expected(2), *expected(3)]
        assert rows() == known
        files = pl.read_parquet(OUTPUT / "station_days/*.parquet").sort("day", "station").rows()
        assert files == [(str(day), *others) for day, *others in known]
        assert (OUTPUT / "rejected/trips/2026-01-01.csv").read_text().splitlines() == [
            "id,station,started_at,meters,reason",
            "200,A,2026-01-01T12:00:00Z,-1,meters is negative",
        ]
        assert (OUTPUT / "report.md").read_text().count("2026-01-02: 59700\n") == 2

    def test_done_day_is_skipped(self, command: Command, sample: tuple[str, ...], rows: Rows) -> None:
        assert "3 of 3 days are done." in command(*sample).out
        first = rows()
        assert command(*sample).out == "0 of 0 days are done.\n"
        (OUTPUT / "station_days/2026-01-02.parquet").unlink()
        assert "1 of 1 days are done." in command(*sample).out
        assert "1 of 1 days are done." in command(*sample, "--again", "--day", "2026-01-03").out
        assert "3 of 3 days are done." in command(*sample, "--again").out
        assert rows() == first

    def test_run_that_lost_its_connection_is_resumed(
        self, command: Command, sample: tuple[str, ...], rows: Rows, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        async def interrupted(
            connection: psycopg.AsyncConnection, table: str, columns: Sequence[str], day: date, result: pl.DataFrame
        ) -> None:
            if day == date(2026, 1, 2):
                async with await psycopg.AsyncConnection.connect(connection.info.dsn, autocommit=True) as other:
                    await other.execute("SELECT pg_terminate_backend(%s)", [connection.info.backend_pid])
            await replace_day(connection, table, columns, day, result)

        with monkeypatch.context() as patch:
            patch.setattr(run, "replace_day", interrupted)
            ended = command(*sample)
        assert ended.code == 75
        assert ended.err.startswith("The database does not answer: ")
        assert len(ended.err.splitlines()) == 1
        assert rows() == expected(1)
        assert "2 of 2 days are done." in command(*sample).out
        assert rows() == [*expected(1), *expected(2), *expected(3)]
        assert list(Path(".pipeline").rglob(".*")) == []

    def test_refused_result_keeps_old_rows(
        self, command: Command, sample: tuple[str, ...], rows: Rows, plant: Plant
    ) -> None:
        command(*sample)
        first = rows()
        plant(transform=lambda *given: station_days(*given).with_columns(meters=nw.lit(-1)))
        ended = command(*sample, "--again", "--day", "2026-01-02")
        assert (ended.code, ended.err[:19]) == (1, "PostgreSQL refuses:")
        assert rows() == first
        plant()
        assert "1 of 1 days are done." in command(*sample).out, "the day is not done: its result was of other rows"
        assert rows() == first

    def test_dry_run_writes_nothing(
        self, command: Command, sample: tuple[str, ...], rows: Rows, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("DATABASE_URL", "postgresql://127.0.0.1:1/nothing")  # a dry run needs no database
        ended = command(*sample, "--dry-run")
        assert ended.code == 0
        assert "2026-01-01: 199 trips (1 rejected: meters is negative (1)), " in ended.out
        assert "3 of 3 days would be done." in ended.out
        assert not Path(".pipeline").exists()
        assert rows() == []


class TestReport:
    def test_missing_report_is_written_by_the_next_run(
        self, command: Command, sample: tuple[str, ...], plant: Plant
    ) -> None:
        command(*sample, "--files-only", "--day", "2026-01-01")
        plant(write_report=failing)
        with pytest.raises(ZeroDivisionError):
            command(*sample, "--files-only")
        assert "2026-01-02" not in (OUTPUT / "report.md").read_text()
        plant()
        assert "0 of 0 days are done.\nThe report: " in command(*sample, "--files-only").out
        assert "2026-01-02" in (OUTPUT / "report.md").read_text()

    def test_pipeline_without_a_report_writes_none(
        self, command: Command, sample: tuple[str, ...], plant: Plant
    ) -> None:
        plant(write_report=None)
        assert command(*sample).out.endswith("3 of 3 days are done.\n")
        assert not (OUTPUT / "report.md").exists()

    def test_report_leaves_out_rows_of_unfinished_days(
        self, command: Command, sample: tuple[str, ...], plant: Plant
    ) -> None:
        plant(transform=failing)
        with pytest.raises(ZeroDivisionError):
            command(*sample, "--files-only", "--day", "2026-01-02")
        plant()
        command(*sample, "--files-only", "--day", "2026-01-01")
        assert (OUTPUT / "clean/trips/2026-01-02").exists()
        assert (OUTPUT / "report.md").read_text() == "2026-01-01: 19900\n" * 2

    def test_report_reads_output_of_another_folder(self, command: Command, sample: tuple[str, ...]) -> None:
        command(*sample, "--output", "elsewhere", "--files-only")
        output = Output(Path("elsewhere"), "station_days")
        assert output.accepted("trips").select(pl.len()).collect().item() == 3 * 199
        assert output.results().select(pl.len()).collect().item() == 3 * 2


class TestHeldBack:
    def test_day_with_too_many_rejected_rows_is_held_back(
        self, command: Command, sample: tuple[str, ...], rows: Rows
    ) -> None:
        with Path(sample[1], "2026-01-02.csv").open("a") as file:
            file.writelines(["1,A,2026-01-02T00:00:00Z,-7\n"] * 50)
        ended = command(*sample)
        assert ended.code == 65
        held_back = (
            "2026-01-02: held back: 51 of 250 trips are rejected, more than --allowed 0.05: meters is negative (51)"
        )
        assert [line for line in ended.out.splitlines() if "held back" in line] == [held_back]
        assert "2 of 3 days are done." in ended.out
        assert rows() == [*expected(1), *expected(3)]
        rejected = pl.read_csv(OUTPUT / "rejected/trips/2026-01-02.csv")
        assert rejected["reason"].to_list() == ["meters is negative"] * 51
        assert not (OUTPUT / "clean/trips/2026-01-02").exists()
        ended = command(*sample, "--dry-run")
        assert (ended.code, held_back in ended.out.splitlines()) == (65, True)
        assert command(*sample, "--allowed", "0.5").code == 0
        assert rows() == [*expected(1), *expected(2), *expected(3)]

    def test_held_back_day_keeps_its_old_result(self, command: Command, sample: tuple[str, ...], rows: Rows) -> None:
        def files() -> dict[Path, bytes]:
            return {path: path.read_bytes() for path in OUTPUT.rglob("*") if path.is_file() and path.suffix != ".csv"}

        command(*sample)
        first = rows(), files()
        with Path(sample[1], "2026-01-02.csv").open("a") as file:
            file.writelines(["1000,A,2026-01-02T00:00:00Z,9\n", *["1,far,2026-01-02T00:00:00Z,-7\n"] * 50])
        ended = command(*sample, "--again", "--day", "2026-01-02")
        assert (ended.code, "0 of 1 days are done." in ended.out) == (65, True)
        assert "far" in (OUTPUT / "rejected/trips/2026-01-02.csv").read_text()
        command(*sample, "--again", "--day", "2026-01-03")
        assert (rows(), files()) == first

    def test_day_with_repeated_unique_values_is_held_back(
        self, command: Command, sample: tuple[str, ...], plant: Plant, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(sources, "BATCH", 50)
        monkeypatch.setattr(run, "MAX_ROWS_IN_MEMORY", 30)
        with Path(sample[1], "2026-01-02.csv").open("a") as file:
            file.writelines(["201,A,2026-01-02T00:00:00Z,1\n"] * 2)
        arguments = (*sample, "--files-only", "--day", "2026-01-02")
        alone = replace(RATINGS, parent=None)
        for column, more, examples in (("id", 2, "201"), ("station", 199, "A, B")):
            plant(inputs=(replace(TRIPS, unique=column), alone))
            for option in ([], ["--dry-run"]):
                ended = command(*arguments, *option)
                assert ended.code == 65
                found = f"held back: {more} of the trips repeat the {column} of another, such as {examples}\n"
                assert ended.out.startswith(f"2026-01-02: {found}")
        plant(inputs=(replace(TRIPS, unique=None), alone))
        assert command(*arguments).code == 0

    def test_day_without_a_file_is_held_back(self, command: Command, sample: tuple[str, ...], rows: Rows) -> None:
        trips, ratings = Path(sample[1]), Path(sample[3])
        (ratings / "2026-01-02.parquet").unlink()
        (trips / "2026-01-03.csv").unlink()
        for arguments in ["--dry-run"], []:
            ended = command(*sample, *arguments)
            assert ended.code == 65
            assert f"\n2026-01-02: held back: no file in {ratings}\n" in ended.out
            assert f"\n2026-01-03: held back: no file in {trips}\n" in ended.out
            assert "\n1 of 3 days " in ended.out
        assert rows() == expected(1)
        (ratings / "2026-01-02.csv").write_text("trip_id,started_at,stars\n")
        assert (
            "2026-01-02: 199 trips (1 rejected: meters is negative (1)), 0 ratings (0 rejected)" in command(*sample).out
        )
        ended = command(*sample, "--day", "2025-12-31")
        assert (ended.code, ended.out) == (65, f"2025-12-31: held back: no file in {trips}\n0 of 1 days are done.\n")


class TestDay:
    def test_partial_file_is_ignored(self, command: Command, sample: tuple[str, ...]) -> None:
        for name in (".2026-01-04.csv", "_SUCCESS"):
            Path(sample[1], name).touch()
        assert "3 of 3 days would be done." in command(*sample, "--dry-run").out

    def test_day_without_rows_is_done(self, command: Command, sample: tuple[str, ...], rows: Rows) -> None:
        for name in ("trips", "ratings"):
            shutil.rmtree(f"given/{name}")
            Path(f"given/{name}").mkdir()
        Path("given/trips/2026-01-01.csv").write_text("id,station,started_at,meters\n")
        Path("given/ratings/2026-01-01.csv").write_text("trip_id,started_at,stars\n")
        ended = command(*sample)
        assert (ended.code, rows()) == (0, [])
        assert (OUTPUT / "report.md").exists()

    def test_unfinished_day_is_not_processed(self, command: Command) -> None:
        now = "SELECT now() + interval '1 min' AS started_at"
        assert command("--trips", now, "--ratings", now).out == "0 of 0 days are done.\n"
        ended = command("--day", "9999-12-31")
        assert (ended.code, "is not over yet, in UTC" in ended.err) == (2, True)


class TestRows:
    def test_rows_without_parent_are_counted(
        self, command: Command, sample: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        with Path(sample[1], "2026-01-02.csv").open("a") as file:
            file.write("998,A,2026-01-02T00:00:00Z,-7\n")
        unknown = "".join(f"{trip},2026-01-02T12:00:00Z,5\n" for trip in (998, 999, 999))
        Path(sample[3], "2026-01-02.parquet").unlink()
        Path(sample[3], "2026-01-02.csv").write_text(f"trip_id,started_at,stars\n201,2026-01-02T12:00:00Z,5\n{unknown}")
        for rows in (1_500_000, 30):
            monkeypatch.setattr(run, "MAX_ROWS_IN_MEMORY", rows)
            ended = command(*sample, "--files-only", "--again", "--day", "2026-01-02")
            assert ended.out.startswith(
                "2026-01-02: 199 trips (2 rejected: meters is negative (2)), "
                "4 ratings (0 rejected; 3 of unknown trips)\n"
            )

    def test_rows_are_read_in_batches(
        self, command: Command, sample: tuple[str, ...], rows: Rows, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(sources, "BATCH", 50)
        command(*sample)
        assert len([*(OUTPUT / "clean/trips/2026-01-01").iterdir()]) >= 4
        assert rows() == [*expected(1), *expected(2), *expected(3)]

    def test_large_day_is_computed_in_parts(
        self, command: Command, sample: tuple[str, ...], rows: Rows, plant: Plant, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        with Path(sample[1], "2026-01-01.csv").open("a") as file:
            file.write("-7,C,2026-01-01T12:00:00Z,100\n")
        sizes = []

        def watched(trips: Frame, ratings: Frame) -> Frame:
            sizes.append(len(collect(trips)))
            return station_days(trips, ratings)

        monkeypatch.setattr(run, "MAX_ROWS_IN_MEMORY", 40)
        plant(transform=watched)
        command(*sample)
        assert rows() == [*expected(1), (date(2026, 1, 1), "C", 1, 100, 0), *expected(2), *expected(3)]
        assert len(sizes) == 3 * 7
        assert max(sizes) < 60
        # A measure that cannot be added up needs the whole day.
        sizes.clear()
        plant(transform=watched, inputs=(TRIPS, replace(RATINGS, partition_by=None, parent=None)))
        command(*sample, "--again")
        assert sizes == [200, 199, 199]

    def test_query_rows_are_read_in_batches(
        self, command: Command, rows: Rows, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(sources, "BATCH", 2)
        trips = """
        SELECT n AS id, 'A' AS station, '2026-01-01 23:00+00'::timestamptz + n * interval '30 min' AS started_at,
            100 * n AS meters
        FROM generate_series(1, 5) AS n;
    """
        ratings = f"""
        WITH trips AS ({trips.replace(";", "")})
        SELECT id AS trip_id, started_at, 5 AS stars FROM trips -- all of them
    """
        assert command("--trips", trips, "--ratings", ratings).code == 0
        assert rows() == [(date(2026, 1, 1), "A", 1, 100, 5), (date(2026, 1, 2), "A", 4, 1400, 20)]
        assert len([*(OUTPUT / "clean/trips/2026-01-02").iterdir()]) == 3
        none = "SELECT 1 AS trip_id, NULL::timestamptz AS started_at, 5 AS stars WHERE false"
        assert "2 of 2 days would be done." in command("--trips", trips, "--ratings", none, "--again", "--dry-run").out

    def test_query_row_without_day_is_refused(self, command: Command) -> None:
        dated = "SELECT '2026-01-01 12:00+00'::timestamptz AS started_at"
        rows = f"{dated} UNION ALL SELECT NULL"
        message = "The {} have rows without started_at, which are of no day: leave them out.\n"
        assert command("--trips", rows, "--ratings", dated) == (1, "", message.format("trips"))
        assert command("--trips", dated, "--ratings", rows) == (1, "", message.format("ratings"))
