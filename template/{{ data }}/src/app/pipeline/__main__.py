"""The command line: `python -m app.pipeline`, or `poe pipeline`."""

import argparse
import asyncio
import sys
from contextlib import AsyncExitStack
from datetime import date
from enum import IntEnum
from pathlib import Path
from typing import get_args

from psycopg import AsyncConnection, Error, OperationalError
from rich.console import Console
from rich.progress import Progress

from app.config import ConfigError, Settings
from app.embedded import EmbeddedServerError, ensure_database
from app.pipeline.engines import Engine, engine
from app.pipeline.errors import HeldBackError, PipelineError
from app.pipeline.extract import Folder, Query, Source
from app.pipeline.load import whole
from app.pipeline.run import REPORT, Pipeline, is_over, told
from app.pipeline.sample import write_sample
from app.runtime import PythonTooOldError, check_version

HOME = Path(".pipeline")


class Exit(IntEnum):
    """How it ended, in the numbers of sysexits.h, which schedulers know. Wrong arguments are argparse's 2."""

    DONE = 0
    MISTAKE = 1
    HELD_BACK = 65
    """A day is held back, as its line says, and every other day is done."""
    UNAVAILABLE = 75
    """The database does not answer: what is done is kept, and the same command later does the rest."""


def main(arguments: list[str] | None = None) -> None:
    """Run the pipeline, and exit as `Exit` says."""
    options = _parser().parse_args(arguments)
    try:
        check_version()
        # Windows' own loop cannot wait for what PostgreSQL's library waits for.
        code = asyncio.run(_run(options), loop_factory=asyncio.SelectorEventLoop)
    except (ConfigError, EmbeddedServerError, PipelineError, PythonTooOldError) as error:
        code = _fail(Exit.MISTAKE, str(error))
    except OperationalError as error:
        code = _fail(Exit.UNAVAILABLE, f"The database does not answer: {_first_line(error)}")
    except Error as error:
        code = _fail(Exit.MISTAKE, f"PostgreSQL refuses: {_first_line(error)}")
    except KeyboardInterrupt:
        sys.exit(130)
    sys.exit(code)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="app.pipeline", description="Turn orders and their events into daily sales.")
    source = "a folder of files named after their day, or a SELECT; both from a sample when neither is given"
    parser.add_argument("--orders", help=source)
    parser.add_argument("--events", help="the same")
    parser.add_argument("--output", type=Path, default=HOME / "output", help="default: %(default)s")
    parser.add_argument(
        "--engine", choices=get_args(Engine), default="polars", help="what computes (default: %(default)s)"
    )
    parser.add_argument("--day", type=_day, action="append", help="only this one, like 2026-01-31; repeat for more")
    parser.add_argument("--again", action="store_true", help="also the days that are done")
    parser.add_argument("--dry-run", action="store_true", help="read and check everything, write nothing")
    parser.add_argument("--files-only", action="store_true", help="leave the table as it is")
    parser.add_argument(
        "--allowed", type=_share, default=0.05, help="share of rows that may be rejected (default: %(default)s)"
    )
    return parser


async def _run(options: argparse.Namespace) -> Exit:
    orders, events = _inputs(options)
    async with AsyncExitStack() as stack:
        scan = stack.enter_context(engine(options.engine))
        loads = not (options.files_only or options.dry_run)
        connection = None
        if loads or any(map(_is_query, (orders, events))):
            connection = await stack.enter_async_context(await _connect())
        pipeline = Pipeline(
            _source("orders", orders, connection),
            _source("events", events, connection),
            options.output,
            scan,
            options.engine == "polars",
            connection if loads else None,
            options.allowed,
        )
        return await _do(pipeline, await pipeline.pending(options.day or (), again=options.again), options)


async def _do(pipeline: Pipeline, days: list[date], options: argparse.Namespace) -> Exit:
    held = 0
    console = Console(stderr=True)
    with Progress(console=console, disable=not console.is_terminal, transient=True) as progress:
        for day in progress.track(days, description="days"):
            try:
                found = await (pipeline.check(day) if options.dry_run else pipeline.clean(day))
            except HeldBackError as reason:
                held += 1
                print(f"{day}: {reason}, held back", flush=True)
                continue
            if not options.dry_run:
                await pipeline.finish(day)
            print(f"{day}: {told(found)}", flush=True)
    print(f"{len(days) - held} of {len(days)} days {'would be' if options.dry_run else 'are'} done.")
    if not options.dry_run and _report_is_due(options.output):
        from app.pipeline.report import write_report  # it takes longer to import than to find nothing to do

        print(f"The report: {write_report(options.output)}")
    return Exit.HELD_BACK if held else Exit.DONE


def _report_is_due(output: Path) -> bool:
    """Whether there are sales that are newer than the report: also after a run that ended before it was written."""
    report = output / REPORT
    written = report.stat().st_mtime_ns if report.exists() else 0
    return any(path.stat().st_mtime_ns > written for path in (output / "daily_sales").glob("*.parquet"))


async def _connect() -> AsyncConnection:
    ensure_database()
    connection = await AsyncConnection.connect(Settings.load().database_url or "", autocommit=True)
    await connection.execute("SET datestyle = 'ISO'; SET timezone = 'UTC'")
    return connection


def _inputs(options: argparse.Namespace) -> tuple[str, str]:
    if (options.orders is None) != (options.events is None):
        raise PipelineError("--orders and --events belong together: give both, or neither for a sample.")
    if options.orders is not None:
        return options.orders, options.events
    sample = HOME / "sample"
    if not sample.exists():
        with whole(sample) as folder:
            write_sample(folder)
        print(f"Neither --orders nor --events: made a sample in {sample}.")
    return str(sample / "orders"), str(sample / "events")


def _is_query(given: str) -> bool:
    return given.lstrip().upper().startswith(("SELECT ", "SELECT\n", "WITH "))


def _source(name: str, given: str, connection: AsyncConnection | None) -> Source:
    return Query(name, given, connection) if connection and _is_query(given) else Folder(Path(given))


def _day(text: str) -> date:
    day = date.fromisoformat(text)
    if not is_over(day):
        raise argparse.ArgumentTypeError(f"{day} is not over yet, in UTC")
    return day


def _share(text: str) -> float:
    share = float(text)
    if not 0 <= share <= 1:
        raise ValueError(text)
    return share


def _fail(code: Exit, sentence: str) -> Exit:
    print(sentence, file=sys.stderr)
    return code


def _first_line(error: Exception) -> str:
    return str(error).strip().partition("\n")[0]


if __name__ == "__main__":
    main()
