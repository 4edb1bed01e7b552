"""The command line of pipelines: `python -m app pipeline NAME`, or `poe pipeline NAME`."""

import argparse
import asyncio
import sys
from collections.abc import Sequence
from contextlib import AsyncExitStack
from datetime import date
from enum import IntEnum
from pathlib import Path

from psycopg import AsyncConnection, Error, OperationalError
from rich.console import Console
from rich.progress import Progress

from app.core.config import Environment, Settings
from app.core.database.embedded import ensure_database
from app.core.pipeline.definition import Input, Pipeline
from app.core.pipeline.engines import ENGINES, open_engine
from app.core.pipeline.errors import HeldBackError, MalformedError, PipelineError
from app.core.pipeline.output import Output, atomic_write
from app.core.pipeline.run import Run, describe, is_over
from app.core.pipeline.sources import Folder, Query, Source
from app.core.slices import Slice, find_slices

HOME = Path(".pipeline")


class Exit(IntEnum):
    """Exit statuses, with the numbers of sysexits.h. argparse exits with 2."""

    DONE = 0
    MISTAKE = 1
    """The pipeline cannot run. Or the file of a day is malformed: the day is held back, and all other days are done."""
    HELD_BACK = 65
    """A day is held back; its output line has the reason. All other days are done."""
    UNAVAILABLE = 75
    """The database does not answer. Finished days are kept. Run the command again for the others."""


def main(arguments: Sequence[str]) -> None:
    """Run a pipeline, and exit with a status of `Exit`."""
    try:
        name, pipeline = find_pipeline(arguments)
        options = _parser(name, pipeline).parse_args(arguments)
        # psycopg does not support the default event loop of Windows.
        code = asyncio.run(_run(pipeline, HOME / name, options), loop_factory=asyncio.SelectorEventLoop)
    except PipelineError as error:
        code = _fail(Exit.MISTAKE, str(error))
    except OperationalError as error:
        code = _fail(Exit.UNAVAILABLE, f"The database does not answer: {_first_line(error)}")
    except Error as error:
        code = _fail(Exit.MISTAKE, f"PostgreSQL refuses: {_first_line(error)}")
    sys.exit(code)


def find_pipeline(arguments: Sequence[str]) -> tuple[str, Pipeline]:
    """Return the pipeline that the first argument names, or the only one. Raise PipelineError for an unknown name."""
    slices = {found.name: found for found in find_slices()}
    named = arguments[0] if arguments and not arguments[0].startswith("-") else None
    if named in slices and (pipeline := _declared(slices[named])):
        return named, pipeline
    found = {name: pipeline for name, part in slices.items() if (pipeline := _declared(part))}
    if named is None and len(found) == 1:
        return found.popitem()
    names = ", ".join(found)
    if not found:
        raise PipelineError("There is no pipeline: a slice declares `pipeline` in its pipeline.py.")
    if named is None:
        raise PipelineError(f"Name the pipeline first, one of: {names}.")
    raise PipelineError(f"There is no pipeline {named}, only: {names}.")


def _declared(part: Slice) -> Pipeline | None:
    return part.attribute("pipeline", "pipeline", Pipeline, required=True)


def _parser(name: str, pipeline: Pipeline) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog=f"app pipeline {name}", description=pipeline.description)
    parser.add_argument("NAME", nargs="?", help="name of the pipeline; optional if there is only one")
    parser.add_argument("--output", type=Path, default=HOME / name / "output", help="folder (default: %(default)s)")
    parser.add_argument(
        "--engine", choices=ENGINES, default="polars", help="engine of the computation (default: %(default)s)"
    )
    parser.add_argument("--day", type=_day, action="append", help="only this day, such as 2026-01-31; may be repeated")
    parser.add_argument("--again", action="store_true", help="include finished days")
    parser.add_argument("--dry-run", action="store_true", help="read and check all rows, write nothing")
    parser.add_argument("--files-only", action="store_true", help="do not change the table")
    parser.add_argument(
        "--allowed", type=_share, default=0.05, help="share of rows that may be rejected (default: %(default)s)"
    )
    sample = "; without any, a generated sample is used" if pipeline.write_sample else ""
    inputs = parser.add_argument_group("inputs", f"each is a folder of files named by day, or a SELECT{sample}")
    for option in map(_option, pipeline.inputs):
        try:
            inputs.add_argument(option)
        except argparse.ArgumentError:
            raise PipelineError(f"The option {option} exists already: give the input another name.") from None
    return parser


async def _run(pipeline: Pipeline, home: Path, options: argparse.Namespace) -> Exit:
    places = _places(pipeline, home, options)
    output = Output(options.output, pipeline.table)
    async with AsyncExitStack() as stack:
        scan = stack.enter_context(open_engine(options.engine))
        loads = not (options.files_only or options.dry_run)
        connection = None
        if loads or any(map(_is_query, places)):
            connection = await stack.enter_async_context(await _connect())
        run = Run(
            pipeline,
            [_source(given, place, connection) for given, place in zip(pipeline.inputs, places, strict=True)],
            output,
            scan,
            options.engine == "polars",
            connection if loads else None,
            options.allowed,
        )
        code = await _do(run, await run.pending(options.day or (), again=options.again), dry_run=options.dry_run)
    if pipeline.write_report and not options.dry_run and output.is_report_due():
        with atomic_write(output.report) as page:
            page.write_text(pipeline.write_report(output), encoding="utf-8")
        print(f"The report: {output.report}")
    return code


async def _do(run: Run, days: list[date], *, dry_run: bool) -> Exit:
    held: list[HeldBackError] = []
    console = Console(stderr=True)
    with Progress(console=console, disable=not console.is_terminal, transient=True) as progress:
        for day in progress.track(days, description="days"):
            try:
                found = await (run.check(day) if dry_run else run.clean(day))
            except HeldBackError as reason:
                held.append(reason)
                print(f"{day}: held back: {reason}", flush=True)
                continue
            if not dry_run:
                await run.finish(day)
            print(f"{day}: {describe(found)}", flush=True)
    print(f"{len(days) - len(held)} of {len(days)} days {'would be' if dry_run else 'are'} done.")
    if any(isinstance(reason, MalformedError) for reason in held):
        return Exit.MISTAKE
    return Exit.HELD_BACK if held else Exit.DONE


async def _connect() -> AsyncConnection:
    ensure_database()
    connection = await AsyncConnection.connect(Settings.load().database_url or "", autocommit=True)
    await connection.execute("SET datestyle = 'ISO'; SET timezone = 'UTC'")
    return connection


def _places(pipeline: Pipeline, home: Path, options: argparse.Namespace) -> list[str]:
    """Return the folder or SELECT of each input, from the options, or the folders of a sample."""
    named = [getattr(options, given.name) for given in pipeline.inputs]
    places = [place for place in named if place is not None]
    if len(places) == len(named):
        return places
    names = " and ".join(map(_option, pipeline.inputs))
    if pipeline.write_sample is None or Environment.load().production:
        raise PipelineError(f"Give {names}: a folder or a SELECT.")
    if places:
        raise PipelineError(f"{names} belong together: give all, or none for a sample.")
    sample = home / "sample"
    if not sample.exists():
        with atomic_write(sample) as folder:
            pipeline.write_sample(folder)
        print(f"Made a sample in {sample}, as no input is named.")
    return [str(sample / given.name) for given in pipeline.inputs]


def _option(given: Input) -> str:
    return f"--{given.name.replace('_', '-')}"


def _is_query(place: str) -> bool:
    return place.lstrip().upper().startswith(("SELECT ", "SELECT\n", "WITH "))


def _source(given: Input, place: str, connection: AsyncConnection | None) -> Source:
    return Query(given, place, connection) if connection and _is_query(place) else Folder(given, Path(place))


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
