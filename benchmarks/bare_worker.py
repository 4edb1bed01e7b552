"""A bare Procrastinate worker, for comparison in `jobs.py`."""

import logging
import os

from procrastinate import App, PsycopgConnector

logging.getLogger("procrastinate").setLevel(logging.WARNING)
app = App(connector=PsycopgConnector(conninfo=os.environ["DATABASE_URL"], min_size=1, max_size=4))


@app.task(name="bench.nothing")
async def nothing() -> None:
    pass


if __name__ == "__main__":
    app.run_worker(concurrency=int(os.environ["WORKER_CONCURRENCY"]))
