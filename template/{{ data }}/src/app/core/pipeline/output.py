"""Results: files, which are written atomically, and a PostgreSQL table."""

import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import date
from pathlib import Path

import polars as pl
from psycopg import AsyncConnection
from psycopg.sql import SQL, Identifier


class Output:
    """The output folder of a pipeline, with files by day."""

    def __init__(self, path: Path, table: str) -> None:
        self.path = path
        self._results = path / table

    def accepted_folder(self, name: str, day: date) -> Path:
        """Return the folder of Parquet files with the accepted rows of an input."""
        return self.path / "clean" / name / str(day)

    def rejected_file(self, name: str, day: date) -> Path:
        """Return the CSV file with the rejected rows of an input and the reasons."""
        return self.path / "rejected" / name / f"{day}.csv"

    def result_file(self, day: date) -> Path:
        """Return the Parquet file of the result. A day is done when its file exists."""
        return self._results / f"{day}.parquet"

    @property
    def report(self) -> Path:
        """The file of the report, which a run writes last."""
        return self.path / "report.md"

    def results(self) -> pl.LazyFrame:
        """Return the results of all finished days."""
        return pl.scan_parquet(self._results / "*.parquet")

    def accepted(self, name: str) -> pl.LazyFrame:
        """Return the accepted rows of an input, of all finished days. Skips rows that an interrupted run has left."""
        days = [date.fromisoformat(path.stem) for path in sorted(self._results.glob("*.parquet"))]
        return pl.scan_parquet([self.accepted_folder(name, day) / "*.parquet" for day in days])

    def is_report_due(self) -> bool:
        """Return whether a result is newer than the report, for example after an interrupted run."""
        written = self.report.stat().st_mtime_ns if self.report.exists() else 0
        return any(path.stat().st_mtime_ns > written for path in self._results.glob("*.parquet"))


@contextmanager
def atomic_write(path: Path) -> Iterator[Path]:
    """Yield a temporary path for a file or a folder, which replaces `path` at the end of the block.

    If the block writes nothing, `path` is removed. If the block raises, `path` does not change.
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
    """Replace the rows of a day in one transaction. Idempotent."""
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
