"""What can run the transform: Polars comes along, the others are installed where they are wanted."""

import os
import shutil
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Literal

import narwhals as nw
import polars as pl

from app.groups import INSTALL
from app.pipeline.errors import PipelineError
from app.pipeline.transform import Frame

Engine = Literal["polars", "pandas", "duckdb", "dask", "pyspark"]

Scan = Callable[[Path], Frame]
"""Reads a folder of Parquet files."""


@contextmanager
def engine(name: Engine) -> Iterator[Scan]:
    """The engine of that name, as what reads its data. PipelineError when it is missing: the message says what to do.

    Dask and Spark use the cluster that their own settings name, such as DASK_SCHEDULER_ADDRESS, and
    without one the cores of this machine.
    """
    if find_spec("distributed" if name == "dask" else name) is None:
        raise PipelineError(f"The engine {name} is not installed. Install its group: {INSTALL} {name}")
    match name:
        case "dask":
            with import_module("distributed").Client(dashboard_address=None), warnings.catch_warnings():
                # It names a package that is not published yet.
                warnings.filterwarnings("ignore", "Dask support is moving", FutureWarning)
                yield lambda folder: nw.scan_parquet(f"{folder}/*.parquet", backend=name)
        case "pyspark":
            session = _spark()
            try:
                yield lambda folder: nw.scan_parquet(f"{folder}/*.parquet", backend=name, session=session)
            finally:
                session.stop()
        case "pandas":  # knows no patterns
            yield lambda folder: nw.scan_parquet(str(folder), backend=name)
        case _:
            yield lambda folder: nw.scan_parquet(f"{folder}/*.parquet", backend=name)


def collect(frame: Frame) -> pl.DataFrame:
    """Let the engine of `frame` run, and take what it found."""
    found: pl.DataFrame = frame.collect(backend="polars").to_native()
    return found


def _spark() -> Any:
    home = os.environ.get("JAVA_HOME")
    java = shutil.which("java", path=os.path.join(home, "bin") if home else None)  # noqa: PTH118
    if java is None:
        raise PipelineError("Spark needs Java 17 or newer: install one, such as Debian's openjdk-17-jre-headless.")
    sql = import_module("pyspark.sql")
    return sql.SparkSession.builder.config("spark.ui.enabled", "false").getOrCreate()
