"""Jobs a second of a rendered service's workers, beside Procrastinate alone, on the same database.

    uv run python benchmarks/jobs.py [--framework django] [--rounds 3] [--jobs 2000] [--service FOLDER]

The task does nothing, so what is measured is the queue. Both sides take turns in one run, with one and with four worker
processes that do ten jobs at a time each. The jobs are there before the first worker starts, and the clock runs from
the first job that was begun to the last one that ended, as the queue's own events tell.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path

from common import ENVIRONMENT, copier, copy_template, run, spread, table

HERE = Path(__file__).parent
TASK = '''"""A job that does nothing."""

from app.jobs import queue


@queue.task(name="bench.nothing")
async def nothing() -> None:
    """Do nothing."""
'''


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--framework", choices=["fastapi", "django"], default="fastapi")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--jobs", type=int, default=2000)
    parser.add_argument("--service", type=Path, help="a rendered, installed service with jobs, instead of a fresh one")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as room:
        folder = options.service or render(Path(room), options.framework)
        command = [folder / ".venv/bin/python", HERE / "job_rates.py", str(options.rounds), str(options.jobs)]
        added = folder / "src/app/bench"
        added.mkdir()
        try:
            (added / "__init__.py").touch()
            (added / "jobs.py").write_text(TASK)
            done = subprocess.run(command, cwd=folder, env=ENVIRONMENT, stdout=subprocess.PIPE, text=True, check=False)
        finally:
            run("rm", "-r", added)
    if done.returncode:
        sys.exit(done.returncode)
    rates: dict[str, dict[str, list[float]]] = json.loads(done.stdout.splitlines()[-1])
    rows = [
        (
            workers,
            spread(sides["service"], "{:.0f}"),
            spread(sides["alone"], "{:.0f}"),
            spread([ours / bare for ours, bare in zip(sides["service"], sides["alone"], strict=True)]),
        )
        for workers, sides in rates.items()
    ]
    table(("workers", f"{options.framework}, jobs a second", "Procrastinate alone", "ratio"), *rows)


def render(room: Path, framework: str) -> Path:
    """A service with jobs, installed."""
    copy_template(room / "template")
    folder = room / "service"
    run(*copier(room / "template", folder, f"--data=framework={framework}", "--data=features=[jobs]"))
    run("uv", "sync", "--quiet", folder=folder)
    return folder


if __name__ == "__main__":
    main()
