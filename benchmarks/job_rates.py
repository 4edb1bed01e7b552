"""Measures the rates for `jobs.py` and prints them as JSON. Runs with the service's Python, in its folder."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import psycopg

from app.core.database.embedded import start

TASK = "bench.nothing"
CONCURRENCY = 10
ENQUEUE = """
    SELECT count(procrastinate_defer_jobs_v1(ARRAY[
        ROW('default', %s, 0, NULL, NULL, '{}', NULL)::procrastinate_job_to_defer_v1
    ])) FROM generate_series(1, %s)
"""
LEFT = "SELECT count(*) FROM procrastinate_jobs WHERE task_name = %s AND status IN ('todo', 'doing')"
SECONDS = """
    SELECT extract(epoch FROM max(at) - min(at)) FROM procrastinate_events
    JOIN procrastinate_jobs ON job_id = procrastinate_jobs.id WHERE task_name = %s AND type IN ('started', 'succeeded')
"""
SIDES = {
    "service": [sys.executable, "-m", "app", "worker"],
    "alone": [sys.executable, str(Path(__file__).with_name("bare_worker.py"))],
}


def rate(connection: psycopg.Connection, command: list[str], workers: int, jobs: int) -> float:
    """Return the jobs per second of this number of processes."""
    connection.execute("TRUNCATE procrastinate_jobs, procrastinate_workers, procrastinate_periodic_defers CASCADE")
    connection.execute(ENQUEUE, [TASK, jobs])
    processes = [subprocess.Popen(command, stdout=subprocess.DEVNULL) for _ in range(workers)]
    try:
        while connection.execute(LEFT, [TASK]).fetchone() != (0,):
            time.sleep(0.2)
    finally:
        for process in processes:
            process.terminate()
        for process in processes:
            process.wait()
    found = connection.execute(SECONDS, [TASK]).fetchone()
    assert found
    return jobs / float(found[0])


def main() -> None:
    """Measure the service and Procrastinate alone alternately, and print both rates."""
    rounds, jobs = map(int, sys.argv[1:])
    url = start("bench")
    os.environ |= {"DATABASE_URL": url, "WORKER_CONCURRENCY": str(CONCURRENCY), "LOG_FORMAT": "json"}
    subprocess.run([sys.executable, "-m", "app", "migrate"], check=True, stdout=subprocess.DEVNULL)
    rates: dict[int, dict[str, list[float]]] = {}
    with psycopg.connect(url, autocommit=True) as connection:
        for workers in (1, 4):
            rates[workers] = {side: [] for side in SIDES}
            for _ in range(rounds):
                for side, command in SIDES.items():
                    rates[workers][side].append(rate(connection, command, workers, jobs))
    print(json.dumps(rates))


if __name__ == "__main__":
    main()
