"""Where results go: files that are whole or not there, and a table of PostgreSQL."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date
from pathlib import Path

import polars as pl
from psycopg import AsyncConnection
from psycopg.sql import SQL, Identifier

from app.pipeline.transform import COLUMNS


@contextmanager
def whole(path: Path) -> Iterator[Path]:
    """A path to write a file or a folder to. It takes the place of `path` when all is written, and only then.

    Where nothing was written, nothing is there; after an exception, what was there before.
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


async def replace_day(connection: AsyncConnection, day: date, sales: pl.DataFrame) -> None:
    """Make `sales` the rows of that day, in one transaction: to do it again changes nothing."""
    columns = SQL(", ").join(map(Identifier, COLUMNS))
    async with connection.transaction(), connection.cursor() as cursor:
        await cursor.execute("DELETE FROM daily_sales WHERE day = %s", [day])
        async with cursor.copy(SQL("COPY daily_sales ({}) FROM STDIN (FORMAT csv)").format(columns)) as copy:
            await copy.write(sales.select(COLUMNS).write_csv(include_header=False))


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
