"""Rows per second and memory of a service's pipeline on each engine, compared with the engine alone.

    uv run python benchmarks/data.py [--rows 10000000] [--rounds 3] [--engines polars,duckdb] [--service FOLDER]

Both sides compute the same sales from the same Parquet files, and the results are compared. Runs alternate. Each run is
a new process, and its time includes start and imports. Memory is the maximum of all processes of a side together, read
every 50 ms. At the end, the pipeline's statistic is compared with plain Python.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

from common import ENVIRONMENT, copier, copy_template, run, spread, table

HERE = Path(__file__).parent
ENGINES = ["polars", "pandas", "duckdb", "dask", "pyspark"]
FILES = 10
SAMPLE = """
import sys
from datetime import date, timedelta
from pathlib import Path
import polars as pl
from app.sales.sample import sample
folder, files, orders = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
rows = 0
for number in range(files):
    day = date(2026, 1, 1) + timedelta(number)
    for name, frame in zip(("orders", "events"), sample(day, orders, first_id=number * orders + 1, seed=number)):
        (folder / name).mkdir(parents=True, exist_ok=True)
        frame.with_columns(day=pl.lit(str(day))).write_parquet(folder / name / f"{day}.parquet")
        rows += len(frame)
print(rows)
"""
STATISTIC = """
import random, statistics, time
import numpy as np
from app.core.pipeline import bootstrap_mean
draws = random.Random(0)
values = [draws.randrange(10_000) for _ in range(10_000)]
started = time.perf_counter()
bootstrap_mean(np.array(values), np.ones(len(values), dtype=np.int64))
middle = time.perf_counter()
means = sorted(sum(draws.choices(values, k=len(values))) / len(values) for _ in range(1000))
print((time.perf_counter() - middle) / (middle - started))
"""


class Run(NamedTuple):
    """Seconds of one process from start to end, and its maximum MiB."""

    seconds: float
    memory: float
    sums: list[int]


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=10_000_000, help="orders and events together")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--engines", default=",".join(ENGINES), help="comma-separated")
    parser.add_argument("--service", type=Path, help="a rendered service with data and all groups, not a fresh one")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as parent:
        service = options.service or render(Path(parent))
        python, folder = service / ".venv/bin/python", Path(parent) / "rows"
        # An order has about two events.
        rows = int(run(python, "-c", SAMPLE, folder, str(FILES), str(options.rows // 30), folder=service))
        found = []
        for engine in options.engines.split(","):
            sides: dict[str, list[Run]] = {"service": [], "alone": []}
            for _ in range(options.rounds):
                for side, runs in sides.items():
                    runs.append(measure(service, python, engine, side, str(folder)))
            if len({tuple(run.sums) for runs in sides.values() for run in runs}) != 1:
                sys.exit(f"Different results of {engine} with and without the service.")
            ours, alone = sides.values()
            found.append(
                (
                    engine,
                    *(spread([rows / run.seconds / 1e6 for run in runs]) for runs in (ours, alone)),
                    spread([a.seconds / o.seconds for o, a in zip(ours, alone, strict=True)]),
                    *(spread([run.memory for run in runs], "{:.0f}") for runs in (ours, alone)),
                )
            )
        heading = ("million rows a second", "the engine alone", "ratio", "MiB", "the engine alone")
        table((f"{rows:,} rows", *heading), *found)
        faster = [float(run(python, "-c", STATISTIC, folder=service)) for _ in range(options.rounds)]
        print(f"\nA bootstrapped mean of 10,000 values is {spread(faster, '{:.0f}')} times as fast as in plain Python.")


def measure(service: Path, *command: str | Path) -> Run:
    python, *arguments = command
    started = time.perf_counter()
    memory = 0.0
    with tempfile.TemporaryFile("w+") as errors:
        process = subprocess.Popen(
            [python, HERE / "engine_rates.py", *arguments],
            cwd=service,
            env=ENVIRONMENT,
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
            start_new_session=True,
        )
        while process.poll() is None:
            memory = max(memory, resident(process.pid))
            time.sleep(0.05)
        seconds = time.perf_counter() - started
        said, _ = process.communicate()
        errors.seek(0)
        if process.returncode:
            sys.exit(f"{' '.join(map(str, arguments))} failed:\n{errors.read()}")
    return Run(seconds, memory, json.loads(said.splitlines()[-1])["sums"])


def resident(session: int) -> float:
    """Return the resident memory of all processes of a session in MiB."""
    pages = 0
    for process in Path("/proc").glob("[0-9]*"):
        try:
            fields = (process / "stat").read_text().rpartition(")")[2].split()
        except (FileNotFoundError, ProcessLookupError):
            continue
        if int(fields[3]) == session:
            pages += int(fields[21])
    return pages / 256


def render(parent: Path) -> Path:
    """Render and install a service with the pipeline and all engines."""
    copy_template(parent / "template")
    run(*copier(parent / "template", parent / "service", "--data=features=[data]"))
    run("uv", "sync", "--quiet", "--all-groups", folder=parent / "service")
    return parent / "service"


if __name__ == "__main__":
    main()
