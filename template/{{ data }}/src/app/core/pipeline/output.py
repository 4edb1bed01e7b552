"""Where results go: files that are complete or not there, and a table of PostgreSQL."""

import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import date
from pathlib import Path

import polars as pl
from psycopg import AsyncConnection
from psycopg.sql import SQL, Identifier


class Output:
    """The files of a pipeline in its output folder, by day."""

    def __init__(self, path: Path, table: str) -> None:
        self.path = path
        self._results = path / table

    def accepted_folder(self, name: str, day: date) -> Path:
        """The Parquet files of the rows of that input that were accepted."""
        return self.path / "clean" / name / str(day)

    def rejected_file(self, name: str, day: date) -> Path:
        """The CSV file of the rows of that input that were rejected, with the reason."""
        return self.path / "rejected" / name / f"{day}.csv"

    def result_file(self, day: date) -> Path:
        """The Parquet file of the result. The day is done when it is there."""
        return self._results / f"{day}.parquet"

    @property
    def report(self) -> Path:
        """The page of the report: the last file that a run writes."""
        return self.path / "report.md"

    def results(self) -> pl.LazyFrame:
        """The results of all days that are done."""
        return pl.scan_parquet(self._results / "*.parquet")

    def accepted(self, name: str) -> pl.LazyFrame:
        """The accepted rows of that input, of all days that are done: an interrupted run may have left others."""
        days = [date.fromisoformat(path.stem) for path in sorted(self._results.glob("*.parquet"))]
        return pl.scan_parquet([self.accepted_folder(name, day) / "*.parquet" for day in days])

    def is_report_due(self) -> bool:
        """Whether a result is newer than the report, also after a run that ended before it wrote the report."""
        written = self.report.stat().st_mtime_ns if self.report.exists() else 0
        return any(path.stat().st_mtime_ns > written for path in self._results.glob("*.parquet"))


@contextmanager
def atomic_write(path: Path) -> Iterator[Path]:
    """Yield a path to write a file or a folder to, which takes the place of `path` when the block ends.

    When the block wrote nothing, `path` is removed. When it raises, what was there stays.
    """
    new = path.with_name(f".{path.name}.new")
    _remove(new)
    new.parent.mkdir(parents=True, exist_ok=True)
    try:
        yield new
    except BaseException:
        _remove(new)
        raise
    _remove(path)
    if new.exists():
        new.rename(path)


async def replace_day(
    connection: AsyncConnection, table: str, columns: Sequence[str], day: date, rows: pl.DataFrame
) -> None:
    """Make `rows` the rows of that day, in one transaction. Idempotent."""
    copy_from = SQL("COPY {} ({}) FROM STDIN (FORMAT csv)").format(
        Identifier(table), SQL(", ").join(map(Identifier, columns))
    )
    async with connection.transaction(), connection.cursor() as cursor:
        await cursor.execute(SQL("DELETE FROM {} WHERE day = %s").format(Identifier(table)), [day])
        async with cursor.copy(copy_from) as copy:
            await copy.write(rows.select(columns).write_csv(include_header=False))


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
