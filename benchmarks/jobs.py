"""Jobs per second of a service's workers, compared with Procrastinate alone, on the same database.

    uv run python benchmarks/jobs.py [--framework django] [--rounds 3] [--jobs 2000] [--service FOLDER]

The task does nothing, so this measures the queue. Both sides alternate in one run, with one and with four worker
processes, each with ten concurrent jobs. The jobs exist before the first worker starts. The time runs from the start of
the first job to the end of the last, by the events of the queue.
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

from app.core.jobs import queue


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
    with tempfile.TemporaryDirectory() as parent:
        folder = options.service or render(Path(parent), options.framework)
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


def render(parent: Path, framework: str) -> Path:
    """Render and install a service with jobs."""
    copy_template(parent / "template")
    folder = parent / "service"
    run(*copier(parent / "template", folder, f"--data=framework={framework}", "--data=features=[jobs]"))
    run("uv", "sync", "--quiet", folder=folder)
    return folder


if __name__ == "__main__":
    main()
