"""Engines for transforms. Polars is always installed; each other engine has a dependency group."""

import os
import shutil
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Literal, get_args

import narwhals as nw
import polars as pl

from app.core.pipeline.definition import Frame
from app.core.pipeline.errors import PipelineError
from app.core.pipeline.groups import INSTALL

Engine = Literal["polars", "pandas", "duckdb", "dask", "pyspark"]
ENGINES: tuple[Engine, ...] = get_args(Engine)

Scan = Callable[[Path], Frame]
"""Reads a folder of Parquet files."""


@contextmanager
def open_engine(name: Engine) -> Iterator[Scan]:
    """Start an engine and yield its function to read data. Raise PipelineError when the engine is not installed.

    Dask and Spark use the cluster of their own settings, such as DASK_SCHEDULER_ADDRESS, and by default this machine.
    """
    if find_spec("distributed" if name == "dask" else name) is None:
        raise PipelineError(f"The engine {name} is not installed. Install its group: {INSTALL} {name}")
    match name:
        case "dask":
            # Port 0, because two concurrent runs cannot share the default port of the scheduler's dashboard.
            client = import_module("distributed").Client(dashboard_address="127.0.0.1:0")
            with client, warnings.catch_warnings():
                # The warning recommends a package that is not published yet.
                warnings.filterwarnings("ignore", "Dask support is moving", FutureWarning)
                yield lambda folder: nw.scan_parquet(f"{folder}/*.parquet", backend=name)
        case "pyspark":
            session = _spark()
            try:
                # A folder, because Spark logs a Java stack trace for a pattern.
                yield lambda folder: nw.scan_parquet(str(folder), backend=name, session=session)
            finally:
                session.stop()
        case "pandas":  # does not support patterns
            yield lambda folder: nw.scan_parquet(str(folder), backend=name)
        case _:
            yield lambda folder: nw.scan_parquet(f"{folder}/*.parquet", backend=name)


def collect(frame: Frame) -> pl.DataFrame:
    """Compute `frame` with its engine and return the rows."""
    rows: pl.DataFrame = frame.collect(backend="polars").to_native()
    return rows


def _spark() -> Any:
    home = os.environ.get("JAVA_HOME")
    java = shutil.which("java", path=os.path.join(home, "bin") if home else None)  # noqa: PTH118
    if java is None:
        raise PipelineError("Spark needs Java 17 or newer: install one, such as Debian's openjdk-17-jre-headless.")
    sql = import_module("pyspark.sql")
    return sql.SparkSession.builder.config("spark.ui.enabled", "false").getOrCreate()
