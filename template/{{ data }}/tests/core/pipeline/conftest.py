"""Fixtures: a slice with the pipeline of `trips.py`, its table, and its command line."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from typing import Any, NamedTuple

import psycopg
import pytest

from app.core.cli.main import main
from tests.core.pipeline import trips


class Ended(NamedTuple):
    code: int
    out: str
    err: str


Command = Callable[..., Ended]
Rows = Callable[[], list[Any]]
Plant = Callable[..., None]


@pytest.fixture
def plant(newcomer: Path, monkeypatch: pytest.MonkeyPatch) -> Plant:
    """Give the slice `newcomer` the pipeline of `trips.py` with changes: `plant(transform=other)`."""
    (newcomer / "pipeline.py").write_text("from tests.core.pipeline.trips import pipeline\n")

    def plant(**changes: Any) -> None:
        monkeypatch.setattr(import_module("app.newcomer.pipeline"), "pipeline", replace(trips.pipeline, **changes))

    return plant


@pytest.fixture
def rows(database_url: str) -> Iterator[Rows]:
    """Return the rows in the table of the pipeline."""
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute(trips.TABLE)
        yield lambda: connection.execute("SELECT * FROM station_days ORDER BY day, station").fetchall()
        connection.execute("DROP TABLE station_days")


@pytest.fixture
def command(
    plant: Plant, rows: Rows, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Command:
    """Run `python -m app pipeline newcomer` in an empty folder."""
    monkeypatch.chdir(tmp_path)

    def command(*arguments: str, name: str | None = "newcomer") -> Ended:
        with pytest.raises(SystemExit) as ended:
            main(["pipeline", *([name] if name else []), *arguments])
        out, err = capsys.readouterr()
        if isinstance(ended.value.code, str):  # Python prints such an exit code to stderr
            return Ended(1, out, f"{err}{ended.value.code}\n")
        return Ended(int(ended.value.code or 0), out, err)

    return command


@pytest.fixture
def sample(tmp_path: Path) -> tuple[str, ...]:
    """Arguments that name sample files of three days."""
    trips.write_sample(tmp_path / "given")
    return "--trips", str(tmp_path / "given/trips"), "--ratings", str(tmp_path / "given/ratings")
